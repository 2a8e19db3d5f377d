"""Arrays of behavior, of whatever kinds -> the (trial, bin, channel) values of trials.

Shape legend: ``B`` trials, ``T`` bins, ``D`` channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.data.channel import Channel, Kind, channel_of
from neuroblend.data.words import text_of, words_of
from neuroblend.errors import InputError, nearest, some

Floats = NDArray[np.float32]
_NO_UNIT = {"", "unknown", "n/a", "n.a.", "na", "nan", "none"}


def as_behavior(
    behavior: ArrayLike | Mapping[str, ArrayLike] | None,
    present: NDArray[np.bool_],
    names: ArrayLike | None = None,
    units: ArrayLike | None = None,
    kinds: Mapping[str, Kind] | None = None,
    channels: Sequence[Channel] | None = None,
) -> tuple[Floats | None, tuple[Channel, ...]]:
    """Return (B, T, D) checked values, NaN in padding, and what their channels are.

    Args:
        behavior: (B, T, D) or (B, T) numbers, or arrays by name: (B, T, n), (B, T), or (B,) for
            one value a trial.
        present: (B, T) False for padding.
        names: D names, where behavior comes without.
        units: D units of measure, or one for all.
        kinds: Of channels, by name; see :func:`~neuroblend.data.channel.channel_of`.
        channels: D channels that behavior, one array, is coded for.

    Raises:
        InputError: Shapes or values cannot be used, or a kind is given for no channel.
    """
    if behavior is None:
        return None, ()
    if channels is not None:
        return _coded(_array(behavior, present), present, channels)
    given = list(_columns(behavior, present, names))
    labels = channel_names([name for name, _, _ in given], len(given))
    for name in kinds or ():
        if name not in labels:
            raise InputError(f"kinds: no behavior channel '{name}'; {nearest(name, labels)}")
    measured, columns = [], []
    of_each = channel_units(units, len(given))
    for (name, values, per_trial), unit in zip(given, of_each, strict=True):
        kind = (kinds or {}).get(name)
        seen = values if per_trial else _seen(values, present)
        channel, numbers = channel_of(name, seen, kind, unit, per_trial=per_trial)
        others = [other for other, array, _ in given if other != name and _varies(array)]
        check_varies(channel, seen, numbers, others)
        filled = np.full(present.shape, np.nan, dtype=np.float32)
        filled[present] = (
            np.broadcast_to(numbers[:, None], present.shape)[present] if per_trial else numbers
        )
        measured.append(channel)
        columns.append(filled)
    return np.stack(columns, axis=2), tuple(measured)


def _varies(values: NDArray[Any]) -> bool:
    """Whether there are two values, so that a channel may be suggested."""
    if isinstance(values, np.ma.MaskedArray):
        values = values.compressed()
    if values.dtype.kind not in "buif":
        return len({str(value) for value in values.ravel()} - {"", "None", "nan", "b''"}) > 1
    known = values[np.isfinite(values)]
    return bool(known.size and known.min() < known.max())


def _seen(values: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the values outside of padding."""
    return values[present]


def _columns(
    behavior: ArrayLike | Mapping[str, ArrayLike], present: NDArray[np.bool_], names: Any
) -> Iterator[tuple[str, NDArray[Any], bool]]:
    """Yield the name of each channel, its (B, T) or (B,) values, and whether it is the latter."""
    n_trials = len(present)
    if not isinstance(behavior, Mapping):
        values = _array(behavior, present)
        for i, name in enumerate(channel_names(names, values.shape[2])):
            yield name, values[:, :, i], False
        return
    if not behavior:
        raise InputError("behavior: found no channel, wanted one or more by name")
    for key, array in behavior.items():
        values = array if isinstance(array, np.ma.MaskedArray) else np.asarray(array)
        if values.shape == (n_trials,):
            yield key, values, True
        elif values.ndim in (2, 3) and values.shape[:2] == present.shape and values.size:
            columns = values[:, :, None] if values.ndim == 2 else values
            many = columns.shape[2] > 1
            for i in range(columns.shape[2]):
                yield f"{key}_{i}" if many else key, columns[:, :, i], False
        else:
            raise InputError(
                f"behavior '{key}': found shape {values.shape}, wanted {present.shape} (trial, "
                f"bin), with a further axis of channels, or ({n_trials},), one value a trial"
            )


def _array(behavior: Any, present: NDArray[np.bool_]) -> NDArray[Any]:
    """Return (B, T, D) numbers."""
    signals = behavior if isinstance(behavior, np.ma.MaskedArray) else np.asarray(behavior)
    if signals.dtype.kind not in "buif":
        raise InputError(
            f"behavior: found {signals.dtype} values, wanted numbers; give categories and values "
            "of trials by name, each an array of its own"
        )
    if signals.shape == (len(present),):
        raise InputError(
            f"behavior: found shape {signals.shape}, one value a trial, wanted (trial, bin, "
            'channel); give it by a name, {"name": values}'
        )
    if signals.ndim == 2:
        signals = signals[:, :, None]
    if signals.ndim != 3 or signals.shape[2] == 0:
        raise InputError(f"behavior: found shape {signals.shape}, wanted (trial, bin, channel)")
    if signals.shape[:2] != present.shape:
        raise InputError(
            f"behavior: found {signals.shape[0]} trials x {signals.shape[1]} bins, wanted the "
            f"{present.shape[0]} x {present.shape[1]} of spikes"
        )
    return signals


