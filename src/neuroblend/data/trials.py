"""Binned trials: what every later step of the package starts from.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.data.axes import check_order
from neuroblend.data.channel import Channel, Kind
from neuroblend.data.channels import as_behavior, channel_index, gap_notes
from neuroblend.data.checks import (
    checked_bin_width,
    checked_held_out,
    checked_labels,
    checked_rates,
    checked_seconds,
    checked_window_id,
)
from neuroblend.data.copies import copy_notes
from neuroblend.data.counts import checked_padded_counts
from neuroblend.data.ragged import padded
from neuroblend.data.trial_index import trials_at
from neuroblend.data.trials_file import read_fields, write_fields
from neuroblend.data.unit_ids import UnitIds, checked_ids
from neuroblend.data.words import text_of
from neuroblend.errors import InputError, some

SPLIT_NAMES = ("train", "valid", "test")
_OF_NEURONS = ("spikes", "region", "held_out", "rates", "unit_id", "unit_index")  # on the last axis
_OF_TRIALS = (
    "spikes", "behavior", "condition", "split", "rates", "trial_id", "lengths", "window_id",
)  # on their first axis  # fmt: skip


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
        true_rates = checked_rates(rates, counts.shape, present)
        width = checked_bin_width(bin_s)
        signals, measured = as_behavior(
            behavior, present, behavior_names, behavior_units, kinds, channels
        )
        trials = cls(
            spikes=counts,
            bin_s=width,
            behavior=signals,
            channels=measured,
            condition=checked_labels(condition, "condition", n_trials, "trials"),
            region=checked_labels(region, "region", n_neurons, "neurons"),
            split=checked_labels(split, "split", n_trials, "trials", SPLIT_NAMES),
            held_out=checked_held_out(held_out, n_neurons),
            rates=true_rates,
            trial_id=np.arange(n_trials),
            unit_id=np.arange(n_neurons) if unit_id is None else checked_ids(unit_id, n_neurons),
            unit_index=np.arange(n_neurons),
            n_source_neurons=n_neurons,
            name=name,
            notes=() if signals is None else gap_notes(signals, measured, present),
            lengths=n_bins_of,
            window_id=checked_window_id(window_id, n_trials),
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
        which = trials_at(index, len(self))
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
        write_fields(path, vars(self))

    @classmethod
    def load(cls, path: str | Path) -> Trials:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: The file is missing, truncated or of another format.
        """
        return cls(**read_fields(path))

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
