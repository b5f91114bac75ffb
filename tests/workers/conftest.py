"""Imports the fixtures of `tests/searches.py`, sweeps over numbers; starts a Ray cluster for two files."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from tests.searches import search, space_of, sweep_of

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

__all__ = ["search", "space_of", "sweep_of"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Cluster]":
    """Two nodes, each with a core, a cache and a GPU that Ray counts, and a head that trains nothing."""
    from ray.cluster_utils import Cluster

    with patch.dict(os.environ):
        del os.environ["CUDA_VISIBLE_DEVICES"]  # of the tests: Ray would count none
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for name in "ab":
            cache = str(tmp_path_factory.mktemp(name))
            cluster.add_node(num_cpus=1, num_gpus=1, env_vars={"XDG_CACHE_HOME": cache})
    yield cluster
    cluster.shutdown()
