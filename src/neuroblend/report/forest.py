"""Each arm's difference to the baseline with its interval."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neuroblend.engine.arm import BASELINE, TEACHER
from neuroblend.report.scores import direction
from neuroblend.report.style import COLORS, SELECTED, Picture, new_figure, signed
from neuroblend.report.view import View

OVER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # hides the line behind a number


def forest(view: View, title: str, scores: dict[str, str], what: str) -> Picture:
    """Plot each arm minus the baseline, a panel for each of two or three scores.

    ``scores`` is what these are called, by name, and ``what`` else to look for ends the caption.
    """
    roles = {arm: view.role(arm) for arm in view.arms if arm != BASELINE}
    figure = new_figure(0.3 * len(roles) + 0.95)
    axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for ax, (name, label) in zip(axes, scores.items(), strict=True):
        every = {arm: view.results["contrasts"][f"{arm} - {BASELINE}"] for arm in roles}
        contrasts = {arm: found[name] for arm, found in every.items() if name in found}
        _draw(ax, contrasts, roles)
        unit = " (bits/spike)" if name.endswith("bps") else ""
        ax.set_xlabel(f"difference to baseline, {label}{unit}")
    _name_rows(axes[0], roles, view.selected)
    seen = [arm for arm in view.results["sees_behavior"] if arm in roles]
    return Picture(
        title,
        "Each dot is an arm's score minus that of the baseline, the same network trained without "
        "behavior; the bar is its 95 % interval. Filled dots: the interval excludes 0. Right of "
        f"the dashed line is better than the baseline. Given behavior when tested too, and so "
        f"references and not contenders: {', '.join(seen)}; where one is off the scale, its number "
        f"is at the edge. Look for the selected student (blue, bold): {what}",
        figure,
    )


def _name_rows(ax: Axes, roles: dict[str, str], selected: str) -> None:
    """Write the arms at the vertical axis, from above, each in the colour of its role."""
    ax.set_yticks(range(len(roles)), [f"{a} (selected)" if a == selected else a for a in roles])
    for tick, (arm, role) in zip(ax.get_yticklabels(), roles.items(), strict=True):
        tick.set_color(COLORS[role])
        tick.set_fontweight("bold" if arm == selected else "normal")
    ax.set_ylim(len(roles) - 0.5, -0.5)


def _draw(ax: Axes, differences: dict[str, dict[str, Any]], roles: dict[str, str]) -> None:
    """Draw the ``mean`` and ``ci95`` of each arm's difference, a row an arm.

    That of the teacher does not decide the scale; where it is off it, its number is at the edge.
    """
    ends = [d["ci95"] + [d["mean"]] for arm, d in differences.items() if arm != TEACHER]
    low, high = min(0.0, np.min(ends)), max(0.0, np.max(ends))
    pad = 0.08 * max(high - low, 1e-3)
    low, high = low - pad, high + pad
    for row, arm in enumerate(roles):
        if arm not in differences:  # it has no such score
            continue
        difference = differences[arm]
        color = COLORS[roles[arm]]
        mean, interval = difference["mean"], difference["ci95"]
        if not low <= mean <= high:
            number = signed(f"{mean:+.3f}")
            right = (high, f"{number} →", "right")
            edge, text, side = right if mean > high else (low, f"← {number}", "left")
            ax.text(edge, row, text, color=color, ha=side, va="center", fontsize=8.5, bbox=OVER)
            continue
        is_clear = direction(interval) != "unclear"
        wide = 2.4 if roles[arm] == SELECTED else 1.6
        ax.plot(interval, [row, row], color=color, linewidth=wide, solid_capstyle="butt")
        face = color if is_clear else "white"
        ax.plot(mean, row, "o", color=color, markerfacecolor=face, markersize=6.5, zorder=3)
    ax.axvline(0, color="#555555", linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
    ax.grid(axis="y", color="#eeeeee", zorder=-1)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(low, high)
