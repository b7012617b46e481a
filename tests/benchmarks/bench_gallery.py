"""How fast the gallery is with many pictures: `python tests/benchmarks/bench_gallery.py [pictures]`.

Prints each figure with its target. The pictures are small; thumbnails are timed on ones of 1024×1024 besides.
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
from PIL import Image

from orchestrator.gallery import Gallery
from orchestrator.images import publish
from orchestrator.paths import Paths
from orchestrator.recipes import Recipe

PICTURES = 10_000
LARGE = 12  # pictures of 1024×1024
ROUNDS = 50
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
BACKENDS = ("sd15", "sdxl", "flux", "sd35")
WORDS = ("eagle", "fox", "castle", "harbour", "орёл", "mountain", "robot")


def report(what: str, value: float, unit: str, target: str = "") -> None:
    print(f"{what:58} {value:10,.2f} {unit:6} {target}", flush=True)


def timed_ms(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


def median_ms(act: Callable[[], object]) -> float:
    return statistics.median(timed_ms(act) for _ in range(ROUNDS))


def png(side: int, *, noise: bool = False) -> bytes:
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image = (
        Image.fromarray(pixels).resize((side, side)) if noise else Image.new("RGB", (side, side))
    )
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def recipe(number: int) -> Recipe:
    return Recipe(
        job_id=str(uuid.uuid4()),
        attempt=1,
        index=0,
        backend=BACKENDS[number % len(BACKENDS)],
        prompt=f"a majestic {WORDS[number % len(WORDS)]} over snowy hills, number {number}",
        params={"steps": 30, "cfg": 7.5, "width": 512, "height": 512},
        seed=number,
        service="comfyui",
        host="http://127.0.0.1:8188",
        workflow={str(n): {"class_type": "KSampler", "inputs": {"seed": n}} for n in range(8)},
        created_at=START + timedelta(seconds=number),
        software="bench",
    )


def fill(folder: Path, count: int) -> None:
    """As `publish` leaves pictures, without its waiting for the disk."""
    data = png(16)
    for number in range(count):
        made = recipe(number)
        name = f"{made.backend}_{made.job_id}.png"
        (folder / name).write_bytes(data)
        facts = {"file": name, "width": 16, "height": 16, "bytes": len(data), "mime": "image/png"}
        document = orjson.loads(made.model_dump_json(by_alias=True)) | facts
        (folder / f"{name}.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def main(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-gallery-") as name:
        paths = Paths.init(Path(name))
        paths.create()
        fill(paths.drop_out, count)
        time.sleep(0.1)  # the folder's time must have settled
        gallery = Gallery(paths)
        bench_index(gallery, paths, count)
        bench_changes(gallery, paths)
        bench_thumbnails(gallery, paths)
        gallery.close()


def bench_index(gallery: Gallery, paths: Paths, count: int) -> None:
    report(f"cold index of {count:,} pictures", timed_ms(gallery.page) / 1000, "s")
    second = Gallery(paths)
    report("first page of a new process, warm index", timed_ms(second.page), "ms", "<= 50")
    second.close()
    report("first page, warm (median)", median_ms(gallery.page), "ms", "<= 50")
    report("refresh, nothing changed (median)", median_ms(gallery.backends), "ms", "<= 30")
    report("page at the end (median)", median_ms(lambda: gallery.page(offset=count - 50)), "ms")
    report("page of one backend", median_ms(lambda: gallery.page(backend="flux")), "ms")
    report("page by text, two words", median_ms(lambda: gallery.page(text="ОРЁЛ snowy")), "ms")
    report("page of 1,000", median_ms(lambda: gallery.page(limit=1000)), "ms")
    file = gallery.page(limit=1)[0][0].file
    report("one picture by name (median)", median_ms(lambda: gallery.get(file)), "ms")
    size = (paths.data / "gallery.db").stat().st_size
    report("index on the disk", size / 1e6, "MB")


def bench_changes(gallery: Gallery, paths: Paths) -> None:
    data, numbers = png(16), iter(range(100_000, 200_000))

    def one_more() -> None:
        made = recipe(next(numbers))
        publish(data, folder=paths.drop_out, stem=f"new_{made.job_id}", recipe=made)

    def shown() -> float:
        one_more()
        return timed_ms(gallery.page)

    report(
        "page after one more picture (median)", statistics.median(shown() for _ in range(20)), "ms"
    )
    told = threading.Event()
    subscription = gallery.watch(lambda _: told.set())
    delays = []
    time.sleep(0.5)
    for _ in range(20):
        told.clear()
        one_more()
        delays.append(timed_ms(told.wait))
        time.sleep(0.1)
    subscription.end()
    report("published -> told (median)", statistics.median(delays), "ms")
    files = [image.file for image in gallery.page(limit=20)[0]]
    report("favourite and back (median)", median_ms(lambda: _mark_twice(gallery, files[0])), "ms")
    report("20 pictures to the trash", timed_ms(lambda: gallery.trash(files)), "ms")
    report("20 pictures back", timed_ms(lambda: gallery.restore(files)), "ms")


def _mark_twice(gallery: Gallery, file: str) -> None:
    gallery.favourite(file, True)
    gallery.favourite(file, False)


def bench_thumbnails(gallery: Gallery, paths: Paths) -> None:
    data = png(1024, noise=True)
    names = []
    for number in range(LARGE):
        made = recipe(number)
        names.append(
            publish(data, folder=paths.drop_out, stem=f"large{number}", recipe=made).path.name
        )
    gallery.page()
    made_ms = [timed_ms(lambda name=name: gallery.thumbnail(name)) for name in names]  # type: ignore[misc]
    kept_ms = [timed_ms(lambda name=name: gallery.thumbnail(name)) for name in names * 5]  # type: ignore[misc]
    report(
        f"thumbnail of 1024×1024 noise ({len(data) // 1024:,} kB), made",
        statistics.median(made_ms),
        "ms",
    )
    report("thumbnail, kept (median)", statistics.median(kept_ms), "ms")
    first = [image.file for image in gallery.page(text="majestic", limit=9)[0]]
    report(
        "first 9 thumbnails of the page, made",
        timed_ms(lambda: [gallery.thumbnail(f) for f in first]),
        "ms",
    )


if __name__ == "__main__":
    os.environ.pop("ORCHESTRATOR_PATHS", None)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
