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

WITH_INTERVALS = 2  # scores whose differences and intervals fit beside the arms in 80 columns
MEANS = 6  # means that fit there


def print_table(folder: RunFolder, console: Console | None = None) -> None:
    """Print scores, differences to the baseline with intervals, the verdict and its caveats."""
    results = folder.results()
    face, found = face_of(results["kind"]), verdict(results)
    console = console or Console()
    for block in face.blocks(results):
        names = list(block.columns)
        rest = names[WITH_INTERVALS:]
        chunks = [(rest[i : i + MEANS], _mean) for i in range(0, len(rest), MEANS)]
        for shown, cell in ((names[:WITH_INTERVALS], _cell), *chunks):
            how = "difference to baseline, 95 % interval" if cell is _cell else "means"
            # no markup: names are the user's own
            table = Table(title=Text(f"{block.heading} ({how})"), padding=(0, 0), pad_edge=False)
            longest = max(len(arm) for arm in results["arms"]) + len(" *")
            table.add_column("arm", min_width=min(longest, 24), overflow="fold")
            for name in shown:
                table.add_column(Text(block.columns[name]), justify="right")
            for arm in results["arms"]:
                mark = " *" if arm == results["selected"] else ""
                table.add_row(Text(arm + mark), *(cell(results, arm, name) for name in shown))
            console.print(table)
        if block.note:
            console.print(block.note, highlight=False, markup=False)
    console.print(f"* selected by {face.words.chosen_by}", highlight=False)
    for caveat in found.caveats:
        console.print(f"- {caveat.text}", highlight=False, markup=False, soft_wrap=True)
    console.print(found.sentence, highlight=False, markup=False, soft_wrap=True)


def _mean(results: dict[str, Any], arm: str, name: str) -> str:
    score = known(results["arms"][arm], name)
    return "-" if score is None else f"{score['mean']:.3f}"


def _cell(results: dict[str, Any], arm: str, name: str) -> str:
    contrast = known(results["contrasts"].get(f"{arm} - {BASELINE}", {}), name)
    if contrast is None:
        return _mean(results, arm, name)
    low, high = contrast["ci95"]
    mean = _mean(results, arm, name)
    return f"{mean} {contrast['mean']:+.3f} [{low:+.3f} {high:+.3f}]"
