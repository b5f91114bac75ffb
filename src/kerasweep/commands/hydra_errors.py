"""Turns Hydra's errors about a configuration into ours."""

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from kerasweep.errors import ConfigError


def hydra_error(error: BaseException) -> ConfigError | None:
    """Returns the error for the user; None if Hydra did not refuse the configuration."""
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return None
    cause = error.__cause__ if isinstance(error, HydraException) else None
    reasons = [error, *([cause] if isinstance(cause, OmegaConfBaseException) else [])]
    lines = [line.strip() for reason in reasons for line in str(reason).splitlines()]
    return ConfigError(" ".join(dict.fromkeys(line for line in lines if line)))
