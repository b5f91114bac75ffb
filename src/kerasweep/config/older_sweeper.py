"""Lets files that name the class of hydra-optuna-sweeper, as `_target_`, be swept by ours."""

from hydra.core.plugins import Plugins

OLDER = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
OURS = "hydra_plugins.kerasweep.sweeper.KerasweepSweeper"


def answer_for_optuna_sweeper() -> None:
    """Have Hydra find our sweeper under the older one's name, unless that is installed."""
    classes = Plugins.instance().class_name_to_class
    classes.setdefault(OLDER, classes[OURS])
