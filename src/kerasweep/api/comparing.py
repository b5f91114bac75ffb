"""Compares recorded runs from Python."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING

from kerasweep.api.caller import caller_kept
from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.report.files import page_of, run_rows
from kerasweep.report.reading import Report, read_report
from kerasweep.report.result import ComparisonResult, result_of
from kerasweep.report.summary import lines_of
from kerasweep.space.parse import value_text
from kerasweep.tracking.client import without_password

if TYPE_CHECKING:
    import pandas

PAGE_HEIGHT = 800  # pixels


@dataclass(frozen=True)
class Comparison:
    """Recorded runs, grouped, ranked and judged.

    Example:
        >>> import kerasweep
        >>> print(kerasweep.compare("filter_size"))  # doctest: +SKIP
    """

    result: ComparisonResult  # all of it as plain data
    report: Report = field(repr=False)
    tracking: TrackingConf = field(repr=False)
    command: str = field(repr=False)  # that writes the same page

    @property
    def groups(self) -> "pandas.DataFrame":
        """A row for each configuration, the best first: the axes, the mean, its interval and its rank."""
        import pandas

        rows = []
        for group in self.result.groups:
            cells = asdict(group)
            low, high = cells.pop("interval") or (None, None)
            rows.append({**cells.pop("values"), "mean": cells.pop("mean"), "low": low, "high": high, **cells})
        return pandas.DataFrame(rows)

    @property
    def runs(self) -> "pandas.DataFrame":
        """A row for each run: its state, its axes, its seeds and its final metrics, as in the CSV."""
        import pandas

        heading, *rows = run_rows(self.report.runs, self.report.columns)
        return pandas.DataFrame(rows, columns=heading)

    @property
    def verdicts(self) -> "pandas.DataFrame":
        """A row for each claim: the sweep, the claim, the decision and its findings."""
        import pandas

        rows = [asdict(verdict) for verdict in self.result.verdicts]
        return pandas.DataFrame(rows, columns=["sweep", "claim", "decision", "findings"])

    def page(self) -> str:
        """Returns the page with its figures, which `python -m src.compare` writes, as HTML."""
        with caller_kept():
            return page_of(self.tracking, self.report, "comparison", self.command)

    def show(self) -> None:
        """Shows the page with its figures in a notebook.

        Raises:
            ConfigError: This is no notebook.
        """
        try:
            from IPython import get_ipython
            from IPython.display import HTML, display
        except ImportError as error:
            raise ConfigError(_NO_NOTEBOOK) from error
        if get_ipython() is None:
            raise ConfigError(_NO_NOTEBOOK)
        # In a frame of its own: the page's style must not change the notebook's.
        frame = f'<iframe srcdoc="{escape(self.page())}" width="100%" height="{PAGE_HEIGHT}"></iframe>'
        display(HTML(f"<div>{frame}</div>"))

    def __str__(self) -> str:
        return "\n".join(lines_of(self.report))


_NO_NOTEBOOK = (
    "show() needs a notebook, but this is none. python -m src.compare writes the same page to a file, "
    "and page() returns it as a text."
)


def compare(
    study: str | None = None,
    *,
    tags: Mapping[str, object] | None = None,
    runs: Sequence[str] | None = None,
    where: Sequence[str] = (),
    group_by: Sequence[str] | None = None,
    tracking_uri: str | None = None,
    experiment: str = "kerasweep",
) -> Comparison:
    """Compares recorded runs, as `python -m src.compare` does, and writes no files.

    Args:
        study: The name of a study or of a sweep.
        tags: Tags that each run must have, such as {"dataset": "digits"}.
        runs: Only runs with these ids, or first digits of ids.
        where: Only runs that satisfy these expressions, such as ["val_accuracy>0.9"].
        group_by: The axes of the groups; None for all that vary.
        tracking_uri: MLflow's; None for $MLFLOW_TRACKING_URI, or mlruns/mlflow.db of the working directory.
        experiment: MLflow's.

    Raises:
        TrackingError: No run matches, or the runs cannot be averaged.
        ConfigError: `where` is not an expression.

    Example:
        >>> import kerasweep
        >>> kerasweep.compare("filter_size").groups  # doctest: +SKIP
    """
    if study is not None and not isinstance(study, str):
        raise ConfigError(
            f"study must be the name of a study or of a sweep, but got {study!r}. Name several by a tag that "
            "they share, as in tags={'dataset': 'digits'}."
        )
    for name, value in (("runs", runs), ("where", where), ("group_by", group_by)):
        if isinstance(value, str):
            raise ConfigError(
                f"{name} must be a list of texts, but got {value!r}. Write it as {name}=[{value!r}]."
            )
    cfg = TrackingConf(uri=tracking_uri, experiment=experiment)
    named = {} if study is None else {"study": study}
    wanted = named | {key: str(value) for key, value in (tags or {}).items()}
    with caller_kept():
        report = read_report(cfg, wanted, group_by, runs, where)
    lists = {"runs": runs, "where": where or None, "group_by": group_by}
    given = {
        "study": study,
        **{f"tags.{key}": str(value) for key, value in (tags or {}).items()},
        **{name: list(value) for name, value in lists.items() if value is not None},
        **({} if tracking_uri is None else {"tracking.uri": without_password(tracking_uri)}),
        **({} if experiment == "kerasweep" else {"tracking.experiment": experiment}),
    }
    overrides = [f"{key}={value_text(value)}" for key, value in given.items() if value is not None]
    return Comparison(result_of(report), report, cfg, shlex.join(["kerasweep-compare", *overrides]))
