"""The typed configuration: schemas of every group, and the rules between fields."""

from src.config.check import check
from src.config.store import register

__all__ = ["check", "register"]
