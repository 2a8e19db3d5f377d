"""What is gained: differences of all arms to the baseline, and recall of each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER
from neuroblend.experiments.identity.scores import CHANCE
from neuroblend.report.forest import draw_differences, name_rows
from neuroblend.report.identity.caveats import DECIDING, METRICS
from neuroblend.report.identity.marks import mark_rows
from neuroblend.report.identity.scores import known
from neuroblend.report.identity.view import IdentityView
from neuroblend.report.style import COLORS, Picture, as_uri, new_figure, shortened

MARKERS = {BASELINE: "s", MULTITASK: "^", TEACHER: "D"}


def identity_forest(view: IdentityView, kind: str) -> Picture:
    """Plot each arm minus the baseline, for macro-F1 and top-1."""
    roles = {arm: view.role(arm) for arm in view.arms if arm != BASELINE}
    prefix = view.prefix(kind)
    figure = new_figure(0.3 * len(roles) + 0.95)
    axes = figure.subplots(1, len(DECIDING), sharey=True)
    for ax, metric in zip(axes, DECIDING, strict=True):
        contrasts = {
            arm: view.results["contrasts"][f"{arm} - {BASELINE}"][prefix + metric] for arm in roles
        }
        draw_differences(ax, contrasts, roles)
        ax.set_xlabel(f"difference to baseline, {METRICS[metric].label}")
    name_rows(axes[0], roles, view.selected)
    return Picture(
        f"Difference to the baseline ({kind})",
        f"Each dot is an arm's score in telling {kind} minus that of the baseline, the same "
        "network trained on activity alone; the bar is its 95 % interval. Filled dots: the "
        "interval excludes 0. Right of the dashed line is better than the baseline. The teacher, "
        "and stock where it is here, see behavior when cells are met: references and not "
        "contenders; a score off the scale stands as a number at the edge. Look for the selected "
        "student (blue, bold): is its whole bar to the right, and further so than the multitask "
        "control, which has no teacher?",
        as_uri(figure),
    )


def identity_recall(view: IdentityView, kind: str) -> Picture:
    """Plot the recall of each class with intervals: baseline, control, selected and teacher."""
    classes, arms = view.classes(kind), list(view.compared)
    figure = new_figure(1.0 + 0.2 * len(arms) * max(len(classes), 2))
    ax = figure.subplots()
    step = 0.8 / len(arms)
    for i, arm in enumerate(arms):
        for row, name in enumerate(classes):
            metric = f"{view.prefix(kind)}recall/{name}"
            score = known(view.results["arms"][arm], metric)
            if score is not None:
                y = row + (i - (len(arms) - 1) / 2) * step
                _dot(ax, arm, view.role(arm), score, y)
                by_luck = known(view.results["contrasts"][f"{arm} - {CHANCE}"], metric)
                if by_luck is not None:
                    at = score["mean"] - by_luck["mean"]
                    ax.plot([at, at], [y - 0.4 * step, y + 0.4 * step], color="#999999", zorder=1)
    for row in range(1, len(classes)):
        ax.axhline(row - 0.5, color="#e4e4e4", linewidth=0.8, zorder=0)
    counts = view.results["labels"][kind]["classes"]
    ax.set_yticks(range(len(classes)), [f"{shortened(n)} ({counts[n]})" for n in classes])
    mark_rows(ax, classes.values())
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_xlabel("recall (share of the class's tested cells that are found)")
    _legend(view, ax)
    return Picture(
        f"Which classes gain ({kind})",
        "Recall of each class (in brackets: its cells, tested or not) with its 95 % interval. The "
        "grey tick is what an arm's own predictions would find if the labels of tested cells were "
        "shuffled: a class that is called often is found often by luck. Look for classes in which "
        "the student's dot lies right of the baseline's and both lie right of their ticks; one "
        "class may gain what another loses, which macro-F1 weighs. Bars that overlap do not tell "
        "whether the paired difference is clear: the table of recalls has its interval.",
        as_uri(figure),
    )


def _dot(ax: Axes, arm: str, role: str, score: dict[str, Any], y: float) -> None:
    color = COLORS[role]
    ax.plot(np.clip(score["ci95"], 0, 1), [y, y], color=color, linewidth=1.6)
    ax.plot(score["mean"], y, _marker(arm), color=color, markersize=6, zorder=3, clip_on=False)


def _marker(arm: str) -> str:
    return MARKERS.get(arm, "o")


def _legend(view: IdentityView, ax: Axes) -> None:
    lines = [
        Line2D([], [], color=COLORS[view.role(arm)], marker=_marker(arm), markersize=6)
        for arm in view.compared
    ]
    luck = Line2D([], [], color="#999999", marker="|", markersize=9, linestyle="none")
    figure = ax.figure
    figure.legend(
        [*lines, luck],
        [*view.compared.values(), "by chance"],
        loc="outside upper left",
        ncols=len(lines) + 1,
    )
