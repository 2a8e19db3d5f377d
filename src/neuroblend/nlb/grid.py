"""Sessions on the 1 ms clock of the Neural Latents Benchmark '21, one after the other.

Shape legend: ``S`` samples of a signal, ``D`` channels, ``N`` neurons.

A spike belongs to the millisecond that its time falls in (truncated to 1 ms after rounding to 1 ns
of it), the clock starts at 0 and ends with the last observed interval, and what was not observed is
NaN: as ``nlb_tools`` 0.0.4 has it. Held-in and held-out neurons were each observed in the intervals
of the first of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import decimate

from neuroblend.data.nwb import HELD_OUT, ID, OBSERVED
from neuroblend.data.recording import Recording
from neuroblend.data.signal import Signal
from neuroblend.errors import InputError
from neuroblend.nlb.arrays import Bools, Floats, Ints

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
GAP_S = 0.05  # at least, between two files that are joined
NO_TIME = np.iinfo(np.int64).min
FILTER_ORDER = 500

Samples = tuple[Ints, Floats, tuple[str, ...], str]


@dataclass(frozen=True, eq=False)
class Grid:
    """One or more sessions on one clock.

    Attributes:
        n_ms: Length of the clock.
        spike_ms: One ascending (n_spikes,) array of ms a neuron, unobserved ones left out.
        unit_id: (N,) ids of the units table, ascending.
        held_out: (N,) bool.
        observed_in: (n_ms,) bool, where held-in neurons were observed.
        observed_out: (n_ms,) bool, where held-out neurons were.
        trials: One row a trial; columns that end in ``_time`` hold int64 nanoseconds, ``NO_TIME``
            where there is none.
        signals: Times in ms, (S,) int64, samples (S, D), names of channels and unit of each series,
            by name.
        notes: What is unusual.
    """

    n_ms: int
    spike_ms: tuple[Ints, ...]
    unit_id: Ints
    held_out: Bools
    observed_in: Bools
    observed_out: Bools
    trials: pd.DataFrame
    signals: dict[str, Samples]
    notes: tuple[str, ...] = ()

    def channels(self, name: str) -> tuple[str, ...]:
        """Return the names of a signal's channels."""
        return self.signals[name][2]

    def resampled(self, name: str, bin_ms: int) -> Floats:
        """Return (n_bins, D) samples of a signal at the start of every bin, NaN where missing.

        Gaps are filled by straight lines, an anti-aliasing filter of 501 taps is applied, and what
        was missing at the start of a bin is missing again.
        """
        at, values, *_ = self.signals[name]
        grid = np.full((self.n_ms, values.shape[1]), np.nan)
        grid[at] = values
        if bin_ms == 1 or name == "target_pos":  # steps, which a filter would blur
            return grid[::bin_ms]
        missing = np.isnan(grid[::bin_ms])
        for column in grid.T:
            gap = np.isnan(column)
            if gap.any() and not gap.all():
                known = np.flatnonzero(~gap)
                column[gap] = np.interp(np.flatnonzero(gap), known, column[known])
        slow = decimate(grid, bin_ms, FILTER_ORDER, ftype="fir", axis=0)
        slow[missing] = np.nan
        return slow


def join_sessions(recordings: Sequence[Recording]) -> Grid:
    """Put recordings on one clock, one after the other.

    Raises:
        InputError: They are not of the same units, or a spike or sample does not fit the clock.
    """
    return reduce(_joined, map(_grid_of, recordings))


def _grid_of(recording: Recording) -> Grid:
    units, name = recording.units, recording.name
    order = np.argsort(units[ID].to_numpy(), kind="stable")
    held_out = units[HELD_OUT].to_numpy().astype(bool)[order]
    notes: list[str] = []
    if OBSERVED in units:
        intervals = [units[OBSERVED].iloc[i] for i in order]
        if not any(len(rows) for rows in intervals):
            raise InputError(f"{name}: no unit was observed (obs_intervals are empty)")
        n_ms = round(max(float(rows[-1, -1]) for rows in intervals if len(rows)) * 1000)
    else:
        notes.append(f"{name}: no obs_intervals, so every millisecond counts as observed.")
        latest = recording.trials["stop_time"].max()
        n_ms = round(max(recording.span[1], latest) * 1000)
        intervals = [np.array([[0.0, n_ms / 1000]])] * len(order)
    observed = {}
    for kind in (False, True):
        of_kind = np.flatnonzero(held_out == kind)
        rows = intervals[of_kind[0]] if of_kind.size else np.empty((0, 2))
        observed[kind] = _covered(rows, n_ms)
    spike_ms = []
    n_outside = 0
    for i, neuron in enumerate(order):
        ms = np.round(recording.spike_times[neuron] * 1000, 6).astype(np.int64)
        inside = (ms >= 0) & (ms < n_ms)
        inside[inside] = observed[bool(held_out[i])][ms[inside]]
        n_outside += int((~inside).sum())
        spike_ms.append(ms[inside])
    if n_outside:
        notes.append(
            f"{name}: {n_outside} spikes lie outside of the observed intervals; they do not count."
        )
    unit_id, trials = units[ID].to_numpy()[order], _with_nanoseconds(recording.trials)
    signals = {key: _on_grid(s, key, n_ms, name, notes) for key, s in recording.signals.items()}
    seen = observed[False], observed[True]
    return Grid(n_ms, tuple(spike_ms), unit_id, held_out, *seen, trials, signals, tuple(notes))


