"""Registers a model, as champion if it beats the champion: python -m src.promote run_id=ID name=digits"""

import atexit
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import hydra
from omegaconf import DictConfig, OmegaConf

from kerasweep.commands.answer import give
from kerasweep.commands.command_line import check_overrides, quoted, read_run_id, run_command
from kerasweep.config import register
from kerasweep.config.composition import compose_once
from kerasweep.config.folders import config_folder
from kerasweep.config.passwords import without_password
from kerasweep.errors import ConfigError
from kerasweep.fast_start import skip_last_collection
from kerasweep.handover.candidate import Candidate, disagreement, read_candidate
from kerasweep.handover.champions import Entered, count_comparisons, enter, find_entered, is_settled, roles_of
from kerasweep.handover.paired import Paired
from kerasweep.handover.promotion import Role
from kerasweep.report.statistics import p_text
from kerasweep.terminal import as_started, next_commands, say
from kerasweep.tracking.keras_model import find_logged_model
from kerasweep.tracking.location import default_uri, resolve_uri
from kerasweep.tracking.reader import get_run
from kerasweep.tracking.registry import SCHEME, ModelVersion, Registry, open_registry
from kerasweep.workers.signals import release_interrupts

CHALLENGER = 3  # the exit code if the model does not become champion

register()


@dataclass(frozen=True)
class PairedTest:
    """How a model and the champion classify the same test images."""

    only_this_right: int
    only_champion_right: int
    images: int
    difference: float  # of the accuracies, this minus the champion's
    interval: tuple[float, float]  # of the difference, 95 %
    p: float  # of McNemar's exact test


@dataclass(frozen=True)
class Promotion:
    """A model in MLflow's registry, and its standing."""

    name: str  # of the registered model
    version: str
    run_id: str
    is_champion: bool
    aliases: tuple[str, ...]  # such as champion
    reason: str  # of the alias; a settled version has that of its promotion
    test_accuracy: float | None  # None for a version that was promoted before
    test_interval: tuple[float, float] | None
    compared_with: str | None  # the version of the champion before
    paired: PairedTest | None  # None if nothing was compared


def promote(cfg: DictConfig) -> int:
    """Registers the model of a run, and prints how it compares with the champion.

    Returns:
        The exit code: CHALLENGER if it is not the champion.

    Raises:
        ConfigError: The run's id or the name is missing, or force and reason do not come together.
        TrackingError: The run has no complete model, or the registry refuses.
        DataError: The images are gone, or the champion was trained on others.
    """
    run_id, name, forced = read_run_id(cfg), _name(cfg), _forced(cfg)
    registry = open_registry(cfg.tracking, name)
    run = get_run(cfg.tracking, run_id)
    with registry.locked():
        version = find_entered(registry, run.run_id)
        if version is not None and is_settled(registry, version, forced is not None):
            is_champion = _say_settled(registry, version)
            give(_settled(registry, version, is_champion))
            return _exit_code(is_champion)
        candidate = read_candidate(cfg.tracking, run.run_id, cfg.data.path)
        logged = find_logged_model(cfg.tracking, run.run_id)
        assert logged is not None  # its files were read
        entered = enter(cfg.tracking, registry, candidate, logged, forced)
        champion = registry.aliases()[Role.CHAMPION]
        aliases = roles_of(registry, entered.version)
        comparisons = count_comparisons(registry, candidate.data.digest)
    for line in _lines(name, candidate, entered):
        say(line)
    role = entered.decision.role
    if role == Role.CHAMPION and champion != entered.version:
        say(f"note: meanwhile version {champion} was compared with it, and is the champion now")
    if entered.decision.paired is not None and comparisons > 1:
        say(f"note: comparison {comparisons} of {name} on this test set; each p is that of one comparison")
    _say_next(cfg, name, role)
    give(_promotion(name, candidate, entered, aliases))
    return _exit_code(champion == entered.version)


def _name(cfg: DictConfig) -> str:
    """Returns the registered model's name. Raises ConfigError if it is missing, or no text."""
    if OmegaConf.is_missing(cfg, "name") or not isinstance(cfg.name, (str, int)):
        raise ConfigError("name needs the name of a registered model, as in name=digits.")
    return str(cfg.name)


