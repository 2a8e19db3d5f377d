"""The figures of the page of an experiment on identity, in the order in which they are read."""

from __future__ import annotations

from neuroblend.report.identity.behavior import identity_behavior
from neuroblend.report.identity.confusion import identity_confusion
from neuroblend.report.identity.gains import identity_forest, identity_recall
from neuroblend.report.identity.map import identity_map
from neuroblend.report.identity.view import IdentityView
from neuroblend.report.style import Picture, style


def identity_overview(view: IdentityView, kind: str) -> Picture:
    """Return the figure that stands with a table of scores: differences with intervals."""
    with style():
        return identity_forest(view, kind)


def identity_figures(view: IdentityView, kind: str) -> list[Picture]:
    """Return the other figures; behavior, which is common to all kinds of label, for the first."""
    with style():
        behavior = identity_behavior(view) if kind == view.kinds[0] else None
        drawn = [
            identity_recall(view, kind),
            behavior,
            identity_confusion(view, kind),
            identity_map(view, kind),
        ]
    return [picture for picture in drawn if picture is not None]
