"""Recordings that tables have a row or a column of, and how each is tested."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import neuroblend as nb

DATA = Path("../shared/data")
SETTINGS: dict[str, dict[str, Any]] = {
    "simulated": {},
    "ibl_wheel": {"units": 40},
    "monkey_m1": {"blocks": 6},  # windows of one recording, side by side
}
"""Of data, by the name of a recording."""


def load(name: str, data: Path) -> nb.Trials:
    """Return a recording; one that is not simulated is ``data/<name>.npz``."""
    return nb.simulate_reaching() if name == "simulated" else nb.read_arrays(data / f"{name}.npz")


def with_interval(found: dict[str, Any]) -> str:
    """Return a difference and its interval."""
    low, high = found["ci95"]
    return f"{found['mean']:+.3f}" + ("" if low is None else f" [{low:+.3f} {high:+.3f}]")


def table(head: list[str], rows: list[list[str]], say: Callable[[str], None] = print) -> None:
    """Print a table, in Markdown."""
    for cells in (head, ["---"] * len(head), *rows):
        say(f"| {' | '.join(cells)} |")
