"""How trials are cut from a recording, and which rows of its tables they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroblend.data.channel import Kind
from neuroblend.data.measured import START, STOP
from neuroblend.data.recording import Recording
from neuroblend.data.where import rows_where
from neuroblend.data.words import NO_VALUE
from neuroblend.errors import InputError, nearest, some

SPLITS = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}
TRIALS = "trials"
_ROUNDING_S = 1e-3  # by which an event may leave its trial


@dataclass(frozen=True)
class Cut:
    """How trials are cut from a recording.

    Attributes:
        align: Column of a table, ``"TABLE.column"``, or events, in seconds; ``None`` with
            ``every_s``.
        window_ms: Start and end of a trial around it; ``None`` with ``every_s``.
        bin_ms: Width of a bin.
        lag_ms: How much later than spikes behavior is read.
        behavior: Time series, events, interval tables and columns of the table to take along.
        condition: Columns whose values make up a condition.
        overlap: Whether trials may overlap.
        until: Column with the time at which a trial ends, where that is before the window does;
            trials then differ in length. ``None`` for windows of one length.
        every_s: Length of windows side by side, instead of events.
        intervals: Table whose rows are trials, instead of ``trials``; with ``every_s``, that
            windows must lie within.
        where: Expression that units must fulfil; see :mod:`neuroblend.data.where`.
        trials_where: Expression that rows of the table must fulfil.
        kinds: Of behavior, by name, where not as the file has it.
        linearise: Positions whose place along the track is taken as ``NAME_linear``.
        direction: Positions whose direction along it is taken as ``NAME_direction``.
    """

    align: str | None
    window_ms: tuple[float, float] | None
    bin_ms: float
    lag_ms: float = 0.0
    behavior: tuple[str, ...] = ()
    condition: tuple[str, ...] = ()
    overlap: bool = False
    until: str | None = None
    every_s: float | None = None
    intervals: str | None = None
    where: str | None = None
    trials_where: str | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    linearise: tuple[str, ...] = ()
    direction: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that trials are of.

    Attributes:
        table: B rows, by time, indexed by their place in the source.
        column: Of ``table``, with the seconds that trials are aligned to.
        condition: (B,) labels, if there are any.
        split: (B,) of train, valid and test, if the table has them.
        notes: What was left out.
    """

    table: pd.DataFrame
    column: str
    condition: NDArray[Any] | None
    split: NDArray[np.str_] | None
    notes: tuple[str, ...]

    @property
    def events(self) -> NDArray[np.float64]:
        """(B,) seconds."""
        return self.table[self.column].to_numpy(dtype=np.float64)


def table_of(recording: Recording, name: str | None) -> pd.DataFrame:
    """Return a table of a recording, its trials where ``None``.

    Raises:
        InputError: There is none of the name.
    """
    if name in (None, TRIALS):
        if recording.trials.empty:
            others = f"; --intervals TABLE takes {some(recording.tables)}" * bool(recording.tables)
            raise InputError(f"no trials, so nothing to align to{others}; or --every SECONDS")
        return recording.trials
    if name not in recording.tables:
        there = [*recording.tables, *([] if recording.trials.empty else [TRIALS])]
        raise InputError(f"no table '{name}': {nearest(str(name), there)}")
    return recording.tables[str(name)]


def rows_of(recording: Recording, cut: Cut) -> Rows:
    """Return the rows that trials are cut around, in the order of their times.

    Raises:
        InputError: A table or column is not there or not of the kind that is wanted, an event is
            outside of its trial, trials overlap, or none is left.
    """
    table, column = _aligned(recording, cut)
    until = [] if cut.until is None else [cut.until]
    for name in (*cut.condition, *until):
        if name not in table:
            there = nearest(name, map(str, table))
            raise InputError(f"the trial table has no column '{name}': {there}")
    for name in (column, *until):
        if table[name].dtype.kind not in "fiu":
            raise InputError(f"column '{name}' holds no times")
    notes, keep = [], np.isfinite(table[column].to_numpy(dtype=float))
    if not keep.all():
        notes.append(f"{int((~keep).sum())} of {keep.size} trials have no '{column}': left out.")
    if cut.trials_where is not None:
        wanted = rows_where(table, cut.trials_where, "trials", "--trials-where")
        notes.append(wanted.note)
        keep &= wanted.keep
    split, of_split = _split(table)
    if split is not None:
        unknown = split.isna().to_numpy() & keep
        if unknown.any():
            names = some(sorted(set(table["split"][unknown].astype(str))))
            notes.append(f"{int(unknown.sum())} trials of split {names}: left out.")
        keep &= ~unknown
    labels, of_labels = _condition(table, cut.condition, keep)
    keep &= ~labels.isna().to_numpy()
    kept = table[keep].sort_values(column, kind="stable")
    notes += [*of_split, *of_labels]
    if kept.empty:
        raise InputError(f"no trial is left ({' '.join(notes)})")
    check_within(kept, column)
    if not cut.overlap:
        _check_apart(kept, column, cut)
    return Rows(
        kept,
        column,
        labels[kept.index].to_numpy() if cut.condition else None,
        None if split is None else split[kept.index].to_numpy(dtype=str),
        tuple(notes),
    )


