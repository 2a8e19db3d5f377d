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
from neuroblend.report.style import DRAW_ORDER, LINES, SELECTED, TRUTH, legend_above
from neuroblend.report.view import View


def roles(view: View) -> dict[str, str]:
    """Return the arms that single-trial figures show: role to name."""
    return {TEACHER: TEACHER, BASELINE: BASELINE, SELECTED: view.selected}


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
    """Put a legend of the arms above all panels; ``truth`` is what the dark line shows, if any."""
    names = {} if truth is None else {TRUTH: truth}
    names |= {role: view.compared[roles(view)[role]] for role in (BASELINE, SELECTED, TEACHER)}
    legend_above(figure, [Line2D([], [], label=n, **LINES[role]) for role, n in names.items()])


def bin_times(view: View) -> NDArray[np.float64]:
    """Return (T,) seconds from the start of a trial to the middle of each bin."""
    return (np.arange(view.data.n_bins) + 0.5) * view.data.bin_s


def draw_lines(ax: Axes, view: View, lines: dict[str, NDArray[np.floating]]) -> None:
    """Draw (T,) values of each role over the time of a trial."""
    for role, values in lines.items():
        ax.plot(bin_times(view), values, zorder=DRAW_ORDER[role], **LINES[role])
    shade_forward(ax, view)
    ax.set_xlim(0, view.data.n_bins * view.data.bin_s)


def shade_forward(ax: Axes, view: View) -> None:
    """Shade the last bins of a trial, which no model sees."""
    n_bins, bin_s = view.data.n_bins, view.data.bin_s
    if n_forward := view.config.data.forward_bins:
        start = (n_bins - n_forward) * bin_s
        ax.axvspan(start, n_bins * bin_s, color="#000000", alpha=0.06, linewidth=0)


def on_shading(view: View) -> str:
    """Return a sentence on the shaded bins, where there are any."""
    shaded = " Shaded: the last bins, which no model saw."
    return shaded if view.config.data.forward_bins else ""
