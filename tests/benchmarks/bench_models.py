"""How long it takes to look at model files: python tests/benchmarks/bench_models.py

Prints the milliseconds for one damaged file of each sort, the seconds for a hundred whole ones of a gigabyte (sparse,
with the 2,515 tensors of an SDXL checkpoint each), and for a second look at a thousand.
"""

from __future__ import annotations

import json
import os
import pickle
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from model_files import SDXL, VAE, Shapes, laid_out, safetensors

from orchestrator.models import Library, verify
from orchestrator.paths import Paths

FILES = 100
GIGABYTE = 10**9
ROUNDS = 20


def sdxl() -> Shapes:
    """As many tensors as an SDXL checkpoint has, with names as long, of a gigabyte in all."""
    shapes = dict(SDXL)
    rest = 2515 - len(shapes)
    for number in range(rest):
        name = f"model.diffusion_model.middle_block.1.transformer_blocks.{number}.attn1.to_out.0.weight"
        shapes[name] = (GIGABYTE // 2 // rest + 1,)
    return shapes


def sparse(path: Path, shapes: Shapes) -> None:
    header, size = laid_out(shapes)
    path.write_bytes(header)
    os.truncate(path, len(header) + size)


def damages(folder: Path) -> dict[str, Path]:
    """A file of each sort of damage, as large as an SDXL checkpoint's where that matters."""
    header, size = laid_out(sdxl())
    whole = len(header) + size
    entries = json.loads(header[8:])
    twisted = {name: dict(entry) for name, entry in entries.items()}
    last = list(twisted)[-1]
    twisted[last]["data_offsets"] = [n - 2 for n in twisted[last]["data_offsets"]]
    raw = json.dumps(twisted).encode()
    contents = {
        "cut off by one byte": (header, whole - 1),
        "header garbage": (header[:8] + os.urandom(len(header) - 8), whole),
        "header length garbage": (os.urandom(8) + header[8:], whole),
        "tensor offsets wrong": (struct.pack("<Q", len(raw)) + raw, whole),
        "zero length": (b"", 0),
        "zeros": (b"", GIGABYTE),
        "pickle renamed": (pickle.dumps(list(range(1000)), protocol=2), 20_000),
        "web page": (b"<!DOCTYPE html><title>no</title>", 20_000),
    }
    made = {}
    for number, (name, (start, length)) in enumerate(contents.items()):
        made[name] = folder / f"{number}.safetensors"
        made[name].write_bytes(start)
        os.truncate(made[name], length)
    return made


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-models-") as name:
        root = Path(name)
        (root / "paths.json").write_text("{}")
        paths = Paths.load(root / "paths.json")
        paths.create()
        print("damaged files, ms (median, worst of", ROUNDS, "rounds):")
        for sort, path in damages(root).items():
            found = [timed(partial(verify, path)) * 1000 for _ in range(ROUNDS)]
            fault = verify(path).fault
            print(f"  {sort:24} {statistics.median(found):7.2f} {max(found):7.2f}  {fault}")
        folder = paths.models_root / "checkpoints"
        folder.mkdir()
        for number in range(FILES):
            sparse(folder / f"{number}.safetensors", sdxl())
        library = Library(paths)
        took = timed(library.files)
        good = sum(entry.file.is_whole for entry in library.files())
        print(f"{good} whole files of 1 GB, 2,515 tensors each: {took:.2f} s")
        loras = paths.models_root / "loras"
        loras.mkdir()
        for number in range(1000):
            (loras / f"{number}.safetensors").write_bytes(safetensors(VAE))
        print(f"1,000 files more, for the first time: {timed(library.files):.2f} s")
        print(f"all of them again: {timed(library.files) * 1000:.0f} ms")
        print(
            f"all of them in a new process: {timed(lambda: Library(paths).files()) * 1000:.0f} ms"
        )


if __name__ == "__main__":
    main()