def _covered(intervals: Floats, n_ms: int) -> Bools:
    """Return (n_ms,) bool, True for milliseconds that lie wholly in an interval."""
    covered = np.zeros(n_ms, dtype=bool)
    for start, end in intervals:
        covered[int(np.ceil(round(start * 1000, 6))) : int(np.floor(round(end * 1000, 6)))] = True
    return covered


def _on_grid(signal: Signal, key: str, n_ms: int, name: str, notes: list[str]) -> Samples:
    """Return a signal's samples by the nearest millisecond."""
    exact = signal.times * 1000
    at = np.round(exact).astype(np.int64)
    off = np.abs(exact - at).max()
    if off > 1e-3:
        notes.append(
            f"{name}: {key} is up to {off:.2g} ms off the 1 ms grid; moved to the nearest."
        )
    inside = (at >= 0) & (at < n_ms)
    if not inside.all():
        n_out = int((~inside).sum())
        notes.append(f"{name}: {n_out} samples of {key} lie outside of the clock; left out.")
    return at[inside], signal.values[inside], signal.names, signal.unit


def to_nanoseconds(seconds: NDArray[np.floating]) -> Ints:
    """Return times in nanoseconds, ``NO_TIME`` for NaN."""
    known = np.isfinite(seconds)
    whole = np.where(known, seconds, 0.0)
    base = np.floor(whole)
    ns = base.astype(np.int64) * NS_PER_S + np.round((whole - base) * NS_PER_S).astype(np.int64)
    return np.where(known, ns, NO_TIME)


def _with_nanoseconds(trials: pd.DataFrame) -> pd.DataFrame:
    table = trials.rename(columns={"stop_time": "end_time"}).reset_index(drop=True)
    for column in table:
        if str(column).endswith("_time") and table[column].dtype.kind in "fiu":
            table[column] = to_nanoseconds(table[column].to_numpy(dtype=np.float64))
    return table


def _joined(first: Grid, second: Grid) -> Grid:
    """Append a grid, beginning at the next tenth of a second after a gap."""
    start = int(np.ceil(((first.n_ms - 1) / 1000 + GAP_S) * 10) * 100)
    unit_id = np.union1d(first.unit_id, second.unit_id)
    held_out = np.zeros(unit_id.size, dtype=bool)
    spikes: list[list[Ints]] = [[] for _ in unit_id]
    for grid, shift in ((first, 0), (second, start)):
        index = np.searchsorted(unit_id, grid.unit_id)
        held_out[index] |= grid.held_out
        for i, ms in zip(index, grid.spike_ms, strict=True):
            spikes[i].append(ms + shift)
    held_in = set(unit_id[~held_out].tolist())
    for grid in (first, second):
        if set(grid.unit_id[~grid.held_out].tolist()) != held_in:
            raise InputError(
                f"files to join have other held-in units ({int((~grid.held_out).sum())} and "
                f"{len(held_in)} together); are they of one dataset?"
            )

    def both(a: Bools, b: Bools) -> Bools:
        return np.concatenate([a, np.zeros(start - a.size, dtype=bool), b])

    signals = dict(first.signals)
    for name, (at, values, names, unit) in second.signals.items():
        none = np.empty(0, dtype=np.int64), np.empty((0, values.shape[1])), names, unit
        old_at, old_values, *_ = signals.get(name, none)
        if old_values.shape[1:] != values.shape[1:]:
            raise InputError(f"files to join have {name} of unlike numbers of channels")
        signals[name] = np.r_[old_at, at + start], np.r_[old_values, values], names, unit
    trials = pd.concat([first.trials, _shifted(second.trials, start)], ignore_index=True)
    for grid in (first, second):
        for column in set(trials) - set(grid.trials):
            if str(column).endswith("_time"):  # published test files lack some
                trials[column] = trials[column].fillna(NO_TIME).astype(np.int64)
    seen = (
        both(first.observed_in, second.observed_in),
        both(first.observed_out, second.observed_out),
    )
    n_ms, notes = start + second.n_ms, first.notes + second.notes
    spike_ms = tuple(np.concatenate(parts) for parts in spikes)
    return Grid(n_ms, spike_ms, unit_id, held_out, *seen, trials, signals, notes)


def _shifted(trials: pd.DataFrame, shift_ms: int) -> pd.DataFrame:
    table = trials.copy()
    for column in table:
        if table[column].dtype == np.int64 and str(column).endswith("_time"):
            ns = table[column].to_numpy()
            table[column] = np.where(ns == NO_TIME, NO_TIME, ns + shift_ms * NS_PER_MS)
    return table
