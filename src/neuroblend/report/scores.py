"""Scores as the tables of the page."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from neuroblend.engine.arm import MULTITASK
from neuroblend.engine.folder import experiment_class
from neuroblend.engine.metric import metric_of
from neuroblend.report.style import signed
from neuroblend.report.view import View


def direction(ci95: list[float | None]) -> str:
    """Return ``"better"``, ``"worse"`` or ``"unclear"`` for a difference with this interval."""
    low, high = ci95
    if low is None or high is None:  # a difference that does not exist
        return "unclear"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "unclear"


@dataclass(frozen=True)
class Cell:
    """A score in a table.

    Attributes:
        score: Mean over seeds.
        interval: Its interval.
        difference: Difference to the control, where there is one.
        around: The interval of the difference.
        outcome: ``"better"``, ``"worse"``, or ``"unclear"`` where the interval holds 0.
    """

    score: str
    interval: str
    difference: str = ""
    around: str = ""
    outcome: str = "unclear"


@dataclass(frozen=True)
class Row:
    """An arm in a table.

    Attributes:
        arm: Its name.
        role: What decides its colour.
        cells: One a column; ``None`` where the arm has no such score.
    """

    arm: str
    role: str
    cells: list[Cell | None]


@dataclass(frozen=True)
class ScoreTable:
    """A table of arms and scores.

    Attributes:
        title: Heading.
        columns: Names of the scores.
        rows: One an arm.
    """

    title: str
    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True)
class PlainTable:
    """A table of text.

    Attributes:
        title: Heading.
        columns: Names of the columns, that of the first one too.
        rows: Text of each row.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]


def score_table(
    view: View, title: str, columns: dict[str, str], arms: Iterable[str], control: str
) -> ScoreTable:
    """Return scores of ``arms`` and their differences to ``control``.

    Args:
        view: The run.
        title: Heading.
        columns: What each score is called, by its name.
        arms: A row each.
        control: The arm, or chance, that differences are to.
    """
    rows = []
    metrics = experiment_class(view.results["kind"]).metrics
    for arm in arms:
        scores = view.results["arms"][arm]
        contrast = view.results["contrasts"].get(f"{arm} - {control}", {})
        cells = [
            score_cell(
                known(scores, name),
                known(contrast, name),
                metric_of(name, metrics).higher_is_better,
            )
            for name in columns
        ]
        rows.append(Row(arm, view.role(arm), cells))
    return ScoreTable(title, list(columns.values()), rows)


def control_table(view: View, columns: dict[str, str], suffix: str = "") -> list[ScoreTable]:
    """Return differences of strategies to the multitask control; nothing where there are none."""
    taught = [a for a in view.arms if f"{a} - {MULTITASK}" in view.results["contrasts"]]
    title = f"Is a teacher needed? Differences to the multitask control{suffix}"
    return [score_table(view, title, columns, [MULTITASK, *taught], MULTITASK)] if taught else []


def known(entries: dict[str, Any], metric: str) -> dict[str, Any] | None:
    """Return a score or difference; ``None`` where there is none, as of a class never tested."""
    entry: dict[str, Any] = entries.get(metric, {})
    return None if None in (entry.get("mean"), *entry.get("ci95", [None])) else entry


def score_cell(
    score: dict[str, Any] | None, contrast: dict[str, Any] | None, higher_is_better: bool = True
) -> Cell | None:
    """Return a score and its difference as a cell; ``None`` where there is no such score."""
    if score is None:
        return None
    low, high = score["ci95"]
    mean, interval = signed(f"{score['mean']:.3f}"), signed(f"[{low:.3f}, {high:.3f}]")
    if contrast is None:
        return Cell(mean, interval)
    low, high = contrast["ci95"]
    difference, around = signed(f"{contrast['mean']:+.3f}"), signed(f"[{low:+.3f}, {high:+.3f}]")
    is_centred = low <= contrast["mean"] <= high
    gain = [low, high] if higher_is_better else [-high, -low]
    outcome = direction(gain) if is_centred else "unclear"
    return Cell(mean, interval, difference, around, outcome)


def misses_mean(view: View, names: Iterable[str]) -> bool:
    """Whether an interval of the scores ``names`` leaves out the score that it is of."""
    entries = [
        entry
        for scores in (*view.results["arms"].values(), *view.results["contrasts"].values())
        for name in names
        if (entry := known(scores, name)) is not None
    ]
    return any(not e["ci95"][0] <= e["mean"] <= e["ci95"][1] for e in entries)
