"""Reads the configuration that a run recorded back into the schemas."""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from kerasweep.config.schemas import RUN_GROUPS, SCHEMAS
from kerasweep.config.search import ObjectiveConf, TrialConf
from kerasweep.errors import ConfigError


def read_recorded(text: str) -> dict[str, Any]:
    """Returns the groups that define a run, and its objective, as nodes of their schemas.

    Keys that an older version did not have get their default.

    Args:
        text: YAML, the artifact `config.yaml` of a run.

    Raises:
        ConfigError: It is no such YAML, has keys or values that this version does not know, or was trained
            by a function of the user's.
    """
    try:
        content = OmegaConf.create(text)
        groups = {group: _typed(group, OmegaConf.select(content, group)) for group in RUN_GROUPS}
        schema = OmegaConf.structured(ObjectiveConf)
        objective = [OmegaConf.merge(schema, objective) for objective in content.objective]
    except (OmegaConfBaseException, YAMLError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise ConfigError(
            f"The recorded configuration does not fit this version of kerasweep: {reason}. "
            "src.rerun trains it with the recorded code: add code=recorded."
        ) from error
    target = OmegaConf.select(content, "trial.target") or TrialConf.target
    if target != TrialConf.target:
        raise ConfigError(f"The run was trained by trial.target={target}, which this command does not call.")
    return {**groups, "objective": objective}


def _typed(group: str, content: Any) -> DictConfig:
    if not isinstance(content, DictConfig):
        raise TypeError(f"it has no group {group}")
    name = content.get("architecture" if group == "model" else "name")
    schema = SCHEMAS.get(f"{group}/{name}") or SCHEMAS.get(group)
    if schema is None:
        raise ValueError(f"{group}.name={name} is unknown")
    typed = OmegaConf.merge(OmegaConf.structured(schema), content)
    assert isinstance(typed, DictConfig)
    return typed
