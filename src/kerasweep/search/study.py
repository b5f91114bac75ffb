"""Names the Optuna study of a sweep, and saves in it what must not change."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import Study

from kerasweep.errors import ConfigError, DataError

DATA_DIGESTS, BEGUN_WITH, SOURCES = "data_digests", "begun_with", "sources"
SETTINGS = "settings"
# Of older versions, for the data that all trials share.
DATA_DIGEST = "data_digest"


def sweep_hash(definition: Mapping[str, Any]) -> str:
    """Returns eight hex digits, equal for equal definitions in any order of their keys."""
    text = json.dumps(definition, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def sweep_name(names: Iterable[str], study: str, digest: str, fresh: bool) -> str:
    """Returns the sweep's id: `STUDY-HASH`, or `STUDY-HASH-2` and so on for later generations.

    Args:
        names: The sweeps that exist.
        study: The study's name.
        digest: The sweep's hash.
        fresh: Whether to begin the next generation instead of continuing the newest.
    """
    base = f"{study}-{digest}"
    pattern = re.compile(re.escape(base) + r"(?:-(\d+))?")
    matches = [match for name in names if (match := pattern.fullmatch(name))]
    newest = max((int(match[1] or 1) for match in matches), default=0)
    generation = max(newest + 1 if fresh else newest, 1)
    return base if generation == 1 else f"{base}-{generation}"


def check_and_save_digests(study: Study, digests: Mapping[str, str]) -> None:
    """Saves the digests of the study's data. Raises DataError if some has changed since the first trial.

    Args:
        study: The study.
        digests: Of each data set, by a text that names it.
    """
    saved, older = study.user_attrs.get(DATA_DIGESTS, {}), study.user_attrs.get(DATA_DIGEST)
    for source, digest in digests.items():
        earlier = saved.get(source, older)
        if earlier not in (None, digest) and study.get_trials(deepcopy=False):
            raise DataError(
                f"The data of {study.study_name} has changed since it began: its digest was {earlier}, "
                f"now it is {digest}. Restore the data, or begin anew with study.fresh=true."
            )
    if {**saved, **digests} != saved:
        study.set_user_attr(DATA_DIGESTS, {**saved, **digests})


def check_and_save_sources(
    study: Study, sources: Mapping[str, str], older: Callable[[], Mapping[str, str]] = dict
) -> None:
    """Saves the digests of the user's code. Raises ConfigError if it has changed since the first trial.

    Args:
        study: The study.
        sources: By key and target, such as `model.target=nets:small`, the digest of its module.
        older: Returns the same as older versions computed them. Called if some have changed.
    """
    changed = _changed(study, SOURCES, sources)
    if changed and not older().items() >= {name: study.user_attrs[SOURCES][name] for name in changed}.items():
        raise ConfigError(
            f"The code of {changed[0]} has changed since {study.study_name} began, and its trials are of the "
            "old code. Restore the file to go on with these, or begin anew with study.fresh=true."
        )
    _save(study, SOURCES, sources)


def check_and_save_settings(study: Study, settings: Mapping[str, str]) -> None:
    """Saves the digests of settings. Raises ConfigError if they have changed since the first trial.

    Args:
        study: The study.
        settings: By group or option, such as `regularizer=l2`, the digest of its content.
    """
    changed = _changed(study, SETTINGS, settings)
    if changed:
        raise ConfigError(
            f"The settings of {changed[0]} have changed since {study.study_name} began, and its trials have "
            "the old ones. Restore them to go on with these, or begin anew with study.fresh=true."
        )
    _save(study, SETTINGS, settings)


def _changed(study: Study, attribute: str, digests: Mapping[str, str]) -> list[str]:
    """Returns the names whose digest differs from the saved one, or is gone; none before the first trial."""
    saved = study.user_attrs.get(attribute, {})
    changed = [name for name, digest in saved.items() if digests.get(name) != digest]
    return changed if changed and study.get_trials(deepcopy=False) else []


def _save(study: Study, attribute: str, digests: Mapping[str, str]) -> None:
    if digests != study.user_attrs.get(attribute, {}):
        study.set_user_attr(attribute, dict(digests))


def has_same_inputs(
    study: Study, data: Mapping[str, str], sources: Mapping[str, str], settings: Mapping[str, str]
) -> bool:
    """Returns whether a study's trials have these digests of data, code and settings, as far as it has them.

    See `check_and_save_digests` and the functions below it.
    """
    saved = study.user_attrs
    return DATA_DIGEST not in saved and all(
        saved.get(attribute, {}).get(name, digest) == digest
        for attribute, digests in ((DATA_DIGESTS, data), (SOURCES, sources), (SETTINGS, settings))
        for name, digest in digests.items()
    )


def distributions_of(study: Study) -> dict[str, BaseDistribution]:
    """Returns the distribution of each key in a study's trials, which Optuna keeps to."""
    found: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        found = {**trial.distributions, **found}
    return found


def save_first_choices(study: Study, choices: Mapping[str, str]) -> Mapping[str, str]:
    """Saves the choices if the study has no trial yet, and returns the ones that it was begun with.

    Args:
        study: The study.
        choices: The present choices by name, which may change during a sweep.

    Returns:
        Empty for a study of an older version, which did not save them.
    """
    if not study.get_trials(deepcopy=False):
        study.set_user_attr(BEGUN_WITH, dict(choices))
    begun: Mapping[str, str] = study.user_attrs.get(BEGUN_WITH, {})
    return begun
