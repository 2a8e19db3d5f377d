"""Options that several commands have."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroblend.data.channel import KINDS
from neuroblend.errors import InputError, nearest

if TYPE_CHECKING:
    from neuroblend.data.channel import Kind

# what an option holds: ``None`` where it is not given
Text = str | None
Whole = int | None
Number = float | None


def option(what: str, default: str | None = None, *names: str) -> Any:
    """Return an option with its help; ``default`` tells what holds where it is not given."""
    return typer.Option(*names, help=what, show_default=default or True)


Quiet = Annotated[bool, option("Print results alone, no progress.", None, "--quiet", "-q")]
Behavior = Annotated[Text, option("Channels, joined by commas.", "all")]
Kinds = Annotated[
    list[str] | None,
    option(
        "What a channel is, as NAME=KIND: continuous, circular, discrete or events; may be "
        "repeated.",
        "as the file says",
        "--kind",
    ),
]
Seed = Annotated[Whole, option("The first seed.", "0")]
Accelerator = Annotated[Text, option("auto, cpu, gpu, cuda or mps.", "auto")]
Config = Annotated[
    Path | None, option("YAML file of settings, such as a run's config.yaml.", "none")
]
Set = Annotated[
    list[str] | None,
    option("Any setting, e.g. training.lr=0.001; may be repeated.", "none", "--set"),
]
Jobs = Annotated[Whole, option("Worker processes.", "one a core")]
StudentArm = Annotated[str, option("selected, baseline, a strategy of the run, or a rival.")]
SeedOfRun = Annotated[Whole, option("Which seed.", "the first")]
SessionOfRun = Annotated[Text, option("Of a run on several sessions: for whose neurons.", "none")]
FoldOfRun = Annotated[Whole, option("Which fold, of a run with --folds.", "the first")]


def status(what: str, quiet: bool) -> AbstractContextManager[Any]:
    """Show that something is going on, on a terminal."""
    from rich.console import Console

    return nullcontext() if quiet else Console(stderr=True).status(what)


def saying(quiet: bool) -> Callable[[str], None]:
    """Return what prints a line that a user should know, or does not."""
    return (lambda line: None) if quiet else (lambda line: typer.echo(line, err=True))


def kinds(given: list[str] | None) -> "dict[str, Kind] | None":
    """Return kinds of channels by name, from ``NAME=KIND`` each.

    Raises:
        InputError: One is of another form, or a channel has two.
    """
    found: dict[str, Kind] = {}
    for each in given or ():
        name, equals, kind = each.rpartition("=")
        if not (name.strip() and equals and kind.strip()):
            raise InputError(f"--kind {each}: wanted NAME=KIND, such as choice=discrete")
        known = next((k for k in KINDS if k == kind.strip()), None)
        if known is None:
            raise InputError(f"--kind {each}: no kind '{kind}'; {nearest(kind.strip(), KINDS)}")
        if found.setdefault(name.strip(), known) != known:
            raise InputError(f"--kind {each}: {name} is given as {found[name.strip()]} too")
    return found or None


def names(joined: str | None) -> list[str] | None:
    """Return what is joined by commas."""
    return None if joined is None else [name.strip() for name in joined.split(",") if name.strip()]
