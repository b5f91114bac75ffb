"""Imported by the process that a single run's recorder forks off, for what it imports itself."""

from src.sweep.preload import preloading

with preloading():
    from src.tracking.connect import import_mlflow
    from src.tracking.location import default_uri

    import_mlflow(default_uri())
    import src.evaluation.figures
    import src.tracking.runs  # noqa: F401
