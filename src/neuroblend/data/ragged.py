"""Trials of unequal length, as lists or padded with NaN -> arrays padded to one, and lengths.

Shape legend: ``B`` trials, ``T`` bins of the longest, ``T_i`` of trial i, ``N`` neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError


def padded(
    spikes: Any, behavior: Any, rates: Any, lengths: Any
) -> tuple[Any, Any, Any, NDArray[np.int64] | Any]:
    """Return arrays of all trials, and (B,) bins of each where they differ.

    Args:
        spikes: (B, T, N) counts, NaN or under a mask after the end of a trial; or a list of B
            (T_i, N) arrays.
        behavior: As :meth:`~neuroblend.data.trials.Trials.from_arrays` takes it; arrays may be
            lists of B arrays too.
        rates: (B, T, N), or a list.
        lengths: (B,) bins of each trial, where they are told.

    Raises:
        InputError: Trials of a list do not fit together.
    """
    spikes = _without_mask(spikes)
    if not is_ragged(spikes):
        ends = _ends_before_nan(spikes) if lengths is None else lengths
        wanted = None if ends is None else np.asarray(ends)
    else:
        spikes, found = _joined(spikes, "spikes", 0, axes=2)
        if lengths is not None and not np.array_equal(lengths, found):
            raise InputError("lengths: found others than those of the list of spikes; leave it out")
        wanted = ends = found
    if isinstance(behavior, Mapping):
        behavior = {key: _fitted(v, f"behavior '{key}'", wanted) for key, v in behavior.items()}
    elif behavior is not None:
        behavior = _fitted(behavior, "behavior", wanted)
    rates = None if rates is None else _fitted(_without_mask(rates), "rates", wanted)
    return spikes, behavior, rates, ends


def is_ragged(values: Any) -> bool:
    """Whether values are a list of arrays that differ in length, so that they are no array."""
    if isinstance(values, np.ndarray):
        many = list(values) if values.dtype.kind == "O" and values.ndim == 1 else []
    else:
        many = list(values) if isinstance(values, (list, tuple)) else []
    if any(isinstance(item, (str, bytes)) or np.ndim(_first(item)) > 2 for item in many):
        return False
    sizes = {len(item) for item in many if hasattr(item, "__len__")}
    return len(sizes) > 1 or (isinstance(values, np.ndarray) and len(sizes) == 1)


def _first(item: Any) -> Any:
    return item[0] if isinstance(item, (list, tuple)) and item else 0


def _fitted(values: Any, what: str, lengths: NDArray[Any] | None) -> Any:
    """Return one array, of a list whose trials are as long as those of spikes."""
    if not is_ragged(values):
        return values
    joined, found = _joined(values, what, np.nan)
    if lengths is None or found.shape != lengths.shape or (found != lengths).any():
        of_spikes = "equal" if lengths is None else _first_bins(lengths)
        raise InputError(
            f"{what}: found trials of {_first_bins(found)} bins, those of spikes are {of_spikes}; "
            "wanted each trial as long as its spikes"
        )
    return joined


def _first_bins(lengths: NDArray[Any]) -> str:
    return ", ".join(str(n) for n in lengths[:4]) + (", ..." if len(lengths) > 4 else "")


def _joined(
    trials: Any, what: str, fill: float, axes: int | None = None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return a list of (T_i, ...) arrays as one, and (B,) lengths."""
    arrays = [np.asarray(_without_mask(trial)) for trial in trials]
    first = arrays[0]
    for i, array in enumerate(arrays):
        wanted_axes = first.ndim if axes is None else axes
        if array.ndim != wanted_axes or array.shape[1:] != first.shape[1:] or not len(array):
            wanted = ("bin", "neuron" if axes else "channel")[:wanted_axes]
            raise InputError(
                f"{what}: trial {i} has shape {array.shape}, trial 0 {first.shape}; wanted "
                f"({', '.join(wanted)}) with one or more bins, and the rest alike"
            )
    lengths = np.array([len(array) for array in arrays])
    kind = np.result_type(*arrays) if first.dtype.kind in "buif" else np.asarray(first).dtype
    if kind.kind == "U":
        kind = max((array.dtype for array in arrays), key=lambda dtype: dtype.itemsize)
    shape = (len(arrays), int(lengths.max()), *first.shape[1:])
    # padding is never looked at, so whatever the type holds will do
    joined = np.full(shape, fill, dtype=kind) if kind.kind == "f" else np.zeros(shape, dtype=kind)
    for row, array in zip(joined, arrays, strict=True):
        row[: len(array)] = array
    return joined, lengths


def _without_mask(values: Any) -> Any:
    """Return values with NaN where they are masked."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if not np.ma.getmaskarray(values).any() or values.dtype.kind not in "buif":
        return values.data
    return np.where(np.ma.getmaskarray(values), np.nan, values.data)


def _ends_before_nan(spikes: Any) -> NDArray[np.int64] | None:
    """Return (B,) bins before those at the end that are NaN in every neuron, if there are such."""
    counts = np.asarray(spikes) if not isinstance(spikes, (list, tuple)) else _tried(spikes)
    if counts is None or counts.ndim != 3 or counts.dtype.kind != "f" or 0 in counts.shape:
        return None
    there = ~np.isnan(counts).all(axis=2)
    if there.all() or not there.any(axis=1).all():
        return None
    return np.asarray(counts.shape[1] - there[:, ::-1].argmax(axis=1), dtype=np.int64)


def _tried(values: Any) -> NDArray[Any] | None:
    try:
        return np.asarray(values)
    except ValueError:
        return None
