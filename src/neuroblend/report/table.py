"""Arms x metrics as a table on the screen."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from neuroblend.engine.arm import BASELINE
from neuroblend.engine.folder import RunFolder
from neuroblend.report.face import face_of
from neuroblend.report.scores import known
from neuroblend.report.verdict import verdict


def print_table(folder: RunFolder, console: Console | None = None) -> None:
    """Print scores, differences to the baseline with intervals, and the verdict."""
    results = folder.results()
    face = face_of(results["kind"])
    console = console or Console()
    for block in face.blocks(results):
        title = f"{block.heading} (difference to baseline, 95 % interval)"
        table = Table(title=Text(title))  # no markup: names are the user's own
        longest = max(len(arm) for arm in results["arms"]) + len(" *")
        table.add_column("arm", min_width=longest, no_wrap=True)
        for label in block.columns.values():
            table.add_column(label, justify="right")
        for arm in results["arms"]:
            mark = " *" if arm == results["selected"] else ""
            table.add_row(arm + mark, *(_cell(results, arm, name) for name in block.columns))
        console.print(table)
        if block.note:
            console.print(block.note, highlight=False, markup=False)
    console.print(f"* selected by {face.words.chosen_by}", highlight=False)
    console.print(verdict(results).sentence, highlight=False, markup=False, soft_wrap=True)


def _cell(results: dict[str, Any], arm: str, name: str) -> str:
    score = known(results["arms"][arm], name)
    if score is None:
        return "-"
    contrast = known(results["contrasts"].get(f"{arm} - {BASELINE}", {}), name)
    if contrast is None:
        return f"{score['mean']:.3f}"
    low, high = contrast["ci95"]
    return f"{score['mean']:.3f}\n{contrast['mean']:+.3f} [{low:+.3f} {high:+.3f}]"
