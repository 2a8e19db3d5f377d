"""Options that several commands have."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results alone, no progress.")]
Behavior = Annotated[str | None, typer.Option(help="Channels, joined by commas.  [default: all]")]
Seed = Annotated[int | None, typer.Option(help="The first seed.  [default: 0]")]
Accelerator = Annotated[
    str | None, typer.Option(help="auto, cpu, gpu, cuda or mps.  [default: auto]")
]
Config = Annotated[
    Path | None,
    typer.Option(help="YAML file of settings, such as a run's config.yaml.  [default: none]"),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Any setting, e.g. training.lr=0.001; may be repeated.  [default: none]"
    ),
]
Jobs = Annotated[int | None, typer.Option(help="Worker processes.  [default: one a core]")]
StudentArm = Annotated[str, typer.Option(help="selected, baseline, or a strategy of the run.")]
SeedOfRun = Annotated[int | None, typer.Option(help="Which seed.  [default: the first]")]


def status(what: str, quiet: bool) -> AbstractContextManager[object]:
    """Show that something is going on, on a terminal."""
    from rich.console import Console

    return nullcontext() if quiet else Console(stderr=True).status(what)


def saying(quiet: bool) -> Callable[[str], None]:
    """Return what prints a line that a user should know, or does not."""
    return (lambda line: None) if quiet else (lambda line: typer.echo(line, err=True))


def names(joined: str | None) -> list[str] | None:
    """Return what is joined by commas."""
    return None if joined is None else [name.strip() for name in joined.split(",") if name.strip()]
