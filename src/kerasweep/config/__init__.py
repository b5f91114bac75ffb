"""The typed configuration: schemas of every group, and the rules between fields."""

from kerasweep.config.check import check
from kerasweep.config.hydra_setup import register

__all__ = ["check", "register"]
