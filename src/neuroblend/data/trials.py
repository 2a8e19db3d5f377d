"""Binned trials: what every later step of the package starts from.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.errors import InputError, nearest, some

SPLIT_NAMES = ("train", "valid", "test")
SHORTEST_BIN_S, LONGEST_BIN_S = 1e-4, 2.0
FORMAT = "neuroblend trials"
_ARRAYS = ("spikes", "behavior", "rates", "held_out", "trial_id", "unit_id", "lengths")


@dataclass(frozen=True, eq=False)
class Trials:
    """Spike counts, and what was recorded beside them, cut into trials of one length.

    Make one with :meth:`from_arrays`, which checks; inside the package the fields are trusted.

    Attributes:
        spikes: (B, T, N) unsigned counts/bin.
        bin_s: Width of a bin in seconds.
        behavior: (B, T, D) float32 in the recording's own units, NaN where a sample is missing;
            ``None`` where no behavior was recorded.
        behavior_names: D names.
        condition: (B,) label of each trial's condition, for PSTHs and stratified splits.
        region: (N,) brain region of each neuron.
        split: (B,) ``"train"``, ``"valid"`` or ``"test"``, where the file fixes the split.
        held_out: (N,) bool, where the file fixes which neurons are held out.
        rates: (B, T, N) true expected counts/bin, known for simulated recordings alone.
        lengths: (B,) bins of each trial, those after being padding in which spikes are 0, behavior
            and rates NaN; ``None`` where every trial has all ``T``.
        trial_id: (B,) index of each trial in its source.
        unit_id: (N,) index of each neuron in its source.
        n_source_neurons: How many neurons the source has, those that were left out included.
        name: What to call the recording.
        notes: What was left out or is unusual, in sentences for the user.
    """

    spikes: NDArray[np.unsignedinteger[Any]]
    bin_s: float
    behavior: NDArray[np.float32] | None
    behavior_names: tuple[str, ...]
    condition: NDArray[np.str_] | None
    region: NDArray[np.str_] | None
    split: NDArray[np.str_] | None
    held_out: NDArray[np.bool_] | None
    rates: NDArray[np.float32] | None
    trial_id: NDArray[np.int64]
    unit_id: NDArray[np.int64]
    n_source_neurons: int
    name: str
    notes: tuple[str, ...] = ()
    lengths: NDArray[np.int64] | None = None

    @classmethod
    def from_arrays(
        cls,
        spikes: ArrayLike,
        bin_s: float,
        behavior: ArrayLike | None = None,
        behavior_names: Sequence[str] | None = None,
        condition: ArrayLike | None = None,
        region: ArrayLike | None = None,
        split: ArrayLike | None = None,
        held_out: ArrayLike | None = None,
        rates: ArrayLike | None = None,
        name: str = "recording",
        lengths: ArrayLike | None = None,
    ) -> Trials:
        """Check arrays and make trials of them.

        A neuron that never fires is kept out, and a note says so.

        Args:
            spikes: (B, T, N) whole, non-negative counts/bin.
            bin_s: Width of a bin in seconds.
            behavior: (B, T, D) samples, NaN where missing; (B, T) stands for one channel.
            behavior_names: D names; ``behavior_0``, ... where not given.
            condition: (B,) labels, numbers or strings.
            region: (N,) labels.
            split: (B,) of ``"train"``, ``"valid"``, ``"test"``.
            held_out: (N,) bool.
            rates: (B, T, N) true expected counts/bin.
            name: What to call the recording.
            lengths: (B,) bins of each trial, for trials of different length that are padded to one;
                what stands after the end of a trial must be 0 or NaN, and is left out.

        Returns:
            The trials.

        Raises:
            InputError: An array has the wrong shape or holds what it must not.
        """
        counts, n_bins_of = checked_padded_counts(spikes, lengths)
        n_trials, n_bins, n_neurons = counts.shape
        if n_bins_of is not None and behavior is not None:
            behavior = _blanked(behavior, n_bins_of, np.nan)
        true_rates = _rates(
            rates if rates is None or n_bins_of is None else _blanked(rates, n_bins_of, 1.0),
            counts.shape,
        )
        if true_rates is not None and n_bins_of is not None:
            true_rates = _blanked(true_rates, n_bins_of, np.nan)
        width = checked_bin_width(bin_s)
        signals, names = _behavior(behavior, behavior_names, n_trials, n_bins)
        notes = _gap_notes(signals, names, n_bins_of)
        trials = cls(
            spikes=counts,
            bin_s=width,
            behavior=signals,
            behavior_names=names,
            condition=_labels(condition, "condition", n_trials, "trials"),
            region=_labels(region, "region", n_neurons, "neurons"),
            split=_split_labels(split, n_trials),
            held_out=_held_out(held_out, n_neurons),
            rates=true_rates,
            trial_id=np.arange(n_trials),
            unit_id=np.arange(n_neurons),
            n_source_neurons=n_neurons,
            name=name,
            notes=notes,
            lengths=n_bins_of,
        )
        return trials._without_silent()

    @property
    def n_trials(self) -> int:
        """Number of trials, ``B``."""
        return self.spikes.shape[0]

    @property
    def n_bins(self) -> int:
        """Number of bins in a trial, ``T``."""
        return self.spikes.shape[1]

    @property
    def n_neurons(self) -> int:
        """Number of neurons, ``N``."""
        return self.spikes.shape[2]

    @property
    def rate_hz(self) -> NDArray[np.float64]:
        """(N,) mean firing rate of each neuron in spikes/s."""
        n_bins = self.bins_of().sum()
        return self.spikes.sum(axis=(0, 1), dtype=np.float64) / n_bins / self.bin_s

    @property
    def present(self) -> NDArray[np.bool_] | None:
        """(B, T) bool, False for padding; ``None`` where every trial has all bins."""
        return None if self.lengths is None else np.arange(self.n_bins) < self.lengths[:, None]

    def bins_of(self, index: ArrayLike | None = None) -> NDArray[np.int64]:
        """Return (n,) bins of the trials ``index``, of all trials where ``None``."""
        lengths = np.full(self.n_trials, self.n_bins) if self.lengths is None else self.lengths
        return lengths if index is None else lengths[np.asarray(index)]

    def counts_of(self, index: NDArray[np.int64]) -> NDArray[np.number]:
        """Return (n, T, N) counts/bin of the trials ``index``, NaN in padding."""
        counts = self.spikes[index]
        if self.present is None:
            return counts
        return np.where(self.present[index][:, :, None], counts, np.nan)

    def __repr__(self) -> str:
        channels = ", ".join(self.behavior_names) or "none"
        return (
            f"Trials({self.name!r}: {self.n_trials} trials x {self.n_bins} bins of "
            f"{self.bin_s * 1000:g} ms x {self.n_neurons} neurons, behavior: {channels})"
        )

    def with_note(self, note: str) -> Trials:
        """Return the trials with one more note."""
        return replace(self, notes=(*self.notes, note))

    def take_neurons(self, keep: ArrayLike, note: str | None = None) -> Trials:
        """Return the trials with the neurons ``keep`` ((n,) indices or (N,) bool) alone."""
        kept = np.arange(self.n_neurons)[np.asarray(keep)]
        return replace(
            self,
            spikes=self.spikes[:, :, kept],
            region=None if self.region is None else self.region[kept],
            held_out=None if self.held_out is None else self.held_out[kept],
            rates=None if self.rates is None else self.rates[:, :, kept],
            unit_id=self.unit_id[kept],
            notes=self.notes if note is None else (*self.notes, note),
        )

    def take_channels(self, names: Sequence[str]) -> Trials:
        """Return the trials with the behavior channels ``names``, in that order, alone.

        Raises:
            InputError: There is no such channel, or one is named twice.
        """
        index = channel_index(names, self.behavior_names)
        behavior = None if self.behavior is None else self.behavior[:, :, index]
        gone = {f"behavior '{name}':" for name in self.behavior_names if name not in names}
        notes = tuple(note for note in self.notes if not note.startswith(tuple(gone)))
        return replace(self, behavior=behavior, behavior_names=tuple(names), notes=notes)

    def draw_units(self, n_units: int, seed: int) -> Trials:
        """Return the trials with ``n_units`` neurons drawn at random, in their recorded order.

        Raises:
            InputError: Fewer neurons were recorded.
        """
        if not 2 <= n_units <= self.n_neurons:
            raise InputError(
                f"--units {n_units}: wanted between 2 and the {self.n_neurons} neurons that there "
                "are (after those that never fire or fire too little were kept out)"
            )
        keep = np.random.default_rng([seed, 1]).choice(self.n_neurons, n_units, replace=False)
        note = f"{n_units} of {self.n_neurons} neurons drawn with seed {seed}."
        return self.take_neurons(np.sort(keep), note)

    def above_rate(self, min_rate_hz: float) -> Trials:
        """Return the trials with the neurons that fire at ``min_rate_hz`` spikes/s or more.

        Raises:
            InputError: Fewer than two do.
        """
        keep = self.rate_hz >= min_rate_hz
        if keep.all():
            return self
        if keep.sum() < 2:
            raise InputError(
                f"--min-rate {min_rate_hz:g}: {int(keep.sum())} of {self.n_neurons} neurons fire "
                f"that much, wanted 2 or more; the fastest fires at {self.rate_hz.max():.3g} Hz"
            )
        note = (
            f"{int((~keep).sum())} of {self.n_neurons} neurons under {min_rate_hz:g} Hz left out."
        )
        return self.take_neurons(keep, note)

    def save(self, path: str | Path) -> None:
        """Write an HDF5 file that :meth:`load` reads; it appears whole or not at all."""
        path = Path(path)
        # as training.checkpoint.write_whole, which data may not import
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with h5py.File(partial, "w") as file:
                file.attrs.update(format=FORMAT, version=1, name=self.name, bin_s=self.bin_s)
                file.attrs["n_source_neurons"] = self.n_source_neurons
                file["bin_s"] = self.bin_s
                file["behavior_names"] = list(self.behavior_names)
                file["notes"] = list(self.notes)
                for key in _ARRAYS:
                    if (value := getattr(self, key)) is not None:
                        file.create_dataset(key, data=value, compression="gzip", compression_opts=1)
                for key in ("condition", "region", "split"):
                    if (value := getattr(self, key)) is not None:
                        file[key] = [str(label) for label in value]
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> Trials:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: The file is missing, truncated or of another format.
        """
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != FORMAT:
                    raise InputError(f"{path}: not a file that Trials.save wrote")

                def array(key: str) -> Any:
                    return file[key][()] if key in file else None

                def text(key: str) -> Any:
                    return file[key].asstr()[()].astype(str) if key in file else None

                def names(key: str) -> tuple[str, ...]:
                    return tuple(map(str, file[key].asstr()[()])) if file[key].size else ()

                return cls(
                    spikes=array("spikes"),
                    bin_s=float(file.attrs["bin_s"]),
                    behavior=array("behavior"),
                    behavior_names=names("behavior_names"),
                    condition=text("condition"),
                    region=text("region"),
                    split=text("split"),
                    held_out=array("held_out"),
                    rates=array("rates"),
                    trial_id=array("trial_id"),
                    unit_id=array("unit_id"),
                    n_source_neurons=int(file.attrs["n_source_neurons"]),
                    name=str(file.attrs["name"]),
                    notes=names("notes"),
                    lengths=array("lengths"),
                )
        except OSError as error:
            raise InputError(f"{path}: cannot be read as HDF5 ({error})") from None

    def _without_silent(self) -> Trials:
        fires = self.spikes.any(axis=(0, 1))
        if fires.all():
            return self
        if fires.sum() < 2:
            raise InputError(
                f"spikes: {int(fires.sum())} of {self.n_neurons} neurons ever fire, wanted 2"
            )
        silent = some(self.unit_id[~fires])
        return self.take_neurons(
            fires,
            f"{int((~fires).sum())} of {self.n_neurons} neurons never fire: kept out ({silent}).",
        )


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
        if not np.isfinite(counts).all():
            n_bad = int((~np.isfinite(counts)).sum())
            raise InputError(f"spikes: {n_bad} values are NaN or infinite, wanted counts per bin")
        if (counts != np.floor(counts)).any():
            example = counts[counts != np.floor(counts)][0]
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
    n_bins_of = _lengths(lengths, np.shape(spikes))
    counts = checked_counts(spikes if n_bins_of is None else _unpadded(spikes, n_bins_of))
    return counts, n_bins_of


