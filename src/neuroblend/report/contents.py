"""Tables on the terminal: what a file holds, and scores of the benchmark."""

from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from neuroblend.inspect.contents import Contents

NEVER_CUT = {"column", "signal", "span (s)", "samples"}


def print_contents(contents: Contents) -> None:
    """Print what a file holds."""
    console = Console()
    console.print(contents.name, markup=False, highlight=False, style="bold")
    console.print(_pairs("units", contents.units))
    if contents.trials:
        console.print(_pairs("trials", contents.trials))
    for title, frame in (
        ("columns of the trial table", contents.columns),
        ("behavior, or what may be", contents.signals),
        ("further tables", contents.tables),
    ):
        if not frame.empty:
            console.print(_frame(title, frame))
    for line in contents.notes:
        console.print(f"note: {line}", markup=False, highlight=False)
    if contents.following:
        console.print("next:", highlight=False)
    for line in contents.following:  # whole, so that it can be copied
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def print_scores(scores: Sequence[dict[str, dict[str, float]]]) -> None:
    """Print the benchmark's result structure, a table a split."""
    for result in scores:
        for name, values in result.items():
            table = Table(title=name, title_justify="left")
            table.add_column("score")
            table.add_column("value", justify="right")
            for key, value in values.items():
                table.add_row(key, f"{value:.6f}")
            Console(markup=False).print(table)


def _pairs(title: str, lines: Sequence[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in lines:
        table.add_row(what, value)
    return table


def _frame(title: str, frame: pd.DataFrame) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in frame:
        table.add_column(str(column), overflow="fold", no_wrap=str(column) in NEVER_CUT)
    for row in frame.itertuples(index=False):
        table.add_row(*map(str, row))
    return table
