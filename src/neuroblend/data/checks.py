"""What stands beside the spikes of trials, checked as it comes in.

Each gives ``None`` for what is not given. Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.data.words import check_unmasked, truths_of, words_of
from neuroblend.errors import InputError, nearest, some

SHORTEST_BIN_S, LONGEST_BIN_S = 1e-4, 2.0


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


def checked_labels(
    labels: ArrayLike | None, key: str, n_wanted: int, what: str, known: Sequence[str] | None = None
) -> NDArray[np.str_] | None:
    """Return (``n_wanted``,) labels as strings.

    Args:
        labels: Strings or numbers.
        key: What they are, for errors.
        n_wanted: How many there must be.
        what: Of what each is one, for errors.
        known: Those that there may be; ``None`` for any.

    Raises:
        InputError: There are others or too few, or one is missing.
    """
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


def checked_held_out(held_out: ArrayLike | None, n_neurons: int) -> NDArray[np.bool_] | None:
    """Return (N,) truth values, whichever way they are spelled.

    Raises:
        InputError: They are not one for each neuron, or something else.
    """
    if held_out is None:
        return None
    if np.shape(held_out) != (n_neurons,):
        raise InputError(
            f"held_out: found shape {np.shape(held_out)}, wanted {n_neurons} of True, False"
        )
    return truths_of(held_out, "held_out")


def checked_rates(
    rates: ArrayLike | None, shape: tuple[int, ...], present: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    """Return (B, T, N) expected counts/bin, NaN where no bin is ``present``.

    Raises:
        InputError: They are of another shape than ``shape``, or one is not above 0.
    """
    if rates is None:
        return None
    values = np.asarray(rates, dtype=np.float32)
    is_rate = np.isfinite(values) & (values > 0)
    if values.shape != shape or not is_rate[present].all():
        raise InputError(f"rates: wanted finite counts/bin above 0 of shape {shape}")
    return np.where(present[:, :, None], values, np.nan).astype(np.float32)


def checked_window_id(window_id: ArrayLike | None, n_trials: int) -> NDArray[np.int64] | None:
    """Return (B,) ascending numbers of windows.

    Raises:
        InputError: They are not.
    """
    if window_id is None:
        return None
    values = np.asarray(window_id)
    if values.shape != (n_trials,) or values.dtype.kind not in "ui" or (np.diff(values) < 1).any():
        raise InputError(
            f"window_id: found {values.dtype} of shape {values.shape}, wanted {n_trials} whole "
            "numbers, ascending: which window of the recording each trial is"
        )
    return values.astype(np.int64)
