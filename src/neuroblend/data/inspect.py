"""What a file holds: an NWB file, before anything is cut from it, or trials."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pynwb import TimeSeries

from neuroblend.data.arrays import read_arrays
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
from neuroblend.errors import some

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
    tables = _units(units, spike_times), _trials(trials), _columns(trials)
    return Contents(path.name, *tables, signals)


def inspect_arrays(path: str | Path) -> Contents:
    """Look into an ``.npz`` or ``.h5`` file of trials.

    Raises:
        InputError: It cannot be read, or holds what it must not.
    """
    path = Path(path)
    trials = read_arrays(path)
    start, end = trials.span_s
    rates = ", ".join(f"{q:.2f}" for q in np.percentile(trials.rate_hz, [25, 50, 75]))
    units = [
        ("neurons", f"{trials.n_neurons} of {trials.n_source_neurons} in the file"),
        ("rates (Hz)", f"quartiles {rates}"),
    ]
    lines = [
        ("trials", str(trials.n_trials)),
        ("bins", f"{trials.n_bins} of {trials.bin_s * 1000:g} ms"),
        ("window", f"{start:g} to {end:g} s from {trials.event or 'the start of a trial'}"),
    ]
    for key in ("split", "condition"):
        if (labels := getattr(trials, key)) is not None:
            counts = [f"{n} {name}" for name, n in pd.Series(labels).value_counts().items()]
            lines.append((key, some(counts, SHOWN)))
    lines += [("note", note) for note in trials.notes]
    rows = []
    for i, (name, unit) in enumerate(
        zip(trials.behavior_names, trials.behavior_units, strict=True)
    ):
        assert trials.behavior is not None
        values = trials.behavior[np.arange(trials.n_bins) < trials.bins_of()[:, None], i]
        low, high = np.nanmin(values), np.nanmax(values)
        rows.append((name, unit or "-", f"{low:.4g} to {high:.4g}", int(np.isnan(values).sum())))
    signals = pd.DataFrame(rows, columns=["signal", "unit", "values", "missing"])
    return Contents(path.name, units, lines, pd.DataFrame(), signals)


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
        "channels": some(names, SHOWN) or "1",
        "unit": stored_unit(series),
        "samples": str(len(values)),
        "Hz": f"{1 / usual:g}" if usual > 0 else "-",
        "span (s)": f"{times[0]:.3f} to {times[-1]:.3f}",
        "gaps": str(int((step > GAP * usual).sum())),
        "missing": str(int(np.isnan(values).sum())),
        "backwards": str(int((step < 0).sum())),
    }
