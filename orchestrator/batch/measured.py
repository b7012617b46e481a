"""The measures of a batch's pictures: computed once for each picture, kept in `data/measures.json`.

The file can be deleted at any time. Blocks on the disk, some 70 ms for each picture that is not known yet.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock
from PIL import Image, ImageOps

from orchestrator import measures
from orchestrator.files import write_whole

COLUMNS = ("sharpness", "entropy", "colourfulness", "phash", "distance")
KEPT = 50_000  # pictures, some 150 bytes each
LOCK_S = 10.0
AT_ONCE = min(4, os.cpu_count() or 1)  # Pillow and numpy let other threads run
FILE = "measures.json"

logger = logging.getLogger(__name__)
Known = dict[str, dict[str, Any]]


def of_pictures(paths: Iterable[Path], *, data: Path) -> dict[Path, Mapping[str, Any]]:
    """What is measured of each picture; one that is gone, damaged or a film has nothing. `data`: the lab's folder."""
    file = data / FILE
    known = _read(file)
    found: dict[Path, Mapping[str, Any]] = {}
    fresh: Known = {}
    unknown: dict[Path, str] = {}
    for path in dict.fromkeys(paths):
        if (version := _version(path)) is None:
            continue
        kept = known.get(path.name)
        if kept is not None and kept.get("version") == version:
            found[path] = kept
        else:
            unknown[path] = version
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="measures") as pool:
        for path, said in zip(unknown, pool.map(_measured, unknown), strict=True):
            if said is not None:
                found[path] = fresh[path.name] = {"version": unknown[path], **said}
    if fresh:
        _keep(file, fresh)
    return found


def rows(pictures: Iterable[Path | None], *, data: Path) -> list[dict[str, Any]]:
    """A row for each picture, None where there is none; `distance` is that to the first picture, in bits of 64."""
    paths = list(pictures)
    known = of_pictures([path for path in paths if path], data=data)
    first: str | None = None
    found = []
    for path in paths:
        said = known.get(path) if path else None
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        if said is not None:
            first = first or said["phash"]
            row |= {name: said[name] for name in COLUMNS[:-1]}
            row["distance"] = measures.distance(first, said["phash"])
        found.append(row)
    return found


def _measured(path: Path) -> Mapping[str, Any] | None:
    try:
        with Image.open(path) as picture:
            return measures.told(measures.measured(ImageOps.exif_transpose(picture)))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _version(path: Path) -> str | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return f"{stat.st_mtime_ns}-{stat.st_size}"


def _read(file: Path) -> Known:
    try:
        said = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {name: kept for name, kept in said.items() if _is_whole(kept)}


def _is_whole(kept: Any) -> bool:
    return (
        isinstance(kept, dict)
        and isinstance(kept.get("phash"), str)
        and len(kept["phash"]) == measures.HASH_SIDE**2 // 4
        and all(isinstance(kept.get(name), int | float) for name in COLUMNS[:3])
    )


def _keep(file: Path, fresh: Known) -> None:
    """Add to what others have kept meanwhile; the oldest go first. It is a memory, not a record: it may fail."""
    try:
        with FileLock(file.with_suffix(".lock"), timeout=LOCK_S):
            known = {name: kept for name, kept in _read(file).items() if name not in fresh}
            merged = list({**known, **fresh}.items())[-KEPT:]
            write_whole(file, orjson.dumps(dict(merged)), durable=False)
    except (OSError, TimeoutError) as error:
        logger.warning("The measures cannot be kept: %s", error)
