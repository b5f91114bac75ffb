"""What cannot reach the nodes of a Ray cluster is refused before any cluster is looked for."""

from collections.abc import Callable

import pytest
from hydra.types import HydraContext

from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.start_ray import start_ray
from kerasweep.multirun.sweep_data import MAX_SOURCES

pytestmark = pytest.mark.usefixtures("folder")
MANY = ",".join(f"{number}.npz" for number in range(MAX_SOURCES + 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [
                "data=npz",
                f"data.path={MANY}",
                "data.ship=true",
                "sampler=random",
                "model.dropout=interval(0.0,0.5)",
            ],
            "data.ship=true sends up to 10 data sets, but the axes choose more. Leave it out, and give each "
            "node the data, or sweep fewer.",
        ),
        (
            ["model.kernel_size=3,5", "tracking.models=all", "hydra.launcher.runtime_env.working_dir=."],
            "tracking.models=all lets workers record models, but with runtime_env.working_dir they cannot "
            "reach the local database. Name an MLflow server with tracking.uri, or use tracking.models=best.",
        ),
        (
            ["model.kernel_size=3,5", "hydra.sweep.dir=/jobs", "hydra.launcher.runtime_env.working_dir=."],
            "hydra.sweep.dir must lie in this folder with runtime_env.working_dir, but got /jobs. "
            "Write it as in hydra.sweep.dir=mlruns/jobs/mine.",
        ),
        (
            [
                *("model.kernel_size=3,5", "hydra.launcher.runtime_env.working_dir=."),
                "hydra.launcher.runtime_env.excludes=photos",
            ],
            "hydra.launcher.runtime_env.excludes needs a list, but got photos. "
            "Write it as in 'hydra.launcher.runtime_env.excludes=[photos]'.",
        ),
    ],
)
def test_refusals(
    arguments: list[str], message: str, plan: Callable[..., Plan], context: HydraContext
) -> None:
    made = plan("hydra/launcher=ray", "hydra.launcher.address=127.0.0.1:1", *arguments)
    with pytest.raises(ConfigError) as refused:
        start_ray(context, made.question.master, made.base, made.data)
    assert str(refused.value) == message
