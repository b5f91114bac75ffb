"""Lists the lessons of each data set, and the overrides that they are trained with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.studies import content, names
from kerasweep.config.schemas import run_keys
from kerasweep.tracking.tags import short_names


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


def lessons_of(dataset: str) -> list[str]:
    """Returns all studies of sweeps/study, and the data set's variants."""
    return sorted([*names(), *COURSES[dataset].variants])


def study_of(dataset: str, name: str) -> str:
    """Returns the study that a lesson runs."""
    own = [text for text in COURSES[dataset].variants.get(name, ()) if text.startswith("study=")]
    return own[0].partition("=")[2] if own else name


def overrides(dataset: str, name: str) -> list[str]:
    """Returns the overrides of a lesson. A course's override of an axis would remove the axis."""
    course, study = COURSES[dataset], study_of(dataset, name)
    axes = {*content(study)["space"], *content(study).get("nuisance", {})}
    chosen = {"study": study}
    for text in (*course.overrides, *course.more.get(name, ()), *course.variants.get(name, ())):
        key, _, value = text.partition("=")
        if key not in axes and (key != "study.tuning" or "nuisance" in content(study)):
            chosen[key] = value
    return [
        f"{key}={value}" for key, value in chosen.items() if (chosen["data"], key) != ("custom", "data.path")
    ]


def tuned_tags(name: str) -> list[str]:
    """Returns the tags of the axes that a lesson's study tunes."""
    study = content(study_of("cifar10", name))
    nuisance = study.get("nuisance", {})
    tags = short_names([*study["space"], *nuisance], run_keys())
    return [tags[key] for key in nuisance]
