"""The benchmark's files of targets and predictions: reading, writing, and what can be wrong in one.

The layout is that of nlb_tools 0.0.4 (Pei, Ye et al. 2021): an HDF5 group for each dataset, named
as :data:`neuroblend.nlb.scores.DATASETS` with ``_20`` at the end for bins of 20 ms, in it one
array a key, and lists of trials of each condition as arrays of variable length. Unlike there, a
file is written whole or not at all, and conditions may have equally many trials.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``C`` conditions. Rates are counts/bin.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from neuroblend.errors import InputError, some
from neuroblend.files import errors_of, new_h5, write_whole
from neuroblend.nlb.arrays import Bools, Floats
from neuroblend.nlb.scores import TIMED, Group, need, parse_name

EVAL_KEYS = ("eval_rates_heldin", "eval_rates_heldout")
TRAIN_KEYS = ("train_rates_heldin", "train_rates_heldout")
FORWARD_KEYS = ("eval_rates_heldin_forward", "eval_rates_heldout_forward")
RATE_KEYS = EVAL_KEYS + TRAIN_KEYS + FORWARD_KEYS
STORED_AS = {"f": "f4", "i": "i4", "u": "i4", "b": "?"}  # by kind of dtype, as the benchmark does
AXES = ("trials", "bins", "neurons")

MOST_TIMES_SPIKES = 20  # Hz are 200 (5 ms) or 50 (20 ms) times the counts/bin
MOST_MEAN_HZ = 200.0  # over a whole population; no recording comes near
LEAST_RANK_CORRELATION = 0.5  # of neurons' mean rates with their mean counts; fitted ones reach 0.9
FEWEST_RANKED = 8  # neurons that such a correlation is worth looking at in

Shape = tuple[int | None, int | None, int | None]  # None: any


def read_nlb_h5(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read targets or predictions.

    Returns:
        For each group its arrays as they are stored; lists of indices as an object array of arrays.

    Raises:
        InputError: The file is missing, truncated, or not of this layout.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            loose = [key for key, item in file.items() if not isinstance(item, h5py.Group)]
            if loose or not len(file):
                raise InputError(
                    f"{path}: found {f'arrays {some(loose)}' if loose else 'nothing'} at the top, "
                    "wanted a group for each dataset, such as 'mc_maze_small'"
                )
            return {name: _read_group(path, group) for name, group in file.items()}
    except OSError as error:
        raise InputError(f"{path}: truncated or not an HDF5 file ({error})") from None


def _read_group(path: str | Path, group: h5py.Group) -> dict[str, Any]:
    nested = [key for key, item in group.items() if not isinstance(item, h5py.Dataset)]
    if nested:
        raise InputError(f"{path}: found groups {some(nested)} in '{group.name}', wanted arrays")
    return {key: item[()] for key, item in group.items()}


def write_nlb_h5(path: str | Path, groups: Mapping[str, Group]) -> None:
    """Write targets or predictions; the file appears whole or not at all.

    Args:
        path: A file that is there already is replaced.
        groups: For each group its arrays. Floats are stored as float32 and integers as int32, as
            the benchmark's files are; an object array or a list holds arrays of variable length.

    Raises:
        InputError: An array is of a type that these files do not hold.
    """

    def write(partial: Path) -> None:
        with new_h5(partial) as file:
            for name, group in groups.items():
                target = file.create_group(name)
                for key, value in group.items():
                    _write_array(target, key, value)

    write_whole(path, write)


def _write_array(group: h5py.Group, key: str, value: Any) -> None:
    if isinstance(value, (list, tuple)) or np.asarray(value).dtype.kind == "O":
        _write_ragged(group, key, [np.asarray(list(row)) for row in value])
        return
    array = np.asarray(value)
    stored = STORED_AS.get(array.dtype.kind)
    if stored is None:
        raise InputError(f"{group.name[1:]}/{key}: found {array.dtype} values, wanted numbers")
    packed = {"compression": "gzip", "compression_opts": 1} if array.ndim and array.size else {}
    group.create_dataset(key, data=array.astype(stored), **packed)


def _write_ragged(group: h5py.Group, key: str, rows: list[NDArray[Any]]) -> None:
    kinds = {row.dtype.kind for row in rows if row.size} or {"i"}
    if not kinds <= set("iuf"):
        raise InputError(f"{group.name[1:]}/{key}: found lists of other things than numbers")
    dtype = np.float32 if "f" in kinds else np.int32
    ragged = group.create_dataset(key, shape=(len(rows),), dtype=h5py.vlen_dtype(dtype))
    for i, row in enumerate(rows):
        ragged[i] = row.astype(dtype)


def check_predictions(targets: Group, predictions: Group, name: str) -> list[str]:
    """Check one group's predictions against its targets, before they are scored.

    A rate may be NaN where nothing is scored: where target spikes are NaN (the front padding of
    dmfc_rsg) and, in training trials, where behavior is.

    Args:
        targets: Arrays as :func:`neuroblend.nlb.scores.evaluate_nlb` takes them.
        predictions: Likewise.
        name: Of the group, such as ``mc_maze_small_20``.

    Returns:
        What the user should know though it can be scored, in sentences.

    Raises:
        InputError: An array is missing, has another shape (held-in and held-out exchanged, axes
            exchanged) or type, or holds NaN, infinite or negative values, zeros alone, or values
            that cannot be counts per bin.
    """
    with errors_of(name):
        dataset, bin_ms = parse_name(name)
        has_forward = "eval_spikes_heldin_forward" in targets
        spikes = {
            key: _target(targets, key.replace("rates", "spikes"), 3)
            for key in ("eval_rates_heldout", *(FORWARD_KEYS if has_forward else ()))
        }
        for key in ("train_behavior", "eval_behavior"):
            _target(targets, key, 2 if dataset == TIMED else 3)
        rates, notes = _rates(predictions, dataset)
        if not has_forward:
            rates = {key: value for key, value in rates.items() if key not in FORWARD_KEYS}
        elif FORWARD_KEYS[0] not in rates:
            notes.append("No rates of the forward period: fp-bps was not scored.")
        _check_shapes(rates, _wanted_shapes(targets, rates, dataset))
        for key, value in rates.items():
            _check_values(key, value, _unscored(key, value, targets))
            if key in spikes:
                _check_scale(key, value, spikes[key], bin_ms)
                notes += _notes(key, value, spikes[key])
            _check_mean(key, value, bin_ms)
    return notes


def _target(targets: Group, key: str, n_axes: int) -> Floats:
    values = np.asarray(need(targets, key, "targets"))
    if values.ndim != n_axes or values.dtype.kind not in "buif":
        raise InputError(
            f"{key}: found {values.dtype} targets of shape {values.shape}, wanted numbers with "
            f"{n_axes} axes"
        )
    return values.astype(np.float64)


def check_submission(groups: Mapping[str, Group]) -> list[str]:
    """Check a submission by itself: names, keys, shapes that agree, values.

    In dmfc_rsg, which is padded at the front, bins may be NaN for all neurons at once.

    Args:
        groups: Arrays as :func:`neuroblend.nlb.scores.evaluate_nlb` takes predictions.

    Returns:
        What the user should know though it can be submitted, in sentences.

    Raises:
        InputError: As :func:`check_predictions`, or a group has no dataset's name.
    """
    if not groups:
        raise InputError("a submission without groups, wanted one for each dataset")
    notes = []
    for name, group in groups.items():
        dataset, bin_ms = parse_name(name)
        with errors_of(name):
            rates, of_group = _rates(group, dataset)
            _check_shapes(rates, _wanted_shapes({}, rates, dataset))
            padded = _padding(rates, dataset)
            for key, value in rates.items():
                _check_values(key, value, padded.get(key, np.zeros(value.shape, bool)))
                _check_mean(key, value, bin_ms)
        n_in, n_out = (rates[key].shape[2] for key in EVAL_KEYS)
        if n_in < n_out:
            of_group.append(
                f"Fewer held-in neurons ({n_in}) than held-out ({n_out}): are they exchanged?"
            )
        notes += [f"{name}: {note}" for note in of_group]
    return notes


def _rates(predictions: Group, dataset: str) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Return the arrays that are scored, and notes on what is beside them."""
    wanted = [*EVAL_KEYS, *(() if dataset == TIMED else TRAIN_KEYS)]
    if any(key in predictions for key in FORWARD_KEYS):
        wanted += FORWARD_KEYS
    rates = {key: np.asarray(need(predictions, key, "rates")) for key in wanted}
    for key, value in rates.items():
        if value.dtype.kind not in "buif":
            raise InputError(f"{key}: found {value.dtype} values, wanted numbers: counts per bin")
    unknown = [key for key in predictions if key not in (*RATE_KEYS, "unit_id")]
    note = f"Keys that mean nothing here were left alone: {some(unknown)}."
    return rates, [note] if unknown else []


