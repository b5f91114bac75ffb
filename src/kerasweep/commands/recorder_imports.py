"""The imports of a single run's recorder process, made in the template that it forks off."""

from kerasweep.workers.template import preloading

with preloading():
    from kerasweep.tracking.connect import import_mlflow
    from kerasweep.tracking.location import default_uri

    import_mlflow(default_uri())
    import kerasweep.tracking.runs  # noqa: F401
