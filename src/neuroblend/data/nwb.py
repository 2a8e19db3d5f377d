"""NWB files -> recordings: units, tables of intervals, and time series each on its own clock.

A series within a container (``Position``, ...) is called ``<container>_<series>``. Channels are
named by a comment ``columns=[x,y]``, where there is one, and numbered otherwise.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pynwb import NWBHDF5IO, NWBFile

from neuroblend.data.hdf5 import check_file, register_filters
from neuroblend.data.measured import START, STOP
from neuroblend.data.nwb_series import (
    channel_suffixes,
    find_behavior,
    find_series,
    read_behavior,
    read_signal,
    series_times,
    stored_unit,
)
from neuroblend.data.nwb_tables import (
    HELD_OUT,
    ID,
    OBSERVED,
    intersected,
    observed_of,
    ragged,
    read_tables,
    read_trials,
    read_units,
)
from neuroblend.data.recording import Recording
from neuroblend.data.where import rows_where
from neuroblend.errors import InputError, nearest
from neuroblend.files import errors_of

__all__ = [
    "HELD_OUT", "ID", "OBSERVED", "channel_suffixes", "find_series", "intersected", "nwb_files",
    "open_nwb", "ragged", "read_nwb", "read_signal", "read_trials", "read_units", "series_times",
    "stored_unit",
]  # fmt: skip


@contextmanager
def open_nwb(path: str | Path) -> Iterator[NWBFile]:
    """Open an NWB file for reading.

    Raises:
        InputError: There is no such file, it is truncated, or it is not NWB of version 2.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    register_filters()
    try:
        with h5py.File(path, "r") as file:
            version = _version(file)
    except OSError as error:
        raise InputError(f"{path}: truncated, or not an NWB file (HDF5): {error}") from None
    if not version:
        raise InputError(f"{path}: HDF5, but not NWB (it states no nwb_version)")
    if version.removeprefix("NWB-").startswith(("0", "1")):
        raise InputError(
            f"{path}: found NWB of version {version.removeprefix('NWB-')}, wanted 2 or later; "
            "convert it, or read it by its own tools and give arrays"
        )
    try:
        io = NWBHDF5IO(str(path), "r")
        file = io.read()
    except Exception as error:  # pynwb raises whatever the schema's reader ran into
        raise InputError(f"{path}: pynwb cannot read it ({_cause(error)})") from None
    try:
        yield file
    except OSError as error:  # data are read on demand, so a truncated file shows here
        with errors_of(path):
            check_file(path)
        raise InputError(f"{path}: damaged ({_cause(error)})") from None
    finally:
        io.close()


def read_nwb(
    path: str | Path,
    signals: Sequence[str] | None = None,
    need_signals: bool = True,
    where: str | None = None,
    optional: Sequence[str] = (),
) -> Recording:
    """Read a recording.

    Args:
        path: An NWB file.
        signals: Names of the time series and events to read, all save raw recordings and images
            where ``None``. Names of tables and of their columns may be among them.
        need_signals: Whether a file that lacks one of them is refused.
        where: Which units to take, such as ``"quality == 'good'"``; see
            :mod:`neuroblend.data.where`. All where ``None``.
        optional: Names of further time series and events, read if they are there.

    Returns:
        The recording. ``units`` has one row a unit with ``id``, ``region``, ``obs_intervals``
        ((n, 2) s) and the other columns of its table, ``trials`` every column with one value a
        trial, ``tables`` all other tables of intervals.

    Raises:
        InputError: The file cannot be read, has no units or no such series, or times go backwards.
    """
    path = Path(path)
    with open_nwb(path) as file:
        units, spike_times = read_units(file, path)
        said = []
        if where is not None:
            with errors_of(path):
                keep, note = rows_where(units, where, "units")
            said, kept = [note], np.flatnonzero(keep)
            units = units.iloc[kept].reset_index(drop=True)
            spike_times = [spike_times[i] for i in kept]
        with errors_of(path):
            trials, tables = read_trials(file), read_tables(file)
        found = find_behavior(file)
        columns = dict.fromkeys(str(c) for rows in (trials, *tables.values()) for c in rows)
        there = [*found, *tables, *columns]
        for name in signals or ():
            of_table = name.rpartition(".")[0] in {"trials", *tables}
            if name not in there and not of_table and need_signals:
                raise InputError(f"{path}: no time series '{name}': {nearest(name, there)}")
        wanted = [*(found if signals is None else signals), *optional]
        chosen = {name: found[name] for name in wanted if name in found}
        with errors_of(path):
            read = {name: read_behavior(item, name, path) for name, item in chosen.items()}
    span = _span(units, trials, spike_times)
    observed, notes = observed_of(units, tables, span)
    with errors_of(path):
        return Recording.of(
            spike_times, read, span, units, trials, path.stem, observed, tables, (*said, *notes)
        )


def _version(file: h5py.File) -> str:
    """Return what version of NWB a file states, as an attribute or, of version 1, a dataset."""
    stated = file.attrs.get("nwb_version", "")
    if not len(stated) and isinstance(file.get("nwb_version"), h5py.Dataset):
        stated = np.asarray(file["nwb_version"][()]).ravel()[0]
    return stated.decode(errors="replace") if isinstance(stated, bytes) else str(stated)


def _span(
    units: pd.DataFrame, trials: pd.DataFrame, spike_times: Sequence[NDArray[np.float64]]
) -> tuple[float, float]:
    if OBSERVED in units and any(len(rows) for rows in units[OBSERVED]):
        everything = np.concatenate(list(units[OBSERVED]))
        return float(everything.min()), float(everything.max())
    ends = [np.array([times.min(), times.max()]) for times in spike_times if times.size]
    if {START, STOP} <= set(trials) and len(trials):
        ends.append(np.array([trials[START].min(), trials[STOP].max()]))
    if not ends:
        return 0.0, 0.0
    return float(np.nanmin([e[0] for e in ends])), float(np.nanmax([e[1] for e in ends]))


def _cause(error: BaseException) -> str:
    """Return why pynwb fails: its errors begin with the whole of what it was building."""
    builder = next((a for a in error.args if hasattr(a, "path")), None)
    said = next((a for a in reversed(error.args) if isinstance(a, str)), str(error))
    words = " ".join(said.split()).rpartition("due to: ")[2] or type(error).__name__
    return (f"{builder.path}: {words}" if builder is not None else words)[:300]


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