def _wanted_shapes(
    targets: Group, rates: Mapping[str, NDArray[Any]], dataset: str
) -> dict[str, Shape]:
    """Return what each array's shape should be, as far as targets or other arrays tell."""

    def shape(key: str) -> Shape:
        found = np.shape(targets.get(key.replace("rates", "spikes"), rates.get(key, ())))
        return (found[0], found[1], found[2]) if len(found) == 3 else (None, None, None)

    n_trials, n_bins, n_out = shape("eval_rates_heldout")
    if "eval_spikes_heldin_forward" in targets:
        n_in = shape(FORWARD_KEYS[0])[2]
    elif "psth" in targets and n_out is not None:
        n_in = np.shape(targets["psth"])[-1] - n_out
    else:
        given = [rates[key].shape[-1] for key in EVAL_KEYS if rates[key].ndim == 3]
        n_in = next((n for n in given if n != n_out), n_out)
    n_train, n_train_bins = shape(TRAIN_KEYS[0])[0], n_bins
    if dataset != TIMED and "train_behavior" in targets:
        n_train, n_train_bins = np.shape(targets["train_behavior"])[:2]
    n_forward = shape(FORWARD_KEYS[1])[1]
    return {
        "eval_rates_heldin": (n_trials, n_bins, n_in),
        "eval_rates_heldout": (n_trials, n_bins, n_out),
        "train_rates_heldin": (n_train, n_train_bins, n_in),
        "train_rates_heldout": (n_train, n_train_bins, n_out),
        "eval_rates_heldin_forward": (n_trials, n_forward, n_in),
        "eval_rates_heldout_forward": (n_trials, n_forward, n_out),
    }


