"""Which behavior the gain comes from: what networks know of it, and how well it tells cells."""

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
    """Plot how well each channel is known, and tells cells; ``None`` without channels."""
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
    ax, told = figure.subplots(1, 2, sharey=True)
    height = 0.8 / len(arms)
    for i, arm in enumerate(arms):
        for row, channel in enumerate(channels):
            if channel in known.get(arm, {}):
                y = row + (i - (len(arms) - 1) / 2) * height
                _bar(ax, view, arm, channel, y, height)
                _told(told, view, arm, channel, y, height)
    ax.axvline(0, color="#555555", linewidth=0.9)
    ax.set_yticks(range(len(channels)), [shortened(channel) for channel in channels])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(channels) - 0.5, -0.5)
    lowest = min(known[arm][c] for arm in arms for c in channels if c in known.get(arm, {}))
    ax.set_xlim(LEAST if lowest < 0 else 0.0, 1.0)
    ax.set_xlabel("R² of behavior, read from the population's state")
    told.tick_params(axis="y", length=0)
    told.set_xlim(left=0)
    told.set_xlabel(f"macro-F1 of {view.kinds[0]}, told by this channel alone")
    luck = Line2D([], [], color="#222222", marker="|", markersize=9, linestyle="none")
    figure.legend(
        [*(Line2D([], [], color=COLORS[view.role(arm)], linewidth=6) for arm in arms), luck],
        [*view.compared.values(), "by chance"],
        loc="outside upper left",
        ncols=len(arms) + 1,
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
    tells = view.results["told_by"]
    by_student, by_baseline = (tells[arm] for arm in (view.selected, BASELINE))
    more = {c: by_student[c]["macro_f1"] - by_baseline[c]["macro_f1"] for c in channels}
    first = max(channels, key=more.__getitem__)
    told_most = f"here most of all {first}, {signed(f'{more[first]:+.3f}')}"
    if more[first] < LEAST_GAIN:
        told_most = f"here there is none that gains {LEAST_GAIN:g}"
    return Picture(
        "Which behavior a gain comes from",
        "Left: how well a ridge regression, fitted on training frames, reads each channel on "
        "validation frames from the features of the population's state, the part of the network "
        "that is common to all cells. Channels whose bar is longer in the student than in the "
        f"baseline ({where}) are what its embeddings can refer to and the baseline's cannot. "
        "Right: how well tested cells are told by one number each, the correlation of the activity "
        "that a network predicts for the cell with that channel. Channels whose bar is longer in "
        f"the student than in the baseline ({told_most}), and than its tick, are what cells are "
        "told by. Bars are means over seeds, dots single trainings. Channels that go together "
        "tell the same cells, so that their gains do not add up. The teacher is shown behavior, so "
        f"its bars are a reference.{clipped}{left_out}",
        as_uri(figure),
    )


def _told(ax: Axes, view: IdentityView, arm: str, channel: str, y: float, height: float) -> None:
    found, color = view.results["told_by"][arm][channel], COLORS[view.role(arm)]
    each = view.told_by(arm, channel)
    ax.barh(y, found["macro_f1"], height=0.86 * height, color=color, alpha=0.75, zorder=1)
    ax.plot(found["chance"], y, "|", color="#222222", markersize=9, zorder=2)
    if len(each) > 1:
        ax.plot(each, np.full(len(each), y), ".", color="#222222", markersize=4, zorder=2)


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
