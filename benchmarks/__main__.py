"""Runs a benchmark and prints its table.

python -m benchmarks engine      what a sweep costs beside its training (about 8 minutes)
"""

import argparse

from benchmarks import engine

BENCHMARKS = {"engine": engine.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure kerasweep.")
    parser.add_argument("name", choices=sorted(BENCHMARKS), help="which benchmark")
    parser.add_argument("--trials", type=int, default=1000, help="of the long sweep (default: 1000)")
    arguments = parser.parse_args()
    BENCHMARKS[arguments.name](arguments.trials)


if __name__ == "__main__":
    main()
