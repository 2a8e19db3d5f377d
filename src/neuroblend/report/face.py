"""What an experiment's page has beside the parts that all pages share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from neuroblend.engine.arm import BASELINE
from neuroblend.engine.folder import experiment_class
from neuroblend.engine.metric import Metric
from neuroblend.registry import load
from neuroblend.report.caveat import Caveat
from neuroblend.report.facts import Step, data_rows, next_steps, summary
from neuroblend.report.scores import PlainTable, ScoreTable
from neuroblend.report.style import Picture
from neuroblend.report.view import View

Results = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """A table of scores, on the screen and on the page.

    Attributes:
        heading: What it is of.
        columns: What each score is called, by its name in ``results.json``.
        note: What to know of it.
        key: Which table, for an experiment that has several.
    """

    heading: str
    columns: dict[str, str]
    note: str = ""
    key: str = ""


@dataclass(frozen=True)
class Words:
    """How an experiment is spoken of.

    Attributes:
        seen: What students see.
        unit: What is tested and resampled.
        chosen_by: What an arm was selected by.
        does: What a student does well or badly, from results.
    """

    seen: str = "spikes"
    unit: str = "test trials"
    chosen_by: str = "validation scores"
    does: Callable[[Results], str] = lambda results: "scores"


def plain_blocks(results: Results) -> list[Block]:
    """Return one table with every headline score that the baseline has."""
    return [Block("Scores", headlines(results))]


def headlines(results: Results, prefix: str = "") -> dict[str, str]:
    """Return the labels of the headline scores that a run has, by name."""
    known = results["arms"][BASELINE]
    found = metrics_of(results).items()
    return {prefix + n: m.label for n, m in found if m.headline and prefix + n in known}


def metrics_of(results: Results) -> dict[str, Metric]:
    """Return the metrics of the experiment that results are of."""
    return dict(experiment_class(results["kind"]).metrics)


@dataclass(frozen=True)
class Face:
    """What an experiment adds to the verdict, the table and the page.

    Attributes:
        words: How it is spoken of.
        clause: Further words of the verdict's sentence, from results.
        caveats: Further caveats, from results.
        blocks: Its tables of scores.
        meaning: What an arm is, in a sentence without a full stop; ``None`` for the usual words.
        terms: What a student does by each strategy.
        simulated_note: What to keep in mind of data that are known to be simulated; else nothing.
        summary: One paragraph on what was run.
        overview: The figure beside a table of scores.
        details: Further tables of scores, folded.
        tables: Further tables of text, folded.
        pictures: The other figures of a block.
        data_rows: Where the data come from, in pairs.
        data_tables: Further tables on the data, folded.
        next_steps: How to go on.
    """

    words: Words = Words()
    clause: Callable[[Results], str] = lambda results: ""
    caveats: Callable[[Results], list[Caveat]] = lambda results: []
    blocks: Callable[[Results], list[Block]] = plain_blocks
    meaning: Callable[[str], str | None] = lambda arm: None
    terms: dict[str, str] = field(default_factory=dict)
    simulated_note: Callable[[View], list[Caveat]] = lambda view: []
    summary: Callable[[View], str] = summary
    overview: Callable[[View, Block], Picture | None] = lambda view, block: None
    details: Callable[[View, Block], list[ScoreTable]] = lambda view, block: []
    tables: Callable[[View, Block], list[PlainTable]] = lambda view, block: []
    pictures: Callable[[View, Block], list[Picture]] = lambda view, block: []
    data_rows: Callable[[View], list[tuple[str, str]]] = data_rows
    data_tables: Callable[[View], list[PlainTable]] = lambda view: []
    next_steps: Callable[[View], list[Step]] = next_steps


def face_of(kind: str) -> Face:
    """Return what a kind of experiment adds; for one without a page of its own, nothing."""
    page = experiment_class(kind).page
    face: Face = load(page)() if page else Face()
    return face
