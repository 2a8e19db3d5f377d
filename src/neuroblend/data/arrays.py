"""Array files (``.npz`` without pickles, ``.h5``) -> trials.

==================  =====================  =====================================================
key                 shape                  meaning
==================  =====================  =====================================================
``spikes``          (trial, bin, neuron)   whole counts/bin; required
``bin_s``           ()                     width of a bin in seconds; required
``behavior``        (trial, bin, channel)  numbers, NaN where a sample is missing
``behavior_names``  (channel,)             strings
``condition``       (trial,)               label of each trial's condition
``region``          (neuron,)              brain region of each neuron
``split``           (trial,)               "train", "valid" or "test": fixes the split
``held_out``        (neuron,)              True for a neuron that no student may see
``rates``           (trial, bin, neuron)   true expected counts/bin of a simulated recording
``behavior_units``  (channel,)             units of measure, such as "cm/s"
``event``           ()                     what trials are aligned to, such as "go_cue_time"
``start_s``         ()                     start of the first bin in seconds from the event
``unit_id``         (neuron,)              number or name of each neuron, by which it is known
                                           wherever spikes are predicted from; its index without
``lengths``         (trial,)               bins of each trial, where they differ: what comes after
                                           is padding, 0 or NaN
``window_id``       (trial,)               which window of a continuous recording each trial is,
                                           ascending: those that follow are split in blocks
==================  =====================  =====================================================
"""

import inspect
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroblend.data.tensor_files import from_tensors
from neuroblend.data.trials import (
    Trials,
    channel_index,
    channel_names,
    channel_units,
    checked_bin_width,
    checked_padded_counts,
)
from neuroblend.errors import InputError, nearest, some
from neuroblend.files import errors_of

# of the table above; "name" is the file's
KEYS = inspect.signature(Trials.from_arrays).parameters.keys() - {"name"}
SUFFIXES = (".npz", ".h5", ".hdf5")
_BOOKKEEPING = {
    "trial_id",
    "unit_index",
    "notes",
    "has_unit_ids",
    "silent_id",
}  # written by Trials.save


def read_arrays(
    path: str | Path, behavior: Sequence[str] | None = None, bin_s: float | None = None
) -> Trials:
    """Read the trials of an array file.

    Args:
        path: A ``.npz`` or ``.h5``/``.hdf5`` file with the keys above, or with those of benchmark
            tensors (:mod:`neuroblend.data.tensor_files`). Keys that are not in the table are left
            alone, and a note says which.
        behavior: Names of the channels to keep, in order; all of them where ``None``.
        bin_s: Width of a bin in seconds, for a file without one.

    Returns:
        The trials, named after the file, trials and neurons numbered as in it. Notes
        that ``Trials.save`` wrote are kept.

    Raises:
        InputError: The file cannot be read, lacks a key, or holds what it must not.
    """
    path = Path(path)
    with errors_of(path):
        arrays = from_tensors(load_arrays(path))
    need(arrays, "spikes", path)
    if bin_s is not None:
        _check_bins(arrays, bin_s, path)
        arrays["bin_s"] = bin_s
    need(arrays, "bin_s", path)
    if not has_ids(arrays):
        arrays.pop("unit_id", None)
    unknown = [key for key in arrays if key not in KEYS and key not in _BOOKKEEPING]
    known = {key: value for key, value in arrays.items() if key in KEYS}
    if behavior is not None:
        known |= _chosen_channels(known, behavior, path)
    with errors_of(path):
        trials = Trials.from_arrays(**known, name=path.stem)
    for note in map(str, np.atleast_1d(arrays.get("notes", []))):
        if note not in trials.notes and not note.startswith("behavior '"):  # gaps: counted again
            trials = trials.with_note(note)
    if not unknown:
        return trials
    return trials.with_note(f"Keys that mean nothing here were left alone: {some(unknown)}.")


