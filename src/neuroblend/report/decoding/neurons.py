"""Which neurons gain: bits per spike of each, selected student against baseline.

Shape legend: ``B`` trials, ``N`` neurons.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neuroblend.engine.arm import BASELINE
from neuroblend.evaluation.metrics import SpikeSums
from neuroblend.report.decoding.shown import scored, shown_split
from neuroblend.report.style import COLORS, SELECTED, Picture, new_figure, signed
from neuroblend.report.view import View

RASTERIZE_ABOVE = 1500  # points
KINDS = {
    "held_out": "held-out neurons, in the bins that models see",
    "forward": "all neurons, in the forward bins",
}


def neurons(view: View) -> Picture | None:
    """Plot per-neuron bits/spike, pooled over seeds; ``None`` where no spikes were held out.

    Where the baseline was selected, the first other candidate is shown against it.
    """
    first = scored(view, BASELINE, shown_split(view))
    kind = next((kind for kind in KINDS if getattr(first, kind) is not None), None)
    if kind is None:
        return None
    other = view.selected
    if other == BASELINE:
        other = next(arm for arm in view.results["candidates"] if arm != BASELINE)
    x, y = (_bits(view, arm, kind) for arm in (BASELINE, other))
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if x.size == 0:
        return None
    figure = new_figure(3.9)
    scatter, histogram = figure.subplots(1, 2)
    n_out = _scatter(scatter, x, y)
    scatter.set(xlabel="baseline (bits/spike)", ylabel=f"{other} (bits/spike)")
    _histogram(histogram, y - x)
    histogram.set_xlabel(f"{other} minus baseline (bits/spike)")
    seeds = f"pooled over {view.config.seeds} seeds" if view.config.seeds > 1 else "one seed"
    outside = f" Triangles on the edge: outside of the range ({n_out})." if n_out else ""
    silent = int((~known).sum())
    left_out = f" {silent} without a spike in test trials are left out." if silent else ""
    median = signed(f"{np.median(y - x):+.4f}")
    return Picture(
        "Which neurons gain",
        f"Bits per spike of each neuron: {KINDS[kind]}, {seeds}. On the diagonal: no "
        f"difference; above it {other} predicts that neuron better. It does for "
        f"{int((y > x).sum())} of {x.size}; the median difference is {median}. Below 0: worse than "
        "knowing the neuron's mean rate. Look for a shift of the whole cloud rather than a few "
        "neurons; the interval of the mean is in the table. Neurons with few spikes scatter "
        f"widely; the outer bars collect what lies beyond.{outside}{left_out}",
        figure,
    )


def _bits(view: View, arm: str, kind: str) -> NDArray[np.float64]:
    """Return bits/spike of each neuron, one seed after the other, each over all of its folds."""
    each = []
    for seed in view.config.all_seeds:
        folds = [scored(view, arm, split) for split in view.splits if split.seed == seed]
        sums = [getattr(part, kind) for part in folds]
        joined = SpikeSums(
            np.concatenate([part.log_likelihood for part in sums]),
            np.concatenate([part.counts for part in sums]),
            np.concatenate([part.n_bins for part in sums]),
        )
        each.append(joined.bits_per_neuron())
    return np.concatenate(each)


def _scatter(ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> int:
    """Plot the points and return how many lie outside of the range shown."""
    low, high = np.quantile(np.concatenate([x, y]), [0.02, 0.98])
    low, high = min(low, 0.0), max(high, 0.0)
    pad = 0.08 * max(high - low, 1e-6)
    low, high = float(low - pad), float(high + pad)
    inside = (np.minimum(x, y) >= low) & (np.maximum(x, y) <= high)
    ax.axline((0, 0), slope=1, color="#555555", linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
    ax.axhline(0, color="#dddddd", linewidth=0.8, zorder=-1)
    ax.axvline(0, color="#dddddd", linewidth=0.8, zorder=-1)
    for marker, size, which in (("o", 20, inside), ("^", 40, ~inside)):
        ax.scatter(
            np.clip(x[which], low, high),
            np.clip(y[which], low, high),
            s=size,
            marker=marker,
            color=COLORS[SELECTED],
            alpha=0.6,
            linewidth=0,
            clip_on=marker == "o",
            rasterized=x.size > RASTERIZE_ABOVE,
        )
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    ax.locator_params(nbins=6)
    return int((~inside).sum())


def _histogram(ax: Axes, difference: NDArray[np.float64]) -> None:
    low, high = np.quantile(difference, [0.02, 0.98])
    reach = max(abs(low), abs(high), 1e-6)
    ax.hist(
        np.clip(difference, -reach, reach),
        bins=np.linspace(-reach, reach, 26).tolist(),
        color=COLORS[SELECTED],
        alpha=0.75,
    )
    ax.axvline(0, color="#555555", linewidth=0.9, linestyle=(0, (4, 2)))
    ax.set_ylabel("neurons")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
