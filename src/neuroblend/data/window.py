"""The bins of a window."""

from __future__ import annotations

import math

from neuroblend.data.checks import checked_bin_width
from neuroblend.errors import InputError

_TOLERANCE = 1e-6  # of a bin
_SHORT_MS = 20.0  # windows up to this long were likely meant in seconds


def n_bins_in(window: tuple[float, float], bin_s: float) -> int:
    """Return how many bins a window, (start, end) in seconds, has.

    >>> n_bins_in((-0.25, 0.45), 0.01)
    70

    Raises:
        InputError: None, or not a whole number of them.
    """
    width = checked_bin_width(bin_s)
    start, length = window[0], window[1] - window[0]
    if not math.isfinite(length):
        raise InputError(f"window: found {start:g} to {window[1]:g} s, wanted finite numbers")
    n_bins = round(length / width)
    found = f"window {start * 1000:g} to {window[1] * 1000:g} ms"
    if length < width * (1 - _TOLERANCE):
        short = 0 < length * 1000 <= _SHORT_MS
        hint = f"; is it in seconds? {start * 1e6:g} to {window[1] * 1e6:g} ms" if short else ""
        raise InputError(f"{found} holds no bin of {width * 1000:g} ms{hint}")
    if abs(n_bins * width - length) > _TOLERANCE * width:
        nearest = start + n_bins * width
        raise InputError(
            f"{found} is not whole bins of {width * 1000:g} ms; nearest are {start * 1000:g} to "
            f"{nearest * 1000:.10g} ms, {n_bins} bins, or bins of "
            f"{_dividing(length, width) * 1000:g} ms"
        )
    return n_bins


def _dividing(length: float, width: float) -> float:
    """Return the bin that divides a window and is nearest to a width, whole ms if one is near."""
    near = round(length / width)
    bins = [length / n for n in range(max(1, near // 2), 2 * near + 2)]
    whole = [b for b in bins if abs(b * 1000 - round(b * 1000)) < _TOLERANCE]
    return min(whole or bins, key=lambda b: abs(b - width))
