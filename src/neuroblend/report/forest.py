"""Each arm's difference to the baseline with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neuroblend.experiments.decoding.networks import BASELINE, TEACHER
from neuroblend.report.style import COLORS, SELECTED, Picture, as_uri, new_figure, signed
from neuroblend.report.verdict import METRICS, direction
from neuroblend.report.view import View

OVER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # hides the line behind a number
SHOWN_METRICS = ("behavior_r2", "co_bps", "fp_bps")


def forest(view: View) -> Picture:
    """Plot arm minus baseline for behavior R² and the first score of held-out spikes there is."""
    arms = [arm for arm in view.arms if arm != BASELINE]
    contrasts = {arm: view.results["contrasts"][f"{arm} - {BASELINE}"] for arm in arms}
    metrics = [m for m in SHOWN_METRICS if m in contrasts[arms[0]]][:2]
    roles = {arm: view.role(arm) for arm in arms}
    figure = new_figure(0.3 * len(arms) + 0.95)
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        draw_differences(ax, {arm: contrasts[arm][metric] for arm in arms}, roles)
        unit = " (bits/spike)" if metric.endswith("bps") else ""
        ax.set_xlabel(f"difference to baseline, {METRICS[metric].label}{unit}")
    name_rows(axes[0], roles, view.selected)
    return Picture(
        "Difference to the baseline",
        "Each dot is an arm's score minus that of the baseline, the same network trained without "
        "behavior; the bar is its 95 % interval. Filled dots: the interval excludes 0. Right of "
        "the dashed line is better than the baseline. The teacher sees behavior, so its "
        "behavior score is a reference and not a contender; where it is off the scale, its "
        "number stands at the edge. Look for the selected student (blue, bold): is its whole "
        "bar to the right in the first panel, and is it not to the left in the second?",
        as_uri(figure),
    )


def name_rows(ax: Axes, roles: dict[str, str], selected: str) -> None:
    """Write the arms at the vertical axis, from above, each in the colour of its role."""
    ax.set_yticks(range(len(roles)), [f"{a} (selected)" if a == selected else a for a in roles])
    for tick, (arm, role) in zip(ax.get_yticklabels(), roles.items(), strict=True):
        tick.set_color(COLORS[role])
        tick.set_fontweight("bold" if arm == selected else "normal")
    ax.set_ylim(len(roles) - 0.5, -0.5)


def draw_differences(
    ax: Axes, differences: dict[str, dict[str, Any]], roles: dict[str, str]
) -> None:
    """Draw differences with their intervals, a row an arm.

    Args:
        ax: Where.
        differences: By arm, ``mean`` and ``ci95``. That of the teacher does not decide the scale;
            where it is off it, its number stands at the edge.
        roles: What decides the colour of each arm.
    """
    ends = [d["ci95"] + [d["mean"]] for arm, d in differences.items() if arm != TEACHER]
    low, high = min(0.0, np.min(ends)), max(0.0, np.max(ends))
    pad = 0.08 * max(high - low, 1e-3)
    low, high = low - pad, high + pad
    for row, (arm, difference) in enumerate(differences.items()):
        color = COLORS[roles[arm]]
        mean, interval = difference["mean"], difference["ci95"]
        if not low <= mean <= high:
            edge, side = (high, "right") if mean > high else (low, "left")
            number = signed(f"{mean:+.3f}")
            arrow = f"{number} →" if side == "right" else f"← {number}"
            ax.text(edge, row, arrow, color=color, ha=side, va="center", fontsize=8.5, bbox=OVER)
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
