"""The self-contained page of an experiment on identity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuroblend.experiments.identity.cells import IdentityFolder
from neuroblend.files import write_whole
from neuroblend.report.facts import caveat_of_training, fit_rows, machine_rows
from neuroblend.report.identity.caveats import identity_verdict, is_told
from neuroblend.report.identity.facts import (
    chosen_rows,
    data_rows,
    next_steps,
    session_rows,
    summary,
)
from neuroblend.report.identity.figures import identity_figures, identity_overview
from neuroblend.report.identity.scores import (
    detail_tables,
    explained_arms,
    explained_metrics,
    score_table,
)
from neuroblend.report.identity.view import IdentityView
from neuroblend.report.scores import ScoreTable
from neuroblend.report.style import COLORS, Picture
from neuroblend.report.template import OUTCOMES, fill

TEMPLATE = "identity.html.j2"
NOTHING = "Nothing can be told"


@dataclass(frozen=True)
class Section:
    """What the page has of one kind of label.

    Attributes:
        kind: Its name.
        overview: Differences with intervals.
        scores: Arms and metrics.
        note: Classes and the rate of the largest.
        details: Further tables.
        pictures: Further figures.
    """

    kind: str
    overview: Picture
    scores: ScoreTable
    note: str
    details: list[ScoreTable]
    pictures: list[Picture]


def write_identity_report(folder: IdentityFolder) -> Path:
    """Build the page of an experiment from its folder alone; the same folder gives the same page.

    Args:
        folder: An experiment that has ended.

    Returns:
        Where the page is: ``report.html`` in the folder. It opens offline and asks for nothing.

    Raises:
        InputError: The experiment has not ended, or a file of it is damaged.
    """
    html = render(IdentityView(folder))
    path = folder.path / "report.html"
    write_whole(path, lambda partial: partial.write_text(html, encoding="utf-8"))
    return path


def render(view: IdentityView) -> str:
    """Return the page as HTML. Every name of the user's is escaped."""
    found = identity_verdict(view.results)
    costs = [cost for cost in view.provenance["fits"].values() if cost["epochs"] > 0]
    training = caveat_of_training(costs, view.config.training)
    mark, headline = OUTCOMES[found.outcome]
    return fill(
        TEMPLATE,
        verb="identity",
        name=view.name,
        summary=summary(view),
        outcome=found.outcome,
        mark=mark,
        headline=headline if is_told(view.results) else NOTHING,
        sentence=found.sentence,
        caveats=[*found.caveats, *([training] if training else [])],
        sections=[_section(view, kind) for kind in view.kinds],
        metrics=explained_metrics(),
        arms=explained_arms(view),
        selected=view.selected,
        settings=(view.folder.path / "config.yaml").read_text(encoding="utf-8"),
        kinds=view.kinds,
        chosen=chosen_rows(view),
        data=data_rows(view),
        sessions=session_rows(view),
        machine=machine_rows(view.provenance),
        fits=fit_rows(view.provenance),
        steps=next_steps(view),
        colors=COLORS,
    )


def _section(view: IdentityView, kind: str) -> Section:
    found = view.results["labels"][kind]
    classes = ", ".join(f"{name} {n}" for name, n in found["classes"].items())
    note = (
        f"Cells by {kind}: {classes}. The largest class is {found['majority_rate']:.3f} of them: "
        "the top-1 of calling every cell that."
    )
    return Section(
        kind,
        identity_overview(view, kind),
        score_table(view, kind),
        note,
        detail_tables(view, kind),
        identity_figures(view, kind),
    )