def checked_bin_width(bin_s: Any) -> float:
    """Return a bin's width in seconds.

    Raises:
        InputError: It is not one plausible number.
    """
    try:
        width = float(np.asarray(bin_s).reshape(()))
    except (TypeError, ValueError):
        raise InputError(f"bin_s: found {bin_s!r}, wanted one number of seconds") from None
    if not SHORTEST_BIN_S <= width <= LONGEST_BIN_S:
        hint = " (is it in milliseconds?)" if width > LONGEST_BIN_S else ""
        raise InputError(
            f"bin_s: found {width:g} s, wanted {SHORTEST_BIN_S:g} to {LONGEST_BIN_S:g} s{hint}"
        )
    return width


def _behavior(
    behavior: ArrayLike | None, names: Sequence[str] | None, n_trials: int, n_bins: int
) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
    if behavior is None:
        return None, ()
    signals = np.asarray(behavior)
    if signals.dtype.kind not in "buif":
        raise InputError(f"behavior: found {signals.dtype} values, wanted numbers")
    if signals.ndim == 2:
        signals = signals[:, :, None]
    if signals.ndim != 3 or signals.shape[2] == 0:
        raise InputError(f"behavior: found shape {signals.shape}, wanted (trial, bin, channel)")
    if signals.shape[:2] != (n_trials, n_bins):
        raise InputError(
            f"behavior: found {signals.shape[0]} trials x {signals.shape[1]} bins, wanted the "
            f"{n_trials} x {n_bins} of spikes"
        )
    n_channels = signals.shape[2]
    labels = channel_names(names, n_channels)
    if np.isinf(signals).any():
        raise InputError("behavior: found infinite values; mark missing samples with NaN")
    signals = signals.astype(np.float32)
    _check_varies(signals, labels)
    return signals, labels


