"""What figures of decoding show: arms, trials of one split, their rates, lines over time.

Shape legend: ``T`` bins.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from neuroblend.data.split import Split
from neuroblend.engine.arm import BASELINE, TEACHER
from neuroblend.evaluation.scored import Scored
from neuroblend.report.style import (
    DRAW_ORDER,
    LINES,
    SELECTED,
    TRUTH,
    legend_above,
    shortened,
)
from neuroblend.report.view import View


def roles(view: View) -> dict[str, str]:
    """Return the arms that single-trial figures show, each once: role to name."""
    shown = {BASELINE: BASELINE, SELECTED: view.selected, TEACHER: TEACHER}
    return {role: arm for role, arm in shown.items() if role == view.role(arm)}


def shown_split(view: View) -> Split:
    """Return the split whose test trials single-trial figures show."""
    return view.splits[0]


def shown_neurons(view: View) -> NDArray[np.int64]:
    """Return the neurons whose rates the selected arm's fit kept for figures."""
    found = scored(view, view.selected, shown_split(view)).shown
    assert found is not None
    return found


def shown_rates(view: View, arm: str) -> NDArray[np.float32]:
    """Return (B, T, n) counts/bin of :func:`shown_neurons` by one arm."""
    found = scored(view, arm, shown_split(view)).rates
    assert found is not None
    return found


def scored(view: View, arm: str, split: Split) -> Scored:
    """Return test scores, rates and decoded behavior of one fit."""
    return view.stored(arm, split, "test.h5", Scored.load)


def legend(figure: Figure, view: View, truth: str | None) -> None:
    """Put a legend of the arms above all panels; ``truth`` is what the thin line shows, if any."""
    names = {} if truth is None else {TRUTH: truth}
    names |= {role: view.compared[arm] for role, arm in roles(view).items()}
    legend_above(figure, [Line2D([], [], label=n, **LINES[role]) for role, n in names.items()])


def time_label(view: View) -> str:
    """Return what the axis of time is called: from the event that trials are aligned to, if any."""
    event = view.data.event
    return f"time from {shortened(event)} (s)" if event else "time in trial (s)"


def draw_lines(
    ax: Axes, view: View, lines: dict[str, NDArray[np.floating]], in_steps: bool = False
) -> None:
    """Draw (T,) values of each role over the time of a trial, in steps where values jump."""
    how = "steps-mid" if in_steps else "default"
    for role, values in lines.items():
        ax.plot(view.data.times, values, drawstyle=how, zorder=DRAW_ORDER[role], **LINES[role])
    draw_time(ax, view)


def draw_time(ax: Axes, view: View) -> None:
    """Set the axis of time, mark the event, and shade the last bins, which no model sees."""
    start, end = view.data.span_s
    if n_forward := view.config.data.forward_bins:
        begin = end - n_forward * view.data.bin_s
        ax.axvspan(begin, end, color="#000000", alpha=0.06, linewidth=0)
    if view.data.event and start < 0 < end:
        ax.axvline(0, color="#999999", linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=1)
    ax.set_xlim(start, end)
    ax.tick_params(labelbottom=True)  # of panels that share it too


def on_lines(view: View) -> str:
    """Return sentences on the dotted line and on the shaded bins, where there are any."""
    start, end = view.data.span_s
    dotted = f" Dotted: {view.data.event}." if view.data.event and start < 0 < end else ""
    shaded = " Shaded: the last bins, which no model saw." if view.config.data.forward_bins else ""
    return dotted + shaded
