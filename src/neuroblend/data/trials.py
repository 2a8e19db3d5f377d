"""Binned trials: what every later step of the package starts from.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.data.axes import check_order
from neuroblend.data.channel import Channel, Kind
from neuroblend.data.channels import as_behavior, channel_index, gap_notes
from neuroblend.data.copies import copy_notes
from neuroblend.data.ragged import padded
from neuroblend.data.words import check_unmasked, text_of, truths_of, words_of
from neuroblend.errors import InputError, nearest, some
from neuroblend.files import new_h5, write_whole

SPLIT_NAMES = ("train", "valid", "test")
SHORTEST_BIN_S, LONGEST_BIN_S = 1e-4, 2.0
FORMAT = "neuroblend trials"
_ARRAYS = (
    "spikes",
    "behavior",
    "rates",
    "held_out",
    "trial_id",
    "unit_index",
    "lengths",
    "window_id",
)
_LABELS = ("condition", "region", "split")
_OF_NEURONS = ("spikes", "region", "held_out", "rates", "unit_id", "unit_index")  # on the last axis
_OF_TRIALS = (
    "spikes", "behavior", "condition", "split", "rates", "trial_id", "lengths", "window_id",
)  # on their first axis  # fmt: skip
UnitIds = NDArray[np.int64] | NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Trials:
    """Spike counts, and what was recorded beside them, cut into trials of one length.

    Make one with :meth:`from_arrays`, which checks; inside the package the fields are trusted.

    Attributes:
        spikes: (B, T, N) unsigned counts/bin.
        bin_s: Width of a bin in seconds.
        behavior: (B, T, D) float32, NaN where a sample is missing: in the recording's own units,
            numbers of categories for discrete channels, events in each bin; the same in every bin
            of a trial for channels with one value a trial. ``None`` where none was recorded.
        channels: D channels of behavior: name, kind, unit, categories.
        condition: (B,) label of each trial's condition, for PSTHs and stratified splits.
        region: (N,) brain region of each neuron.
        split: (B,) ``"train"``, ``"valid"`` or ``"test"``, where the file fixes the split.
        held_out: (N,) bool, where the file fixes which neurons are held out.
        rates: (B, T, N) true expected counts/bin, known for simulated recordings alone.
        lengths: (B,) bins of each trial, those after being padding in which spikes are 0, behavior
            and rates NaN; ``None`` where every trial has all ``T``.
        window_id: (B,) ascending number of each trial among the windows that a continuous recording
            was cut into, so that those whose numbers follow are side by side; ``None`` for trials
            that stand apart.
        trial_id: (B,) index of each trial in its source.
        unit_id: (N,) name of each neuron in its source, whole numbers or strings, each once: its
            index where the source names none. Neurons are known by it wherever trials go.
        unit_index: (N,) index of each neuron in its source.
        has_unit_ids: Whether the source names its neurons, so that they are known by ``unit_id``
            elsewhere too.
        silent_id: (n,) names of neurons of the source that were kept out, as they never fire.
        n_source_neurons: How many neurons the source has, those that were left out included.
        name: What to call the recording.
        notes: What was left out or is unusual, in sentences for the user.
        event: What trials are aligned to, such as ``"go_cue_time"``; ``None`` where that is unknown
            or they are aligned to nothing.
        start_s: Start of the first bin in seconds from the event, -0.5 for a window that begins
            500 ms before it; 0 without an event.
    """

    spikes: NDArray[np.unsignedinteger[Any]]
    bin_s: float
    behavior: NDArray[np.float32] | None
    channels: tuple[Channel, ...]
    condition: NDArray[np.str_] | None
    region: NDArray[np.str_] | None
    split: NDArray[np.str_] | None
    held_out: NDArray[np.bool_] | None
    rates: NDArray[np.float32] | None
    trial_id: NDArray[np.int64]
    unit_id: UnitIds
    unit_index: NDArray[np.int64]
    n_source_neurons: int
    name: str
    notes: tuple[str, ...] = ()
    lengths: NDArray[np.int64] | None = None
    window_id: NDArray[np.int64] | None = None
    event: str | None = None
    start_s: float = 0.0
    has_unit_ids: bool = False
    silent_id: UnitIds | None = None

    @classmethod
    def from_arrays(
        cls,
        spikes: ArrayLike,
        bin_s: float,
        behavior: ArrayLike | Mapping[str, ArrayLike] | None = None,
        behavior_names: Sequence[str] | None = None,
        condition: ArrayLike | None = None,
        region: ArrayLike | None = None,
        split: ArrayLike | None = None,
        held_out: ArrayLike | None = None,
        rates: ArrayLike | None = None,
        name: str = "recording",
        lengths: ArrayLike | None = None,
        window_id: ArrayLike | None = None,
        behavior_units: ArrayLike | None = None,
        event: str | None = None,
        start_s: float = 0.0,
        unit_id: ArrayLike | None = None,
        kinds: Mapping[str, Kind] | None = None,
        channels: Sequence[Channel] | None = None,
    ) -> Trials:
        """Check arrays and make trials of them.

        Arguments are the attributes of the same names. Beyond that, (B, T) ``behavior`` is one
        channel, channels without names are ``behavior_0``, ..., and labels may be numbers.

        Behavior of several kinds comes by name: ``{"hand_vel": (B, T, 2), "state": (B, T),
        "choice": (B,)}``, where (B,) has one value a trial. Text and truth values are discrete,
        and so are up to eight different numbers, one a trial; ``kinds`` says otherwise. Columns
        of (B, T, n) are numbered. ``channels`` are given with behavior that is coded already.

        Trials of different length come padded to one, with their bins in ``lengths``: spikes in
        padding must be 0 or NaN, and whatever else is there is left out. Without ``lengths``,
        spikes that are NaN (or masked) at the end of a trial end there. They may also come as
        lists of one array a trial: (T_i, N) of spikes, (T_i, n) or (T_i,) of behavior.

        A neuron that never fires is kept out, and a note says so; another names neurons and
        trials that are copies of others.

        Raises:
            InputError: An array has the wrong shape or holds what it must not.
        """
        check_order(
            spikes, behavior, condition=condition, split=split, lengths=lengths, region=region,
            held_out=held_out, unit_id=unit_id,
        )  # fmt: skip
        spikes, behavior, rates, lengths = padded(spikes, behavior, rates, lengths)
        counts, n_bins_of = checked_padded_counts(spikes, lengths)
        n_trials, n_bins, n_neurons = counts.shape
        ends = np.full(n_trials, n_bins) if n_bins_of is None else n_bins_of
        present = np.arange(n_bins) < ends[:, None]
        true_rates = _rates(rates, counts.shape, present)
        width = checked_bin_width(bin_s)
        signals, measured = as_behavior(
            behavior, present, behavior_names, behavior_units, kinds, channels
        )
        trials = cls(
            spikes=counts,
            bin_s=width,
            behavior=signals,
            channels=measured,
            condition=_labels(condition, "condition", n_trials, "trials"),
            region=_labels(region, "region", n_neurons, "neurons"),
            split=_labels(split, "split", n_trials, "trials", SPLIT_NAMES),
            held_out=_held_out(held_out, n_neurons),
            rates=true_rates,
            trial_id=np.arange(n_trials),
            unit_id=np.arange(n_neurons) if unit_id is None else checked_ids(unit_id, n_neurons),
            unit_index=np.arange(n_neurons),
            n_source_neurons=n_neurons,
            name=name,
            notes=() if signals is None else gap_notes(signals, measured, present),
            lengths=n_bins_of,
            window_id=_window_id(window_id, n_trials),
            event=None if event is None else text_of(event),
            start_s=checked_seconds(start_s, "start_s"),
            has_unit_ids=unit_id is not None,
        )
        firing = trials._without_silent()
        return firing.with_note(*copy_notes(firing.spikes, firing.unit_id))

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
    def span_s(self) -> tuple[float, float]:
        """Start and end of the longest trial in seconds, from the event where there is one."""
        return self.start_s, self.start_s + self.n_bins * self.bin_s

    @property
    def times(self) -> NDArray[np.float64]:
        """(T,) seconds of the middle of each bin, on the clock of :attr:`span_s`."""
        return np.asarray(self.start_s + (np.arange(self.n_bins) + 0.5) * self.bin_s)

    @property
    def behavior_names(self) -> tuple[str, ...]:
        """D names."""
        return tuple(channel.name for channel in self.channels)

    @property
    def behavior_units(self) -> tuple[str, ...]:
        """D units of measure such as ``"cm/s"``, ``""`` where unknown."""
        return tuple(channel.unit for channel in self.channels)

    @property
    def behavior_labels(self) -> tuple[str, ...]:
        """D names with their units, such as ``"hand_vel_x (cm/s)"``."""
        return tuple(channel.label for channel in self.channels)

    @property
    def rate_hz(self) -> NDArray[np.float64]:
        """(N,) mean firing rate of each neuron in spikes/s."""
        n_bins = self.bins_of().sum()
        return self.spikes.sum(axis=(0, 1), dtype=np.float64) / n_bins / self.bin_s

    @property
    def present(self) -> NDArray[np.bool_] | None:
        """(B, T) bool, False for padding; ``None`` where every trial has all bins."""
        return None if self.lengths is None else np.arange(self.n_bins) < self.lengths[:, None]

    @property
    def paired(self) -> NDArray[np.bool_]:
        """(B,) bool, True for a trial in which some sample of some channel is known."""
        if self.behavior is None:
            return np.zeros(self.n_trials, dtype=bool)
        known = ~np.isnan(self.behavior)
        if self.present is not None:
            known &= self.present[:, :, None]
        return np.asarray(known.any(axis=(1, 2)), dtype=bool)

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
        channels = ", ".join(self.behavior_labels) or "none"
        start, end = self.span_s
        window = f", {start:g} to {end:g} s from {self.event}" if self.event else ""
        return (
            f"Trials({self.name!r}: {self.n_trials} trials x {self.n_bins} bins of "
            f"{self.bin_s * 1000:g} ms x {self.n_neurons} neurons{window}, behavior: {channels})"
        )

    def __len__(self) -> int:
        return self.n_trials

    def __getitem__(self, index: int | slice | ArrayLike) -> Trials:
        """Return some of the trials, with all that belongs to them, as trials.

        ``trials[3]``, ``trials[-5:]``, ``trials[[4, 8]]``, ``trials[trials.condition == "left"]``:
        a number (of which one trial comes), a slice, (n,) indices or a (B,) bool mask. Neurons stay
        as they are, and so do the numbers of windows.

        Raises:
            IndexError: There is no such trial, or a mask is of another length.
            TypeError: ``index`` is none of these.
            InputError: No trial is left, or windows of a continuous recording would lose their
                order.
        """
        n = len(self)
        which = np.arange(n)[index] if isinstance(index, slice) else np.asarray(index)
        if which.ndim > 1 or (which.size and which.dtype.kind not in "bui"):
            found = f"{which.dtype} of shape {which.shape}" if which.ndim else repr(index)
            raise TypeError(
                f"trials[...]: found {found}, wanted a number, a slice, indices or a mask of {n}"
            )
        if which.dtype.kind == "b":
            if which.shape != (n,):
                raise IndexError(f"trials[...]: found a mask of {which.size}, wanted one of {n}")
            which = np.flatnonzero(which)
        which = which.reshape(-1).astype(np.int64)
        if (absent := which[(which < -n) | (which >= n)]).size:
            raise IndexError(f"trials[...]: no trial {some(absent)}; there are {n}")
        if not which.size:
            raise InputError(f"trials[...]: leaves none of {n} trials, wanted one or more")
        if self.window_id is not None and (np.diff(self.window_id[which]) < 1).any():
            raise InputError(
                "trials[...]: windows of a continuous recording stay in order, each once; wanted "
                "ascending indices"
            )
        fields = {key: getattr(self, key) for key in _OF_TRIALS}
        fields = {key: value[which] for key, value in fields.items() if value is not None}
        if "lengths" in fields and (fields["lengths"] == self.n_bins).all():
            fields["lengths"] = None
        gaps = tuple(f"behavior '{name}':" for name in self.behavior_names)
        notes = tuple(note for note in self.notes if not note.startswith(gaps))
        chosen = replace(self, **fields)
        if chosen.behavior is not None:
            present = np.arange(self.n_bins) < chosen.bins_of()[:, None]
            notes = (*gap_notes(chosen.behavior, self.channels, present), *notes)
        return replace(chosen, notes=notes)

    def __iter__(self) -> Iterator[Trials]:
        """Give the trials one by one, each as trials of length 1."""
        return (self[i] for i in range(len(self)))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise InputError(f"found {self!r}, wanted an array, such as its .spikes or .behavior")

    def with_note(self, *notes: str) -> Trials:
        """Return the trials with one more note, or several."""
        return replace(self, notes=(*self.notes, *notes))

    def take_neurons(self, keep: ArrayLike, note: str | None = None) -> Trials:
        """Return the trials with the neurons ``keep`` ((n,) indices or (N,) bool) alone."""
        kept = np.arange(self.n_neurons)[np.asarray(keep)]
        fields = {key: getattr(self, key) for key in _OF_NEURONS}
        fields = {key: value[..., kept] for key, value in fields.items() if value is not None}
        notes = self.notes if note is None else (*self.notes, note)
        return replace(self, **fields, notes=notes)

    def take_channels(self, names: Sequence[str]) -> Trials:
        """Return the trials with the behavior channels ``names``, in that order, alone.

        Raises:
            InputError: There is no such channel, or one is named twice.
        """
        index = channel_index(names, self.behavior_names)
        behavior = None if self.behavior is None else self.behavior[:, :, index]
        gone = {f"behavior '{name}':" for name in self.behavior_names if name not in names}
        notes = tuple(note for note in self.notes if not note.startswith(tuple(gone)))
        channels = tuple(self.channels[i] for i in index)
        return replace(self, behavior=behavior, channels=channels, notes=notes)

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

        def write(partial: Path) -> None:
            with new_h5(partial) as file:
                file.attrs.update(format=FORMAT, version=1, name=self.name, bin_s=self.bin_s)
                file.attrs["n_source_neurons"] = self.n_source_neurons
                file["bin_s"], file["start_s"] = self.bin_s, self.start_s
                if self.event is not None:
                    file["event"] = self.event
                # names and units stay readable by other programs, and by earlier versions
                for key in ("behavior_names", "behavior_units", "notes", *_LABELS):
                    if (value := getattr(self, key)) is not None:
                        file[key] = [str(word) for word in value]
                file["channels"] = [channel.to_json() for channel in self.channels]
                write_ids(file, "unit_id", self.unit_id)
                file["has_unit_ids"] = self.has_unit_ids
                if self.silent_id is not None:
                    write_ids(file, "silent_id", self.silent_id)
                for key in _ARRAYS:
                    if (value := getattr(self, key)) is not None:
                        file.create_dataset(key, data=value, compression="gzip", compression_opts=1)

        write_whole(path, write)

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
                fields: dict[str, Any] = dict.fromkeys((*_ARRAYS, *_LABELS))
                fields |= {key: file[key][()] for key in _ARRAYS if key in file}
                fields |= {key: file[key].asstr()[()].astype(str) for key in _LABELS if key in file}
                fields["notes"] = _stored_words(file, "notes")
                fields["channels"] = _stored_channels(file)
                fields["unit_id"] = read_ids(file, "unit_id")
                fields["has_unit_ids"] = "has_unit_ids" in file and bool(file["has_unit_ids"][()])
                fields["silent_id"] = read_ids(file, "silent_id") if "silent_id" in file else None
                if "unit_index" not in file:  # files of version 0.1.0: ids were the index
                    fields["unit_index"] = fields["unit_id"]
                if "start_s" in file:  # files of version 0.1.0 have neither this nor an event
                    fields["start_s"] = float(file["start_s"][()])
                if "event" in file:
                    fields["event"] = str(file["event"].asstr()[()])
                return cls(
                    **fields,
                    bin_s=float(file.attrs["bin_s"]),
                    n_source_neurons=int(file.attrs["n_source_neurons"]),
                    name=str(file.attrs["name"]),
                )
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as HDF5 ({error})") from None

    def _without_silent(self) -> Trials:
        fires = self.spikes.any(axis=(0, 1))
        if fires.all():
            return self
        if fires.sum() < 2:
            raise InputError(
                f"spikes: {int(fires.sum())} of {self.n_neurons} neurons ever fire, wanted 2"
            )
        note = f"{int((~fires).sum())} of {self.n_neurons} neurons never fire: kept out"
        kept = self.take_neurons(fires, f"{note} ({some(self.unit_id[~fires])}).")
        return replace(kept, silent_id=self.unit_id[~fires])


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


def checked_seconds(value: Any, key: str) -> float:
    """Return one finite number of seconds.

    Raises:
        InputError: It is not one.
    """
    try:
        number = float(np.asarray(value).reshape(()))
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise InputError(f"{key}: found {value!r}, wanted one number of seconds")
    return number


def _stored_words(file: h5py.Group, key: str) -> tuple[str, ...]:
    return tuple(map(str, file[key].asstr()[()])) if key in file and file[key].size else ()


def _stored_channels(file: h5py.Group) -> tuple[Channel, ...]:
    """Return channels as :meth:`Trials.save` wrote them, now or before there were kinds."""
    if "channels" in file:
        return tuple(Channel.from_json(text) for text in _stored_words(file, "channels"))
    names, units = (_stored_words(file, f"behavior_{key}") for key in ("names", "units"))
    units = units or ("",) * len(names)
    return tuple(Channel(name, unit=u) for name, u in zip(names, units, strict=True))


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


def _window_id(window_id: ArrayLike | None, n_trials: int) -> NDArray[np.int64] | None:
    if window_id is None:
        return None
    values = np.asarray(window_id)
    if values.shape != (n_trials,) or values.dtype.kind not in "ui" or (np.diff(values) < 1).any():
        raise InputError(
            f"window_id: found {values.dtype} of shape {values.shape}, wanted {n_trials} whole "
            "numbers, ascending: which window of the recording each trial is"
        )
    return values.astype(np.int64)


def _labels(
    labels: ArrayLike | None, key: str, n_wanted: int, what: str, known: Sequence[str] | None = None
) -> NDArray[np.str_] | None:
    """Return checked labels as strings; ``known`` are those that there may be."""
    if labels is None:
        return None
    check_unmasked(labels, key)
    values = np.asarray(labels)
    if values.shape != (n_wanted,):
        raise InputError(f"{key}: found shape {values.shape}, wanted ({n_wanted},), one for {what}")
    gone = [v for v in values.tolist() if v is None or (isinstance(v, float) and np.isnan(v))]
    if gone:
        found = "NaN" if values.dtype.kind == "f" else str(gone[0])
        raise InputError(f"{key}: found {found}; give such {what} a label of their own")
    words = words_of(values, key)
    if known is not None and (unknown := sorted(set(words) - set(known))):
        raise InputError(f"{key}: found {some(unknown)}; {nearest(unknown[0], known)}")
    return words


def _held_out(held_out: ArrayLike | None, n_neurons: int) -> NDArray[np.bool_] | None:
    if held_out is None:
        return None
    if np.shape(held_out) != (n_neurons,):
        raise InputError(
            f"held_out: found shape {np.shape(held_out)}, wanted {n_neurons} of True, False"
        )
    return truths_of(held_out, "held_out")


def _rates(
    rates: ArrayLike | None, shape: tuple[int, ...], present: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    if rates is None:
        return None
    values = np.asarray(rates, dtype=np.float32)
    is_rate = np.isfinite(values) & (values > 0)
    if values.shape != shape or not is_rate[present].all():
        raise InputError(f"rates: wanted finite counts/bin above 0 of shape {shape}")
    return np.where(present[:, :, None], values, np.nan).astype(np.float32)
