"""A sweep's parent is found from its runs, and tells the claim that the sweep was to test."""

import pytest
from omegaconf import OmegaConf

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.report.selection import select_runs
from kerasweep.tracking.parents import claim_of, parents_of
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.writer import Tracker

CLAIM = """
study:
  claim:
    text: Large filters are better.
    comparisons:
      - {of: {model.kernel_size: 5}, relation: higher, than: {model.kernel_size: 3}}
"""


def parent(tracking: TrackingConf, tracker: Tracker, config: str | None) -> RunRecord:
    """That of a sweep with one trial, which recorded such a configuration."""
    own = {"study": "filter_size", "sweep": "filter_size-1"}
    run_id = tracker.start("filter_size-1", {**own, "kind": "study", "axes": "kernel_size"}, {})
    tracker.start("other-1", {"sweep": "other-1", "kind": "study"}, {})
    tracker.start("trial", {**own, "kind": "trial"}, {})
    if config is not None:
        tracker.log_text(run_id, config, "config.yaml")
    (found,) = parents_of(tracking, select_runs(tracking, {"study": "filter_size"}))
    assert found.run_id == run_id
    return found


def test_claim_is_read_with_its_defaults(tracking: TrackingConf, tracker: Tracker) -> None:
    claim = claim_of(tracking, parent(tracking, tracker, CLAIM))
    assert claim is not None and claim.text == "Large filters are better."
    (comparison,) = claim.comparisons
    assert dict(comparison.of) == {"model.kernel_size": 5}
    assert (comparison.relation, comparison.measure, comparison.margin) == ("higher", "objective", 0.0)


def test_a_sweep_without_a_claim_has_none(tracking: TrackingConf, tracker: Tracker) -> None:
    assert (
        claim_of(tracking, parent(tracking, tracker, OmegaConf.to_yaml({"study": {"claim": None}}))) is None
    )


@pytest.mark.parametrize(
    "config",
    [None, "[[[", "study: {claim: so}", "study: {claim: {text: so, proofs: []}}"],
    ids=["gone", "damaged", "a text", "of another version"],
)
def test_a_claim_that_cannot_be_read_is_an_error(
    tracking: TrackingConf, tracker: Tracker, config: str | None
) -> None:
    with pytest.raises(TrackingError):
        claim_of(tracking, parent(tracking, tracker, config))


def test_single_runs_have_no_parent(tracking: TrackingConf, tracker: Tracker) -> None:
    tracker.start("run", {"kind": "run"}, {})
    assert parents_of(tracking, select_runs(tracking, {"kind": "run"})) == []
