"""NWB files -> recordings: units, trial table, and time series each on its own clock.

Shape legend: ``S`` samples of a signal, ``D`` channels.

Values are taken as they are stored; a ``conversion`` to the declared unit is not applied, as the
Neural Latents Benchmark does not apply it. A series within a container (``Position``, ...) is
called ``<container>_<series>``. Channels are named by a comment ``columns=[x,y]``, where there is
one, and numbered otherwise.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from hdmf.common import VectorIndex
from numpy.typing import NDArray
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.core import MultiContainerInterface

from neuroblend.data.clocks import merged
from neuroblend.data.recording import Recording, Signal
from neuroblend.errors import InputError, nearest, some

ID = "id"
OBSERVED = "obs_intervals"
HELD_OUT = "heldout"
PREFIXES = {"k": 1e3, "c": 1e-2, "m": 1e-3, "µ": 1e-6}
REGIONS = ("region", "brain_area", "brain_region", "location")


@contextmanager
def open_nwb(path: str | Path) -> Iterator[NWBFile]:
    """Open an NWB file for reading.

    Raises:
        InputError: There is no such file, it is truncated, or it is not NWB.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            is_nwb = "nwb_version" in file.attrs
    except OSError as error:
        raise InputError(f"{path}: truncated, or not an NWB file (HDF5): {error}") from None
    if not is_nwb:
        raise InputError(f"{path}: HDF5, but not NWB (it states no nwb_version)")
    try:
        io = NWBHDF5IO(str(path), "r")
        file = io.read()
    except Exception as error:  # pynwb raises whatever the schema's reader ran into
        raise InputError(f"{path}: pynwb cannot read it ({_first_line(error)})") from None
    try:
        yield file
    except OSError as error:  # data are read on demand, so a truncated file shows here
        raise InputError(f"{path}: damaged ({_first_line(error)})") from None
    finally:
        io.close()


def read_nwb(
    path: str | Path, signals: Sequence[str] | None = None, need_signals: bool = True
) -> Recording:
    """Read a recording.

    Args:
        path: An NWB file.
        signals: Names of the time series to read; every numeric one where ``None``.
        need_signals: Whether a file that lacks one of them is refused.

    Returns:
        The recording. ``units`` has one row a unit with ``id``, ``obs_intervals`` ((n, 2) s) and
        the other columns of its table, ``trials`` every column with one value a trial.

    Raises:
        InputError: The file cannot be read, has no units or no such series, or a series' times go
            backwards.
    """
    path = Path(path)
    with open_nwb(path) as file:
        units, spike_times = read_units(file, path)
        found = find_series(file)
        for name in signals or ():
            if name not in found and need_signals:
                raise InputError(f"{path}: no time series '{name}': {nearest(name, found)}")
        wanted = found if signals is None else signals
        chosen = {name: found[name] for name in wanted if name in found}
        read = {name: read_signal(series, name, path) for name, series in chosen.items()}
        trials = read_trials(file)
    span, observed = _span(units, trials, spike_times), _observed(units)
    return Recording.of(spike_times, read, span, units, trials, path.stem, observed)


def find_series(file: NWBFile) -> dict[str, TimeSeries]:
    """Return every numeric time series of the file by name.

    Two of one name are distinguished by their parents' names.
    """
    found: dict[str, TimeSeries] = {}
    for item in file.objects.values():
        if not isinstance(item, TimeSeries) or not _is_numeric(item):
            continue
        within = item.parent
        name = f"{within.name}_{item.name}" if _is_container(within) else item.name
        while name in found and within is not None:
            name, within = f"{within.name}_{name}", within.parent
        found[name] = item
    return found


def read_signal(series: TimeSeries, name: str, path: Path) -> Signal:
    """Read one series.

    Raises:
        InputError: Its times go backwards, or it has more than two axes.
    """
    values = np.asarray(series.data[()])
    if values.ndim > 2:
        raise InputError(f"{path}: {name} has shape {values.shape}, wanted (sample, channel)")
    times = series_times(series)
    if np.isnan(times).any() or (np.diff(times) < 0).any():
        bad = int(np.flatnonzero(~(np.diff(times) >= 0))[0])
        raise InputError(
            f"{path}: timestamps of {name} go backwards or are missing after sample {bad} "
            f"({times[bad]:.6g} s)"
        )
    if times.shape[0] != values.shape[0]:
        raise InputError(
            f"{path}: {name} has {values.shape[0]} samples and {times.shape[0]} timestamps"
        )
    names = [f"{name}{c}" for c in channel_suffixes(series)]
    return Signal.of(times, values, names, stored_unit(series))


def stored_unit(series: TimeSeries) -> str:
    """Return the unit of a series' values as they are stored, such as ``"mm/s"``.

    A file that declares m/s and a conversion of 0.001 to it stores mm/s.
    """
    unit, factor = str(series.unit or "").strip(), float(series.conversion or 1.0)
    if np.isclose(factor, 1.0):
        return unit
    prefix = next((p for p, size in PREFIXES.items() if np.isclose(factor, size)), None)
    metres = re.fullmatch(r"m(?:et(?:er|re)s?)?(/.*)?", unit)
    if prefix and metres:
        return f"{prefix}m{metres[1] or ''}"
    return f"{factor:g} {unit}" if unit else ""


