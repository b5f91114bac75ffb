"""Enters a model into MLflow's registry, as champion or as challenger."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kerasweep.config.search import TrackingConf
from kerasweep.errors import DataError, TrackingError, UnreachableError, first_names
from kerasweep.handover.candidate import DATA_DIGEST, Candidate, right_of, version_tags
from kerasweep.handover.card import make_card
from kerasweep.handover.origin import read_origin
from kerasweep.handover.paired import pair
from kerasweep.handover.promotion import NONE, Decision, Role, decide
from kerasweep.handover.recorded_model import RecordedModel, read_model
from kerasweep.handover.scores import TestScore, checked_probabilities
from kerasweep.tracking.keras_model import LoggedModel
from kerasweep.tracking.recorded_run import experiment_of, read_data_digest
from kerasweep.tracking.registry import SCHEME, ModelVersion, Registry, find_version, show_version
from kerasweep.tracking.writer import open_tracker

# The tag of a version that says whether all of its promotion is written. It is written last.
COMPLETE, TRUE, FALSE = "complete", "true", "false"
MAX_NAMED = 3
PLACES = ("data.path", "data.cache_dir", "data.ship")  # keys that do not change the images


@dataclass(frozen=True)
class Entered:
    """A version of the registry, and how it came there."""

    version: str
    decision: Decision
    rival_score: TestScore | None = None  # the champion's, on the candidate's test images


def find_entered(registry: Registry, run_id: str) -> ModelVersion | None:
    """Returns the newest version that was made of a run; None if there is none."""
    return next((version for version in reversed(registry.versions()) if version.run_id == run_id), None)


def count_comparisons(registry: Registry, digest: str) -> int:
    """Returns how many versions were compared with a champion on the test images of this data set."""
    compared = (version for version in registry.versions() if version.tags.get("compared_with", NONE) != NONE)
    return sum(version.tags.get(DATA_DIGEST) == digest for version in compared)


def roles_of(registry: Registry, version: str) -> list[str]:
    """Returns the aliases of a version."""
    return sorted(alias for alias, owner in registry.aliases().items() if owner == version)


def is_settled(registry: Registry, version: ModelVersion | None, is_forced: bool) -> bool:
    """Whether there is nothing to do for a version: its promotion is complete, and nothing is forced."""
    if version is None or version.tags.get(COMPLETE) != TRUE:
        return False
    return not is_forced or Role.CHAMPION in roles_of(registry, version.version)


def enter(
    cfg: TrackingConf, registry: Registry, candidate: Candidate, logged: LoggedModel, forced: str | None
) -> Entered:
    """Makes a version of a model, unless its run has one, and gives it an alias.

    A kill at any moment leaves a version that is not complete: the next call continues with it. On a server,
    which has no lock, two calls may meet: then the later version is compared with the earlier one, too.

    Args:
        cfg: Names the server or database.
        registry: The registered model.
        candidate: The tested model.
        logged: Where it is.
        forced: Why the user makes it champion whatever the comparison says; None to compare.

    Raises:
        DataError: The champion was trained on other data, or for other classes.
        TrackingError: The registry refuses, or the champion cannot be loaded.
    """
    version = find_entered(registry, candidate.run.run_id)
    recorded, data = candidate.recorded, candidate.data
    card = make_card(read_origin(cfg, recorded.run), recorded, data, candidate.probabilities, registry.name)
    facts = version_tags(candidate, card)
    if version is not None and Role.CHAMPION in roles_of(registry, version.version):
        entered = Entered(version.version, _recorded_decision(version))
        registry.describe_version(version.version, {**facts, **entered.decision.tags})
    else:
        entered = _enter(cfg, registry, version, candidate, logged, facts, forced)
    show_version(cfg, logged, registry.name, entered.version, entered.decision.description)
    card.record(open_tracker(experiment_of(cfg, candidate.run.run_id)), candidate.run.run_id)
    registry.describe_version(entered.version, {COMPLETE: TRUE})
    return entered


def _enter(
    cfg: TrackingConf,
    registry: Registry,
    version: ModelVersion | None,
    candidate: Candidate,
    logged: LoggedModel,
    facts: Mapping[str, str],
    forced: str | None,
) -> Entered:
    before = {winner.version for winner in _winners(registry)}
    rival = _standing(registry, version)
    while True:
        decision, score = _judge(cfg, registry, candidate, rival, forced)
        tags = {**facts, **decision.tags, COMPLETE: FALSE}
        if version is None:
            version = registry.create_version(candidate.run.run_id, logged, tags, decision.description)
        else:
            registry.describe_version(version.version, tags, decision.description)
        now = _standing(registry, version)
        if now in (rival, version.version):
            break
        rival = now
    _set_aliases(registry, version.version, decision, before)
    return Entered(version.version, decision, score)


def _recorded_decision(version: ModelVersion) -> Decision:
    """Returns the decision for a version that is the champion; a user may have made it that by hand."""
    return Decision(Role.CHAMPION, version.tags.get("promotion", "it had this alias already"))


def _standing(registry: Registry, version: ModelVersion | None) -> str | None:
    """Returns the version to compare with: the champion, or the first that has beaten it and is not complete.

    Args:
        registry: The registered model.
        version: The candidate's, None if it has none yet. Later versions are compared with it, not it with
            them.
    """
    champion = registry.aliases().get(Role.CHAMPION)
    for each in registry.versions():
        if version is not None and int(each.version) >= int(version.version):
            break
        is_claim = each.tags.get("decision") == Role.CHAMPION and each.tags.get(COMPLETE) == FALSE
        if is_claim and each.tags.get("compared_with") == (champion or NONE):
            return each.version
    return champion


def _winners(registry: Registry) -> Iterator[ModelVersion]:
    """Yields the versions that became champion, oldest first."""
    for version in registry.versions():
        if version.tags.get("decision") == Role.CHAMPION and version.tags.get(COMPLETE) == TRUE:
            yield version


def _set_aliases(registry: Registry, version: str, decision: Decision, before: set[str]) -> None:
    """Sets the alias of a version, and that of a champion whose promotion was killed before it had one.

    Args:
        registry: The registered model.
        version: The candidate's.
        decision: On the candidate.
        before: The versions that had become champion before this promotion began.
    """
    aliases = registry.aliases()
    if decision.role == Role.CHALLENGER:
        if decision.rival is not None and aliases.get(Role.CHAMPION) != decision.rival:
            registry.set_alias(Role.CHAMPION, decision.rival)
        registry.set_alias(Role.CHALLENGER, version)
        return
    registry.set_alias(Role.CHAMPION, version)
    if aliases.get(Role.CHALLENGER) == version:
        registry.delete_alias(Role.CHALLENGER)
    for winner in _winners(registry):  # another command has compared with this version, and was faster
        if winner.version not in before and int(winner.version) > int(version):
            registry.set_alias(Role.CHAMPION, winner.version)


def _judge(
    cfg: TrackingConf, registry: Registry, candidate: Candidate, rival: str | None, forced: str | None
) -> tuple[Decision, TestScore | None]:
    """Runs the champion on the candidate's test images and decides; also returns the champion's score.

    Equal digests mean equal test images, on which neither model was trained or chosen. With data.limit a run
    tests on some of them only: both models are then run on the candidate's.
    """
    if rival is None:
        return decide(None, None, forced), None
    champion = find_version(cfg, f"{SCHEME}{registry.name}/{rival}")
    try:
        recorded = read_model(cfg, champion.uri)
    except UnreachableError:
        raise
    except TrackingError as error:
        if forced is not None:
            return decide(rival, None, forced), None
        raise TrackingError(
            f"{error} So the champion, version {rival} of {registry.name}, cannot be compared. "
            "force=true reason=TEXT promotes without a comparison."
        ) from error
    _check_same_data(cfg, champion, recorded, candidate)
    answers = checked_probabilities(recorded, candidate.data)
    right = right_of(answers, candidate.data)
    return decide(rival, pair(candidate.right, right), forced), TestScore(int(right.sum()), len(right))


def _check_same_data(
    cfg: TrackingConf, champion: ModelVersion, recorded: RecordedModel, candidate: Candidate
) -> None:
    """Raises DataError if two models were trained on different data, or for different classes."""
    who = f"The champion, version {champion.version} of {champion.name},"
    advice = "Models of different data are not compared: promote this one under another name."
    ours, theirs = candidate.recorded.class_names, recorded.class_names
    if ours != theirs:
        raise DataError(f"{who} has other classes: {_difference_of(ours, theirs)}. {advice}")
    digest = champion.tags.get(DATA_DIGEST) or read_data_digest(cfg, recorded.run.run_id)
    if digest != candidate.data.digest:
        changed = "".join(_changed_keys(candidate, recorded))
        raise DataError(
            f"{who} was trained on data with the digest {digest or NONE}, but those of the run "
            f"{candidate.run.run_id} have {candidate.data.digest}{changed}. {advice}"
        )


def _difference_of(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    """Says which classes only one of two models has."""
    sides = {"only the champion has": theirs, "only this model has": ours}
    parts = []
    for text, names in sides.items():
        alone = [name for name in names if name not in (ours if names is theirs else theirs)]
        parts += [f"{text} {first_names(alone, MAX_NAMED)}"] if alone else []
    return "; ".join(parts) or f"they are in the order {', '.join(theirs[:MAX_NAMED])}, …"


def _changed_keys(candidate: Candidate, recorded: RecordedModel) -> Iterator[str]:
    """Yields the keys of the data whose values differ between two runs, as in `; data.seed 1, 0 here`."""
    ours, theirs = candidate.run.params, recorded.run.params
    for key in sorted(ours.keys() | theirs.keys()):
        if key.startswith("data.") and key not in PLACES and ours.get(key) != theirs.get(key):
            yield f"; {key} {theirs.get(key, NONE)}, {ours.get(key, NONE)} here"