def _forced(cfg: DictConfig) -> str | None:
    """Returns the reason for force; None without force. Raises ConfigError if only one of them is given."""
    reason = (cfg.reason or "").strip()
    if cfg.force and not reason:
        raise ConfigError(
            "force=true needs a reason, which the registry keeps, as in reason='the champion is too large'."
        )
    if reason and not cfg.force:
        raise ConfigError(f"reason={reason} is used with force=true. Add it, or leave reason out.")
    return reason or None


def _say_settled(registry: Registry, version: ModelVersion) -> bool:
    """Prints what a version is that needs no promotion any more; returns whether it is the champion."""
    roles = roles_of(registry, version.version)
    aliases = f"with the alias {' and '.join(roles)}" if roles else "without an alias"
    say(f"The run {version.run_id} is already version {version.version} of {registry.name}, {aliases}.")
    if Role.CHAMPION not in roles:
        say("force=true reason=TEXT makes it the champion.")
    return Role.CHAMPION in roles


def _settled(registry: Registry, version: ModelVersion, is_champion: bool) -> Promotion:
    return Promotion(
        name=registry.name,
        version=version.version,
        run_id=str(version.run_id),
        is_champion=is_champion,
        aliases=tuple(roles_of(registry, version.version)),
        reason=version.tags.get("promotion", ""),
        test_accuracy=None,
        test_interval=None,
        compared_with=None,
        paired=None,
    )


def _promotion(name: str, candidate: Candidate, entered: Entered, aliases: Sequence[str]) -> Promotion:
    decision, paired = entered.decision, entered.decision.paired
    return Promotion(
        name=name,
        version=entered.version,
        run_id=candidate.run.run_id,
        is_champion=Role.CHAMPION in aliases,
        aliases=tuple(aliases),
        reason=decision.reason,
        test_accuracy=candidate.score.accuracy,
        test_interval=candidate.score.interval,
        compared_with=decision.rival,
        paired=None if paired is None else _paired_test(paired),
    )


def _paired_test(paired: Paired) -> PairedTest:
    counts = paired.only_first, paired.only_second, paired.images
    return PairedTest(*counts, paired.difference, paired.interval, paired.p_value)


def _exit_code(is_champion: bool) -> int:
    return 0 if is_champion else CHALLENGER


def _lines(name: str, candidate: Candidate, entered: Entered) -> Iterator[str]:
    """Yields what was measured and decided."""
    decision, images = entered.decision, candidate.score.images
    this, other = f"run {candidate.run.run_id[:8]}", f"version {decision.rival}"
    yield f"{this}: accuracy {candidate.score} on {images:,} test images"
    note = disagreement(candidate)
    if note:
        yield f"note: {note}"
    if entered.rival_score is not None and decision.paired is not None:
        paired = decision.paired
        low, high = paired.interval
        yield f"{other}: accuracy {entered.rival_score} on the same images"
        yield (
            f"only {this} is right on {paired.only_first:,}, only {other} on {paired.only_second:,}: "
            f"McNemar's exact {p_text(paired.p_value)}; difference {paired.difference:+.4f} "
            f"({low:+.4f} to {high:+.4f})"
        )
    yield f"version {entered.version} of {name} is the {decision.role}: {decision.reason.removesuffix('.')}."


def _say_next(cfg: DictConfig, name: str, role: Role) -> None:
    uri = resolve_uri(cfg.tracking.uri)
    address = f"{SCHEME}{name}@{role}"
    for line in next_commands(without_password(uri), uri == default_uri(), None, None, address):
        say(f"{line} (Model registry)" if line.startswith("browse:") else line)


@hydra.main(config_path=config_folder("conf"), config_name="promote", version_base="1.3")
def _promote(cfg: DictConfig) -> None:
    release_interrupts()
    code = run_command(lambda: promote(cfg))
    if code:
        raise SystemExit(code)


def run() -> None:
    """Runs the command."""
    atexit.register(skip_last_collection)
    sys.argv[1:] = [quoted(argument) for argument in sys.argv[1:]]
    check_overrides(sys.argv[1:], "promote")
    compose_once(as_started)
    _promote()
