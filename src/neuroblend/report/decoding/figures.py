"""The figures of the page, in the order in which they are read."""

from __future__ import annotations

from neuroblend.report.curves import curves
from neuroblend.report.decoding.neurons import neurons
from neuroblend.report.decoding.psth import psth
from neuroblend.report.decoding.raster import raster
from neuroblend.report.decoding.traces import traces
from neuroblend.report.forest import forest
from neuroblend.report.style import Picture, style
from neuroblend.report.view import View


def overview(view: View) -> Picture:
    """Return the figure that stands with the table: differences with intervals."""
    with style():
        return forest(view)


def figures(view: View) -> list[Picture]:
    """Return the other figures; those that a run has nothing for are left out."""
    with style():
        drawn = [draw(view) for draw in (raster, traces, psth, neurons, curves)]
    return [picture for picture in drawn if picture is not None]
