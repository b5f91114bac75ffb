"""Names and describes runs in MLflow: short names of axes, tags, and flat params."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.errors import ConfigError
from kerasweep.tracking.source import COMMIT, DIFF, DIRTY

# The tags of a sweep with tuned nuisance axes: these axes, the sweep that tuned them, and its notes.
NUISANCE, TUNING, TUNING_NOTES = "nuisance", "tuning", "tuning_notes"
# The number of combinations that are not compared, since one of their tunings has no complete trial.
UNTUNED = "untuned"
# The axes of a sweep that go together (study.zip), see `zips_text`.
ZIPPED = "zip"
# The digest of the claim that a sweep was begun with.
CLAIM = "claim"
# The digest of a run's validation images.
SPLIT = "split"
# Metrics: how many images validate, and of how many the training and validation images were drawn.
VALIDATION_IMAGES, POOL_IMAGES = "validation_images", "pool_images"
# A metric: how many epochs a run trained, which early stopping and pruners may decide.
TRAINED_EPOCHS = "trained_epochs"
# A metric: the mean of the epochs that the two halves of the validation images choose, from 1.
CROSS_FITTED_EPOCH = "cross_fitted_epoch"
# A digest of the data, the code and the settings of a sweep, see `Plan.inputs`.
INPUTS = "inputs"
# The run of an earlier sweep that a run is a copy of, see sweep/adopted_trials.py.
ADOPTED_FROM = "adopted_from"
# The run that a run repeats, and the sentence on how the two compare.
RERUN_OF, RERUN_VERDICT = "rerun_of", "rerun_verdict"
# The run whose configuration a refit trains, and a digest of everything that defines the refit.
REFIT_OF, REFIT = "refit_of", "refit"
# Why a refit trains its number of epochs, and the process that trains it, as JSON.
REFIT_EPOCHS, REFIT_PROCESS = "refit_epochs", "refit_process"
# The runs whose probabilities a model averages.
ENSEMBLE = "ensemble"
# The model and version under which a run's model was registered, and the decision on it.
REGISTERED_MODEL, REGISTERED_VERSION, PROMOTION = "registered_model", "registered_version", "promotion"
# Begins the tags of exports, one for each format.
EXPORT = "export."
# The user's targets, with the digests of their code.
TARGETS_TAG = "targets"
# A digest of the file of weights with which a backbone begins.
BACKBONE_WEIGHTS = "backbone_weights"
# What was left out of a run's data.
DATA_NOTES = "data_notes"
# How many epochs of a run an earlier attempt trained.
RESTORED_EPOCHS = "restored_epochs"
# A digest of the weights that a run ends with, those of its best epoch.
WEIGHTS_DIGEST = "weights_digest"
# How a run's values from validation are scored, see trial/metrics.py.
SCORE, CROSS_FITTED, BEST_EPOCH = "score", "cross-fitted", "best epoch"
# The short name of an axis must differ from these tags, which it would overwrite.
RESERVED = {
    "study",
    INPUTS,
    "sweep",
    "kind",
    "trial",
    "repeat",
    "dataset",
    "state",
    "reason",
    "axes",
    "command",
    "versions",
    "objective",
    "sampler",
    "normalization",
    "verdict",
    "sources",
    CLAIM,
    NUISANCE,
    TUNING,
    TUNING_NOTES,
    UNTUNED,
    ZIPPED,
    SPLIT,
    SCORE,
    "threads",
    "onednn",
    RESTORED_EPOCHS,
    COMMIT,
    DIRTY,
    DIFF,
    ADOPTED_FROM,
    RERUN_OF,
    RERUN_VERDICT,
    REFIT_OF,
    REFIT,
    ENSEMBLE,
    REGISTERED_MODEL,
    REGISTERED_VERSION,
    PROMOTION,
    REFIT_EPOCHS,
    REFIT_PROCESS,
    TARGETS_TAG,
    BACKBONE_WEIGHTS,
    DATA_NOTES,
    WEIGHTS_DIGEST,
    "processor",
    "instructions",
    "cores",
    "gpu",
    "packages",
    "environment",
    "kerasweep",
}
# The tags of `run_tags`.
OF_EVERY_RUN = (
    *("dataset", "model", "kernel_size", "batch_size", "regularizer", "initializer", "optimizer", "schedule"),
    "normalization",
)


class RunKind(StrEnum):
    """The tag `kind` of a run."""

    STUDY = "study"  # the parent of a sweep's runs
    TRIAL = "trial"
    REPEAT = "repeat"  # one seed of a trial
    TUNING = "tuning"  # a trial that tunes nuisance axes
    RUN = "run"  # a single run
    REFIT = "refit"  # a winner that was trained on training and validation images together


def short_names(keys: Sequence[str], run_keys: Sequence[str]) -> dict[str, str]:
    """Returns a short name for each key: its last part, extended to the left until it is unambiguous.

    A name is never one of RESERVED. `+model.kwargs.width` has the name of `model.kwargs.width`.

    Args:
        keys: The keys to name.
        run_keys: Every key of the configuration, so that a name means the same in each sweep.
    """
    clean = {key: key.lstrip("+") for key in keys}
    known = set(run_keys) | set(clean.values())
    return {key: _short_name(name, known) for key, name in clean.items()}


def _short_name(key: str, known: set[str]) -> str:
    parts = key.split(".")
    for start in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[start:])
        rivals = [other for other in known if other == name or other.endswith(f".{name}")]
        if name not in RESERVED and rivals == [key]:
            return name
    return key


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flattens nested mappings to dotted keys with values as text; leaves out empty mappings."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = tag_text(value)
    return flat


def tag_text(value: Any) -> str:
    """Formats a value as on the command line: 5, 0.001, he_normal, [32,64], null, true."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(tag_text(element) for element in value)}]"
    return str(value)


