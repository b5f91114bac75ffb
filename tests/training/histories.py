"""Trains each configuration of a list and writes its history with every bit.

python tests/training/histories.py used|alone CONFIGS OUTPUT

used: trains all in this process, so that later ones reuse the programs of earlier ones.
alone: trains each in a new process that has imported TensorFlow but not used it.
CONFIGS: JSON, a list of YAML texts. OUTPUT: JSON, the history and the number of traces of each.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from kerasweep.trial.network import build_network
from kerasweep.trial.run import read_data, warm_up


def history(text: str) -> dict[str, Any]:
    """Returns each epoch's metrics as hexadecimal numbers, the best epoch, and the number of traces."""
    cfg = OmegaConf.create(text)
    network = build_network(cfg, read_data(cfg))
    result = network.fit(lambda epoch, metrics: False, Path("unused"))
    epochs = [
        {name: value.hex() for name, value in epoch.items() if name != "epoch_seconds"}
        for epoch in result.history
    ]
    return {"epochs": epochs, "best_epoch": result.best_epoch, "traces": network.traces}


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
    how, configs, output = sys.argv[1:]
    texts = json.loads(Path(configs).read_text())
    warm_up(OmegaConf.create(texts[0]))
    train = history if how == "used" else in_a_new_process
    Path(output).write_text(json.dumps([train(text) for text in texts]))


if __name__ == "__main__":
    main()
