"""Seconds as whole nanoseconds, so that a spike on the edge of a bin falls on one side of it.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NS = 1_000_000_000  # ticks in a second
_TOGETHER = 32  # neurons that are counted before they are written, as memory likes long runs
Ticks = NDArray[np.int64]
Counts = NDArray[np.unsignedinteger[Any]]


def to_ticks(seconds: NDArray[np.floating]) -> Ticks:
    """Return seconds as nanoseconds.

    >>> to_ticks(np.array([0.1 + 0.2, 0.3])).tolist()
    [300000000, 300000000]
    """
    return np.rint(seconds * NS).astype(np.int64)


def edges_of(starts: NDArray[np.float64], bin_s: float, n_bins: int) -> Ticks:
    """Return (B, T + 1) edges in nanoseconds of the bins of trials that start at (B,) seconds."""
    within: Ticks = to_ticks(np.arange(n_bins + 1) * bin_s)
    return np.add(to_ticks(starts)[:, None], within)


def counted(spike_times: Sequence[NDArray[np.float64]], edges: Ticks) -> Counts:
    """Return (B, T, N) counts/bin; a spike is in the bin whose start it is at or after.

    Args:
        spike_times: N ascending arrays in seconds.
        edges: (B, T + 1) nanoseconds; trials may overlap, and be in any order.
    """
    n_trials, n_bins = edges.shape[0], edges.shape[1] - 1
    counts: Counts = np.zeros((n_trials, n_bins, len(spike_times)), dtype=np.uint8)
    for first in range(0, len(spike_times), _TOGETHER):
        some = [_of_one(to_ticks(t), edges) for t in spike_times[first : first + _TOGETHER]]
        most = max(int(of_one.max(initial=0)) for of_one in some)
        wanted = np.min_scalar_type(most)
        if wanted.itemsize > counts.dtype.itemsize:
            counts = counts.astype(wanted)
        counts[:, :, first : first + len(some)] = np.stack(some, axis=2)
    return counts


def _of_one(times: Ticks, edges: Ticks) -> Ticks:
    """Return the (B, T) counts of one neuron."""
    n_trials, n_bins = edges.shape[0], edges.shape[1] - 1
    first = np.searchsorted(times, edges[:, 0])
    n_spikes = np.maximum(np.searchsorted(times, edges[:, -1]) - first, 0)
    if n_spikes.sum() > n_trials * n_bins:  # fewer edges than spikes
        return np.diff(np.searchsorted(times, edges), axis=1)
    trial = np.repeat(np.arange(n_trials), n_spikes)
    before = np.cumsum(n_spikes) - n_spikes
    index = np.arange(trial.size) + np.repeat(first - before, n_spikes)
    within = times[index] - edges[trial, 0]
    # bins are as wide in every trial, so that one row of edges tells them all
    at = np.searchsorted(edges[0] - edges[0, 0], within, side="right") - 1
    return np.bincount(trial * n_bins + at, minlength=n_trials * n_bins).reshape(n_trials, n_bins)
