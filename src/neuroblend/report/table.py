"""Arms x metrics as a table on the screen."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from neuroblend.engine.folder import RunFolder
from neuroblend.experiments.decoding.networks import BASELINE
from neuroblend.report.verdict import METRICS, headline_metrics, verdict


def print_table(folder: RunFolder, console: Console | None = None) -> None:
    """Print scores, differences to the baseline with intervals, and the verdict."""
    results = folder.results()
    console = console or Console()
    metrics = headline_metrics(results)
    table = Table(
        title=f"{results['dataset']}: test scores (difference to baseline, 95 % interval)"
    )
    longest = max(len(arm) for arm in results["arms"]) + len(" *")
    table.add_column("arm", min_width=longest)
    for metric in metrics:
        table.add_column(METRICS[metric].label, justify="right")
    for arm in results["arms"]:
        mark = " *" if arm == results["selected"] else ""
        table.add_row(arm + mark, *(_cell(results, arm, metric) for metric in metrics))
    console.print(table)
    console.print("* selected on validation trials", highlight=False)
    console.print(verdict(results).sentence, highlight=False, soft_wrap=True)


def _cell(results: dict[str, Any], arm: str, metric: str) -> str:
    score = results["arms"][arm].get(metric)
    if score is None:
        return "-"
    contrast = results["contrasts"].get(f"{arm} - {BASELINE}", {}).get(metric)
    if contrast is None:
        return f"{score['mean']:.3f}"
    low, high = contrast["ci95"]
    return f"{score['mean']:.3f}\n{contrast['mean']:+.3f} [{low:+.3f} {high:+.3f}]"
