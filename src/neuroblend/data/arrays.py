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
``behavior_kinds``  (channel,)             "continuous" (without this key), "circular", "discrete"
                                           or "events"
``event``           ()                     what trials are aligned to, such as "go_cue_time"
``start_s``         ()                     start of the first bin in seconds from the event
``unit_id``         (neuron,)              number or name of each neuron, by which it is known
                                           wherever spikes are predicted from; its index without
``lengths``         (trial,)               bins of each trial, where they differ: what comes after
                                           is padding, 0 or NaN
``window_id``       (trial,)               which window of a continuous recording each trial is,
                                           ascending: those that follow are split in blocks
==================  =====================  =====================================================

Behavior may lie under any other key too, and is then taken by that name: ``(trial, bin)``,
``(trial, bin, channel)``, or ``(trial,)`` for one value a trial; numbers, truth values or text.
"""

import inspect
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import Channel, Kind, turn_of
from neuroblend.data.channels import channel_names, channel_units
from neuroblend.data.checks import checked_bin_width
from neuroblend.data.counts import checked_padded_counts
from neuroblend.data.hdf5 import check_links, read_dataset
from neuroblend.data.tensor_files import from_tensors
from neuroblend.data.trials import Trials
from neuroblend.data.words import text_of
from neuroblend.errors import InputError, nearest, some
from neuroblend.files import errors_of

# of the table above; "name" is the file's
KEYS = inspect.signature(Trials.from_arrays).parameters.keys() - {"name", "kinds", "channels"}
SUFFIXES = (".npz", ".h5", ".hdf5")
_BOOKKEEPING = {
    "behavior_kinds",
    "channels",
    "trial_id",
    "unit_index",
    "notes",
    "has_unit_ids",
    "silent_id",
}  # written by Trials.save


def read_arrays(
    path: str | Path,
    behavior: Sequence[str] | None = None,
    bin_s: float | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> Trials:
    """Read the trials of an array file.

    Args:
        path: A ``.npz`` or ``.h5``/``.hdf5`` file with the keys above, or with those of benchmark
            tensors (:mod:`neuroblend.data.tensor_files`). Keys that are not in the table are left
            alone, and a note says which.
        behavior: Names of the channels to keep, in order, or of other keys that hold behavior; all
            channels of ``behavior`` where ``None``.
        bin_s: Width of a bin in seconds, for a file without one.
        kinds: Of channels, by name, where the file does not say or says otherwise.

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
    if (name := _one_channel(arrays)) is not None:
        behavior = [name] if behavior is None else behavior
    with errors_of(path):
        known = {key: value for key, value in arrays.items() if key in KEYS}
        taken = set(known)
        if behavior is not None or kinds or "channels" in arrays or "behavior_kinds" in arrays:
            known, more = _named_behavior(arrays, known, behavior, kinds)
            taken |= more
        trials = Trials.from_arrays(**known, name=path.stem)
    unknown = [key for key in arrays if key not in taken and key not in _BOOKKEEPING]
    for note in map(str, np.atleast_1d(arrays.get("notes", []))):
        if note not in trials.notes and not note.startswith("behavior '"):  # gaps: counted again
            trials = trials.with_note(note)
    if not unknown:
        return trials
    note = f"Keys that mean nothing here were left alone: {some(unknown)}."
    if others := [key for key in may_be_behavior(arrays) if key in unknown]:
        note += f" To take what may be behavior: --behavior {','.join(others)}."
    return trials.with_note(note)


def _one_channel(arrays: dict[str, Any]) -> str | None:
    """Give ``behavior`` that is text, or one value a trial, a key of its own, and return that."""
    values = np.asarray(arrays.get("behavior", np.empty((0, 0, 0))))
    if values.ndim != 1 and values.dtype.kind not in "SU":
        return None
    names = np.atleast_1d(arrays.pop("behavior_names", ["behavior_0"]))
    name = text_of(names[0], "behavior_names")
    arrays[name] = arrays.pop("behavior")
    return name


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


def may_be_behavior(arrays: Mapping[str, Any]) -> list[str]:
    """Return the keys, none of the table's, whose arrays have a value a trial or a bin."""
    shape = np.shape(arrays.get("spikes", ()))
    return [
        key
        for key, value in arrays.items()
        if key not in KEYS and key not in _BOOKKEEPING and shape
        if np.shape(value)[:1] == shape[:1]
        and (np.ndim(value) == 1 or (np.ndim(value) < 4 and np.shape(value)[:2] == shape[:2]))
    ]


