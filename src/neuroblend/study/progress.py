"""How far a run is, on screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from neuroblend.study.folder import Fit
from neuroblend.study.schedule import Tell


@contextmanager
def fits_progress(fits: list[Fit], quiet: bool) -> Iterator[Tell]:
    """Show one bar for all fits, in epochs, and which of them are running; nothing if quiet."""
    if quiet:
        yield lambda fit, done, most: None
        return
    share = {fit.label: 0.0 for fit in fits}
    bar = Progress(
        TextColumn("{task.fields[ended]}/{task.total:.0f} fits"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
    )
    with bar:
        row = bar.add_task("", total=len(fits), ended=0)

        def tell(fit: Fit, done: int, most: int) -> None:
            share[fit.label] = done / most
            running = [label for label, part in share.items() if 0 < part < 1]
            ended = sum(part >= 1 for part in share.values())
            bar.update(
                row, completed=sum(share.values()), description=", ".join(running), ended=ended
            )

        yield tell
