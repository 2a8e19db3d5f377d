"""Names of neurons: whole numbers or strings, each once."""

from __future__ import annotations

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.data.words import check_unmasked, words_of
from neuroblend.errors import InputError, some

UnitIds = NDArray[np.int64] | NDArray[np.str_]


def checked_ids(ids: ArrayLike, n_neurons: int) -> UnitIds:
    """Return (N,) names of neurons, whole numbers or strings.

    Raises:
        InputError: They are neither, not one for each neuron, or one appears twice.
    """
    check_unmasked(ids, "unit_id")
    values = np.asarray(ids)
    if values.dtype.kind in "OS":
        values = words_of(values, "unit_id")
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all():
        values = values.astype(np.int64)
    if values.shape != (n_neurons,) or values.dtype.kind not in "uiU":
        raise InputError(
            f"unit_id: found {values.dtype} of shape {values.shape}, wanted {n_neurons} whole "
            "numbers or names, one for each neuron"
        )
    known, n_times = np.unique(values, return_counts=True)
    if (n_times > 1).any():
        raise InputError(
            f"unit_id: found {some(known[n_times > 1])} more than once, wanted each neuron once"
        )
    return values.astype(str if values.dtype.kind == "U" else np.int64)


def write_ids(file: h5py.Group, key: str, ids: UnitIds) -> None:
    """Write names of neurons."""
    file[key] = [str(word) for word in ids] if ids.dtype.kind == "U" else ids


def read_ids(file: h5py.Group, key: str) -> UnitIds:
    """Return what :func:`write_ids` wrote."""
    stored = file[key]
    is_text = h5py.check_string_dtype(stored.dtype) is not None
    ids: UnitIds = stored.asstr()[()].astype(str) if is_text else stored[()]
    return ids