def run_params(cfg: DictConfig) -> dict[str, str]:
    """Returns the groups that define a run, flattened to dotted keys."""
    # One by one: their values may refer to the rest of the configuration.
    return flatten({group: OmegaConf.to_container(cfg[group], resolve=True) for group in RUN_GROUPS})


def run_tags(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags that every run has, swept or not.

    A custom network and a backbone have no kernel size or normalization that is known.

    Args:
        cfg: The run's configuration.
        choices: The chosen option of each config group; the group's `name` replaces a missing one.
    """
    tags = {
        "dataset": choices.get("data", cfg.data.source),
        "model": choices.get("model", cfg.model.architecture),
        "batch_size": tag_text(cfg.training.batch_size),
        "regularizer": choices.get("regularizer", cfg.regularizer.name),
        "initializer": choices.get("initializer", cfg.initializer.name),
        "optimizer": choices.get("optimizer", cfg.optimizer.name),
        "schedule": choices.get("schedule", cfg.schedule.name),
    }
    if cfg.model.architecture != "cnn":
        return tags
    of_our_network = {
        "kernel_size": tag_text(cfg.model.kernel_size),
        "normalization": cfg.model.normalization.kind,
    }
    return tags | of_our_network


def trial_tags(
    cfg: DictConfig, choices: Mapping[str, str], params: Mapping[str, Any], short_names: Mapping[str, str]
) -> dict[str, str]:
    """Returns the tags of a trial: the user's, those of every run, and the values of its axes."""
    return {**user_tags(cfg), **run_tags(cfg, choices), **axis_tags(params, short_names)}


def axis_tags(params: Mapping[str, Any], short_names: Mapping[str, str]) -> dict[str, str]:
    """Returns the values of a trial's axes as tags. short_names: an axis's key -> its tag."""
    return {short_names[key]: tag_text(value) for key, value in params.items()}


def zips_text(zips: Iterable[Sequence[str]]) -> str:
    """Formats groups of axes for their tag: `optimizer,learning_rate`, several joined by semicolons."""
    return ";".join(",".join(axes) for axes in zips)


def read_zips(text: str) -> list[tuple[str, ...]]:
    """Returns the groups of axes in the text that `zips_text` formats."""
    return [tuple(axes.split(",")) for axes in text.split(";") if axes]


def objective_text(cfg: DictConfig) -> str:
    """Formats the objectives for their tag: `val_accuracy maximize`, several joined by commas."""
    return ", ".join(f"{objective.metric} {objective.direction}" for objective in cfg.objective)


def read_objectives(text: str) -> list[tuple[str, str]]:
    """Returns the metric and the direction of each objective in the text that `objective_text` formats."""
    words = [objective.partition(" ") for objective in text.split(", ")]
    return [(metric, direction) for metric, _, direction in words]


def check_user_tags(tags: DictConfig, axes: Iterable[str] = ()) -> None:
    """Raises ConfigError for a tag that kerasweep sets itself. axes: the tags of the axes."""
    if not isinstance(tags, DictConfig):
        raise ConfigError(
            f"tracking.tags must name tags, but got {tags}. Write it as in tracking.tags.owner=me."
        )
    content = OmegaConf.to_container(tags, resolve=True)
    assert isinstance(content, dict)
    names = flatten({str(key): value for key, value in content.items()})
    for name in sorted(names.keys() & {*RESERVED, *OF_EVERY_RUN, *axes}):
        raise ConfigError(
            f"tracking.tags.{name} would replace the tag {name}, which kerasweep sets itself. "
            f"Give it another name, as in tracking.tags.my_{name.replace('.', '_')}."
        )


def claim_tag(claim: Any) -> str:
    """Returns 8 hex digits of a claim's comparisons, `none` without a claim.

    A sweep's run keeps those of the claim that it began with.
    """
    if claim is None:
        return "none"
    content = OmegaConf.to_yaml(claim.comparisons, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def user_tags(cfg: DictConfig) -> dict[str, str]:
    """Returns the tags of tracking.tags."""
    content = OmegaConf.to_container(cfg.tracking.tags, resolve=True)
    assert isinstance(content, dict)
    return flatten({str(key): value for key, value in content.items()})