def channel_names(names: ArrayLike | None, n_channels: int) -> tuple[str, ...]:
    """Return the names of behavior channels, ``behavior_0``, ... where none are given.

    Raises:
        InputError: There are not as many, or one stands twice.
    """
    if names is None:
        return tuple(f"behavior_{i}" for i in range(n_channels))
    given = np.atleast_1d(np.asarray(names))
    given = np.char.decode(given) if given.dtype.kind == "S" else given
    labels = tuple(str(name) for name in given)
    if len(labels) != n_channels or len(set(labels)) != n_channels:
        raise InputError(
            f"behavior_names: found {some(labels)}, wanted {n_channels} different names, "
            "one for each channel of behavior"
        )
    return labels


def _check_varies(signals: NDArray[np.float32], labels: tuple[str, ...]) -> None:
    for i, label in enumerate(labels):
        known = signals[:, :, i][~np.isnan(signals[:, :, i])]
        if known.size and known.min() < known.max():
            continue
        found = f"is {known[0] + 0.0:g} in every bin" if known.size else "holds nothing but NaN"
        others = ",".join(other for other in labels if other != label)
        instead = f"leave it out with --behavior {others}" if others else "no other channel is left"
        raise InputError(
            f"behavior channel '{label}' {found}: there is nothing to learn; {instead}"
        )


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


