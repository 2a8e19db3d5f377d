"""What tested cells of each class are taken for.

Shape legend: ``C`` classes.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from neuroblend.engine.arm import BASELINE
from neuroblend.experiments.identity.metrics import confusion
from neuroblend.report.identity.marks import mark_rows
from neuroblend.report.identity.shown import classes, classified
from neuroblend.report.style import COLORS, Picture, new_figure, shortened
from neuroblend.report.view import View

MOST_NUMBERS = 12  # classes up to which numbers are written in the squares


def confusion_matrices(view: View, kind: str) -> Picture:
    """Plot confusion matrices of the baseline and the selected student, where that is another."""
    names = list(classes(view, kind))
    arms = list(dict.fromkeys([BASELINE, view.selected]))
    figure = new_figure(float(np.clip(1.3 + 0.56 * len(names), 2.6, 9)))
    axes = figure.subplots(1, len(arms), sharey=True, squeeze=False)[0]
    for ax, arm in zip(axes, arms, strict=True):
        image = _panel(ax, mean_counts(view, arm, kind), names)
        ax.set_title(view.compared[arm], color=COLORS[view.role(arm)])
        ax.set_xlabel("called")
    totals = mean_counts(view, BASELINE, kind).sum(axis=1)
    counted = zip(names, totals.tolist(), strict=True)
    axes[0].set_yticks(
        range(len(names)), [f"{shortened(n, 18)} ({_number(c)})" for n, c in counted]
    )
    axes[0].set_ylabel("is")
    for ax in axes:
        mark_rows(ax, classes(view, kind).values())
    figure.colorbar(image, ax=axes, shrink=0.9, pad=0.015, label="fraction of the row")
    seeds = "mean over seeds and repeats" if view.config.seeds > 1 else "mean over repeats"
    return Picture(
        f"What cells are taken for ({kind})",
        f"Tested cells of each class (a row; how many a seed, in brackets) by what classifiers "
        f"call them (a column): fraction of the row and, in brackets, number of cells ({seeds}). "
        "A perfect classifier has 1 on the diagonal. Look for a stronger diagonal in the student "
        "and for a column that is strong all the way: what cells are called when in doubt.",
        figure,
    )


def mean_counts(view: View, arm: str, kind: str) -> NDArray[np.float64]:
    """Return (C, C) tested cells of a class (row) that are called each class, mean over seeds."""
    found = [classified(view, arm, split, kind) for split in view.splits]
    counts = np.sum([confusion(each.truth, each.probability) for each in found], axis=0)
    return counts / len(view.results["seeds"])


def _panel(ax: Axes, counts: NDArray[np.float64], names: list[str]) -> AxesImage:
    total = counts.sum(axis=1, keepdims=True)
    fractions = counts / np.where(total > 0, total, np.nan)
    image = ax.imshow(fractions, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    look: dict[str, Any] = {}
    if len(names) > 5 or max(map(len, names)) > 9:
        look = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(len(names)), [shortened(name, 18) for name in names], **look)
    ax.tick_params(axis="both", length=0)
    ax.spines[:].set_visible(False)
    if len(names) <= MOST_NUMBERS:
        for i, j in np.ndindex(counts.shape):
            if np.isfinite(fractions[i, j]):
                text = f"{fractions[i, j]:.2f} ({_number(float(counts[i, j]))})"
                color = "white" if fractions[i, j] > 0.55 else "#222222"
                ax.text(j, i, text, ha="center", va="center", color=color, fontsize=8.5)
    return image


def _number(count: float) -> str:
    """Return a mean number of cells, with a decimal where it has one."""
    return f"{count:.1f}".removesuffix(".0")
