"""What is gained class by class: recall, with intervals."""

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER
from neuroblend.engine.results import CHANCE
from neuroblend.report.identity.marks import mark_rows
from neuroblend.report.identity.shown import classes
from neuroblend.report.scores import known
from neuroblend.report.style import COLORS, Picture, legend_above, new_figure, shortened
from neuroblend.report.view import View

MARKERS = {BASELINE: "s", MULTITASK: "^", TEACHER: "D"}  # of all other arms a dot
LUCK = "#999999"


def recall_by_class(view: View, kind: str) -> Picture:
    """Plot the recall of each class with intervals: baseline, control, selected and teacher."""
    by_class, arms = classes(view, kind), list(view.compared)
    figure = new_figure(1.0 + 0.2 * len(arms) * max(len(by_class), 2))
    ax = figure.subplots()
    step = 0.8 / len(arms)
    entries = []
    for i, arm in enumerate(arms):
        color, marker = COLORS[view.role(arm)], MARKERS.get(arm, "o")
        look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 6}
        entries.append(Line2D([], [], **look, label=view.compared[arm]))
        for row, name in enumerate(by_class):
            metric = f"{view.data.prefix(kind)}recall/{name}"
            score = known(view.results["arms"][arm], metric)
            if score is None:
                continue
            y = row + (i - (len(arms) - 1) / 2) * step
            ax.plot(np.clip(score["ci95"], 0, 1), [y, y], color=color, linewidth=1.6)
            ax.plot(score["mean"], y, **look, linestyle="none", zorder=3, clip_on=False)
            by_luck = known(view.results["contrasts"][f"{arm} - {CHANCE}"], metric)
            if by_luck is not None:
                at = score["mean"] - by_luck["mean"]
                ax.plot([at, at], [y - 0.4 * step, y + 0.4 * step], color=LUCK, zorder=1)
    luck = Line2D([], [], color=LUCK, marker="|", markersize=9, linestyle="none", label="by chance")
    legend_above(figure, [*entries, luck])
    for row in range(1, len(by_class)):
        ax.axhline(row - 0.5, color="#e4e4e4", linewidth=0.8, zorder=0)
    counts = view.results["labels"][kind]["classes"]
    ax.set_yticks(range(len(by_class)), [f"{shortened(n)} ({counts[n]})" for n in by_class])
    mark_rows(ax, by_class.values())
    ax.set(xlim=(-0.02, 1.02), ylim=(len(by_class) - 0.5, -0.5), xticks=np.linspace(0, 1, 6))
    ax.set_xlabel("recall (fraction of the class's tested cells that are found)")
    return Picture(
        f"Which classes gain ({kind})",
        "Recall of each class (in brackets: its cells, tested or not) with its 95 % interval. The "
        "grey tick is what an arm's own predictions would find if the labels of tested cells were "
        "shuffled: a class that is called often is found often by luck. Look for classes in which "
        "the student's dot lies right of the baseline's and both lie right of their ticks; one "
        "class may gain what another loses, which macro-F1 weighs. Bars that overlap do not tell "
        "whether the paired difference is clear: the table of recalls has its interval.",
        figure,
    )
