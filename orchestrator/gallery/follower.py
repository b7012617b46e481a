"""Tells of pictures that came, changed or went, whoever did it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.gallery.image import GalleryImage
from orchestrator.gallery.index import Index
from orchestrator.gallery.scan import Scan
from orchestrator.store import Subscription
from orchestrator.store.watch import Watcher

logger = logging.getLogger(__name__)

TOLD = 500  # pictures at once; after more than that a page is better read anew
OnImages = Callable[[list[GalleryImage]], None]


class Follower:
    """Calls back from a thread while there is somebody to tell."""

    def __init__(self, folders: list[Path], index: Index, scan: Scan) -> None:
        self._folders = folders
        self._index = index
        self._scan = scan
        self._lock = threading.Lock()
        self._listeners: list[OnImages] = []
        self._watcher: Watcher | None = None
        self._told = (0, 0)  # which index, and its newest change that was told

    def watch(self, on_images: OnImages, *, force_polling: bool) -> Subscription:
        """See `Gallery.watch`."""
        with self._lock:
            if self._watcher is None:
                self._scan.refresh()
                state = self._index.state()
                self._told = state.born, state.seq
                self._watcher = Watcher(
                    self._folders,
                    on_names=self._names_changed,
                    on_look=self._look,
                    force_polling=force_polling,
                )
                self._watcher.start()
            self._listeners.append(on_images)
        return Subscription(partial(self._unwatch, on_images))

    def close(self) -> None:
        """Tell nobody any more."""
        with self._lock:
            self._listeners.clear()
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()

    def _unwatch(self, on_images: OnImages) -> None:
        with self._lock:
            if on_images in self._listeners:
                self._listeners.remove(on_images)
            left = bool(self._listeners)
        if not left:
            self.close()

    def _names_changed(self, paths: set[str]) -> None:
        names = {os.path.basename(path).removesuffix(".json") for path in paths}
        seen = {name for name in names if not name.startswith(".")}  # drafts
        for name in seen:
            if (known := self._index.get(name)) is not None:
                self._scan.renew(name, known[1])
        if seen:
            self._look()

    def _look(self) -> None:
        born, seq = self._told
        try:
            self._scan.refresh()
            state = self._index.state()
            # the index was deleted: let it be filled again before it is told from
            if state.born != born:
                self._scan.refresh()
                state = self._index.state()
            if (state.born, state.seq) == (born, seq):
                return
            images = self._index.since(seq, limit=TOLD + 1) if state.born == born else []
        except OrchestratorError as error:  # a share that is away, say: it is looked at again
            logger.warning("The pictures cannot be followed now: %s", error.message)
            return
        self._told = state.born, state.seq
        self._tell(images if len(images) <= TOLD else [])

    def _tell(self, images: list[GalleryImage]) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(images)
            except Exception:
                logger.exception("Somebody who is told of pictures failed")
