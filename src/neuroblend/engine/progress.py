"""How far a run is, on screen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from neuroblend.engine.arm import Fit
from neuroblend.engine.executors.local import Tell


class _Left(ProgressColumn):
    """How long it may take yet, by the mean pace since the start; nothing where that is unknown.

    Fits that had ended before are no part of the pace.
    """

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields["before"]
        if task.finished or task.elapsed is None or done <= 0 or task.remaining is None:
            return Text("")
        left = task.elapsed * task.remaining / done
        return Text(f"about {timedelta(seconds=max(1, round(left)))} left")


@contextmanager
def fits_progress(fits: list[Fit], ended: list[Fit], quiet: bool) -> Iterator[Tell]:
    """Show one bar for all fits and which of them are running; nothing if quiet.

    ``ended`` are those that had ended before.
    """
    if quiet:
        yield lambda fit, done: None
        return
    n = len(ended)
    share = {fit.label: float(fit in ended) for fit in fits}
    bar = Progress(
        TextColumn("{task.fields[ended]}/{task.total:.0f} fits"),
        BarColumn(),
        TimeElapsedColumn(),
        _Left(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
    )
    with bar:
        row = bar.add_task("", total=len(fits), completed=n, ended=n, before=n)

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