def read_spikes(
    path: str | Path, bin_s: float | None = None
) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64] | None]:
    """Read (trial, bin, neuron) counts/bin of every neuron in a file that needs hold no more.

    Args:
        path: A file as :func:`read_arrays` takes it; ``spikes`` and ``lengths`` alone are read.
        bin_s: Width of a bin in seconds that is wanted, where the file has its own.

    Returns:
        The counts, and (trial,) bins of each trial where they differ.

    Raises:
        InputError: As :func:`read_arrays`, or bins are of another width.
    """
    path = Path(path)
    arrays = load_arrays(path)
    need(arrays, "spikes", path)
    if bin_s is not None:
        _check_bins(arrays, bin_s, path)
    with errors_of(path):
        return checked_padded_counts(arrays["spikes"], arrays.get("lengths"))


def _check_bins(arrays: dict[str, Any], bin_s: float, path: Path) -> None:
    """Refuse bins of another width than ``bin_s``, where the file has one."""
    if "bin_s" in arrays:
        found = checked_bin_width(arrays["bin_s"])
        if not np.isclose(found, bin_s, rtol=1e-6):
            raise InputError(f"{path}: found bins of {found:g} s, wanted {bin_s:g} s")


def has_ids(arrays: Mapping[str, Any]) -> bool:
    """Whether ``unit_id`` of a file names its neurons, and is not what ``Trials.save`` made up."""
    return "unit_id" in arrays and bool(arrays.get("has_unit_ids", True))


def need(arrays: Mapping[str, Any], key: str, path: str | Path) -> None:
    """Refuse arrays without a key.

    Raises:
        InputError: It is not there; the message begins with ``path`` and names the nearest.
    """
    if key not in arrays:
        raise InputError(f"{path}: no key '{key}'; {nearest(key, arrays)}")


def _chosen_channels(
    known: dict[str, Any], names: Sequence[str], path: Path
) -> dict[str, NDArray[Any]]:
    if "behavior" not in known:
        raise InputError(f"{path}: no key 'behavior', so no channels {some(names)}")
    signals = np.asarray(known["behavior"])
    signals = signals[:, :, None] if signals.ndim == 2 else signals
    if signals.ndim != 3:
        raise InputError(
            f"{path}: behavior: found shape {signals.shape}, wanted (trial, bin, channel)"
        )
    with errors_of(path):
        labels = channel_names(known.get("behavior_names"), signals.shape[-1])
        units = channel_units(known.get("behavior_units"), len(labels))
    index = channel_index(names, labels)
    return {
        "behavior": signals[..., index],
        "behavior_names": np.asarray(names),
        "behavior_units": np.array(units)[index],
    }


def load_arrays(path: Path, groups: bool = False) -> dict[str, Any]:
    """Return the arrays of a file by key.

    Args:
        path: A ``.npz`` or ``.h5``/``.hdf5`` file.
        groups: Whether arrays within the groups of an HDF5 file are read, as ``"<group>/<key>"``.

    Raises:
        InputError: There is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: found a '{path.suffix}' file, wanted one of {some(SUFFIXES)}")
    return _load_npz(path) if suffix == ".npz" else _load_h5(path, groups)


def _load_npz(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as handle:
            file = np.load(handle, allow_pickle=False)
            if isinstance(file, np.lib.npyio.NpzFile):
                return {key: file[key] for key in file.files}
    except ValueError as error:
        if "pickle" in str(error):
            raise InputError(
                f"{path}: holds pickled objects, which are not read; save plain arrays of numbers "
                "and strings instead"
            ) from None
        raise InputError(f"{path}: damaged ({error})") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise InputError(f"{path}: truncated or not an .npz file ({error})") from None
    raise InputError(f"{path}: holds one array without a name (.npy), wanted .npz")


def _load_h5(path: Path, groups: bool) -> dict[str, Any]:
    try:
        with h5py.File(path, "r") as file:
            return {key: value for key, value in _datasets(file, groups) if np.size(value)}
    except OSError as error:
        raise InputError(f"{path}: truncated or not an HDF5 file ({error})") from None


def _datasets(parent: h5py.Group, groups: bool, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in parent.items():
        if isinstance(item, h5py.Dataset):
            is_text = h5py.check_string_dtype(item.dtype) is not None
            value = item.asstr()[()] if is_text else item[()]
            yield f"{prefix}{key}", np.asarray(value, dtype=str) if is_text else value
        elif groups and isinstance(item, h5py.Group):
            yield from _datasets(item, groups, f"{prefix}{key}/")