def _named_behavior(
    arrays: Mapping[str, Any],
    known: dict[str, Any],
    names: Sequence[str] | None,
    kinds: Mapping[str, Kind] | None,
) -> tuple[dict[str, Any], set[str]]:
    """Return arguments for trials whose behavior comes by name, and the keys it was taken from."""
    known = {key: value for key, value in known.items() if not key.startswith("behavior")}
    columns, channels = _columns_of(arrays)
    wanted = list(columns) if names is None else list(names)
    if len(set(wanted)) != len(wanted) or not wanted:
        raise InputError(f"behavior channels: found {some(wanted)}, wanted each once")
    others = may_be_behavior(arrays)
    if names is not None and not columns and not set(names) & set(others):
        raise InputError(
            f"no key 'behavior', so no channels {some(names)}; keys that hold a value a trial or "
            f"a bin: {some(others) or 'none'}"
        )
    for name in wanted:
        if name not in columns and name not in others:
            raise InputError(f"no behavior channel '{name}': {nearest(name, [*columns, *others])}")
    taken = [channels[name] for name in wanted if name in channels]
    if len(taken) == len(wanted) and not set(kinds or ()):
        known["channels"] = taken
        known["behavior"] = np.stack([columns[name] for name in wanted], axis=2)
        return known, set()
    given = {name: columns[name] if name in columns else arrays[name] for name in wanted}
    stated = {name: channels[name].kind for name in wanted if name in channels}
    for name, kind in stated.items():
        if kind == "discrete":  # from codes to what they stand for
            given[name] = _decoded(channels[name], given[name])
        elif channels[name].per_trial:
            given[name] = given[name][:, 0]
    known |= {"behavior": given, "kinds": stated | dict(kinds or {})}
    if any(name in channels and channels[name].unit for name in wanted):
        known["behavior_units"] = [
            channels[name].unit if name in channels else "" for name in wanted
        ]
    return known, set(wanted) & set(others)


def _decoded(channel: Channel, codes: NDArray[Any]) -> NDArray[Any]:
    """Return names of categories, ``""`` where missing, of coded values."""
    channel.check(np.asarray(codes, dtype=np.float64))
    codes = codes[:, 0] if channel.per_trial else codes
    words = np.array([*channel.categories, ""])
    return words[np.where(np.isnan(codes), len(words) - 1, codes).astype(int)]


def _columns_of(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Channel]]:
    """Return the channels of the key ``behavior`` by name, and what is known of them."""
    if "behavior" not in arrays:
        return {}, {}
    signals = np.asarray(arrays["behavior"])
    signals = signals[:, :, None] if signals.ndim == 2 else signals
    if signals.ndim != 3:
        raise InputError(f"behavior: found shape {signals.shape}, wanted (trial, bin, channel)")
    n_channels = signals.shape[2]
    labels = channel_names(arrays.get("behavior_names"), n_channels)
    columns = {name: signals[:, :, i] for i, name in enumerate(labels)}
    if "channels" in arrays:
        stored = [Channel.from_json(str(text)) for text in arrays["channels"]]
        return columns, {channel.name: channel for channel in stored}
    units = channel_units(arrays.get("behavior_units"), n_channels)
    kinds = np.atleast_1d(arrays.get("behavior_kinds", "continuous")).astype(str)
    kinds = np.repeat(kinds, n_channels) if kinds.size == 1 else kinds
    if kinds.size != n_channels:
        raise InputError(
            f"behavior_kinds: found {some(kinds)}, wanted {n_channels}, one for each channel"
        )
    return columns, {
        name: _as_stated(name, columns[name], str(kind), unit)
        for name, kind, unit in zip(labels, kinds, units, strict=True)
    }


def _as_stated(name: str, values: NDArray[Any], kind: str, unit: str) -> Channel:
    if kind != "discrete":
        return Channel(name, cast(Kind, kind), unit, period=turn_of(unit))
    codes = np.asarray(values, dtype=np.float64)
    known = codes[np.isfinite(codes)]
    if known.size and ((known < 0) | (known % 1 != 0)).any():
        raise InputError(
            f"behavior channel '{name}': found {known[(known < 0) | (known % 1 != 0)][0]:g}, "
            "wanted categories as whole numbers from 0"
        )
    n_categories = int(known.max()) + 1 if known.size else 0
    return Channel(name, "discrete", unit, tuple(map(str, range(n_categories))))


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
        with h5py.File(path, "r") as file, errors_of(path):
            return {key: value for key, value in _datasets(file, groups) if np.size(value)}
    except OSError as error:
        raise InputError(f"{path}: truncated or not an HDF5 file ({error})") from None


def _datasets(parent: h5py.Group, groups: bool, prefix: str = "") -> Iterator[tuple[str, Any]]:
    check_links(parent, prefix)
    for key, item in parent.items():
        if isinstance(item, h5py.Dataset):
            yield f"{prefix}{key}", read_dataset(item, f"{prefix}{key}")
        elif groups and isinstance(item, h5py.Group):
            yield from _datasets(item, groups, f"{prefix}{key}/")
