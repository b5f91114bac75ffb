"""Whether this process composes with the studies of the folder `sweeps`.

Hydra's own `hydra.searchpath` works in the primary config alone, so that a user's primary config
could not build on `train`. Other programs of the environment must not see the group, nor must
`src.compare`, whose `study` is a plain key. The choice is kept here because Hydra executes its
plugins' modules anew.
"""

_wanted = False


def add_studies() -> None:
    """Have every later composition of this process find the group `study`."""
    global _wanted
    _wanted = True


def are_wanted() -> bool:
    return _wanted
