"""How long it takes to measure a picture: `python tests/benchmarks/bench_measures.py`. Prints; asserts nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from PIL import Image

from orchestrator import measures

ROUNDS = 20


def took_ms(work: Callable[[], object]) -> float:
    """The median of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        rounds.append((time.perf_counter() - began) * 1000)
    return median(rounds)


def main() -> None:
    """Print a line for each measure and size."""
    for side in (512, 1024):
        colours = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
        picture = Image.fromarray(colours)
        grey = measures.luminance(colours)
        for name, work in {
            "sharpness": lambda grey=grey: measures.sharpness(grey),
            "entropy": lambda grey=grey: measures.entropy(grey),
            "colourfulness": lambda colours=colours: measures.colourfulness(colours),
            "phash": lambda picture=picture: measures.phash(picture),
            "all of them": lambda picture=picture: measures.measured(picture),
        }.items():
            print(f"{side}²  {name:14} {took_ms(work):6.1f} ms")


if __name__ == "__main__":
    main()
