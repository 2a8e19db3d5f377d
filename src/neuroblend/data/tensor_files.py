"""The layout of tensors that models of the Neural Latents Benchmark '21 are trained from.

Shape legend: ``B`` trials, ``T`` bins, ``T_fp`` bins of the forward period, ``N`` neurons.

=====================================  ====================  ===================================
key                                    shape                 here
=====================================  ====================  ===================================
``train_spikes_heldin``, ``_heldout``  (B, T, N)             trials of split ``train``
``eval_spikes_heldin``, ``_heldout``   (B, T, N)             trials of split ``test``
``..._forward``                        (B, T_fp, N)          further bins at the end of trials
``train_behavior``, ``eval_behavior``  (B, T, D)             behavior; missing in forward bins
=====================================  ====================  ===================================

Neurons are ordered held-in first. Evaluated trials without ``eval_spikes_heldout`` cannot be scored
and are left out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError
from neuroblend.files import new_h5, write_whole

MARK = "train_spikes_heldin"
PARTS = {"train": "train", "eval": "test"}
KINDS = ("heldin", "heldout")


def from_tensors(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays by the keys of an array file; unchanged where they are not benchmark tensors.

    Raises:
        InputError: Shapes do not fit together.
    """
    if MARK not in arrays:
        return dict(arrays)
    parts = [part for part in PARTS if f"{part}_spikes_heldout" in arrays]
    if "train" not in parts:
        raise InputError(f"found '{MARK}' without 'train_spikes_heldout'")
    forward = all(f"{part}_spikes_{kind}_forward" in arrays for part in parts for kind in KINDS)
    notes = []
    spikes = [_spikes(arrays, part, forward) for part in parts]
    n_bins = spikes[0].shape[1]
    if len({s.shape[1:] for s in spikes}) > 1:
        raise InputError(f"train and eval tensors have shapes {[s.shape for s in spikes]}")
    made: dict[str, Any] = {
        "spikes": np.concatenate(spikes),
        "split": np.repeat([PARTS[part] for part in parts], [len(s) for s in spikes]),
        "held_out": np.arange(spikes[0].shape[2]) >= np.shape(arrays[MARK])[2],
    }
    if "bin_s" in arrays:
        made["bin_s"] = arrays["bin_s"]
    if forward:
        n_forward = np.shape(arrays[f"{MARK}_forward"])[1]
        notes.append(
            f"The last {n_forward} bins of each trial are its forward period; --forward-bins "
            f"{n_forward} keeps them from every model."
        )
    known = [part for part in parts if f"{part}_behavior" in arrays]
    if known and known != parts:
        notes.append(f"Behavior of {known} alone cannot be used: some trials have none.")
    elif known:
        made["behavior"] = np.concatenate([_padded(arrays[f"{p}_behavior"], n_bins) for p in parts])
    if "eval" not in parts and "eval_spikes_heldin" in arrays:
        notes.append("Evaluated trials have no held-out spikes, so they were left out.")
    if notes:
        made["notes"] = np.array(notes)
    return made


def save_tensors(tensors: Mapping[str, NDArray[Any]], path: str | Path) -> None:
    """Write arrays by name to an HDF5 file, which appears whole or not at all."""

    def write(partial: Path) -> None:
        with new_h5(partial) as file:
            for key, value in tensors.items():
                packed = {"compression": "gzip", "compression_opts": 1} if value.ndim else {}
                file.create_dataset(key, data=value, **packed)

    write_whole(path, write)


def _spikes(arrays: Mapping[str, Any], part: str, forward: bool) -> NDArray[Any]:
    """Return (B, T + T_fp, N) counts/bin of a part, held-in neurons first."""

    def joined(suffix: str) -> NDArray[Any]:
        kinds = [np.asarray(arrays[f"{part}_spikes_{kind}{suffix}"]) for kind in KINDS]
        if kinds[0].ndim != 3 or kinds[0].shape[:2] != kinds[1].shape[:2]:
            raise InputError(
                f"{part}_spikes: held-in {kinds[0].shape} and held-out {kinds[1].shape} do not fit"
            )
        return np.concatenate(kinds, axis=2)

    if not forward:
        return joined("")
    return np.concatenate([joined(""), joined("_forward")], axis=1)


def _padded(behavior: Any, n_bins: int) -> NDArray[np.float64]:
    """Return (B, n_bins, D) behavior, NaN in bins after its own; by trial: the same in each."""
    values = np.asarray(behavior, dtype=np.float64)
    if values.ndim == 2:
        return np.repeat(values[:, None], n_bins, axis=1)
    missing = np.full((len(values), n_bins - values.shape[1], values.shape[2]), np.nan)
    return np.concatenate([values, missing], axis=1)
