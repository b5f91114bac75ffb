"""Promotes models in a test's process, and reads the registry."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from kerasweep.commands.promote import promote
from kerasweep.config.folders import config_folder
from kerasweep.errors import KerasweepError
from kerasweep.tracking.client import open_client

# The test images that each model classifies wrongly.
WRONG = {
    "first": range(20),
    "better": range(8),  # right on 12 more, and never wrong alone: p 0.0005
    "similar": [*range(16), 40],  # alone right on 4, alone wrong on 1
    "worse": range(40),
    "equal": [*range(18), 50, 51],
}


@dataclass
class Promoter:
    """Promotes models in one registry."""

    uri: str

    def __call__(self, run_id: str, *overrides: str, name: str = "digits") -> tuple[int, list[str]]:
        """Returns the exit code and the printed lines."""
        arguments = [f"tracking.uri={self.uri}", f"run_id='{run_id}'", f"name='{name}'", *overrides]
        with initialize_config_dir(config_folder("conf"), version_base="1.3"):
            cfg = compose("promote", arguments)
        with redirect_stdout(io.StringIO()) as output:
            code = promote(cfg)
        return code, output.getvalue().splitlines()

    def refused(self, kind: type[KerasweepError], run_id: str, *overrides: str, name: str = "digits") -> str:
        """Returns the message of the error, after which the registry is as before."""
        before = self.registry()
        with pytest.raises(kind) as raised:
            self(run_id, *overrides, name=name)
        assert self.registry() == before
        return str(raised.value)

    @property
    def client(self) -> Any:
        return open_client(self.uri, create=False)

    def registry(self) -> dict[str, tuple[dict[str, str], int]]:
        """Returns the aliases of each registered model, and how many versions it has."""
        models = self.client.search_registered_models()
        versions = [version.name for version in self.client.search_model_versions()]
        return {
            model.name: (
                {alias: str(version) for alias, version in model.aliases.items()},
                versions.count(model.name),
            )
            for model in models
        }

    def tags(self, version: str, name: str = "digits") -> dict[str, str]:
        return dict(self.client.get_model_version(name, version).tags)