def series_times(series: TimeSeries) -> NDArray[np.float64]:
    """Return (S,) seconds of a series' samples, from its timestamps or its rate."""
    if series.timestamps is not None:
        return np.asarray(series.timestamps[()], dtype=np.float64)
    return np.arange(series.data.shape[0]) / float(series.rate) + float(series.starting_time)


def channel_suffixes(series: TimeSeries) -> list[str]:
    """Return the suffixes of a series' channels: ``_x``, ``_y``, numbers, or nothing for one."""
    n_channels = 1 if series.data.ndim == 1 else series.data.shape[1]
    comment = series.comments or ""
    if "columns=" in comment:
        names = comment.split("[")[-1].split("]")[0].split(",")
        if len(names) == n_channels:
            return [f"_{name.strip()}" for name in names]
    return [""] if n_channels == 1 else [f"_{i}" for i in range(n_channels)]


def read_units(file: NWBFile, path: Path) -> tuple[pd.DataFrame, list[NDArray[np.float64]]]:
    """Return the units table, without spike times, and those (n_spikes,) in seconds, a unit each.

    Raises:
        InputError: There is no units table or it has no spike times.
    """
    table = file.units
    if table is None or len(table) == 0:
        raise InputError(f"{path}: no units table, so no spikes")
    if "spike_times" not in table.colnames:
        raise InputError(f"{path}: units have no spike_times; they have {some(table.colnames)}")
    columns = _columns(table, without=("spike_times", "electrodes"))
    if OBSERVED in table.colnames:
        columns[OBSERVED] = [rows.reshape(-1, 2) for rows in ragged(table[OBSERVED])]
    units = pd.DataFrame(columns)
    region = next((name for name in REGIONS if name in units), None)
    if region is not None:
        units["region"] = units[region].astype(str)
    return units, ragged(table["spike_times"])


def ragged(column: Any) -> list[NDArray[np.float64]]:
    """Return the rows of a ragged column."""
    ends = np.asarray(column.data[()], dtype=np.int64)
    values = np.asarray(column.target.data[()], dtype=np.float64)
    return np.split(values, ends[:-1])


def read_trials(file: NWBFile) -> pd.DataFrame:
    """Return the trial table's columns that have one value a trial; empty without a table."""
    return pd.DataFrame() if file.trials is None else pd.DataFrame(_columns(file.trials))


def _columns(table: Any, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return a table's ids, and its columns that have one value a row."""
    columns: dict[str, Any] = {ID: np.asarray(table.id[:])}
    for name in table.colnames:
        if name not in without and not isinstance(table[name], VectorIndex):
            values = _plain(table[name].data)
            if values is not None:
                columns[name] = values
    return columns


def _plain(data: Any) -> NDArray[Any] | None:
    """Return a column's values where each is one number, truth value or string."""
    values = np.asarray(data[()] if hasattr(data, "shape") else data)
    if values.ndim != 1 or values.dtype.kind not in "biufOSU":
        return None
    if values.dtype.kind in "biuf":
        return values
    return np.array([v.decode() if isinstance(v, bytes) else str(v) for v in values], dtype=object)


def _is_numeric(series: TimeSeries) -> bool:
    data = series.data
    kind = getattr(getattr(data, "dtype", None), "kind", "O")
    return kind in "biuf" and len(getattr(data, "shape", ())) > 0 and data.shape[0] > 1


def _is_container(item: Any) -> bool:
    return (
        isinstance(item, MultiContainerInterface)
        and not isinstance(item, NWBFile)
        and (type(item).__name__ != "ProcessingModule")
    )


def _observed(units: pd.DataFrame) -> NDArray[np.float64] | None:
    """Return the (n, 2) seconds in which every unit was observed, if the file says so."""
    if OBSERVED not in units:
        return None
    different = {intervals.tobytes(): intervals for intervals in units[OBSERVED]}  # often just one
    return reduce(intersected, map(merged, different.values()))


def intersected(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (n, 2) intervals that lie in both of two ascending lists.

    >>> intersected(np.array([[0.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 4.0]])).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    starts = np.maximum(a[:, None, 0], b[None, :, 0]).ravel()
    ends = np.minimum(a[:, None, 1], b[None, :, 1]).ravel()
    return np.stack([starts, ends], axis=1)[ends > starts]


def _span(
    units: pd.DataFrame, trials: pd.DataFrame, spike_times: Sequence[NDArray[np.float64]]
) -> tuple[float, float]:
    if OBSERVED in units and any(len(rows) for rows in units[OBSERVED]):
        everything = np.concatenate(list(units[OBSERVED]))
        return float(everything.min()), float(everything.max())
    ends = [times[[0, -1]] for times in spike_times if times.size]
    if {"start_time", "stop_time"} <= set(trials):
        ends.append(np.array([trials["start_time"].min(), trials["stop_time"].max()]))
    if not ends:
        return 0.0, 0.0
    return float(min(e[0] for e in ends)), float(max(e[1] for e in ends))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def nwb_files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the files of a source, in the order of their names.

    Raises:
        InputError: There are none.
    """
    many = [source] if isinstance(source, (str, Path)) else list(source)
    files: list[Path] = []
    for item in map(Path, many):
        inside = sorted(item.glob("*.nwb")) if item.is_dir() else [item]
        if not inside:
            raise InputError(f"{item}: a folder without .nwb files")
        files += inside
    return files if len(many) == 1 else sorted(files)
