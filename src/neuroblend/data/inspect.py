"""What an NWB file holds, before anything is cut from it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pynwb import TimeSeries

from neuroblend.data.nwb import (
    HELD_OUT,
    ID,
    OBSERVED,
    channel_suffixes,
    find_series,
    open_nwb,
    read_trials,
    read_units,
    series_times,
    stored_unit,
)

GAP = 1.5  # times the usual step between two samples
SHOWN = 4  # values of a column that are shown


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds.

    Attributes:
        name: The file's name.
        units: One line each on the units, as (what, value).
        trials: The same on the trial table.
        columns: One row a column of the trial table: name, kind, range or values, how many missing.
        signals: One row a time series: name, channels, unit, samples, rate in Hz, span in seconds,
            gaps, missing samples.
    """

    name: str
    units: list[tuple[str, str]]
    trials: list[tuple[str, str]]
    columns: pd.DataFrame
    signals: pd.DataFrame


def inspect_nwb(path: str | Path) -> Contents:
    """Look into an NWB file.

    Raises:
        InputError: It cannot be read, or has no units.
    """
    path = Path(path)
    with open_nwb(path) as file:
        units, spike_times = read_units(file, path)
        trials = read_trials(file)
        signals = pd.DataFrame([_signal(name, s) for name, s in find_series(file).items()])
    if not signals.empty and (signals["backwards"] == "0").all():
        signals = signals.drop(columns="backwards")
    return Contents(
        path.name, _units(units, spike_times), _trials(trials), _columns(trials), signals
    )


def _units(units: pd.DataFrame, spike_times: list[NDArray[np.float64]]) -> list[tuple[str, str]]:
    spikes = np.array([times.size for times in spike_times])
    known = [times for times in spike_times if times.size]
    lines = [("units", f"{len(units)}, of which {int((spikes == 0).sum())} never fire")]
    if HELD_OUT in units:
        held_out = units[HELD_OUT].to_numpy().astype(bool)
        lines.append(("held in / held out", f"{int((~held_out).sum())} / {int(held_out.sum())}"))
    if known:
        first, last = min(t.min() for t in known), max(t.max() for t in known)
        hz = spikes / max(last - first, 1e-9)
        quartiles = np.percentile(hz, [25, 50, 75])
        lines.append(("spikes", f"{int(spikes.sum())}, from {first:.3f} to {last:.3f} s"))
        lines.append(("rates (Hz)", "quartiles " + ", ".join(f"{q:.2f}" for q in quartiles)))
    if OBSERVED in units:
        rows = units[OBSERVED].iloc[0]
        seen = float(np.diff(rows, axis=1).sum())
        lines.append(("observed", f"{len(rows)} intervals, {seen:.1f} s (first unit)"))
    others = [str(name) for name in units if name not in (ID, HELD_OUT, OBSERVED)]
    return [*lines, ("other columns", ", ".join(others) or "none")]


def _trials(trials: pd.DataFrame) -> list[tuple[str, str]]:
    lines = [("trials", str(len(trials)))]
    if {"start_time", "stop_time"} <= set(trials):
        length = trials["stop_time"] - trials["start_time"]
        lines.append(("length (s)", f"{length.min():.3f} to {length.max():.3f}"))
    if "split" in trials:
        counts = trials["split"].value_counts()
        lines.append(("split", ", ".join(f"{n} {name}" for name, n in counts.items())))
    return lines


def _columns(trials: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name in trials:
        column = trials[name]
        if pd.api.types.is_float_dtype(column) or (
            pd.api.types.is_integer_dtype(column) and column.nunique() > SHOWN
        ):
            values = f"{column.min():g} to {column.max():g}" if column.notna().any() else "-"
        else:
            unique = [str(v) for v in column.dropna().unique()]
            more = len(unique) - SHOWN
            values = ", ".join(unique[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        rows.append((str(name), str(column.dtype), values, int(column.isna().sum())))
    return pd.DataFrame(rows, columns=["column", "kind", "values", "missing"])


def _signal(name: str, series: TimeSeries) -> dict[str, object]:
    times = series_times(series)
    values = np.asarray(series.data[()])
    step = np.diff(times)
    usual = float(np.median(step)) if step.size else np.nan
    names = [suffix.lstrip("_") for suffix in channel_suffixes(series)]
    return {
        "signal": name,
        "channels": ", ".join(names) or "1",
        "unit": stored_unit(series),
        "samples": str(len(values)),
        "Hz": f"{1 / usual:g}" if usual > 0 else "-",
        "span (s)": f"{times[0]:.3f} to {times[-1]:.3f}",
        "gaps": str(int((step > GAP * usual).sum())),
        "missing": str(int(np.isnan(values).sum())),
        "backwards": str(int((step < 0).sum())),
    }
