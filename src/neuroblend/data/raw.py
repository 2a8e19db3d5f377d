"""Raw arrays of one recording, ``.npz`` or ``.h5`` -> a recording.

=====================  ===================================================================
key                    meaning
=====================  ===================================================================
``spike_times``        (spike,) seconds, those of one unit after those of another; required
``spike_times_index``  (unit,) where each unit's spikes end in it
``spike_clusters``     (spike,) which unit each spike is of, instead of the former
``unit_id``            (unit,) number or name of each unit
``X`` and ``X_times``  (sample, channel) or (sample,) values and their (sample,) seconds: a
                       signal ``X`` on its own clock
``X_times`` alone      (event,) seconds: events ``X``
``X_intervals``        (interval, 2) seconds: a table of intervals ``X``
``X_unit``             () unit of measure of the signal ``X``
``X_names``            (channel,) names of its channels, numbered otherwise
others, (unit,)        columns of the units table, such as ``region``
=====================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroblend.data.arrays import load_arrays
from neuroblend.data.channels import channel_names, channel_units
from neuroblend.data.measured import START, STOP
from neuroblend.data.recording import Recording
from neuroblend.data.signal import Signal
from neuroblend.data.where import rows_where
from neuroblend.data.words import text_of, words_of
from neuroblend.errors import InputError, nearest, some
from neuroblend.files import errors_of

SPIKES, INDEX, CLUSTERS, UNIT_ID = "spike_times", "spike_times_index", "spike_clusters", "unit_id"
TIMES, INTERVALS, UNIT, NAMES = "_times", "_intervals", "_unit", "_names"
Arrays = dict[str, NDArray[Any]]


def read_raw(path: str | Path, where: str | None = None) -> Recording:
    """Read the recording of a file with the keys above.

    Args:
        path: A ``.npz`` or ``.h5``/``.hdf5`` file.
        where: Which units to take, such as ``"region == 'CA1'"``; see
            :mod:`neuroblend.data.where`. All where ``None``.

    Returns:
        The recording, whose span is the time in which every signal was sampled. Keys that mean
        nothing here are left alone, and a note says which.

    Raises:
        InputError: The file cannot be read, lacks spikes, or holds what it must not.
    """
    path = Path(path)
    arrays = load_arrays(path)
    if SPIKES not in arrays:
        hint = nearest(SPIKES, arrays)
        if "spikes" in arrays:
            hint = "'spikes' are counts in trials already: give the file to neuroblend run"
        raise InputError(f"{path}: no '{SPIKES}' (seconds), wanted raw spikes: {hint}")
    with errors_of(path):
        ids, spike_times = _spikes(arrays)
        used = {SPIKES, INDEX, CLUSTERS, UNIT_ID}
        signals = {name: _signal(arrays, name, used) for name in _signals(arrays)}
        tables = dict(_tables(arrays, used))
        columns = {} if ids is None else {"id": ids}
        for key, values in arrays.items():
            if key not in used and values.shape == (len(spike_times),):
                columns[key] = words_of(values, key) if values.dtype.kind in "SO" else values
        units = pd.DataFrame(columns, index=range(len(spike_times)))
        left = [key for key in arrays if key not in used and key not in columns]
        recording = Recording.of(
            spike_times, signals, None, units, None, path.stem, None, tables, _left_alone(left)
        )
        if where is None:
            return recording
        return recording.take_units(*rows_where(units, where, "units"))


def read_behavior(path: str | Path) -> tuple[dict[str, Signal], dict[str, pd.DataFrame], list[str]]:
    """Read what a file has beside spikes, for spikes that lie elsewhere.

    Args:
        path: A ``.npz`` or ``.h5``/``.hdf5`` file with the keys above.

    Returns:
        Signals and tables of intervals by name, and notes.

    Raises:
        InputError: The file cannot be read, or has neither.
    """
    path = Path(path)
    arrays = load_arrays(path)
    with errors_of(path):
        used = {SPIKES, INDEX, CLUSTERS, UNIT_ID}
        signals = {name: _signal(arrays, name, used) for name in _signals(arrays)}
        tables = dict(_tables(arrays, used))
        if not signals and not tables:
            raise InputError(
                f"found {some(arrays) or 'nothing'}, wanted signals (X with its seconds X_times), "
                "events (X_times) or intervals (X_intervals)"
            )
    left = [key for key in arrays if key not in used]
    return signals, tables, _left_alone(left)


def _left_alone(keys: list[str]) -> list[str]:
    return [f"Keys that mean nothing here were left alone: {some(keys)}."] if keys else []


def _spikes(arrays: Arrays) -> tuple[NDArray[Any] | None, list[NDArray[np.float64]]]:
    """Return the names of units, ``None`` where they have none, and their spike times."""
    times = _seconds(arrays, SPIKES)
    if times.ndim != 1:
        raise InputError(f"{SPIKES}: found shape {times.shape}, wanted (spike,) seconds")
    if INDEX in arrays:
        return _by_index(arrays, times)
    if CLUSTERS not in arrays:
        raise InputError(
            f"'{SPIKES}' without '{INDEX}' (where each unit's spikes end) or '{CLUSTERS}' (which "
            "unit each spike is of), so that units cannot be told apart"
        )
    clusters = arrays[CLUSTERS]
    if clusters.shape != times.shape:
        raise InputError(f"{CLUSTERS}: found shape {clusters.shape}, wanted {times.shape}")
    if UNIT_ID in arrays:
        raise InputError(
            f"{UNIT_ID}: found beside '{CLUSTERS}', whose numbers or names are those of units; "
            "leave it out, or name units there"
        )
    ids, of_unit = np.unique(clusters, return_inverse=True)
    order = np.argsort(of_unit, kind="stable")
    ends = np.cumsum(np.bincount(of_unit))
    return ids, np.split(times[order], ends[:-1])


def _by_index(
    arrays: Arrays, times: NDArray[np.float64]
) -> tuple[NDArray[Any] | None, list[NDArray[np.float64]]]:
    ends, ids = arrays[INDEX], arrays.get(UNIT_ID)
    whole = ends.ndim == 1 and ends.size > 0 and ends.dtype.kind in "uif"
    whole = whole and not (ends.dtype.kind == "f" and (ends % 1 != 0).any())
    ends = ends.astype(np.int64) if whole else ends
    if not whole or (np.diff(ends, prepend=0) < 0).any() or ends[-1] != times.size:
        raise InputError(
            f"{INDEX}: found {ends.size} ends, of {some(ends.ravel(), 3)}, wanted ends "
            f"that ascend to the {times.size} spikes there are"
        )
    if ids is not None and ids.shape != ends.shape:
        raise InputError(f"{UNIT_ID}: found shape {ids.shape}, wanted {ends.shape}, one for a unit")
    return ids, np.split(times, ends[:-1])


def _seconds(arrays: Arrays, key: str) -> NDArray[np.float64]:
    """Return numbers, where text or dates might lie."""
    if arrays[key].dtype.kind not in "uif":
        raise InputError(f"{key}: found {arrays[key].dtype} values, wanted numbers, in seconds")
    return arrays[key].astype(np.float64)


def _signals(arrays: Arrays) -> Iterator[str]:
    """Yield the names that have times."""
    for key in arrays:
        if key.endswith(TIMES) and key != SPIKES:
            yield key.removesuffix(TIMES)


def _signal(arrays: Arrays, name: str, used: set[str]) -> Signal:
    used |= {name + key for key in ("", TIMES, UNIT, NAMES)}
    times = _seconds(arrays, name + TIMES)
    if name not in arrays:
        return Signal.events(times, name)
    values = arrays[name]
    n_channels = 1 if values.ndim < 2 else values.shape[-1]
    if name + NAMES in arrays:
        names = list(channel_names(arrays[name + NAMES], n_channels))
    else:
        names = [name] if n_channels == 1 else [f"{name}_{i}" for i in range(n_channels)]
    (unit,) = channel_units(text_of(arrays.get(name + UNIT, ""), name + UNIT), 1)
    return Signal.of(times, values, names, unit)


def _tables(arrays: Arrays, used: set[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    for key in arrays:
        if key.endswith(INTERVALS):
            rows = _seconds(arrays, key)
            if rows.ndim != 2 or rows.shape[1] != 2:
                raise InputError(f"{key}: found shape {rows.shape}, wanted (interval, 2) seconds")
            used.add(key)
            yield key.removesuffix(INTERVALS), pd.DataFrame({START: rows[:, 0], STOP: rows[:, 1]})
