"""One test trial: the spikes of all neurons, and what models make of single ones.

Shape legend: ``B`` test trials, ``T`` bins, ``N`` neurons.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from neuroblend.report.decoding.shown import (
    draw_lines,
    draw_time,
    legend,
    on_lines,
    roles,
    shown_neurons,
    shown_rates,
    shown_split,
    time_label,
)
from neuroblend.report.style import COLORS, SELECTED, TRUTH, Picture, new_figure
from neuroblend.report.view import View

N_NEURONS = 6


def raster(view: View) -> Picture:
    """Plot a trial of median spike count: a raster, and rates of up to six neurons."""
    split, trials = shown_split(view), view.data
    which = _median_trial(view)
    neurons = shown_neurons(view)[:N_NEURONS]
    figure = new_figure(5.0)
    legend(figure, view, "true rate" if trials.rates is not None else None)
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(1, 1.9)))
    _raster(left.subplots(), view, which)
    n_rows = -(-len(neurons) // 2)
    panels = right.subplots(n_rows, min(2, len(neurons)), sharex=True, squeeze=False)
    for i, ax in enumerate(panels.flat):
        if i < len(neurons):
            _rates(ax, view, which, i)
        else:
            ax.set_axis_off()
    for ax in panels[-1]:
        ax.set_xlabel(time_label(view))
    right.supylabel("firing rate (Hz)", fontsize=9.5)
    kind, order = "neurons", "sorted by rate"
    if split.held_out.any():
        kind = "held-out neurons that no student saw spikes of"
        order = f"held-in neurons below the line and held-out ones above it, each {order}"
    return Picture(
        "One test trial",
        f"Test trial {trials.trial_id[split.test[which]]} (the one with the median number of "
        f"spikes). Left: spikes of all {trials.n_neurons} neurons, {order}; stronger is more "
        f"spikes in a bin. Right: {len(neurons)} {kind}, picked by rate and not by fit: spikes as "
        "ticks (taller: more in one bin) and each model's firing rate. Look for rates that rise "
        f"where the ticks are, rather than flat lines.{on_lines(view)}",
        figure,
    )


def _median_trial(view: View) -> int:
    """Return the position, among test trials, of the one whose spike count is the median."""
    counts = view.data.spikes[shown_split(view).test].sum(axis=(1, 2))
    return int(np.argsort(counts, kind="stable")[(len(counts) - 1) // 2])


def _raster(ax: Axes, view: View, which: int) -> None:
    trials, held_out = view.data, shown_split(view).held_out
    order = np.lexsort((trials.rate_hz, held_out))
    counts = trials.spikes[shown_split(view).test[which]][:, order].T
    ax.imshow(
        counts,
        cmap="Greys",
        vmin=0,
        vmax=max(1, int(np.quantile(counts, 0.995))),
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        extent=(*trials.span_s, 0, trials.n_neurons),
    )
    draw_time(ax, view)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if held_out.any():
        ax.axhline(int((~held_out).sum()), color=COLORS[SELECTED], linewidth=1.2)
    above = " (held out: above the line)" if held_out.any() else ""
    ax.set(xlabel=time_label(view), ylabel=f"neuron{above}")


def _rates(ax: Axes, view: View, which: int, i: int) -> None:
    split, trials = shown_split(view), view.data
    trial, neuron = split.test[which], int(shown_neurons(view)[i])
    lines = {role: shown_rates(view, arm)[which, :, i] for role, arm in roles(view).items()}
    if trials.rates is not None:
        lines[TRUTH] = trials.rates[trial, :, neuron]
    draw_lines(ax, view, {role: rate / trials.bin_s for role, rate in lines.items()})
    top = 1.08 * max(float(np.nanmax(rate)) for rate in lines.values()) / trials.bin_s
    counts = trials.spikes[trial, :, neuron]
    at = np.flatnonzero(counts)
    tall = 0.08 * top * np.minimum(counts[at], 3)
    ticks = trials.times[at]
    ax.vlines(ticks, -0.28 * top, -0.28 * top + tall, color=COLORS[TRUTH], linewidth=1.0)
    ax.set_ylim(-0.32 * top, top)
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top])
    held = " (held out)" if split.held_out[neuron] else ""
    ax.set_title(f"neuron {trials.unit_id[neuron]}{held}", fontsize=8.5, pad=2)
