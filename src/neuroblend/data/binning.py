"""Samples of each kind -> their value in each bin.

Shape legend: ``S`` samples, ``T`` bins, ``D`` channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import Channel, Kind
from neuroblend.data.ticks import to_ticks

LONGEST_GAP_S = 0.25  # behavior is interpolated over shorter gaps, missing in longer ones
Floats = NDArray[np.float64]


class Samples(NamedTuple):
    """What is binned.

    Attributes:
        times: (S,) seconds, ascending.
        values: (S, D), NaN where missing.
        channels: D channels of one kind.
        holds: Whether each value holds until the next sample, and the first before it too.
    """

    times: Floats
    values: Floats
    channels: tuple[Channel, ...]
    holds: bool


def _summed(times: Floats, values: NDArray[Any], edges: Floats) -> Floats:
    first = np.searchsorted(to_ticks(times), to_ticks(edges))
    before = np.vstack([np.zeros(values.shape[1]), np.cumsum(values, axis=0)])
    return np.diff(before[first], axis=-2)


def _mean(samples: Samples, values: Floats, edges: Floats) -> Floats:
    """Return means of (S, D) values, or what lies between their neighbours."""
    if samples.holds:
        return _held_mean(samples.times, values, edges)
    times, known = samples.times, ~np.isnan(values)
    total = _summed(times, np.where(known, values, 0), edges)
    n_samples = _summed(times, known, edges)
    centres = (edges[..., :-1] + edges[..., 1:]) / 2
    after = np.clip(np.searchsorted(times, centres), 1, times.size - 1)
    near = times[after] - times[after - 1] <= LONGEST_GAP_S
    near &= (centres >= times[0]) & (centres <= times[-1])
    columns = [np.interp(centres, times, column) for column in values.T]
    between = np.where(near[..., None], np.stack(columns, axis=-1), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n_samples > 0, total / n_samples, between)


def _held_mean(times: Floats, values: Floats, edges: Floats) -> Floats:
    """Return means over time of values that hold until the next, NaN where none is known."""
    known = ~np.isnan(values)
    length = _lasting(times, edges)[:, None]
    lasts = _covered(times, known * length, edges)
    total = _covered(times, np.where(known, values, 0) * length, edges)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(lasts > 1e-9, total / lasts, np.nan)


def _lasting(times: Floats, edges: Floats) -> Floats:
    """Return (S,) seconds that each value holds; first and last reach to where bins do."""
    starts = np.r_[min(edges.min(), times[0]), times[1:]]
    return np.r_[starts[1:], max(edges.max(), times[-1])] - starts


def _covered(times: Floats, amounts: Floats, edges: Floats) -> Floats:
    """Return how much of (S, D) amounts, each spread evenly over the time it holds, is in bins."""
    low, high = min(edges.min(), times[0]), max(edges.max(), times[-1])
    at = np.r_[low, times[1:], high]
    before = np.vstack([np.zeros(amounts.shape[1]), np.cumsum(amounts, axis=0)])
    columns = [np.diff(np.interp(edges, at, column), axis=-1) for column in before.T]
    return np.stack(columns, axis=-1)


def _means(samples: Samples, edges: Floats) -> Floats:
    return _mean(samples, samples.values, edges)


def _directions(samples: Samples, edges: Floats) -> Floats:
    """Return the direction of the mean of unit vectors, within the turn that samples are in."""
    turns = np.array([channel.period for channel in samples.channels])
    angles = samples.values * (2 * math.pi / turns)
    x, y = _mean(samples, np.cos(angles), edges), _mean(samples, np.sin(angles), edges)
    found = np.arctan2(y, x) / (2 * math.pi) * turns
    found[np.hypot(x, y) < 1e-9] = np.nan  # samples that cancel out point nowhere
    with np.errstate(invalid="ignore"):
        return np.where((found < 0) & _positive(samples.values), found + turns, found)


def _positive(values: Floats) -> NDArray[np.bool_]:
    return np.asarray(~(values < 0).any(axis=0))


def _n_events(samples: Samples, edges: Floats) -> Floats:
    return _summed(samples.times, np.nan_to_num(samples.values), edges)


def _states(samples: Samples, edges: Floats) -> Floats:
    """Return the category that holds for most of the time in each bin."""
    times = samples.times
    low, high = min(edges.min(), times[0]), max(edges.max(), times[-1])
    starts, ends = times, np.r_[times[1:], high]
    if samples.holds:
        starts = np.r_[low, times[1:]]
    else:
        step = np.diff(times)
        usual = min(float(np.median(step)), LONGEST_GAP_S)
        ends = times + np.r_[np.where(step <= LONGEST_GAP_S, step, usual), usual]
    length, at = ends - starts, np.stack([starts, ends], axis=1).ravel()
    found = []
    for values, channel in zip(samples.values.T, samples.channels, strict=True):
        best = np.zeros((*edges.shape[:-1], edges.shape[-1] - 1))
        most = np.full(best.shape, np.nan)
        for code in range(len(channel.categories)):
            total = np.cumsum(np.where(values == code, length, 0.0))
            before = np.stack([np.r_[0.0, total[:-1]], total], axis=1).ravel()
            covered = np.diff(np.interp(edges, at, before), axis=-1)
            more = covered > best + 1e-9
            best, most = np.where(more, covered, best), np.where(more, code, most)
        found.append(most)
    return np.stack(found, axis=-1)


IN_BINS: dict[Kind, Callable[[Samples, Floats], Floats]] = {
    "continuous": _means,
    "circular": _directions,
    "discrete": _states,
    "events": _n_events,
}
