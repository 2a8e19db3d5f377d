"""Predicted condition means against recorded ones.

Shape legend: ``C`` conditions, ``T`` bins, ``N`` neurons.
"""

import numpy as np
from numpy.typing import NDArray

from neuroblend.evaluation.metrics import PSTH_SMOOTHING_S, psths
from neuroblend.evaluation.score import condition_index
from neuroblend.report.decoding.shown import (
    draw_lines,
    legend,
    on_lines,
    roles,
    scored,
    shown_neurons,
    shown_split,
    time_label,
)
from neuroblend.report.style import TRUTH, Picture, new_figure, shortened
from neuroblend.report.view import View

N_NEURONS, MOST_CONDITIONS = 3, 5


def psth(view: View) -> Picture | None:
    """Plot PSTHs of a few neurons, a row a neuron and a column a condition; ``None`` without."""
    found = condition_index(view.data)
    if found is None:
        return None
    names, index = found
    shown = shown_neurons(view)
    columns = _conditions(view, index, len(names))
    if columns.size == 0:
        return None
    rows = _spread(len(shown), N_NEURONS)
    lines = {role: _predicted(view, arm, index) for role, arm in roles(view).items()}
    spikes = view.data.counts_of(np.arange(view.data.n_trials))[:, :, shown]
    lines[TRUTH] = psths(spikes, index, len(names), view.data.bin_s)
    figure = new_figure(0.85 + 1.5 * len(rows))
    legend(figure, view, "recorded, smoothed")
    axes = figure.subplots(len(rows), len(columns), sharex=True, sharey="row", squeeze=False)
    for r, i in enumerate(rows):
        for c, condition in enumerate(columns):
            hz = {role: psth[condition, :, i] / view.data.bin_s for role, psth in lines.items()}
            draw_lines(axes[r, c], view, hz)
        axes[r, 0].set_ylabel(f"neuron {view.data.unit_id[shown[i]]}\n(Hz)", fontsize=8.5)
        axes[r, 0].set_ylim(bottom=0)
    for c, condition in enumerate(columns):
        n = int((index == condition).sum())
        axes[0, c].set_title(shortened(f"{names[condition]} ({n} trials)", 26), fontsize=8.5)
    figure.supxlabel(time_label(view), x=0.07, ha="left", fontsize=9.5)
    held_out = " held-out" if shown_split(view).held_out.any() else ""
    n_shown = f"{len(columns)} of {len(names)}" if len(columns) < len(names) else f"{len(names)}"
    return Picture(
        "PSTHs",
        f"Mean rate of {len(rows)}{held_out} neurons in {n_shown} conditions. Thin, "
        "without colour: recorded spikes of all trials of the condition, smoothed by a Gaussian of "
        f"{PSTH_SMOOTHING_S * 1000:g} ms s.d. Coloured: mean of a model's single-trial rates over "
        f"test trials of seed {shown_split(view).seed}. Look for lines that differ between "
        "conditions as the thin ones do. With few trials in a condition, the thin line itself is "
        f"noisy.{on_lines(view)}",
        figure,
    )


def _conditions(view: View, index: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return up to five conditions, at even steps, of which there are test trials."""
    tested = _n_tested(view, index, n).sum(axis=0)
    there = np.flatnonzero(tested)
    return there[_spread(there.size, MOST_CONDITIONS)]


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """Return up to ``most`` of ``n`` indices, at even steps from the first to the last."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)


def _n_tested(view: View, index: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return (folds, C) test trials of each condition, in the folds of the seed that is shown."""
    splits = [split for split in view.splits if split.seed == shown_split(view).seed]
    return np.stack([np.bincount(index[split.test], minlength=n) for split in splits])


def _predicted(view: View, arm: str, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (C, T, shown) mean predicted counts/bin over the test trials of all folds."""
    splits = [split for split in view.splits if split.seed == shown_split(view).seed]
    means = [scored(view, arm, split).psth for split in splits]
    each = np.stack([mean for mean in means if mean is not None]).astype(np.float64)
    n = _n_tested(view, index, each.shape[1])[:, :, None, None]
    total = np.where(n > 0, each * n, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return total / n.sum(axis=0)
