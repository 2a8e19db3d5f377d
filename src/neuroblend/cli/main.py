"""The command line: one verb per step, and ``run`` for the whole way.

Nothing heavy is imported until a verb needs it, so that ``--help`` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from neuroblend._version import __version__
from neuroblend.cli.apply import adapt, export, predict, report
from neuroblend.cli.data import download, inspect, prepare, simulate
from neuroblend.cli.nlb import evaluate, submit
from neuroblend.cli.run import identity, run
from neuroblend.errors import InputError
from neuroblend.files import no_room

app = typer.Typer(
    help="Models of neural population activity that learn from behavior they will not have later.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

# typer brings its own copy of click from 0.27 on and uses the package before; both name it here
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

INTERRUPTED = 130  # exit code after Ctrl-C


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


for command in (
    run, identity, predict, export, adapt, report, inspect, prepare, simulate, download, submit,
    evaluate,
):  # fmt: skip
    app.command()(command)


def main() -> NoReturn:
    """Run the command line: exit code 0, or 2 with one line on what was wrong."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # so that --model finds a module beside the data
    stopped = "interrupted; the same command goes on from here"
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error), 2)
    except UsageError as error:
        _fail(error.format_message(), 2)  # type: ignore[attr-defined]
    except OSError as error:
        if why := no_room(error):
            _fail(f"{error.filename or Path.cwd()}: {why}; make room and go on", 2)
        _fail(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "), 2)
    except (typer.Abort, KeyboardInterrupt):
        _fail(stopped, INTERRUPTED)
    if code == INTERRUPTED:  # how typer passes an interrupt on
        _fail(stopped, INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    sys.exit(code)
