"""`python tests/torture`: the long form. 0 if every promise was kept and, with `--mutants`, every mutant was caught.

python tests/torture --jobs 1000 --seeds 1 2 3
python tests/torture --jobs 400 --mutants
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from harness import torture

# What each deliberate fault must break here. The others cannot be shown by kill -9, and have tests of their own:
# no_fence and no_receipt in tests/worker/test_worker_takeover.py, a missing fsync in the store's power cuts.
CAUGHT_BY = {
    "no_lock": {
        "nothing is paid twice",
        "nothing that was painted is painted again",
        "every job ends",
    },
    "in_place": {"nobody reads half a job"},
    "pay_again": {"nothing is paid twice"},
    "no_recovery": {"every job ends"},
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/torture", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--mutant", choices=CAUGHT_BY, default="")
    parser.add_argument(
        "--mutants", action="store_true", help="each of them, and all must be caught"
    )
    parser.add_argument("--limit", type=float, default=150.0, help="seconds for one run")
    args = parser.parse_args()
    failed = 0
    for seed in args.seeds:
        for mutant in CAUGHT_BY if args.mutants else [args.mutant]:
            with tempfile.TemporaryDirectory(prefix="torture-") as folder:
                verdict = torture(
                    Path(folder), jobs=args.jobs, seed=seed, mutant=mutant, limit_s=args.limit
                )
            print(verdict.to_json(), flush=True)
            caught = bool(CAUGHT_BY.get(mutant, set()) & set(verdict.broken))
            failed += not caught if mutant else bool(verdict.broken)
    return failed


if __name__ == "__main__":
    sys.exit(main())
