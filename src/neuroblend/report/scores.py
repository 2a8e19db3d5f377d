"""Scores as the tables of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neuroblend.engine.results import ORACLE
from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER
from neuroblend.report.style import signed
from neuroblend.report.verdict import METRICS, direction, headline_metrics
from neuroblend.report.view import View

STRATEGIES = {
    "hard": "matches the teacher's log rates",
    "soft": "matches how the teacher spreads a bin's activity over neurons",
    "feature": "matches the teacher's internal features, through a learned map",
    "correlation": "matches the correlations between neurons in the teacher's log rates",
    "multitask": "has a behavior read-out",
}


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


def headline_table(view: View) -> ScoreTable:
    """Return scores of all arms and their differences to the baseline."""
    metrics = headline_metrics(view.results)
    columns = [METRICS[metric].label for metric in metrics]
    return ScoreTable("Scores", columns, _rows(view, metrics, view.scored_arms, BASELINE))


def channel_table(view: View) -> ScoreTable:
    """Return behavior R² of each channel and its differences to the baseline."""
    channels = list(view.trials.behavior_names)
    metrics = [f"behavior_r2/{channel}" for channel in channels]
    rows = _rows(view, metrics, view.scored_arms, BASELINE)
    return ScoreTable("Behavior R² of each channel", channels, rows)


def control_table(view: View) -> ScoreTable | None:
    """Return scores of strategies and their differences to the multitask control."""
    metrics = headline_metrics(view.results)
    arms = [arm for arm in view.arms if f"{arm} - {MULTITASK}" in view.results["contrasts"]]
    if not arms:
        return None
    columns = [METRICS[metric].label for metric in metrics]
    rows = _rows(view, metrics, [MULTITASK, *arms], MULTITASK)
    return ScoreTable("Is a teacher needed? Differences to the multitask control", columns, rows)


def explained_metrics(view: View) -> list[tuple[str, str]]:
    """Return label and meaning of each metric that the run has."""
    return [(METRICS[m].label, METRICS[m].meaning) for m in headline_metrics(view.results)]


def explained_arms(view: View) -> list[tuple[str, str]]:
    """Return name and meaning of each arm."""
    return [(arm, explain_arm(arm)) for arm in view.scored_arms]


def explain_arm(arm: str) -> str:
    """Return what an arm is, in a sentence without a full stop."""
    fixed = {
        BASELINE: "the network trained on spikes alone; what every student is compared with",
        MULTITASK: "the control: the baseline plus a read-out that is trained to give behavior; no "
        "teacher",
        TEACHER: "the network trained on spikes and given behavior as input, at test as well",
        "smoothing": "no network: smoothed spikes, and regressions on them for held-out neurons",
        "factor_analysis": "no network: factor analysis, and regressions on the factors",
        ORACLE: "not a model: the simulation's true rates, scored like a model's",
    }
    if arm in fixed:
        return fixed[arm]
    terms = " and ".join(STRATEGIES.get(term, term) for term in arm.split("+"))
    return f"student on spikes alone that {terms}"


def _rows(view: View, metrics: list[str], arms: list[str], control: str) -> list[Row]:
    scores, contrasts = view.results["arms"], view.results["contrasts"]
    return [
        Row(
            arm,
            view.role(arm),
            [
                score_cell(scores[arm].get(m), contrasts.get(f"{arm} - {control}", {}).get(m))
                for m in metrics
            ],
        )
        for arm in arms
    ]


def score_cell(score: dict[str, Any] | None, contrast: dict[str, Any] | None) -> Cell | None:
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
    outcome = direction(contrast["ci95"]) if is_centred else "unclear"
    return Cell(mean, interval, difference, around, outcome)


def misses_mean(view: View) -> bool:
    """Whether an interval of the run's headline scores leaves out the score that it is of."""
    entries = [
        score[metric]
        for score in (*view.results["arms"].values(), *view.results["contrasts"].values())
        for metric in headline_metrics(view.results)
        if metric in score
    ]
    return any(not e["ci95"][0] <= e["mean"] <= e["ci95"][1] for e in entries)
