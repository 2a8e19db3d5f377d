"""Which behavior the gain comes from: what each network's population state knows of it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from neuroblend.report.identity_view import IdentityView
from neuroblend.report.style import COLORS, Picture, as_uri, new_figure, shortened, signed
from neuroblend.study.arms import BASELINE

LEAST_GAIN = 0.01  # of R², to be spoken of
LEAST = -0.1  # R² below this is drawn at the edge, with its number
LOWEST = -100.0  # R² that is told
MOST_CHANNELS = 20


def identity_behavior(view: IdentityView) -> Picture | None:
    """Plot how well each channel is read from the population's state; ``None`` without channels."""
    known = view.results["state_r2"]
    channels = list(dict.fromkeys(name for arm in view.compared for name in known.get(arm, {})))
    if not channels:
        return None
    n_all = len(channels)
    read, unread = (known.get(arm, {}) for arm in (view.selected, BASELINE))
    gain = {c: max(read.get(c, 0.0), 0.0) - max(unread.get(c, 0.0), 0.0) for c in channels}
    if n_all > MOST_CHANNELS:
        kept = sorted(channels, key=lambda c: -abs(gain[c]))[:MOST_CHANNELS]
        channels = [c for c in channels if c in kept]
    arms = list(view.compared)
    figure = new_figure(1.0 + 0.17 * len(arms) * max(len(channels), 2))
    ax = figure.subplots()
    height = 0.8 / len(arms)
    for i, arm in enumerate(arms):
        for row, channel in enumerate(channels):
            if channel in known.get(arm, {}):
                y = row + (i - (len(arms) - 1) / 2) * height
                _bar(ax, view, arm, channel, y, height)
    ax.axvline(0, color="#555555", linewidth=0.9)
    ax.set_yticks(range(len(channels)), [shortened(channel) for channel in channels])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(channels) - 0.5, -0.5)
    lowest = min(known[arm][c] for arm in arms for c in channels if c in known.get(arm, {}))
    ax.set_xlim(LEAST if lowest < 0 else 0.0, 1.0)
    ax.set_xlabel("R² of behavior, read from the population's state on validation frames")
    figure.legend(
        [Line2D([], [], color=COLORS[view.role(arm)], linewidth=6) for arm in arms],
        list(view.compared.values()),
        loc="outside upper left",
        ncols=len(arms),
    )
    clipped = ""
    if lowest < LEAST:
        clipped = (
            f" Below {signed(f'{LEAST:g}')} bars end at the edge, with an arrow and their number: "
            "worse than to guess the mean."
        )
    left_out = f" Of {n_all} channels, the {MOST_CHANNELS} that differ most." * (
        n_all > MOST_CHANNELS
    )
    most = max(channels, key=gain.__getitem__)
    where = f"here most of all {most}, {signed(f'{gain[most]:+.3f}')}"
    if gain[most] < LEAST_GAIN:
        where = f"here there is none that gains {LEAST_GAIN:g}"
    return Picture(
        "Which behavior a gain comes from",
        "How well a ridge regression reads each channel of behavior from the features of the "
        "population's state, the part of the network that is common to all cells (mean over seeds;"
        " dots: each training). It is fitted on training frames. The teacher is shown the behavior,"
        " so its bar is a reference. Look for channels whose bar is longer in the student than in "
        f"the baseline ({where}): that is what the student's embeddings can refer to and the "
        "baseline's cannot. It shows what the student has learned of behavior, and not that "
        "classes are told by it."
        f"{clipped}{left_out}",
        as_uri(figure),
    )


def _bar(ax: Axes, view: IdentityView, arm: str, channel: str, y: float, height: float) -> None:
    mean, color = view.results["state_r2"][arm][channel], COLORS[view.role(arm)]
    each = view.state_r2(arm, channel)
    ax.barh(y, max(mean, LEAST), height=0.86 * height, color=color, alpha=0.75, zorder=1)
    if mean < LEAST:
        text = signed(f"◀ {mean:.2f}" if mean > LOWEST else f"◀ below {LOWEST:g}")
        ax.text(0.005, y, text, color=color, ha="left", va="center", fontsize=8)
    elif len(each) > 1:
        shown = np.array([value for value in each if value >= LEAST])
        ax.plot(shown, np.full(shown.size, y), ".", color="#222222", markersize=4, zorder=2)
