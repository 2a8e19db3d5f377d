"""Arms x metrics of an experiment on identity as a table on the screen."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from neuroblend.experiments.decoding.networks import BASELINE
from neuroblend.experiments.identity.cells import IdentityFolder
from neuroblend.report.identity.caveats import identity_verdict, metrics_of


def print_identity_table(folder: IdentityFolder, console: Console | None = None) -> None:
    """Print scores on tested cells, differences to the baseline with intervals, and the verdict."""
    results = folder.results()
    console = console or Console()
    kinds = list(results["labels"])
    for i, kind in enumerate(kinds):
        prefix = "" if i == 0 else f"{kind}/"
        found = results["labels"][kind]
        classes = ", ".join(f"{name} {n}" for name, n in found["classes"].items())
        title = f"{kind} of tested cells (difference to baseline, 95 % interval)"
        table = Table(title=Text(title))  # no markup: names are the user's own
        longest = max(len(arm) for arm in results["arms"]) + len(" *")
        table.add_column("arm", min_width=longest, no_wrap=True)
        metrics = metrics_of(results, kind)
        for metric in metrics.values():
            table.add_column(metric.label, justify="right")
        for arm in results["arms"]:
            mark = " *" if arm == results["selected"] else ""
            cells = (_cell(results, arm, prefix + name) for name in metrics)
            table.add_row(arm + mark, *cells)
        console.print(table)
        rate = f"the largest class is {found['majority_rate']:.3f} of them"
        console.print(f"{classes}; {rate}", highlight=False, markup=False)
    console.print("* selected on cells that are not tested", highlight=False)
    sentence = identity_verdict(results).sentence
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _cell(results: dict[str, Any], arm: str, metric: str) -> str:
    score = results["arms"][arm][metric]["mean"]
    contrast = results["contrasts"].get(f"{arm} - {BASELINE}", {}).get(metric)
    if contrast is None:
        return f"{score:.3f}"
    low, high = contrast["ci95"]
    return f"{score:.3f}\n{contrast['mean']:+.3f} [{low:+.3f} {high:+.3f}]"
