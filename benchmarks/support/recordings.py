"""Recordings that tables have a row or a column of, and how each is tested."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import neuroblend as nb

SETTINGS: dict[str, dict[str, Any]] = {
    "simulated": {},
    "ibl_wheel": {"units": 40},
    "monkey_m1": {"blocks": 6},  # windows of one recording, side by side
}
"""Of data, by the name of a recording."""


def parser_of(doc: str | None, out: str, recordings: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser of what every table of recordings may be told."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the recordings; simulated alone else")
    parser.add_argument("--recordings", nargs="*", choices=list(SETTINGS), default=list(recordings))
    parser.add_argument("--out", type=Path, default=Path("runs") / out)
    parser.add_argument("--model", default="ndt")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    return parser


def loaded(names: Sequence[str], data: Path | None) -> Iterator[tuple[str, nb.Trials]]:
    """Yield name and trials of each recording that is there: simulated, or ``data/<name>.npz``."""
    for name in names:
        if name == "simulated":
            yield name, nb.simulate_reaching()
        elif data is not None and (data / f"{name}.npz").is_file():
            yield name, nb.read_arrays(data / f"{name}.npz")
        else:
            print(f"{name}: no --data with {name}.npz; left out")


def with_interval(found: dict[str, Any]) -> str:
    """Return a difference and its interval."""
    low, high = found["ci95"]
    return f"{found['mean']:+.3f}" + ("" if low is None else f" [{low:+.3f} {high:+.3f}]")


def table(head: list[str], rows: list[list[str]], say: Callable[[str], None] = print) -> None:
    """Print a table, in Markdown."""
    for cells in (head, ["---"] * len(head), *rows):
        say(f"| {' | '.join(cells)} |")
