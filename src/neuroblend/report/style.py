"""How figures look: one colour and one line a role, and SVG that is the same at every call."""

import base64
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from neuroblend.engine.arm import BASELINE, TEACHER

WIDTH_IN = 10.8
TRUTH, SELECTED, OTHER = "truth", "selected", "other"

# Okabe & Ito 2008, which stay apart for colour-blind readers; lines differ too
COLORS = {
    TRUTH: "#1a1a1a",
    BASELINE: "#d55e00",
    SELECTED: "#0072b2",
    TEACHER: "#009e73",
    OTHER: "#666666",
}
LINES: dict[str, dict[str, Any]] = {
    TRUTH: {"color": COLORS[TRUTH], "linewidth": 1.1},
    BASELINE: {"color": COLORS[BASELINE], "linewidth": 1.3},
    SELECTED: {"color": COLORS[SELECTED], "linewidth": 1.9},
    TEACHER: {"color": COLORS[TEACHER], "linewidth": 1.3, "linestyle": (0, (4, 1.5))},
}
# the thin line over the wide one, so that both are seen where they agree
DRAW_ORDER = {TRUTH: 2.0, TEACHER: 2.1, SELECTED: 2.2, BASELINE: 2.3}

_SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": "#555555",
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "neuroblend",
    "text.parse_math": False,  # names of channels and conditions are the user's own
    "text.usetex": False,
    "xtick.color": "#333333",
    "xtick.labelsize": 8.5,
    "ytick.color": "#333333",
    "ytick.labelsize": 8.5,
}


@contextmanager
def style() -> Iterator[None]:
    """Set how figures look, and put matplotlib's settings back afterwards."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """Return an empty figure that keeps its labels apart."""
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05)
    return Figure(figsize=(width_in, height_in), layout=layout)


def as_uri(figure: Figure) -> str:
    """Return a figure as the ``data:`` URI of an SVG without date or other metadata."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(text, format="svg", dpi=200, metadata=nothing)
    svg = re.sub(r"\A.*?(?=<svg)", "", text.getvalue(), flags=re.DOTALL)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure of the page.

    Attributes:
        title: Its heading.
        caption: What it shows and what to look for.
        figure: As it was drawn.
    """

    title: str
    caption: str
    figure: Figure

    @cached_property
    def uri(self) -> str:
        """The SVG as a ``data:`` URI, so that nothing in it can reach out or run."""
        with style():
            return as_uri(self.figure)


def legend_above(figure: Figure, lines: Sequence[Line2D], columns: int | None = None) -> None:
    """Put a legend above all panels, an entry for each line by its label."""
    n_columns = min(len(lines), columns or len(lines))
    figure.legend(handles=lines, loc="outside upper left", ncols=n_columns)


def signed(text: str) -> str:
    """Return numbers with a true minus sign."""
    return re.sub(r"(?<![\w)])-(?=[\d.])", "−", text)


def shortened(name: str, most: int = 28) -> str:
    """Return a name that fits beside an axis."""
    return name if len(name) <= most else name[: most - 1] + "…"
