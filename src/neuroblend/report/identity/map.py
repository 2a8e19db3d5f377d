"""Where tested cells lie in the space of embeddings, by class and by animal.

Shape legend: ``n`` tested cells with a label, ``F`` features.
"""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from neuroblend.engine.arm import BASELINE, TEACHER
from neuroblend.report.identity.marks import EDGE, Mark
from neuroblend.report.identity.shown import animals as marks_of_animals
from neuroblend.report.identity.shown import classes, vectors
from neuroblend.report.style import Picture, legend_above, new_figure, shortened
from neuroblend.report.view import View

RASTERIZE_ABOVE = 1500  # points
LEGEND_COLUMNS = 6
OUTER = 0.01  # fraction of points at either end of an axis that may lie beyond it


def embedding_map(view: View, kind: str) -> Picture:
    """Plot tested cells on two principal components, a column an arm, by class and by animal."""
    split = view.splits[0]
    rows, labels = view.data.labelled(kind)
    tested = split.is_tested(view.data.names)[rows]
    rows, labels = rows[tested], labels[tested]
    animals = np.array(view.data.animals)[rows]
    has_animals = len(set(animals.tolist())) > 1
    arms = list(dict.fromkeys([BASELINE, view.selected, TEACHER]))
    drawn = [(labels, classes(view, kind)), (animals, marks_of_animals(view))][: 1 + has_animals]
    n_lines = sum(-(-len(marks) // LEGEND_COLUMNS) for _, marks in drawn)
    figure = new_figure((6.6 if has_animals else 4.0) + 0.24 * n_lines)
    ratios = [3.8, 2.8][: len(drawn)]
    parts = figure.subfigures(len(drawn), 1, squeeze=False, height_ratios=ratios)[:, 0]
    panels = [part.subplots(1, len(arms)) for part in parts]
    for part, (_, marks) in zip(parts, drawn, strict=True):
        lines = [mark.line(shortened(name)) for name, mark in marks.items()]
        legend_above(part, lines, LEGEND_COLUMNS)
    n_outside = 0
    for column, arm in enumerate(arms):
        points, explained = on_components(vectors(view, arm, split)[rows].astype(np.float64))
        for row, (names, marks) in zip(panels, drawn, strict=True):
            n_outside += _scatter(row[column], points, names, marks)
            row[column].set_ylabel(f"component 2 ({100 * explained[1]:.0f} %)")
        panels[0][column].set_title(view.compared[arm])
        panels[-1][column].set_xlabel(f"component 1 ({100 * explained[0]:.0f} % of variance)")
    outside = " The outermost points are drawn at the edge." if n_outside else ""
    animal = "" if split.animal is None else f", animal {split.animal}"
    mixed = ""
    if has_animals:
        mixed = (
            ", while animals mix: an embedding that separates animals describes recordings and not "
            "cells"
        )
    return Picture(
        f"Map of embeddings ({kind})",
        f"Each mark is one of {len(rows)} tested cells that have a label (seed "
        f"{split.seed}{animal}). Their embeddings, each feature standardised, are shown on their "
        "own first two principal components, fitted without labels; axes of different arms are not "
        "the same directions. "
        f"Look for classes that separate, in the student more than in the baseline{mixed}. Two "
        "components show a part of the variance alone, and classifiers see all of it, so that "
        f"classes which overlap here may still be classified well.{outside}",
        figure,
    )


def on_components(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n, 2) standardised vectors on two principal components, from (n, F), one a cell.

    And (2,) fractions of variance that these explain.
    """
    spread = vectors.std(axis=0)
    z = (vectors - vectors.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    u, s, axes = np.linalg.svd(z, full_matrices=False)
    largest = np.abs(axes).argmax(axis=1)  # of either sign; the same one at every call
    sign = np.sign(axes[np.arange(len(axes)), largest])
    points = np.zeros((len(vectors), 2))
    explained = np.zeros(2)
    n = min(2, s.size)
    points[:, :n] = (u * s * sign)[:, :n]
    explained[:n] = (s**2 / max(float((s**2).sum()), 1e-12))[:n]
    return points, explained


def _scatter(
    ax: Axes, points: NDArray[np.float64], names: NDArray[np.str_], marks: dict[str, Mark]
) -> int:
    """Plot the points by name and return how many lie beyond the axes."""
    low, high = np.quantile(points, [OUTER, 1 - OUTER], axis=0)
    pad = 0.12 * np.maximum(high - low, 1e-6)
    low, high = low - pad, high + pad
    inside = np.clip(points, low, high)
    size = float(np.clip(4000 / max(len(points), 1), 9, 30))
    # drawn in four mixed layers, so that no class lies on top of the others
    n = len(points)
    layers = np.empty(n)
    layers[np.random.default_rng(0).permutation(n)] = 4 * np.arange(n) // max(n, 1)
    for name, mark in marks.items():
        for layer in range(4):
            which = (names == name) & (layers == layer)
            ax.scatter(
                inside[which, 0],
                inside[which, 1],
                s=size,
                marker=mark.marker,
                color=mark.color,
                edgecolors=EDGE,
                linewidths=0.3,
                zorder=2 + layer / 10,
                clip_on=False,
                rasterized=len(points) > RASTERIZE_ABOVE,
            )
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.locator_params(nbins=5)
    return int((inside != points).any(axis=1).sum())
