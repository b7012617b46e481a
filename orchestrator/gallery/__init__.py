"""The pictures in dropOut: listed, found, marked, thrown away and brought back. The files are the truth."""

from __future__ import annotations

from orchestrator.gallery.gallery import Gallery
from orchestrator.gallery.image import GalleryImage, TrashedImage

__all__ = ["Gallery", "GalleryImage", "TrashedImage"]
