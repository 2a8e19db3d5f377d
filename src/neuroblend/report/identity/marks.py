"""The same colour and marker for a class, or an animal, wherever it is drawn.

Colours are those of Tol 2021, "muted" and "bright", which stay apart for colour-blind readers and
from the colours of arms; markers differ too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

MUTED = (
    "#332288", "#cc6677", "#117733", "#ddcc77", "#88ccee",
    "#aa4499", "#999933", "#44aa99", "#882255",
)  # fmt: skip
BRIGHT = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#888888")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
EDGE = "#444444"
GAP_PT = 8.0  # from an axis to the mark of a row


@dataclass(frozen=True)
class Mark:
    """How a class or an animal is drawn.

    Attributes:
        color: Of its face.
        marker: Its shape.
    """

    color: str
    marker: str

    def line(self, label: str | None = None) -> Line2D:
        """Return an entry of a legend."""
        return Line2D(
            [], [], linestyle="none", marker=self.marker, markersize=7, label=label,
            markerfacecolor=self.color, markeredgecolor=EDGE, markeredgewidth=0.5,
        )  # fmt: skip


def marks(names: Iterable[str], colors: tuple[str, ...] = MUTED) -> dict[str, Mark]:
    """Return how each name is drawn, in the order given."""
    pairs = zip(cycle(colors), cycle(MARKERS), strict=False)
    return {name: Mark(*pair) for name, pair in zip(names, pairs, strict=False)}


def mark_rows(ax: Axes, drawn: Iterable[Mark]) -> None:
    """Put the mark of each row, the first at 0, between a vertical axis and its labels."""
    beside = ScaledTranslation(-GAP_PT / 72, 0, ax.figure.dpi_scale_trans)
    for row, mark in enumerate(drawn):
        line = mark.line()
        line.set_data([0], [row])
        line.set(clip_on=False, transform=ax.get_yaxis_transform() + beside)
        ax.add_artist(line)
    ax.tick_params(axis="y", length=0, pad=2 * GAP_PT)