def _check_shapes(rates: Mapping[str, NDArray[Any]], wanted: Mapping[str, Shape]) -> None:
    for key, value in rates.items():
        if value.ndim != 3 or 0 in value.shape:
            raise InputError(
                f"{key}: found shape {value.shape}, wanted (trial, bin, neuron), none of them 0"
            )
    _check_exchanged(rates, wanted)
    for key, value in rates.items():
        wrong = [
            f"{found} {axis} instead of {right}"
            for axis, found, right in zip(AXES, value.shape, wanted[key], strict=True)
            if right is not None and found != right
        ]
        if wrong:
            raise InputError(
                f"{key}: found {', '.join(wrong)}; wanted {_text(wanted[key])} trials x bins x "
                f"neurons{_shape_hint(key, value.shape, wanted)}"
            )


def _check_exchanged(rates: Mapping[str, NDArray[Any]], wanted: Mapping[str, Shape]) -> None:
    """Refuse held-in rates with the held-out neurons' number and the reverse."""
    for heldin, heldout in (EVAL_KEYS, TRAIN_KEYS, FORWARD_KEYS):
        if heldin not in rates:
            continue
        found = rates[heldin].shape[2], rates[heldout].shape[2]
        right = wanted[heldin][2], wanted[heldout][2]
        if found != right and found == right[::-1]:
            raise InputError(
                f"{heldin} has {found[0]} neurons and {heldout} {found[1]}, wanted {right[0]} and "
                f"{right[1]}: held-in and held-out are exchanged, give each the other's key"
            )


def _shape_hint(key: str, found: tuple[int, ...], wanted: Mapping[str, Shape]) -> str:
    def fits(shape: Shape) -> bool:
        return all(b is None or a == b for a, b in zip(found, shape, strict=True))

    others = [other for other in RATE_KEYS if other != key and fits(wanted[other])]
    if None not in wanted[key] and sorted(found) == sorted(n or 0 for n in wanted[key]):
        return "; the axes are exchanged, transpose them"
    if others and None not in wanted[others[0]]:
        return f"; this is the shape of '{others[0]}'"
    return ""


def _text(shape: Shape) -> str:
    return " x ".join("?" if n is None else str(n) for n in shape)


