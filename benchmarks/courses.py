"""Says how the lessons are trained on each data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Course:
    """The lessons on one data set."""

    overrides: tuple[str, ...]  # of every study, except for its own axes
    more: Mapping[str, tuple[str, ...]]  # of single studies
    # Lessons that are a study with other overrides, by name; {path} is the folder of the images.
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


FIVE = ("study.repeats=5",)
COURSES = {
    "cifar10": Course(
        (
            *("data=cifar10", "data.path={path}", "data.limit=12500"),
            *("model.filters=[16,32,64]", "training.batch_size=64", "training.epochs=8", "schedule=cosine"),
            # A tuning for each repeat would take a day and a half of two cores; the rates are far apart.
            "study.tuning=once",
        ),
        {
            "quickstart": (*FIVE, "training.epochs=4"),
            "full_search": (*FIVE, "training.epochs=4"),
            "regularizer": ("model.dense_units=[128]", "training.epochs=10"),
            "dropout": ("training.epochs=15",),
            "augmentation": ("training.epochs=20",),
            "early_stopping": ("schedule=constant", "training.epochs=25"),
            "best_checkpoint": ("training.epochs=20",),
            "shuffle": ("schedule=constant", "training.epochs=12"),
            "learning_rate_schedule": ("training.epochs=10",),
            "feature_scaling": ("training.epochs=12",),
            "downsampling": ("training.epochs=12",),
            "batch_size": ("training.epochs=6",),
            "filter_size": ("training.epochs=6",),
            "head": ("training.epochs=6",),
            "initializer": ("training.epochs=4",),
            "initializer_with_batch_norm": ("training.epochs=5",),
            "filters_and_depth": ("training.epochs=4",),
        },
        {
            "shuffle_by_class": (
                *("study=shuffle", "schedule=constant", "training.epochs=12"),
                *(
                    "data=custom",
                    "data.target=benchmarks.by_class:cifar10",
                    "data.kwargs.path={path}",
                ),
            )
        },
    ),
    "fashion_mnist": Course(
        ("data=fashion_mnist", "data.path={path}", "data.limit=3000"),
        {"quickstart": FIVE, "full_search": FIVE},
    ),
}
