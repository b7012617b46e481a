"""A notebook-first lab for generating images."""

from __future__ import annotations
