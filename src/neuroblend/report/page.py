"""The self-contained page of a run: what happened, and whether to believe it."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from neuroblend.report.facts import (
    caveat_of_training,
    data_rows,
    fit_rows,
    machine_rows,
    next_steps,
    simulated_note,
    summary,
)
from neuroblend.report.figures import figures, overview
from neuroblend.report.scores import (
    channel_table,
    control_table,
    explained_arms,
    explained_metrics,
    headline_table,
    misses_mean,
)
from neuroblend.report.style import COLORS, signed
from neuroblend.report.verdict import verdict
from neuroblend.report.view import View
from neuroblend.study.folder import RunFolder
from neuroblend.training.checkpoint import write_whole

TEMPLATE = "page.html.j2"
OUTCOMES = {
    "better": ("▲", "Better than the baseline"),
    "unclear": ("?", "No clear difference"),
    "worse": ("▼", "Worse than the baseline"),
}


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
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = verdict(view.results)
    caveats = [note for note in (simulated_note(view), caveat_of_training(view)) if note]
    mark, headline = OUTCOMES[found.outcome]
    return environment.get_template(TEMPLATE).render(
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
        machine=machine_rows(view),
        fits=fit_rows(view),
        steps=next_steps(view),
        colors=COLORS,
    )
