"""Scores of an experiment on identity as the tables of its page."""

from __future__ import annotations

from typing import Any

from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER
from neuroblend.experiments.identity.scores import CHANCE
from neuroblend.report.identity.caveats import METRICS, metrics_of
from neuroblend.report.identity.view import IdentityView
from neuroblend.report.scores import Row, ScoreTable, score_cell

ARMS = {
    BASELINE: "the network trained on activity alone; what every student is compared with",
    MULTITASK: "the control: the baseline plus a read-out of the population's state that is "
    "trained to give behavior; no teacher",
    TEACHER: "the network that has behavior as a part of the population's state, in training and "
    "when new cells are met; a reference",
    "stock": "NeuPRINT with the statistics that were published for it, behavior among them, in "
    "training and when new cells are met; a reference",
    "moments": "the same without behavior: mean and standard deviation of the population alone",
    "hand_features": "no network: mean, spread, autocorrelation and other statistics of each "
    "cell's activity",
    "contrastive": "no dynamics: a network that tells windows of one neuron from those of others",
    "activity_profile": "no network: principal components of each cell's power spectrum, "
    "distribution of activity, and share in the population's leading components",
}
STRATEGIES = {
    "hard": "matches the teacher's predicted activity",
    "soft": "matches how the teacher spreads a frame's activity over cells",
    "feature": "matches the features of the teacher's population state, through a learned map",
    "correlation": "matches the correlations between cells in the teacher's predicted activity",
    "embedding": "matches the teacher's embedding of each cell, through a learned map",
    "multitask": "has a behavior read-out",
}


def known(entries: dict[str, Any], metric: str) -> dict[str, Any] | None:
    """Return a score or difference; ``None`` where there is none, as of a class never tested."""
    entry: dict[str, Any] = entries.get(metric, {})
    return None if None in (entry.get("mean"), *entry.get("ci95", [None])) else entry


def explained_metrics() -> list[tuple[str, str]]:
    """Return label and meaning of each metric."""
    return [(metric.label, metric.meaning) for metric in METRICS.values()]


def explained_arms(view: IdentityView) -> list[tuple[str, str]]:
    """Return name and meaning of each arm, in a sentence without a full stop."""
    return [(arm, _explained(arm)) for arm in view.arms]


def _explained(arm: str) -> str:
    if arm in ARMS:
        return ARMS[arm]
    terms = " and ".join(STRATEGIES.get(term, term) for term in arm.split("+"))
    return f"student on activity alone that {terms}"


def score_table(view: IdentityView, kind: str) -> ScoreTable:
    """Return scores of all arms for a kind of label and their differences to the baseline."""
    return _table(view, kind, kind, view.arms, BASELINE)


def detail_tables(view: IdentityView, kind: str) -> list[ScoreTable]:
    """Return recall of each class, and differences to chance and to the multitask control."""
    recall = {f"recall/{name}": name for name in view.classes(kind)}
    taught = [a for a in view.arms if f"{a} - {MULTITASK}" in view.results["contrasts"]]
    tables = [
        _table(view, kind, f"Recall of each class ({kind})", view.arms, BASELINE, recall),
        _table(view, kind, f"Can {kind} be told? Differences to chance", view.arms, CHANCE),
    ]
    if taught:
        title = f"Is a teacher needed? Differences to the multitask control ({kind})"
        tables.append(_table(view, kind, title, [MULTITASK, *taught], MULTITASK))
    return tables


def _table(
    view: IdentityView,
    kind: str,
    title: str,
    arms: list[str],
    control: str,
    columns: dict[str, str] | None = None,
) -> ScoreTable:
    """Return scores and differences to ``control``; ``columns`` is label by metric."""
    usual = {metric: found.label for metric, found in metrics_of(view.results, kind).items()}
    columns = columns or usual
    prefix, rows = view.prefix(kind), []
    for arm in arms:
        contrast = view.results["contrasts"].get(f"{arm} - {control}", {})
        scores = view.results["arms"][arm]
        cells = [
            score_cell(known(scores, prefix + m), known(contrast, prefix + m)) for m in columns
        ]
        rows.append(Row(arm, view.role(arm), cells))
    return ScoreTable(title, list(columns.values()), rows)
