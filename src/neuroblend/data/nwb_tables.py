"""Tables of an NWB file: units, trials and other intervals."""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hdmf.common import DynamicTable, VectorIndex
from numpy.typing import NDArray
from pynwb import NWBFile

from neuroblend.data.clocks import merged
from neuroblend.data.measured import START, STOP
from neuroblend.data.units import unit_table
from neuroblend.data.words import truths_of
from neuroblend.errors import InputError, some
from neuroblend.files import errors_of

ID = "id"
OBSERVED = "obs_intervals"
HELD_OUT = "heldout"
INVALID = "invalid_times"
Intervals = NDArray[np.float64]


def read_units(
    file: NWBFile, path: Path, needed: bool = True
) -> tuple[pd.DataFrame, list[NDArray[np.float64]]]:
    """Return the units table, without spike times, and those (n_spikes,) in seconds, a unit each.

    Args:
        file: The file.
        path: Its name, for errors.
        needed: Whether a file without spikes is refused; else both are empty then.

    Raises:
        InputError: There is no units table or it has no spike times, or they do not fit together.
    """
    table = file.units
    if table is None or len(table) == 0 or "spike_times" not in table.colnames:
        if not needed:
            return pd.DataFrame(), []
        if table is None or len(table) == 0:
            raise InputError(f"{path}: no units table, so no spikes")
        raise InputError(f"{path}: units have no spike_times; they have {some(table.colnames)}")
    with errors_of(path):
        times = ragged(table["spike_times"])
        columns = _columns(table, without=("spike_times", "electrodes"))
        if HELD_OUT in columns:
            columns[HELD_OUT] = truths_of(columns[HELD_OUT], f"column '{HELD_OUT}'")
        units = unit_table(columns.pop(ID), columns)
        if OBSERVED in table.colnames:
            rows = [rows.reshape(-1, 2) for rows in ragged(table[OBSERVED])]
            units[OBSERVED] = pd.Series(rows, dtype=object)
    if "region" not in units and (of_electrodes := _regions(file, table)) is not None:
        units["region"] = units["location"] = of_electrodes
    return units, times


def ragged(column: Any) -> list[NDArray[np.float64]]:
    """Return the rows of a ragged column.

    Raises:
        InputError: It has no index, or one that falls or does not fit, as where it overflowed.
    """
    if not isinstance(column, VectorIndex):
        raise InputError(
            f"units have {column.name} without {column.name}_index, so that nothing tells which "
            "unit each is of"
        )
    stored = column.data[()]
    ends = np.asarray(stored, dtype=np.int64)
    values = np.asarray(column.target.data[()], dtype=np.float64)
    if (falls := np.diff(ends, prepend=0) < 0).any():
        unit = int(falls.argmax())
        raise InputError(
            f"{column.name} falls from {ends[unit - 1]} to {ends[unit]} at unit {unit}, wanted "
            f"ends that ascend to {len(values)}; it is stored as {stored.dtype}, which may have "
            "overflowed"
        )
    if ends.size and ends[-1] != len(values):
        raise InputError(
            f"{column.name} ends at {ends[-1]}, wanted {len(values)}, as many as there are values; "
            f"it is stored as {stored.dtype}"
        )
    return np.split(values, ends[:-1])


def read_trials(file: NWBFile) -> pd.DataFrame:
    """Return the trial table's columns that have one value a trial; empty without a table."""
    table = _trial_table(file)
    return pd.DataFrame() if table is None else pd.DataFrame(_columns(table))


def _trial_table(file: NWBFile) -> DynamicTable | None:
    """Return the file's trials, else a table of that name wherever a lab has put it."""
    if file.trials is not None:
        return file.trials
    return next((t for t in _interval_tables(file) if t.name == "trials"), None)


def _interval_tables(file: NWBFile) -> list[DynamicTable]:
    return [
        item
        for item in file.objects.values()
        if isinstance(item, DynamicTable) and {START, STOP} <= set(item.colnames)
    ]