def _blanked(values: ArrayLike, lengths: NDArray[np.int64], blank: float) -> NDArray[Any]:
    """Return (B, T, ...) values with ``blank`` after the end of each trial."""
    array = np.asarray(values)
    if array.ndim < 2 or len(array) != len(lengths) or array.dtype.kind not in "buif":
        return array  # what is wrong with it is said by the check that follows
    padding = np.arange(array.shape[1]) >= lengths[:, None]
    return np.where(padding.reshape(*padding.shape, *[1] * (array.ndim - 2)), blank, array)


def _unpadded(spikes: ArrayLike, lengths: NDArray[np.int64]) -> NDArray[Any]:
    """Return (B, T, N) spikes with 0 after the end of each trial.

    Raises:
        InputError: There are spikes after the end of a trial.
    """
    array = np.asarray(spikes)
    kept = _blanked(array, lengths, 0)
    if array.dtype.kind in "buif":
        after = np.nan_to_num(array.astype(float)) != np.nan_to_num(kept.astype(float))
        if after.any():
            trial = int(np.flatnonzero(after.any(axis=(1, 2)))[0])
            raise InputError(
                f"lengths: trial {trial} has {lengths[trial]} bins, but spikes after them; "
                "wanted 0 or NaN in padding"
            )
    return kept


