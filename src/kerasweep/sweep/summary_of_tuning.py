"""Prints what each combination was tuned to, and notes best values at a border."""

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from kerasweep.search.ledger import clean_params
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.borders import border_text, may_be_wider
from kerasweep.sweep.progress import finished_trials
from kerasweep.terminal import params_text, say, show

NOTHING = "nothing: no axis applies"


def print_tuned(sweep: Sweep, best: Sequence[Params], reason: str) -> None:
    """Prints the best nuisance values of each combination.

    Args:
        sweep: The sweep that tuned them.
        best: The best configuration of each tuning of each combination that has one.
        reason: Why the sweep ended.
    """
    say(f"tuned: {reason}")
    assert sweep.arms is not None
    table = Table()
    for column in ("combination", "tuned to", "trials"):
        table.add_column(column, overflow="fold")
    trials = [clean_params(sweep.space, trial) for trial in finished_trials(sweep.study)]
    rows = zip(
        sweep.arms.by_combination(best),
        sweep.arms.by_combination(sweep.arms.listed),
        sweep.arms.by_combination(trials),
        strict=True,
    )
    for (combination, tuned), (_, tunings), (_, trained) in rows:
        values = Counter(params_text(_nuisance_of(sweep, params)) or NOTHING for params in tuned)
        text = ", ".join(
            f"{value} ({count} of {len(tunings)})" if max(values.values()) > 1 and len(tunings) > 1 else value
            for value, count in values.most_common()
        )
        lacking = f"no trial is complete in {len(tunings) - len(tuned)} of {len(tunings)}: not compared"
        table.add_row(
            params_text(combination), text if len(tuned) == len(tunings) else lacking, str(len(trained))
        )
    show(table)


def border_notes(sweep: Sweep, best: Sequence[Params]) -> list[str]:
    """Returns a sentence on each nuisance value at the border of its range, with its combinations.

    Args:
        sweep: The sweep that tuned them.
        best: The best configuration of each tuning of each combination. Most of them must lie at one border.
    """
    assert sweep.arms is not None
    combinations: dict[str, list[str]] = {}
    for combination, tuned in sweep.arms.by_combination(best):
        for axis in sweep.space.drawn:
            if axis.key in sweep.arms.keys:
                continue
            found = [params for params in tuned if axis.key in params]
            at_border = [params[axis.key] for params in found if may_be_wider(sweep, axis, params)]
            value, count = Counter(at_border).most_common(1)[0] if at_border else (None, 0)
            if 2 * count > len(tuned):
                combinations.setdefault(border_text(axis, value), []).append(params_text(combination))
    return [f"with {' or '.join(named)}, {text}" for text, named in combinations.items()]


def _nuisance_of(sweep: Sweep, params: Params) -> Params:
    assert sweep.arms is not None
    return {key: value for key, value in params.items() if key not in sweep.arms.keys}
