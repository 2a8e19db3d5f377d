"""Counts of spikes in bins, checked.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.errors import InputError


def checked_counts(spikes: ArrayLike) -> NDArray[np.unsignedinteger[Any]]:
    """Return (B, T, N) counts/bin in the smallest type that holds them.

    Raises:
        InputError: They are not whole, non-negative counts of that shape.
    """
    counts = np.asarray(spikes)
    if counts.ndim != 3 or 0 in counts.shape:
        raise InputError(
            f"spikes: found shape {counts.shape}, wanted (trial, bin, neuron) with none of them 0"
        )
    if counts.dtype.kind not in "buif":
        raise InputError(f"spikes: found {counts.dtype} values, wanted whole counts per bin")
    if counts.dtype.kind == "f":
        if n_bad := int((~np.isfinite(counts)).sum()):
            raise InputError(f"spikes: {n_bad} values are NaN or infinite, wanted counts per bin")
        if (fractional := counts != np.floor(counts)).any():
            example = counts[fractional][0]
            raise InputError(
                f"spikes: found fractional counts such as {example:g}, wanted whole counts per bin "
                "(rates in Hz or smoothed spikes cannot be used)"
            )
    if counts.min() < 0:
        raise InputError(f"spikes: found negative counts, down to {counts.min():g}")
    most = int(counts.max())
    if most > np.iinfo(np.uint16).max:
        raise InputError(f"spikes: found {most} spikes in one bin: not counts per bin")
    return counts.astype(np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16)


def checked_padded_counts(
    spikes: ArrayLike, lengths: ArrayLike | None = None
) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64] | None]:
    """Return (B, T, N) counts/bin, 0 in padding, and (B,) bins of each trial if they differ.

    Raises:
        InputError: They are not counts, or there are spikes in padding.
    """
    counts = np.asarray(spikes)
    n_bins_of = _lengths(lengths, counts.shape)
    if n_bins_of is None or counts.dtype.kind not in "buif":
        return checked_counts(counts), n_bins_of
    padding = np.arange(counts.shape[1]) >= n_bins_of[:, None]
    filled = (padding & np.nan_to_num(counts).any(axis=2)).any(axis=1)
    if filled.any():
        trial = int(filled.argmax())
        raise InputError(
            f"lengths: trial {trial} has {n_bins_of[trial]} bins, but spikes after them; "
            "wanted 0 or NaN in padding"
        )
    return checked_counts(np.where(padding[:, :, None], 0, counts)), n_bins_of


def _lengths(lengths: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.int64] | None:
    """Return (B,) checked bins of each trial, ``None`` where all trials have all of them."""
    if lengths is None or len(shape) != 3 or 0 in shape:
        return None
    values = np.asarray(lengths)
    n_trials, n_bins = shape[:2]
    whole = values.dtype.kind in "ui" or (values.dtype.kind == "f" and (values % 1 == 0).all())
    if values.shape != (n_trials,) or not whole or values.min() < 1 or values.max() > n_bins:
        raise InputError(
            f"lengths: found {values.dtype} of shape {values.shape}, wanted {n_trials} whole "
            f"numbers of bins, each 1 to {n_bins}"
        )
    return None if (values == n_bins).all() else values.astype(np.int64)
