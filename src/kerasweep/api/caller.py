"""Leaves the caller's process as it was: signals, directory, logging, Hydra, environment, generators."""

import copy
import gc
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from kerasweep.errors import STOPPING, ConfigError
from kerasweep.tracking.client import tracking_uri_kept


@contextmanager
def caller_kept() -> Iterator[None]:
    """Restores at the end of the block what a command changes in its process.

    Raises:
        ConfigError: The block is entered in another thread than the main one, which alone gets Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            "kerasweep's functions need the main thread, since Ctrl-C must reach them, but were called in "
            f"{threading.current_thread().name}. Call them there, or start the command in a process."
        )
    with ExitStack() as stack:
        for keep in (_environment, _directory, _signals, _logging, _hydra, _random_numbers, _collection):
            stack.enter_context(keep())
        stack.enter_context(tracking_uri_kept())
        yield


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


@contextmanager
def _directory() -> Iterator[None]:
    before, arguments, path = os.getcwd(), sys.argv, list(sys.path)
    try:
        yield
    finally:
        os.chdir(before)
        sys.argv, sys.path[:] = arguments, path


@contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    disabled = {name: logger.disabled for name, logger in _loggers().items()}
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, logger in _loggers().items():
            logger.disabled = disabled.get(name, False)


def _loggers() -> dict[str, logging.Logger]:
    named = logging.root.manager.loggerDict.items()
    return {name: logger for name, logger in named if isinstance(logger, logging.Logger)}


@contextmanager
def _hydra() -> Iterator[None]:
    """Gives Hydra a state of its own: another `hydra.initialize` of the caller's may be open."""
    from hydra._internal import defaults_list
    from hydra._internal import hydra as hydra_main
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins
    from hydra.core.singleton import Singleton
    from omegaconf.basecontainer import BaseContainer

    import kerasweep.config.composition  # noqa: F401  (what it replaces is read below)
    from kerasweep.config import hydra_setup

    # Others would import the plugins again, with other classes, and plugins register their sources.
    plugins, sources = Plugins.instance(), SourcesRegistry.instance()
    instances, resolvers = Singleton._instances, dict(BaseContainer._resolvers)
    replaced: list[tuple[Any, str, Any]] = [
        (hydra_main, "ConfigLoaderImpl", hydra_main.ConfigLoaderImpl),
        (defaults_list, "_create_interpolation_map", defaults_list._create_interpolation_map),
        (hydra_setup, "_finds_studies", hydra_setup._finds_studies),
    ]
    store = ConfigStore.instance()
    ours = copy.copy(store)
    ours.repo = copy.deepcopy(store.repo)
    Singleton._instances = {ConfigStore: ours, Plugins: plugins, SourcesRegistry: sources}  # type: ignore[dict-item]
    hydra_setup._finds_studies = False
    try:
        yield
    finally:
        Singleton._instances = instances
        BaseContainer._resolvers = resolvers
        for module, name, value in replaced:
            setattr(module, name, value)


@contextmanager
def _random_numbers() -> Iterator[None]:
    before, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(of_numpy)


@contextmanager
def _collection() -> Iterator[None]:
    before = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*before)
