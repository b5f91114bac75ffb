"""Trains each configuration of a list alone and after the others, and writes the histories with every bit.

python tests/training/histories.py CONFIGS OUTPUT

alone: each in a new process that has imported TensorFlow but not used it.
used: all in one process, so that later ones reuse the programs of earlier ones.
CONFIGS: JSON, a list of YAML texts. OUTPUT: JSON, for each way the history and the number of traces of each.
"""

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from kerasweep.training.program_cache import PROGRAMS
from kerasweep.trial.network import build_network
from kerasweep.trial.run import read_data, warm_up

MAX_PROGRAMS = 3


def history(text: str) -> dict[str, Any]:
    """Returns each epoch's metrics as hexadecimal numbers, the best epoch, and the number of traces."""
    cfg = OmegaConf.create(text)
    network = build_network(cfg, read_data(cfg))
    result = network.fit(lambda epoch, metrics: False, Path("unused"))
    epochs = [
        {name: value.hex() for name, value in epoch.items() if not name.endswith("_seconds")}
        for epoch in result.history
    ]
    return {"epochs": epochs, "best_epoch": result.best_epoch, "traces": network.traces}


@cache
def in_a_new_process(text: str) -> dict[str, Any]:
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(sender, "w") as pipe:
            json.dump(history(text), pipe)
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return dict(json.loads(found))


def main() -> None:
    configs, output = sys.argv[1:]
    texts = json.loads(Path(configs).read_text())
    PROGRAMS.max_programs = MAX_PROGRAMS
    warm_up(OmegaConf.create(texts[0]))
    alone = [in_a_new_process(text) for text in texts]  # first: they must not find a used TensorFlow
    Path(output).write_text(json.dumps({"alone": alone, "used": [history(text) for text in texts]}))


if __name__ == "__main__":
    main()
