"""Signals on a clock of their own, brought to the times of frames.

Shape legend: ``T`` frames, ``S`` samples.
"""

import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError

LONGEST_GAP_S = 1.0  # between samples that are bridged by a straight line
_ROUNDING_S = 1e-6  # of clocks that are sums of fractions


def at_frames(
    name: str,
    values: NDArray[np.floating],
    times: NDArray[np.floating],
    frames: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Return (T,) values at the times of frames: linear between samples, NaN where there are none.

    Gaps (NaN samples, or clocks that stop) of more than a second stay missing; so do frames before
    the first sample and after the last.

    Args:
        name: Of the signal, for errors.
        values: (S,) samples, NaN where missing.
        times: (S,) in seconds.
        frames: (T,) in seconds, ascending.

    Raises:
        InputError: Times are not ascending, counts differ, or the clocks do not overlap.
    """
    if values.shape != times.shape:
        raise InputError(f"{name}: found {values.size} samples at {times.size} times")
    known = np.isfinite(values) & np.isfinite(times)
    values, times = values[known], times[known]
    if values.size == 0:
        raise InputError(f"{name}: no sample that is a number")
    if (np.diff(times) < 0).any():
        raise InputError(f"{name}: times are not ascending")
    if times[-1] < frames[0] or times[0] > frames[-1]:
        raise InputError(
            f"{name}: samples from {times[0]:.1f} to {times[-1]:.1f} s and frames from "
            f"{frames[0]:.1f} to {frames[-1]:.1f} s do not overlap"
        )
    found = np.interp(frames, times, values, left=np.nan, right=np.nan)
    last = times[(np.searchsorted(times, frames, side="right") - 1).clip(min=0)]
    following = times[np.searchsorted(times, frames).clip(max=times.size - 1)]
    found[following - last > LONGEST_GAP_S + _ROUNDING_S] = np.nan  # 0 where a frame has a sample
    return found.astype(np.float32)


def merged(intervals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, 2) ascending intervals, those that touch or overlap as one.

    >>> merged(np.array([[2.0, 3.0], [0.0, 1.0], [1.0, 2.0], [5.0, 6.0]])).tolist()
    [[0.0, 3.0], [5.0, 6.0]]
    """
    if not len(intervals):
        return intervals
    ordered = intervals[np.argsort(intervals[:, 0], kind="stable")]
    ends = np.maximum.accumulate(ordered[:, 1])
    apart = np.flatnonzero(ordered[1:, 0] > ends[:-1] + 1e-9)
    return np.stack([ordered[np.r_[0, apart + 1], 0], ends[np.r_[apart, -1]]], axis=1)
