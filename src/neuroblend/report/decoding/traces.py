"""Decoded behavior against true behavior in single test trials.

Shape legend: ``B`` test trials, ``T`` bins, ``D`` behavior channels.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from neuroblend.data.channel import Channel
from neuroblend.report.decoding.shown import (
    draw_lines,
    legend,
    on_lines,
    roles,
    scored,
    shown_split,
    time_label,
)
from neuroblend.report.style import TRUTH, Picture, new_figure, shortened
from neuroblend.report.view import View

MOST_TRIALS, MOST_CHANNELS = 4, 8


def traces(view: View) -> Picture | None:
    """Plot decoded and true behavior, a row a channel and a column a trial.

    Returns:
        ``None`` where all channels have one value a trial.
    """
    trials, split = view.data, shown_split(view)
    which = _trials(view)
    of_bins = [d for d, c in enumerate(trials.channels) if not c.per_trial]
    channels = [(d, trials.channels[d]) for d in of_bins[:MOST_CHANNELS]]
    if not channels:
        return None
    figure = new_figure(0.75 + 1.5 * len(channels))
    legend(figure, view, "true behavior")
    axes = figure.subplots(len(channels), len(which), sharex=True, sharey="row", squeeze=False)
    for row, (d, channel) in enumerate(channels):
        for column, b in enumerate(which):
            _panel(axes[row, column], view, b, d)
        unit = f"\n({channel.unit})" if channel.unit else ""
        if channel.kind == "events":
            unit = "\n(events/bin)"
        if channel.kind == "discrete":
            names = [shortened(name, 10) for name in channel.categories]
            axes[row, 0].set_yticks(range(len(names)), names)
            axes[row, 0].set_ylim(-0.3, len(names) - 0.7)
        axes[row, 0].set_ylabel(_two_lines(channel.name) + unit, fontsize=8.5)
    for column, b in enumerate(which):
        trial = split.test[b]
        condition = "" if trials.condition is None else f", condition {trials.condition[trial]}"
        axes[0, column].set_title(shortened(f"trial {trials.trial_id[trial]}{condition}", 36))
    figure.supxlabel(time_label(view), x=0.07, ha="left", fontsize=9.5)
    figure.align_ylabels(axes[:, 0])
    left_out = len(of_bins) - len(channels)
    more = f" {left_out} further channels are in the table above alone." if left_out > 0 else ""
    over_conditions = "" if trials.condition is None else " over the conditions"
    has_gaps = np.isnan(trials.behavior[split.test[which]]).any()
    gaps = " Gaps in the thin line: samples that are missing." if has_gaps else ""
    return Picture(
        "Decoded behavior",
        f"Test trials of seed {split.seed} at even steps{over_conditions}, not chosen by "
        f"score; each channel in the units of the recording. {_of_decoder(trials.channels)} "
        "Look for the selected student following the "
        "thin line of the truth where the baseline does not; the teacher was given this behavior, "
        f"so that it follows proves only that the decoder works.{gaps}{on_lines(view)}{more}",
        figure,
    )


def _trials(view: View) -> list[int]:
    """Return positions of up to four test trials, even over conditions, most behavior known."""
    trials, test = view.data, shown_split(view).test
    assert trials.behavior is not None
    known = np.isfinite(trials.behavior[test]).mean(axis=(1, 2))
    candidates = np.flatnonzero(known >= np.quantile(known, 0.5))
    if trials.condition is not None:
        labels = trials.condition[test]
        candidates = candidates[np.argsort(labels[candidates], kind="stable")]
    steps = (np.arange(MOST_TRIALS) + 0.5) * len(candidates) / MOST_TRIALS
    return [int(candidates[i]) for i in np.unique(steps.astype(int))]


def _panel(ax: Axes, view: View, b: int, channel: int) -> None:
    trials, split = view.data, shown_split(view)
    assert trials.behavior is not None
    lines: dict[str, NDArray[np.floating]] = {
        role: scored(view, arm, split).decoded[b, :, channel] for role, arm in roles(view).items()
    }
    lines[TRUTH] = trials.behavior[split.test[b], :, channel]
    what = trials.channels[channel]
    if what.kind == "circular":  # a line across a full turn would not be there
        lines = {role: _wrapped(values, what.period) for role, values in lines.items()}
    draw_lines(ax, view, lines, in_steps=what.kind in ("discrete", "events"))


def _wrapped(values: NDArray[np.floating], period: float) -> NDArray[np.floating]:
    """Return (T,) angles, NaN where they go past the end of a turn."""
    jumps = np.abs(np.diff(values, prepend=values[:1])) > period / 2
    return np.where(jumps, np.nan, values)


def _of_decoder(channels: Sequence[Channel]) -> str:
    """Return what behavior is decoded by."""
    kinds = {channel.kind for channel in channels if not channel.per_trial}
    if kinds == {"continuous"}:
        return "The decoder is a ridge regression from a model's rates, log rates or features."
    of_kind = {
        "continuous": "numbers by ridge regression",
        "circular": "angles by ridge regression of cosine and sine",
        "discrete": "categories by logistic regression",
        "events": "expected counts of events by Poisson regression",
    }
    how = "; ".join(words for kind, words in of_kind.items() if kind in kinds)
    return f"Decoded from a model's rates, log rates or features: {how}."


def _two_lines(name: str) -> str:
    """Break a long name once, so that it fits beside a panel."""
    if len(name) <= 15:
        return name
    space = name.find(" ", 6, 16)
    at = space if space > 0 else 15
    return name[:at] + "\n" + shortened(name[at:].strip(), 15)
