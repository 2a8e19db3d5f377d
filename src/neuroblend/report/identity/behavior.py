"""Which behavior the gain comes from: what networks know of it, and what is lost without it."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from neuroblend.engine.arm import BASELINE
from neuroblend.report.identity.shown import lost_without, state_r2
from neuroblend.report.style import (
    COLORS,
    Picture,
    legend_above,
    new_figure,
    shortened,
    signed,
)
from neuroblend.report.view import View

LEAST_GAIN = 0.01  # of R², to be spoken of
LEAST = -0.1  # R² below this is drawn at the edge, with its number
LOWEST = -100.0  # R² that is written out
MOST_CHANNELS = 20


def behavior_ablation(view: View) -> Picture | None:
    """Plot how well each channel is known, and what is lost without; ``None`` without channels."""
    known = view.results["state_r2"]
    channels = list(dict.fromkeys(name for arm in view.compared for name in known.get(arm, {})))
    if not channels:
        return None
    n_all = len(channels)
    read, unread = (known.get(arm, {}) for arm in (view.selected, BASELINE))
    gain = {c: max(read.get(c, 0.0), 0.0) - max(unread.get(c, 0.0), 0.0) for c in channels}
    kept = sorted(channels, key=lambda c: -abs(gain[c]))[:MOST_CHANNELS]
    channels = [c for c in channels if c in kept]
    arms = list(view.compared)
    figure = new_figure(1.2 + 0.17 * len(arms) * max(len(channels) + 1, 2))
    ax, lost = figure.subplots(1, 2, sharey=True)
    rows = [*channels, None] if n_all > 1 else channels  # the last: all of them
    height = 0.8 / len(arms)
    for i, arm in enumerate(arms):
        color = COLORS[view.role(arm)]
        for row, channel in enumerate(rows):
            y = row + (i - (len(arms) - 1) / 2) * height
            each = lost_without(view, arm, channel)
            _bar(lost, y, height, color, float(np.mean(each)), each)
            if channel is None or channel not in known.get(arm, {}):
                continue
            mean = known[arm][channel]
            _bar(ax, y, height, color, mean, state_r2(view, arm, channel), edge=LEAST)
            if mean < LEAST:
                text = signed(f"◀ {mean:.2f}" if mean > LOWEST else f"◀ below {LOWEST:g}")
                ax.text(0.005, y, text, color=color, ha="left", va="center", fontsize=8)
    for panel in (ax, lost):
        panel.axvline(0, color="#555555", linewidth=0.9)
        panel.tick_params(axis="y", length=0)
    names = ["all of them" if channel is None else shortened(channel) for channel in rows]
    ax.set_yticks(range(len(rows)), names)
    lowest = min(known[arm][c] for arm in arms for c in channels if c in known.get(arm, {}))
    ax.set(xlim=(LEAST if lowest < 0 else 0.0, 1.0), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xlabel("R² of behavior, read from the population's state")
    lost.set_xlabel(f"macro-F1 of {view.data.kinds[0]} that is lost without it")
    colors = {label: COLORS[view.role(arm)] for arm, label in view.compared.items()}
    thick = [Line2D([], [], color=color, linewidth=6, label=n) for n, color in colors.items()]
    legend_above(figure, thick)
    clipped = ""
    if lowest < LEAST:
        clipped = (
            f" Below {signed(f'{LEAST:g}')} bars end at the edge, with an arrow and their number: "
            "worse than to guess the mean."
        )
    left_out = ""
    if n_all > MOST_CHANNELS:
        left_out = f" Of {n_all} channels, the {MOST_CHANNELS} that differ most."
    most = max(channels, key=gain.__getitem__)
    where = f"here most of all {most}, {signed(f'{gain[most]:+.3f}')}"
    if gain[most] < LEAST_GAIN:
        where = f"here there is none that gains {LEAST_GAIN:g}"
    return Picture(
        "Which behavior a gain comes from",
        "Left: how well a ridge regression, fitted on training frames, reads each channel on "
        "validation frames from the features of the population's state, the part of the network "
        "that is common to all cells. Channels whose bar is longer in the student than in the "
        f"baseline ({where}) are what its embeddings can refer to and the baseline's cannot. "
        "Right, an ablation: how much worse a linear classifier does on tested cells once each "
        "cell's tuning to that channel, the correlation of its activity with it, is regressed out "
        "of the embeddings."
        f"{_of_gain(view)} Bars are means over trainings, dots single ones. Channels that go "
        "together hold much of the same, so that losses do not add up, and what goes with a "
        "channel without being it is lost too. The teacher is shown "
        f"behavior, so its bars are a reference.{clipped}{left_out}",
        figure,
    )


def _of_gain(view: View) -> str:
    """Return a sentence on what is left of the student's gain without each channel."""
    student, baseline = (view.results["ablation"][arm] for arm in (view.selected, BASELINE))
    gain = student["full"] - baseline["full"]
    if gain < LEAST_GAIN:
        return (
            " By such a classifier the student does not gain, so that there is nothing to divide."
        )
    each = {
        name: student["without"][name] - baseline["without"][name] for name in student["without"]
    }
    least = min(each, key=each.__getitem__)
    said = f" Of the student's gain of {gain:+.3f} by such a classifier, {each[least]:+.3f} is left"
    said += f" without {least}"
    if len(each) > 1:
        without_all = student["without_all"] - baseline["without_all"]
        said += f", the least of all channels, and {without_all:+.3f} without all of them"
    return signed(said + ".")


def _bar(
    ax: Axes,
    y: float,
    height: float,
    color: str,
    mean: float,
    each: list[float],
    edge: float = -np.inf,
) -> None:
    """Draw a mean and, where there are several, what it is of, down to an edge."""
    ax.barh(y, max(mean, edge), height=0.86 * height, color=color, alpha=0.75, zorder=1)
    if len(each) > 1 and mean >= edge:
        dots = [value for value in each if value >= edge]
        ax.plot(dots, np.full(len(dots), y), ".", color="#222222", markersize=4, zorder=2)
