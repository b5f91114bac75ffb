"""Imported by the process that a single run's recorder forks off, for what it imports itself."""

from kerasweep.workers.template import preloading

with preloading():
    from kerasweep.tracking.connect import import_mlflow
    from kerasweep.tracking.location import default_uri

    import_mlflow(default_uri())
    import kerasweep.tracking.runs  # noqa: F401
