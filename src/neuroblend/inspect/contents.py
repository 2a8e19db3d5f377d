"""What a file holds, as lines and tables for a terminal.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``S`` samples.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroblend.data.channel import Channel
from neuroblend.errors import some

SHOWN = 4  # values of a column that are shown
Lines = list[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds.

    Attributes:
        name: The file's name.
        units: One line each on the units, as (what, value).
        trials: The same on the trials.
        columns: One row a column of the trial table: name, kind, range or values, how many missing.
        signals: One row a signal or channel: name, kind, unit, range or categories, one value a
            what, missing.
        tables: One row a further table of intervals, or array.
        notes: What a user should know.
        following: Commands that may come next.
    """

    name: str
    units: Lines
    trials: Lines
    columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    signals: pd.DataFrame = field(default_factory=pd.DataFrame)
    tables: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: Sequence[str] = ()
    following: Sequence[str] = ()


def command(*words: object) -> str:
    """Return what to type.

    >>> command("run", "my file.npz", "--behavior", "x,y")
    "neuroblend run 'my file.npz' --behavior x,y"
    """
    return shlex.join(["neuroblend", *map(str, words)])


def missing(n: int, of: int) -> str:
    """Return how many are missing, and their share.

    >>> missing(0, 10), missing(3, 10)
    ('0', '3 (30 %)')
    """
    return f"{n} ({100 * n / of:.2g} %)" if n else "0"


def spread(values: NDArray[Any]) -> str:
    """Return the range of numbers, NaN left out."""
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    return f"{known.min():.4g} to {known.max():.4g}" if known.size else "-"


def of_channel(channel: Channel, values: NDArray[np.floating[Any]]) -> str:
    """Return categories of a channel, or its range."""
    if channel.kind != "discrete":
        return spread(values)
    return some(channel.categories, SHOWN)


def table_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a column: name, kind, range or values, how many are missing."""
    rows = []
    for name in table:
        column = table[name]
        if pd.api.types.is_float_dtype(column) or (
            pd.api.types.is_integer_dtype(column) and column.nunique() > SHOWN
        ):
            values = f"{column.min():g} to {column.max():g}" if column.notna().any() else "-"
        else:
            values = some(column.dropna().unique(), SHOWN)
        rows.append((str(name), str(column.dtype), values, int(column.isna().sum())))
    return pd.DataFrame(rows, columns=["column", "kind", "values", "missing"])


def of_spikes(spike_times: Sequence[NDArray[np.float64]]) -> Lines:
    """Return lines on (n_spikes,) seconds of each unit."""
    spikes = np.array([times.size for times in spike_times])
    known = [times for times in spike_times if times.size]
    lines = [("units", f"{len(spikes)}, of which {int((spikes == 0).sum())} never fire")]
    if not known:
        return lines
    first, last = min(t.min() for t in known), max(t.max() for t in known)
    lines.append(("spikes", f"{int(spikes.sum())}, from {first:.3f} to {last:.3f} s"))
    return [*lines, ("rates (Hz)", quartiles(spikes / max(last - first, 1e-9)))]


def quartiles(rates: NDArray[np.floating[Any]]) -> str:
    """Return the quartiles of rates."""
    return "quartiles " + ", ".join(f"{q:.2f}" for q in np.percentile(rates, [25, 50, 75]))


def other_columns(units: pd.DataFrame, without: Iterable[str]) -> Lines:
    """Return a line on further columns of the unit table, with values where they are few."""
    told = []
    for name in units:
        if str(name) in without:
            continue
        values = units[name]
        is_text = values.dtype.kind == "O" and all(isinstance(v, str) for v in values)
        few = f" ({some(values.value_counts().index, SHOWN)})" if is_text else ""
        told.append(f"{name}{few}")
    return [("other columns", ", ".join(told) or "none")]


def intervals_of(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row a table of intervals: name, rows, span, columns."""
    rows = []
    for name, table in tables.items():
        span = "-"
        if len(table) and {"start_time", "stop_time"} <= set(table):
            span = f"{table['start_time'].min():.3f} to {table['stop_time'].max():.3f}"
        others = [c for c in map(str, table) if c not in ("id", "start_time", "stop_time")]
        rows.append((name, str(len(table)), span, some(others, SHOWN) or "-"))
    return pd.DataFrame(rows, columns=["table", "rows", "span (s)", "other columns"])


def prepare_command(
    path: Path, signals: Sequence[str], trials: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> list[str]:
    """Return how to cut a continuous recording into trials: around what there is, or anywhere."""
    behavior = ["--behavior", ",".join(signals[:SHOWN])] if signals else []
    end = ["--bin-ms", 20, *behavior, "--out", "trials.h5"]
    found = []
    times = [c for c in map(str, trials) if c.endswith("_time")]
    if times:
        found.append(command("prepare", path, "--align", times[0], "--window", 0, 1000, *end))
    for name in [] if times else list(tables)[:1]:
        cut = ["--intervals", name, "--align", "start_time", "--window", 0, 1000]
        found.append(command("prepare", path, *cut, *end))
    return [*found, command("prepare", path, "--every", 2, *end)]
