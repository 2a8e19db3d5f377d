"""Windows side by side within intervals, each of which they begin with.

Shape legend: ``n`` intervals, ``B`` windows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.errors import InputError

_TOLERANCE = 1e-6  # of a window, by which times may be rounded
_TOUCHING_S = 1e-9


class Within(NamedTuple):
    """Where windows lie.

    Attributes:
        starts: (B,) seconds, ascending.
        window_id: (B,) ascending numbers, which follow where windows are side by side.
        notes: What a user should know of the intervals.
    """

    starts: NDArray[np.float64]
    window_id: NDArray[np.int64]
    notes: tuple[str, ...]


def windows_within(intervals: ArrayLike, width_s: float) -> Within:
    """Lay windows from the start of each interval on, as many as it holds whole.

    Intervals that overlap are taken as one, so that no spike is in two windows; those that only
    touch are not.

    Args:
        intervals: (n, 2) seconds, in any order; a row with NaN is left out.
        width_s: Length of a window in seconds.

    Raises:
        InputError: A start is after its stop, or no window fits.

    >>> windows_within([[5, 7.5], [0, 2]], 1.0).starts.tolist()
    [0.0, 1.0, 5.0, 6.0]
    >>> windows_within([[5, 7.5], [0, 2]], 1.0).window_id.tolist()
    [0, 1, 3, 4]
    """
    rows = np.asarray(intervals, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise InputError(f"intervals: found shape {rows.shape}, wanted (interval, 2) seconds")
    rows = rows[np.isfinite(rows).all(axis=1)]
    if (backwards := rows[:, 1] < rows[:, 0]).any():
        start, stop = rows[backwards][0]
        raise InputError(
            f"intervals: found one from {start:g} to {stop:g} s, wanted its start before its stop"
        )
    apart, n_joined = _apart(rows)
    lasts = apart[:, 1] - apart[:, 0]
    n_windows = (lasts / width_s + _TOLERANCE).astype(np.int64)
    if not n_windows.any():
        longest = f", the longest of which lasts {lasts.max():.4g} s" if lasts.size else ""
        raise InputError(
            f"windows of {width_s:g} s: none fits into the {len(apart)} intervals{longest}"
        )
    starts = np.concatenate(
        [start + width_s * np.arange(n) for start, n in zip(apart[:, 0], n_windows, strict=True)]
    )
    breaks = np.diff(starts) > width_s * (1 + _TOLERANCE)
    window_id = np.r_[0, np.cumsum(1 + breaks)].astype(np.int64)
    notes = []
    if n_joined:
        notes.append(f"{n_joined} of {len(rows)} intervals overlap the one before: taken as one.")
    if n_empty := int((n_windows == 0).sum()):
        notes.append(
            f"{n_empty} of {len(apart)} intervals are shorter than a window of {width_s:g} s: left "
            "out."
        )
    return Within(starts, window_id, tuple(notes))


def _apart(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Return ascending intervals, those that overlap as one, and how many were joined."""
    if not len(rows):
        return rows, 0
    ordered = rows[np.argsort(rows[:, 0], kind="stable")]
    ends = np.maximum.accumulate(ordered[:, 1])
    new = np.flatnonzero(ordered[1:, 0] > ends[:-1] - _TOUCHING_S)
    apart = np.stack([ordered[np.r_[0, new + 1], 0], ends[np.r_[new, -1]]], axis=1)
    return apart, len(rows) - len(apart)