def read_tables(file: NWBFile) -> dict[str, pd.DataFrame]:
    """Return every table with start and stop times, save trials, by name."""
    found: dict[str, pd.DataFrame] = {}
    trials = _trial_table(file)
    for item in _interval_tables(file):
        if item is trials:
            continue
        name, within = item.name, item.parent
        while name in found and within is not None:
            name, within = f"{within.name}_{name}", within.parent
        found[name] = pd.DataFrame(_columns(item))
    return found


def observed_of(
    units: pd.DataFrame, tables: dict[str, pd.DataFrame], span: tuple[float, float]
) -> tuple[Intervals | None, list[str]]:
    """Return the (n, 2) seconds in which every unit was observed, ``None`` for all of the span.

    ``invalid_times`` are taken out. Units whose intervals are empty say nothing of the others.

    Returns:
        The intervals, and notes on both.
    """
    observed, notes = None, []
    if OBSERVED in units:
        empty = [not len(rows) for rows in units[OBSERVED]]
        different = {rows.tobytes(): rows for rows in units[OBSERVED] if len(rows)}  # often one
        if any(empty) and different:
            who = some(units[ID][empty].tolist())
            notes.append(
                f"{sum(empty)} of {len(units)} units have no {OBSERVED} ({who}): taken as observed "
                "when the others were."
            )
        observed = reduce(intersected, map(merged, different.values())) if different else None
        if not different:
            observed = np.empty((0, 2))
    invalid = tables.get(INVALID)
    if invalid is not None and len(invalid):
        rows = merged(invalid[[START, STOP]].to_numpy(dtype=np.float64))
        edges = np.concatenate([[span[0]], rows.ravel(), [span[1]]]).reshape(-1, 2)
        valid = edges[edges[:, 1] > edges[:, 0]]
        observed = valid if observed is None else intersected(observed, valid)
        seconds = float(np.diff(rows, axis=1).sum())
        notes.append(
            f"{INVALID}: {len(rows)} intervals, {seconds:g} s in all, count as unrecorded."
        )
    return observed, notes


def intersected(a: Intervals, b: Intervals) -> Intervals:
    """Return the (n, 2) intervals that lie in both of two ascending lists.

    >>> intersected(np.array([[0.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 4.0]])).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    starts = np.maximum(a[:, None, 0], b[None, :, 0]).ravel()
    ends = np.minimum(a[:, None, 1], b[None, :, 1]).ravel()
    return np.stack([starts, ends], axis=1)[ends > starts]


def _columns(table: Any, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return a table's ids, and its columns that have one value a row."""
    columns: dict[str, Any] = {ID: np.asarray(table.id[:])}
    for name in table.colnames:
        if name not in without and not isinstance(table[name], VectorIndex):
            values = _plain(table[name].data, name)
            if values is not None:
                columns[name] = values
    return columns


def _plain(data: Any, name: str) -> NDArray[Any] | None:
    """Return a column's values where each is one number, truth value or string."""
    values = np.asarray(data[()] if hasattr(data, "shape") else data)
    if values.ndim != 1 or values.dtype.kind not in "biufOSU":
        return None
    if values.dtype.kind in "biuf":
        return values
    try:
        words = [v.decode() if isinstance(v, bytes) else str(v) for v in values]
    except UnicodeDecodeError as error:
        raise InputError(
            f"column '{name}': found bytes that are not UTF-8: {error.object!r}"
        ) from None
    return np.array(words, dtype=object)


def _regions(file: NWBFile, units: DynamicTable) -> NDArray[Any] | None:
    """Return the region of each unit, that of most of its electrodes; ``None`` without any."""
    if "electrodes" not in units.colnames or file.electrodes is None:
        return None
    locations = _columns(file.electrodes).get("location")
    if locations is None or not isinstance(units["electrodes"], VectorIndex):
        return None
    rows = [of_unit.astype(int) for of_unit in ragged(units["electrodes"])]
    found = [Counter(locations[r]).most_common(1)[0][0] if len(r) else "" for r in rows]
    known = [word for word in found if word.strip().lower() not in ("", "unknown", "none")]
    if not known:
        return None
    return np.array([word or "unknown" for word in found], dtype=object)
