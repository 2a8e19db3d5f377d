"""What the page of identity has of its own."""

from typing import Any

from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER
from neuroblend.engine.results import CHANCE
from neuroblend.experiments.identity.references import CELL_REFERENCES
from neuroblend.report.face import Block, Face, Words, headlines
from neuroblend.report.forest import forest
from neuroblend.report.identity import facts
from neuroblend.report.identity.behavior import behavior_ablation
from neuroblend.report.identity.caveats import caveats
from neuroblend.report.identity.confusion import confusion_matrices
from neuroblend.report.identity.gains import recall_by_class
from neuroblend.report.identity.map import embedding_map
from neuroblend.report.identity.shown import classes
from neuroblend.report.scores import ScoreTable, control_table, score_table
from neuroblend.report.style import Picture
from neuroblend.report.view import View

ARMS = {
    BASELINE: "the network trained on activity alone; what every student is compared with",
    MULTITASK: "the control: the baseline plus a read-out of the population's state that is "
    "trained to give behavior; no teacher",
    TEACHER: "the network that has behavior as a part of the population's state, in training and "
    "when new cells are met; a reference",
    **{name: reference.meaning for name, reference in CELL_REFERENCES.items()},
}
TERMS = {
    "hard": "matches the teacher's predicted activity",
    "soft": "matches how the teacher spreads a frame's activity over cells",
    "feature": "matches the features of the teacher's population state, through a learned map",
    "correlation": "matches the correlations between cells in the teacher's predicted activity",
    "embedding": "matches the teacher's embedding of each cell, through a learned map",
    "multitask": "has a behavior read-out",
}


def page() -> Face:
    """Return what the page of identity has of its own."""
    return Face(
        words=Words(
            seen="activity",
            unit="tested cells",
            chosen_by="how well classifiers do on cells that are not tested",
            does=lambda results: f"classifies cells by {next(iter(results['labels']))}",
        ),
        caveats=caveats,
        blocks=_blocks,
        meaning=ARMS.get,
        terms=TERMS,
        simulated_note=facts.simulated_note,
        summary=facts.summary,
        overview=_overview,
        details=_details,
        tables=lambda view, block: [facts.chosen_table(view)] if _is_first(view, block) else [],
        pictures=_pictures,
        data_rows=facts.data_rows,
        data_tables=lambda view: [facts.session_table(view)],
        next_steps=facts.next_steps,
    )


def _blocks(results: dict[str, Any]) -> list[Block]:
    """Return a table for each kind of label; of two classes, top-2 says nothing."""
    blocks = []
    for i, (kind, found) in enumerate(results["labels"].items()):
        columns = headlines(results, "" if i == 0 else f"{kind}/")
        if len(found["classes"]) < 3:
            columns = {name: label for name, label in columns.items() if not name.endswith("top2")}
        counts = ", ".join(f"{name} {n}" for name, n in found["classes"].items())
        note = (
            f"Cells by {kind}: {counts}. The largest class is {found['majority_rate']:.3f} of "
            "them: the top-1 of calling every cell that."
        )
        blocks.append(Block(f"{kind}: scores on tested cells", columns, note, key=kind))
    return blocks


def _is_first(view: View, block: Block) -> bool:
    return bool(block.key == view.data.kinds[0])


def _overview(view: View, block: Block) -> Picture:
    deciding = [name for name in block.columns if name.endswith(("macro_f1", "top1"))]
    return forest(
        view,
        f"Difference to the baseline ({block.key})",
        {name: block.columns[name] for name in deciding},
        "is its whole bar to the right, and further so than the multitask control, which has no "
        "teacher?",
    )


def _details(view: View, block: Block) -> list[ScoreTable]:
    """Return recall of each class, and differences to chance and to the multitask control."""
    kind, prefix = block.key, view.data.prefix(block.key)
    recall = {f"{prefix}recall/{name}": name for name in classes(view, kind)}
    chance = f"Is {kind} above chance? Differences to chance"
    alone = {f"{prefix}embedding_f1": "macro-F1"}
    arms = [arm for arm in view.arms if set(alone) & set(view.results["arms"][arm])]
    title = f"Embeddings without the profile of activity ({kind})"
    return [
        *([score_table(view, title, alone, arms, BASELINE)] if arms else []),
        score_table(view, f"Recall of each class ({kind})", recall, view.arms, BASELINE),
        score_table(view, chance, block.columns, view.arms, CHANCE),
        *control_table(view, block.columns, f" ({kind})"),
    ]


def _pictures(view: View, block: Block) -> list[Picture]:
    kind = block.key
    behavior = behavior_ablation(view) if _is_first(view, block) else None
    drawn = [
        recall_by_class(view, kind),
        behavior,
        confusion_matrices(view, kind),
        embedding_map(view, kind),
    ]
    return [picture for picture in drawn if picture is not None]