def _unscored(key: str, value: NDArray[Any], targets: Group) -> Bools:
    """Return where NaN is no matter: outside what the targets let be scored."""
    spikes = targets.get(key.replace("rates", "spikes"))
    if spikes is not None:
        return np.isnan(np.asarray(spikes, dtype=np.float64))
    if key == "eval_rates_heldin":
        heldout = np.asarray(targets["eval_spikes_heldout"], dtype=np.float64)
        bins = np.isnan(heldout).all(axis=2, keepdims=True)
    else:
        behavior = np.asarray(targets["train_behavior"], dtype=np.float64)
        bins = np.isnan(behavior).any(axis=2, keepdims=True)
    return np.broadcast_to(bins, value.shape)


def _padding(rates: Mapping[str, NDArray[Any]], dataset: str) -> dict[str, Bools]:
    """Return the bins of dmfc_rsg that are NaN for all neurons, held-in and held-out."""
    if dataset != TIMED:
        return {}
    bins = np.logical_and(*(np.isnan(rates[key]).all(axis=2, keepdims=True) for key in EVAL_KEYS))
    return {key: np.broadcast_to(bins, rates[key].shape) for key in EVAL_KEYS}


def _check_values(key: str, rates: NDArray[Any], unscored: Bools) -> None:
    bad = ~np.isfinite(rates) & ~(np.isnan(rates) & unscored)
    if bad.any():
        raise InputError(
            f"{key}: found {bad.sum()} NaN or infinite rates of {bad.size}, the first in "
            f"{_place(bad)}; wanted counts per bin"
        )
    negative = np.asarray(rates < 0)
    if negative.any():
        logs = negative.sum() > np.isfinite(rates).sum() / 2
        hint = ": are they logarithms of rates? Take exp" if logs else ""
        raise InputError(
            f"{key}: found {negative.sum()} negative rates of {bad.size}, down to "
            f"{np.nanmin(rates):.3g}, the first in {_place(negative)}; wanted counts per bin{hint}"
        )
    if not (rates > 0).any():
        raise InputError(f"{key}: every rate is 0; wanted counts per bin that a model predicted")


def _place(bad: Bools) -> str:
    trial, time, neuron = np.unravel_index(np.argmax(bad), bad.shape)
    return f"trial {trial}, bin {time}, neuron {neuron}"


def _check_mean(key: str, rates: NDArray[Any], bin_ms: int) -> None:
    mean = float(np.nanmean(rates, dtype=np.float64))
    if mean / bin_ms * 1000 > MOST_MEAN_HZ:
        raise InputError(
            f"{key}: a mean of {mean:.3g} counts/bin is {mean / bin_ms * 1000:.0f} Hz; "
            f"{_in_hz(bin_ms)}"
        )


def _check_scale(key: str, rates: NDArray[Any], spikes: Floats, bin_ms: int) -> None:
    """Refuse rates that promise many times the spikes that there were.

    Without a spike, 20 expected ones have a chance of exp(-20).
    """
    known = ~np.isnan(spikes)
    expected, counted = rates[known].sum(dtype=np.float64), spikes[known].sum()
    if expected > MOST_TIMES_SPIKES * max(counted, 1):
        raise InputError(
            f"{key}: a mean of {expected / known.sum():.3g} counts/bin is "
            f"{expected / max(counted, 1):.0f} times what was recorded; {_in_hz(bin_ms)}"
        )


def _in_hz(bin_ms: int) -> str:
    return f"wanted counts per bin: if these are in Hz, multiply them by {bin_ms / 1000:g}"


def _notes(key: str, rates: NDArray[Any], spikes: Floats) -> list[str]:
    known = ~np.isnan(spikes)
    notes = []
    zeros = int((known & (rates == 0)).sum())
    if zeros:
        notes.append(f"{key}: {zeros} rates of 0 were scored as 1e-9.")
    n_bins = known.sum(axis=(0, 1))
    scored = n_bins > 0
    predicted = np.where(known, rates, 0).sum(axis=(0, 1))[scored] / n_bins[scored]
    counted = np.where(known, spikes, 0).sum(axis=(0, 1))[scored] / n_bins[scored]
    if scored.sum() >= FEWEST_RANKED and np.ptp(predicted) > 0 and np.ptp(counted) > 0:
        r = spearmanr(predicted, counted).statistic
        if r < LEAST_RANK_CORRELATION:
            notes.append(
                f"{key}: neurons' mean rates hardly follow their mean counts (rank correlation "
                f"{r:.2f}): are neurons in the targets' order?"
            )
    return notes
