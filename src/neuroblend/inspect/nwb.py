"""What an NWB file holds. Of long series a sample is read, never the whole.

Shape legend: ``S`` samples of a series.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pynwb import TimeSeries
from pynwb.behavior import CompassDirection
from pynwb.misc import IntervalSeries

from neuroblend.data.channels import channel_units
from neuroblend.data.nwb import open_nwb
from neuroblend.data.nwb_series import (
    channel_suffixes,
    find_behavior,
    find_series,
    is_events,
    is_held,
    stored_unit,
)
from neuroblend.data.nwb_tables import HELD_OUT, ID, OBSERVED, read_tables, read_trials, read_units
from neuroblend.data.plausible import check_clocks, in_order
from neuroblend.errors import InputError, some
from neuroblend.inspect.contents import (
    SHOWN,
    Contents,
    Lines,
    intervals_of,
    missing,
    of_spikes,
    other_columns,
    prepare_command,
    spread,
    table_columns,
)

GAP = 1.5  # times the usual step between two samples
PIECE = 2**17  # numbers that are read at once
MOST = 2**21  # numbers of a series that are looked at
STATELY = ("events", "discrete")  # whose numbers count, or are 1 and -1
COLUMNS = ["signal", "kind", "unit", "channels", "range", "samples", "Hz", "gaps", "missing"]


def inspect_nwb(path: str | Path) -> Contents:
    """Look into an NWB file, with units or without.

    Raises:
        InputError: It cannot be read.
    """
    path = Path(path)
    notes = []
    with open_nwb(path) as file:
        try:
            units, spike_times = read_units(file, path, needed=False)
        except InputError as error:  # the rest can be shown all the same
            units, spike_times = pd.DataFrame(), []
            notes.append(str(error))
        trials, tables = read_trials(file), read_tables(file)
        notes += _clock_notes(units, spike_times, trials)
        behavior = find_behavior(file)
        rows = [_signal(name, item, True) for name, item in behavior.items()]
        others = {n: s for n, s in find_series(file).items() if n not in behavior}
        rows += [_signal(name, series, False) for name, series in others.items()]
        has_table = file.units is not None and len(file.units) > 0
    if not spike_times and not notes:
        what = "a units table without spike times" if has_table else "no units table"
        notes.append(f"There are no spikes ({what}), so neither trials nor runs can come of it.")
    signals = pd.DataFrame(rows)
    if not signals.empty and (signals["backwards"] == "0").all():
        signals = signals.drop(columns="backwards")
    steps = prepare_command(path, list(behavior), trials, tables) if spike_times else []
    return Contents(
        path.name, _units(units, spike_times), _trials(trials), table_columns(trials), signals,
        intervals_of(tables), notes, steps,
    )  # fmt: skip


def _clock_notes(
    units: pd.DataFrame, spike_times: list[NDArray[np.float64]], trials: pd.DataFrame
) -> list[str]:
    """Return what a recording of these spike times would be refused for, or noted."""
    if not any(times.size for times in spike_times):
        return []
    try:
        ordered, notes = in_order(spike_times, units[ID].tolist())
        check_clocks([times[np.isfinite(times)] for times in ordered], {}, trials)
    except InputError as error:
        return [str(error)]
    return notes


def _units(units: pd.DataFrame, spike_times: list[NDArray[np.float64]]) -> Lines:
    if not spike_times:
        return [("units", "none with spike times")]
    lines = of_spikes(spike_times)
    if HELD_OUT in units:
        held_out = units[HELD_OUT].to_numpy().astype(bool)
        lines.append(("held in / held out", f"{int((~held_out).sum())} / {int(held_out.sum())}"))
    if OBSERVED in units:
        rows = units[OBSERVED].iloc[0]
        seen = float(np.diff(rows, axis=1).sum())
        lines.append(("observed", f"{len(rows)} intervals, {seen:.1f} s (first unit)"))
    return lines + other_columns(units, (ID, HELD_OUT, OBSERVED))


def _trials(trials: pd.DataFrame) -> Lines:
    lines = [("trials", str(len(trials)))]
    if {"start_time", "stop_time"} <= set(trials) and len(trials):
        length = trials["stop_time"] - trials["start_time"]
        lines.append(("length (s)", f"{length.min():.3f} to {length.max():.3f}"))
    if "split" in trials:
        counts = trials["split"].value_counts()
        lines.append(("split", ", ".join(f"{n} {name}" for name, n in counts.items())))
    return lines


def _signal(name: str, item: Any, is_behavior: bool) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(COLUMNS, "-")
    row |= {"signal": name, "backwards": "0", "kind": "events"}
    if not isinstance(item, TimeSeries) or getattr(item.data, "dtype", np.dtype("O")).kind in "OSU":
        times = getattr(item, "timestamps", None)  # annotations, and tables of events
        return row | {"samples": str(len(item) if times is None else len(times))}
    values, is_whole = _sample(item.data)
    steps = _Steps(item)
    names = [suffix.lstrip("_") for suffix in channel_suffixes(item)] if item.data.ndim < 3 else []
    shape = " x ".join(map(str, item.data.shape[1:]))
    n_missing = int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
    told = missing(n_missing, values.size)
    if n_missing and not is_whole:
        told = f"about {100 * n_missing / values.size:.2g} %"
    kind = _kind(item) if is_behavior else "raw"
    sampled = kind in ("continuous", "circular", "raw")  # what happens or changes has no rate
    (unit,) = channel_units(stored_unit(item), 1) if kind not in STATELY else ("",)
    return row | {
        "kind": kind,
        "unit": unit or "-",
        "channels": some([n for n in names if n], SHOWN) or shape or "1",
        "range": spread(values) if kind not in STATELY else "-",
        "samples": str(item.data.shape[0]),
        "Hz": f"{1 / steps.usual:.4g}" if sampled and steps.usual > 0 else "-",
        "gaps": str(steps.n_gaps) if sampled else "-",
        "missing": told,
        "backwards": str(steps.n_backwards),
    }


def _kind(series: TimeSeries) -> str:
    if isinstance(series, IntervalSeries):
        return "discrete"
    if is_events(series):
        return "events"
    kind = "circular" if isinstance(series.parent, CompassDirection) else "continuous"
    return f"{kind}, in steps" if is_held(series) else kind


def _sample(data: Any) -> tuple[NDArray[Any], bool]:
    """Return samples of a series, and whether they are all: else pieces from all along it."""
    n, width = data.shape[0], max(int(np.prod(data.shape[1:])), 1)
    if n * width <= MOST:
        return np.asarray(data[()]), True
    length = max(PIECE // width, 1)
    starts = np.linspace(0, n - length, max(MOST // PIECE, 1)).astype(int)
    return np.concatenate([np.asarray(data[i : i + length]) for i in starts]), False


class _Steps:
    """The steps between a series' times, which are read piece by piece."""

    def __init__(self, series: TimeSeries) -> None:
        self.n_gaps = self.n_backwards = 0
        if series.timestamps is None:
            self.usual = 1 / float(series.rate) if series.rate else 0.0
            return
        times, n = series.timestamps, len(series.timestamps)
        first = np.diff(np.asarray(times[:PIECE], dtype=np.float64))
        self.usual = float(np.median(first)) if first.size else 0.0
        for start in range(0, n, PIECE):
            step = np.diff(np.asarray(times[start : start + PIECE + 1], dtype=np.float64))
            self.n_gaps += int((step > GAP * self.usual).sum())
            self.n_backwards += int((step < 0).sum())
