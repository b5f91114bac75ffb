"""Runs a benchmark, prints its table, and writes its section of docs/benchmarks.md.

python -m benchmarks engine        what a sweep costs besides its training (8 minutes)
python -m benchmarks trials        24 small trainings, against the peers (12 minutes)
python -m benchmarks trials96      the same with four seeds (35 minutes)
python -m benchmarks honest        what 1, 2 and 3 epochs say about 30, and in KerasTuner (half an hour)
python -m benchmarks fashion       best accuracy against the clock, and KerasTuner's (75 minutes)
python -m benchmarks throughput    images a second, against model.fit (6 minutes)
python -m benchmarks single        one run, against a script without any tool (2 minutes)
python -m benchmarks memory        200 trainings in one worker (2 minutes)
python -m benchmarks compare       a page over 10,000 recorded runs (10 minutes)
python -m benchmarks studies       what each study costs, for sweeps/README.md (6 minutes)
"""

import argparse
from collections.abc import Callable

from benchmarks import compare, engine, fashion, honest, memory, single, studies, throughput, trials

BENCHMARKS: dict[str, Callable[[int], None]] = {
    "engine": lambda repeats: engine.run(),
    "trials": lambda repeats: trials.run(1, repeats),
    "trials96": lambda repeats: trials.run(4, repeats),
    "honest": honest.run,
    "fashion": fashion.run,
    "throughput": throughput.run,
    "single": single.run,
    "memory": lambda repeats: memory.run(),
    "compare": compare.run,
    "studies": lambda repeats: studies.run(),
}
REPEATS = {"honest": 5}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure kerasweep.")
    parser.add_argument("name", choices=BENCHMARKS, help="which benchmark")
    parser.add_argument("--repeats", type=int, help="or seeds, of each contender (default: 3; honest: 5)")
    arguments = parser.parse_args()
    BENCHMARKS[arguments.name](arguments.repeats or REPEATS.get(arguments.name, 3))


if __name__ == "__main__":
    main()