def _gap_notes(
    signals: NDArray[np.float32] | None,
    names: tuple[str, ...],
    lengths: NDArray[np.int64] | None,
) -> tuple[str, ...]:
    if signals is None:
        return ()
    missing = np.isnan(signals)
    n_samples = missing[:, :, 0].size
    if lengths is not None:
        missing &= (np.arange(missing.shape[1]) < lengths[:, None])[:, :, None]
        n_samples = int(lengths.sum())
    return tuple(
        f"behavior '{name}': {int(missing[:, :, i].sum())} of {n_samples} samples are "
        "missing (NaN); they enter no loss and no score."
        for i, name in enumerate(names)
        if missing[:, :, i].any()
    )


def _labels(
    labels: ArrayLike | None, key: str, n_wanted: int, what: str
) -> NDArray[np.str_] | None:
    if labels is None:
        return None
    values = np.asarray(labels)
    if values.shape != (n_wanted,):
        raise InputError(f"{key}: found shape {values.shape}, wanted ({n_wanted},), one for {what}")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise InputError(f"{key}: found NaN; give such {what} a label of their own")
    return values.astype(str)


def _split_labels(split: ArrayLike | None, n_trials: int) -> NDArray[np.str_] | None:
    labels = _labels(split, "split", n_trials, "trials")
    if labels is None:
        return None
    unknown = sorted(set(labels) - set(SPLIT_NAMES))
    if unknown:
        raise InputError(f"split: found {some(unknown)}; {nearest(unknown[0], SPLIT_NAMES)}")
    return labels


def _held_out(held_out: ArrayLike | None, n_neurons: int) -> NDArray[np.bool_] | None:
    if held_out is None:
        return None
    mask = np.asarray(held_out)
    if mask.shape != (n_neurons,) or not np.isin(mask, (0, 1)).all():
        raise InputError(
            f"held_out: found {mask.dtype} of shape {mask.shape}, wanted {n_neurons} of True, False"
        )
    return mask.astype(bool)


def _rates(rates: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    if rates is None:
        return None
    values = np.asarray(rates, dtype=np.float32)
    if values.shape != shape or not (np.isfinite(values).all() and values.min() > 0):
        raise InputError(f"rates: wanted finite counts/bin above 0 of shape {shape}")
    return values


def channel_index(names: Sequence[str], known: Sequence[str]) -> list[int]:
    """Return where each of ``names`` stands in ``known``.

    Raises:
        InputError: One is not there, or stands twice, or there is none.
    """
    for name in names:
        if name not in known:
            raise InputError(f"no behavior channel '{name}': {nearest(name, known)}")
    if len(set(names)) != len(names) or not names:
        raise InputError(f"behavior channels: found {some(names)}, wanted each once")
    return [list(known).index(name) for name in names]
