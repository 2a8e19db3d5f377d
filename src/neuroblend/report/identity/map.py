"""Where tested cells lie in the space of embeddings, by class and by animal.

Shape legend: ``n`` tested cells with a label, ``F`` features.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neuroblend.engine.arm import BASELINE, TEACHER
from neuroblend.report.identity.marks import EDGE, Mark
from neuroblend.report.identity.shown import animals as marks_of_animals
from neuroblend.report.identity.shown import classes, vectors
from neuroblend.report.style import Picture, as_uri, new_figure, shortened
from neuroblend.report.view import View

RASTERIZE_ABOVE = 1500  # points
LEGEND_COLUMNS = 6
OUTER = 0.01  # share of points at either end of an axis that may lie beyond it


def embedding_map(view: View, kind: str) -> Picture:
    """Plot tested cells on two principal components, a column an arm, by class and by animal."""
    split = view.splits[0]
    rows, labels = view.data.labelled(kind)
    tested = split.is_tested(view.data.names)[rows]
    rows, labels = rows[tested], labels[tested]
    animals = np.array(view.data.animals)[rows]
    by_class, by_animal = classes(view, kind), marks_of_animals(view)
    has_animals = len(set(animals.tolist())) > 1
    arms = [BASELINE, view.selected, TEACHER]
    entries = [by_class, by_animal] if has_animals else [by_class]
    n_lines = sum(-(-len(entry) // LEGEND_COLUMNS) for entry in entries)
    figure = new_figure((6.6 if has_animals else 4.0) + 0.24 * n_lines)
    ratios = [3.8, 2.8][: len(entries)]
    parts = figure.subfigures(len(entries), 1, squeeze=False, height_ratios=ratios)
    top, *below = parts[:, 0]
    panels = [top.subplots(1, len(arms))]
    _legend(top, by_class)
    for lower in below:
        panels.append(lower.subplots(1, len(arms)))
        _legend(lower, by_animal)
    n_outside = 0
    for column, arm in enumerate(arms):
        points, explained = on_components(vectors(view, arm, split)[rows].astype(np.float64))
        n_outside += _scatter(panels[0][column], points, labels, by_class)
        panels[0][column].set_title(view.compared[arm])
        panels[-1][column].set_xlabel(f"component 1 ({100 * explained[0]:.0f} % of variance)")
        if has_animals:
            _scatter(panels[1][column], points, animals, by_animal)
        for panel in panels:
            panel[column].set_ylabel(f"component 2 ({100 * explained[1]:.0f} %)")
    outside = " The outermost points are drawn at the edge." if n_outside else ""
    animal = "" if split.animal is None else f", animal {split.animal}"
    mixed = ""
    if has_animals:
        mixed = (
            ", while animals mix: an embedding that parts animals tells recordings apart and not "
            "cells"
        )
    return Picture(
        f"Map of embeddings ({kind})",
        f"Each mark is one of {len(rows)} tested cells that have a label (seed "
        f"{split.seed}{animal}). Their embeddings, each feature standardised, are shown on their "
        "own first two principal components, fitted without labels; axes of different arms are not "
        "the same directions. "
        f"Look for classes that part, in the student more than in the baseline{mixed}. Two "
        "components show a part of the variance alone, and classifiers see all of it, so that "
        f"classes which overlap here may still be told apart.{outside}",
        as_uri(figure),
    )


def on_components(
    vectors: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n, 2) standardised vectors on two principal components, and the (2,) shares of these.

    Args:
        vectors: (n, F), one a cell.
    """
    spread = vectors.std(axis=0)
    z = (vectors - vectors.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    u, s, axes = np.linalg.svd(z, full_matrices=False)
    largest = np.abs(axes).argmax(axis=1)  # of either sign; the same one at every call
    sign = np.sign(axes[np.arange(len(axes)), largest])
    points = np.zeros((len(vectors), 2))
    shares = np.zeros(2)
    n = min(2, s.size)
    points[:, :n] = (u * s * sign)[:, :n]
    shares[:n] = (s**2 / max(float((s**2).sum()), 1e-12))[:n]
    return points, shares


def _scatter(
    ax: Axes,
    points: NDArray[np.float64],
    names: NDArray[np.str_],
    drawn: dict[str, Mark],
) -> int:
    """Plot the points by name and return how many lie beyond the axes."""
    low, high = np.quantile(points, [OUTER, 1 - OUTER], axis=0)
    pad = 0.12 * np.maximum(high - low, 1e-6)
    low, high = low - pad, high + pad
    inside = np.clip(points, low, high)
    size = float(np.clip(4000 / max(len(points), 1), 9, 30))
    order = np.random.default_rng(0).permutation(len(points))  # no class lies on top of the others
    zorder = np.empty(len(points))
    zorder[order] = 2 + np.arange(len(points)) / max(len(points), 1)
    for name, mark in drawn.items():
        for layer in range(4):  # in four layers, which is enough to mix them
            which = (names == name) & (np.floor(4 * (zorder - 2)) == layer)
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
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_xticks([])
    ax.set_yticks([])
    return int((inside != points).any(axis=1).sum())


def _legend(figure: Figure, drawn: dict[str, Mark]) -> None:
    figure.legend(
        [mark.line() for mark in drawn.values()],
        [shortened(name) for name in drawn],
        loc="outside upper left",
        ncols=min(len(drawn), LEGEND_COLUMNS),
    )
