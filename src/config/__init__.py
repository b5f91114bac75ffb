"""The typed configuration: schemas of every group, and the rules between fields."""

from src.config.store import register

__all__ = ["register"]
