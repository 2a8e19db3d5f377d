"""How far a run is, on screen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from neuroblend.engine.arm import Fit
from neuroblend.engine.executors.local import Tell


@contextmanager
def fits_progress(fits: list[Fit], quiet: bool) -> Iterator[Tell]:
    """Show one bar for all fits and which of them are running; nothing if quiet."""
    if quiet:
        yield lambda fit, done: None
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

        def tell(fit: Fit, done: float) -> None:
            share[fit.label] = done
            running = [label for label, part in share.items() if 0 < part < 1]
            ended = sum(part >= 1 for part in share.values())
            bar.update(
                row, completed=sum(share.values()), description=", ".join(running), ended=ended
            )

        yield tell


@contextmanager
def bytes_progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each file that is downloaded; nothing if quiet.

    What is yielded is called with (file, bytes done, bytes in all).
    """
    if quiet:
        yield lambda file, done, most: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        rows: dict[str, TaskID] = {}

        def tell(file: str, done: int, most: int) -> None:
            if file not in rows:
                rows[file] = bar.add_task(file, total=most)
            bar.update(rows[file], completed=done, total=most)

        yield tell
