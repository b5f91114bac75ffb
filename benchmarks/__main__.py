"""Runs a benchmark, prints its table, and writes its section of docs/benchmarks.md.

python -m benchmarks engine        what a sweep costs besides its training (8 minutes)
python -m benchmarks trials        24 small trainings of two graphs, against the peers (30 minutes)
python -m benchmarks graphs        24 small trainings of twelve graphs, against the peers (25 minutes)
python -m benchmarks trials96      the first with four seeds (50 minutes)
python -m benchmarks honest        what 1, 2 and 3 epochs say about 30, and in KerasTuner (half an hour)
python -m benchmarks fashion       the models after equal time, and KerasTuner's (2¾ hours)
python -m benchmarks heads         24 heads on a frozen backbone, against KerasTuner (half an hour)
python -m benchmarks throughput    images a second, against model.fit (6 minutes)
python -m benchmarks photographs   50,000 photographs, or --images fewer, against Keras (an hour)
python -m benchmarks single        one run, against a script without any tool (2 minutes)
python -m benchmarks memory        200 trainings in one worker (2 minutes)
python -m benchmarks compare       a page over 10,000 recorded runs (10 minutes)
python -m benchmarks scale         thousands of trials, drivers and runs, beside Ray Tune (hours; see --part)
python -m benchmarks reruns        50 recorded runs trained again, for docs/reliability.md (half an hour)
python -m benchmarks refits        winners trained on all images, for docs/winner.md (20 minutes)
python -m benchmarks serving       requests of one image, against mlflow.keras, for docs/winner.md (5 minutes)
python -m benchmarks studies       what each study costs, for sweeps/README.md (6 minutes)

fashion, heads, refits, reruns, scale and the benchmarks of trials save each measurement in
benchmarks/results: the same command continues an interrupted one, and --fresh measures all again.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

from benchmarks import (
    compare,
    engine,
    fashion,
    heads,
    honest,
    memory,
    photographs,
    refits,
    reruns,
    scale,
    serving,
    single,
    studies,
    throughput,
    trials,
)
from benchmarks.peers import compile_packages

FOUR_SEEDS = replace(trials.TWO_GRAPHS, seed=(0, 1, 2, 3))
BENCHMARKS: dict[str, Callable[[int, bool], None]] = {
    "engine": lambda repeats, fresh: engine.run(),
    "trials": lambda repeats, fresh: trials.run("trials", trials.TWO_GRAPHS, repeats, fresh),
    "graphs": lambda repeats, fresh: trials.run("graphs", trials.TWELVE_GRAPHS, repeats, fresh),
    "trials96": lambda repeats, fresh: trials.run("trials96", FOUR_SEEDS, repeats, fresh),
    "honest": lambda repeats, fresh: honest.run(repeats),
    "fashion": lambda repeats, fresh: fashion.run(repeats, MINUTES, fresh),
    "heads": heads.run,
    "throughput": lambda repeats, fresh: throughput.run(repeats),
    "single": lambda repeats, fresh: single.run(repeats),
    "memory": lambda repeats, fresh: memory.run(),
    "compare": lambda repeats, fresh: compare.run(repeats),
    "reruns": lambda repeats, fresh: reruns.run(fresh),
    "refits": lambda repeats, fresh: refits.run(repeats, fresh),
    "serving": lambda repeats, fresh: serving.run(repeats),
    "studies": lambda repeats, fresh: studies.run(),
}
REPEATS = {"honest": 5, "fashion": 10, "refits": 10}
MINUTES = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure kerasweep.")
    parser.add_argument("name", choices=[*BENCHMARKS, "photographs", "scale"], help="which benchmark")
    parser.add_argument(
        "--repeats", type=int, help="or seeds, of each contender (default: 3; honest: 5; fashion, refits: 10)"
    )
    parser.add_argument("--images", type=int, default=50_000, help="of photographs (default: 50,000)")
    parser.add_argument("--fresh", action="store_true", help="measure all again")
    parser.add_argument("--part", action="append", choices=scale.PARTS, help="of scale; may be repeated")
    parser.add_argument(
        "--small", action="store_true", help="a small version of scale, which is only printed"
    )
    arguments = parser.parse_args()
    compile_packages()
    if arguments.name == "scale":
        scale.run(arguments.part or [], arguments.fresh, arguments.small)
        return
    repeats = arguments.repeats or REPEATS.get(arguments.name, 3)
    if arguments.name == "photographs":
        photographs.run(repeats, arguments.images)
        return
    BENCHMARKS[arguments.name](repeats, arguments.fresh)


if __name__ == "__main__":
    main()