def _coded(
    values: NDArray[Any], present: NDArray[np.bool_], channels: Sequence[Channel]
) -> tuple[Floats, tuple[Channel, ...]]:
    channel_names([channel.name for channel in channels], values.shape[2])
    filled = np.where(present[:, :, None], values, np.nan).astype(np.float32)
    for i, channel in enumerate(channels):
        channel.check(filled[:, :, i])
        others = [
            other.name
            for k, other in enumerate(channels)
            if k != i and _varies(_seen(filled[:, :, k], present))
        ]
        check_varies(channel, _seen(values[:, :, i], present), filled[:, :, i], others)
    return filled, tuple(channels)


def check_varies(
    channel: Channel, given: NDArray[Any], numbers: Floats, others: Sequence[str]
) -> None:
    """Refuse a channel that is infinite, missing, or the same everywhere.

    Args:
        channel: Whose values they are.
        given: As they came.
        numbers: The same as the numbers that are kept, NaN where missing.
        others: Channels that a user may take instead.

    Raises:
        InputError: There is nothing to learn, or 32-bit floats do not tell values apart.
    """
    known = numbers[~np.isnan(numbers)]
    if np.isinf(known).any():
        raise InputError("behavior: found infinite values; mark missing samples with NaN")
    if known.size and known.min() < known.max():
        return
    if known.size and given.dtype.kind in "uif":
        exact = given[np.isfinite(given)]
        if exact.size and exact.min() < exact.max():
            raise InputError(
                f"behavior channel '{channel.name}' lies between {exact.min():.15g} and "
                f"{exact.max():.15g}, too close together, at that size, for 32-bit floats; "
                "subtract its first value (is it a time since 1970?)"
            )
    where = "trial" if channel.per_trial else "bin"
    found = f"is {known[0] + 0.0:g} in every {where}" if known.size else "holds nothing but NaN"
    instead = "no other channel is left"
    if others:
        instead = f"leave it out with --behavior {','.join(others)}"
    raise InputError(
        f"behavior channel '{channel.name}' {found}: there is nothing to learn; {instead}"
    )


def gap_notes(
    signals: NDArray[np.float32], channels: Sequence[Channel], present: NDArray[np.bool_]
) -> tuple[str, ...]:
    """Return a note on each channel of (B, T, D) that has missing samples."""
    notes = []
    for i, channel in enumerate(channels):
        missing = np.isnan(signals[:, :, i]) & present
        n, of, what = int(missing.sum()), int(present.sum()), "samples"
        if channel.per_trial:
            n, of, what = int(missing[:, 0].sum()), len(missing), "trials"
        if n:
            notes.append(
                f"behavior '{channel.name}': {n} of {of} {what} are missing (NaN); they enter no "
                "loss and no score."
            )
    return tuple(notes)


def channel_names(names: ArrayLike | None, n_channels: int) -> tuple[str, ...]:
    """Return the names of behavior channels, ``behavior_0``, ... where none are given.

    Raises:
        InputError: There are not as many, or one appears twice.
    """
    if names is None:
        return tuple(f"behavior_{i}" for i in range(n_channels))
    labels = tuple(map(str, words_of(np.atleast_1d(np.asarray(names)), "behavior_names")))
    if len(labels) != n_channels or len(set(labels)) != n_channels:
        raise InputError(
            f"behavior_names: found {some(labels)}, wanted {n_channels} different names, "
            "one for each channel of behavior"
        )
    return labels


def channel_units(units: ArrayLike | None, n_channels: int) -> tuple[str, ...]:
    """Return the unit of each channel, ``""`` where unknown; one may be given for all.

    Raises:
        InputError: There are not as many.
    """
    given = [
        text_of(unit, "behavior_units")
        for unit in np.atleast_1d(np.asarray("" if units is None else units))
    ]
    given = given * n_channels if len(given) == 1 else given
    if n_channels and len(given) != n_channels:
        raise InputError(
            f"behavior_units: found {some(given)}, wanted {n_channels}, one for each channel of "
            "behavior"
        )
    known = ("" if unit.strip().lower() in _NO_UNIT else unit.strip() for unit in given)
    return tuple(known)[:n_channels]


def channel_index(names: Sequence[str], known: Sequence[str]) -> list[int]:
    """Return the index of each of ``names`` in ``known``.

    Raises:
        InputError: One is not there, or appears twice, or there is none.
    """
    for name in names:
        if name not in known:
            raise InputError(f"no behavior channel '{name}': {nearest(name, known)}")
    if len(set(names)) != len(names) or not names:
        raise InputError(f"behavior channels: found {some(names)}, wanted each once")
    return [list(known).index(name) for name in names]
