"""The self-contained page of a run: what happened, and whether to believe it."""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from neuroblend.engine.arm import BASELINE
from neuroblend.engine.folder import RunFolder
from neuroblend.files import write_whole
from neuroblend.report.face import Block, Face, face_of, metrics_of
from neuroblend.report.facts import caveat_of_training, explained_arms, fit_table, machine_rows
from neuroblend.report.scores import PlainTable, ScoreTable, misses_mean, score_table
from neuroblend.report.style import COLORS, Picture, style
from neuroblend.report.verdict import verdict
from neuroblend.report.view import View

NOTHING = "No conclusion"
OUTCOMES = {
    "better": ("▲", "Better than the baseline"),
    "unclear": ("?", "No clear difference"),
    "worse": ("▼", "Worse than the baseline"),
}


@dataclass(frozen=True)
class Section:
    """A table of scores and what goes with it.

    Attributes:
        block: Which scores.
        overview: Differences with intervals, if drawn.
        scores: All arms and their differences to the baseline.
        misses_mean: Whether an interval leaves out the score that it is of.
        details: Further tables of scores.
        tables: Further tables of text.
        pictures: Further figures.
    """

    block: Block
    overview: Picture | None
    scores: ScoreTable
    misses_mean: bool
    details: list[ScoreTable]
    tables: list[PlainTable]
    pictures: list[Picture]


def write_report(folder: RunFolder | str | Path) -> Path:
    """Build the page of a run from its folder alone; the same run gives the same page.

    Args:
        folder: A run that has ended, or its path.

    Returns:
        Where the page is: ``report.html`` in the folder. It opens offline and asks for nothing.

    Raises:
        InputError: The run has not ended, or a file of it is damaged.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    html = render(View(folder))
    path = folder.path / "report.html"
    write_whole(path, lambda partial: partial.write_text(html, encoding="utf-8"))
    return path


def render(view: View) -> str:
    """Return the page as HTML. Every name of the user's is escaped."""
    face, found = face_of(view.results["kind"]), verdict(view.results)
    simulated = face.simulated_note(view)
    mark, headline = OUTCOMES[found.outcome]
    blocks = face.blocks(view.results)
    shown = {name.rpartition("/")[2] for block in blocks for name in block.columns}
    metrics = metrics_of(view.results).items()
    with style():
        sections = [_section(view, face, block) for block in blocks]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        verb=view.results["kind"],
        name=view.results["dataset"],
        simulated=bool(simulated),
        summary=face.summary(view),
        outcome=found.outcome,
        mark=mark,
        headline=NOTHING if found.sentence.startswith(NOTHING) else headline,
        sentence=found.sentence,
        caveats=[*simulated, *found.caveats, *caveat_of_training(view)],
        unit=face.words.unit,
        sections=sections,
        metrics=[(metric.label, metric.meaning) for name, metric in metrics if name in shown],
        arms=explained_arms(view, face.meaning, face.terms, face.words.seen),
        selected=view.selected,
        settings=(view.folder.path / "config.yaml").read_text(encoding="utf-8"),
        data=face.data_rows(view),
        data_tables=face.data_tables(view),
        machine=machine_rows(view.provenance),
        fits=fit_table(view.provenance),
        steps=face.next_steps(view),
        colors=COLORS,
    )


def _section(view: View, face: Face, block: Block) -> Section:
    return Section(
        block,
        face.overview(view, block),
        score_table(view, block.heading, block.columns, view.scored_arms, BASELINE),
        misses_mean(view, block.columns),
        face.details(view, block),
        face.tables(view, block),
        face.pictures(view, block),
    )