def _aligned(recording: Recording, cut: Cut) -> tuple[pd.DataFrame, str]:
    """Return the table and its column that trials are aligned to; events are a table of one."""
    align = START if cut.align is None else cut.align
    signal = recording.signals.get(align)
    name, _, column = align.rpartition(".")
    known = name == TRIALS or name in recording.tables
    is_event = signal is not None and signal.kind == "events" and align not in recording.trials
    if signal is not None and is_event and cut.intervals is None:
        return pd.DataFrame({align: signal.times}), align
    table = table_of(recording, name if known and cut.intervals is None else cut.intervals)
    column = column if known and align not in table else align
    if column not in table:
        others = [f"{t}.{c}" for t, rows in recording.tables.items() for c in rows]
        there = nearest(column, [*map(str, table), *others])
        raise InputError(f"the trial table has no column '{column}': {there}")
    return table, column


def _split(table: pd.DataFrame) -> tuple[pd.Series[Any] | None, list[str]]:
    """Return which part each trial is of, NaN for another; ``None`` where no column tells."""
    if "split" not in table:
        return None, []
    split = table["split"].map(SPLITS)
    if split.notna().any():
        return split, []
    found = some(sorted(set(table["split"].astype(str))))
    note = f"column 'split' holds {found}, and none of train, val, test: not taken as the split."
    return None, [note]


def _condition(
    table: pd.DataFrame, columns: tuple[str, ...], keep: NDArray[np.bool_]
) -> tuple[pd.Series[Any], list[str]]:
    """Return the condition of each trial, NaN where a column has none, and a note on those."""
    if not columns:
        return pd.Series("", index=table.index), []
    words = table[list(columns)].map(lambda v: f"{v:g}" if isinstance(v, float) else str(v))
    missing = words.map(lambda word: word.strip().lower() in NO_VALUE).any(axis=1)
    labels = words.agg(", ".join, axis=1).mask(missing)
    n_missing = int((missing.to_numpy() & keep).sum())
    if not n_missing:
        return labels, []
    return labels, [f"{n_missing} trials have no '{', '.join(columns)}': left out."]


def check_within(table: pd.DataFrame, column: str) -> None:
    """Refuse events that are outside of their trials.

    Raises:
        InputError: One is.
    """
    if not {START, STOP} <= set(table) or column in (START, STOP):
        return
    at = table[column].to_numpy(dtype=float)
    start, stop = (table[name].to_numpy(dtype=float) for name in (START, STOP))
    outside = (at < start - _ROUNDING_S) | (at > stop + _ROUNDING_S)
    if not outside.any():
        return
    i = int(outside.argmax())
    if outside.mean() > 0.5 and ((at >= 0) & (at <= (stop - start) + _ROUNDING_S)).all():
        hint = "are they counted from the start of each trial? Add it"
    else:
        hint = f"mend the table, or leave such trials out with --trials-where '{column} <= {STOP}'"
        hint = hint if at[i] > stop[i] else hint.replace(f"<= {STOP}", f">= {START}")
    raise InputError(
        f"'{column}' is outside of {int(outside.sum())} of {outside.size} trials: trial "
        f"{table.index[i]} has it at {at[i]:.6g} s, and lasts from {start[i]:.6g} to "
        f"{stop[i]:.6g} s; {hint}"
    )


def _check_apart(table: pd.DataFrame, column: str, cut: Cut) -> None:
    assert cut.window_ms is not None
    at = table[column].to_numpy(dtype=float)
    start, end = (edge / 1000 for edge in cut.window_ms)
    ends = at + end
    if cut.until is not None:
        ends = np.fmin(ends, table[cut.until].to_numpy(dtype=float))
    close = at[1:] + start < ends[:-1] - 1e-9
    if close.any():
        first = at[close.argmax()]
        raise InputError(
            f"{int(close.sum())} trials overlap within {cut.window_ms} ms of '{column}' (the first "
            f"at {first:.3f} s); choose a shorter --window, or --overlap"
        )
