"""The self-contained page of a run: what happened, and whether to believe it."""

from __future__ import annotations

from pathlib import Path

from neuroblend.engine.folder import RunFolder
from neuroblend.files import write_whole
from neuroblend.report.decoding.figures import figures, overview
from neuroblend.report.facts import (
    caveat_of_training,
    data_rows,
    fit_rows,
    machine_rows,
    next_steps,
    simulated_note,
    summary,
)
from neuroblend.report.scores import (
    channel_table,
    control_table,
    explained_arms,
    explained_metrics,
    headline_table,
    misses_mean,
)
from neuroblend.report.style import COLORS, signed
from neuroblend.report.template import OUTCOMES, fill
from neuroblend.report.verdict import verdict
from neuroblend.report.view import View

TEMPLATE = "page.html.j2"


def write_report(folder: RunFolder) -> Path:
    """Build the page of a run from its folder alone; the same run gives the same page.

    Args:
        folder: A run that has ended.

    Returns:
        Where the page is: ``report.html`` in the folder. It opens offline and asks for nothing.

    Raises:
        InputError: The run has not ended, or a file of it is damaged.
    """
    html = render(View(folder))
    path = folder.path / "report.html"
    write_whole(path, lambda partial: partial.write_text(html, encoding="utf-8"))
    return path


def render(view: View) -> str:
    """Return the page as HTML. Every name of the user's is escaped."""
    found = verdict(view.results)
    costs = list(view.provenance["fits"].values())
    training = caveat_of_training(costs, view.config.training)
    caveats = [note for note in (simulated_note(view), training) if note]
    mark, headline = OUTCOMES[found.outcome]
    return fill(
        TEMPLATE,
        verb="run",
        name=view.trials.name,
        simulated=view.simulated,
        summary=summary(view),
        outcome=found.outcome,
        mark=mark,
        headline=headline,
        sentence=signed(found.sentence),
        caveats=[*caveats, *map(signed, found.caveats)],
        overview=overview(view),
        scores=headline_table(view),
        details=[table for table in (channel_table(view), control_table(view)) if table],
        misses_mean=misses_mean(view),
        metrics=explained_metrics(view),
        arms=explained_arms(view),
        selected=view.selected,
        pictures=figures(view),
        settings=(view.folder.path / "config.yaml").read_text(encoding="utf-8"),
        data=data_rows(view),
        machine=machine_rows(view.provenance),
        fits=fit_rows(view.provenance),
        steps=next_steps(view),
        colors=COLORS,
    )
