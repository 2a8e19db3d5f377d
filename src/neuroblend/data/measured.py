"""Behavior by name: signals, columns of the trial table, interval tables -> values in bins.

Shape legend: ``B`` trials, ``T`` bins, ``D`` channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroblend.data.channel import Channel, Kind, channel_of
from neuroblend.data.signal import Signal
from neuroblend.errors import InputError, nearest

START, STOP = "start_time", "stop_time"


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table with one value a trial.

    Attributes:
        name: As the table has it.
        values: (B,) numbers, truth values or text.
    """

    name: str
    values: NDArray[Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Of its channel."""
        return (self.name,)


def choose(
    names: Sequence[str] | None,
    signals: Mapping[str, Signal],
    rows: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
) -> list[Signal | Column]:
    """Return what is called by ``names``; all signals where ``None``.

    A name is that of a signal, of a column of the trial table, of an interval table (a state of 0
    or 1), or ``table.column`` (the state that a column of it names).

    Raises:
        InputError: There is none of the name, or two channels are called alike.
    """
    if names is None:
        return list(signals.values())
    found = [_find(str(name), signals, rows, tables) for name in names]
    channels = [channel for item in found for channel in item.names]
    for channel in channels:
        if channels.count(channel) > 1:
            raise InputError(f"behavior '{channel}': found it twice, wanted each once")
    return found


def _find(
    name: str,
    signals: Mapping[str, Signal],
    rows: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
) -> Signal | Column:
    if name in signals:
        return signals[name]
    if name in rows:
        return Column(name, rows[name].to_numpy())
    table, _, column = name.rpartition(".")
    for key, labels in ((name, None), (table, column)):
        if key in tables and {START, STOP} <= set(tables[key]):
            intervals = tables[key][[START, STOP]].to_numpy(dtype=np.float64)
            if labels is None:
                return Signal.states(intervals, name)
            if labels in tables[key]:
                return Signal.states(intervals, name, list(tables[key][labels]))
            raise InputError(
                f"no column '{labels}' in {key}: {nearest(labels, map(str, tables[key]))}"
            )
    there = [*signals, *map(str, rows), *tables]
    raise InputError(f"no signal '{name}': {nearest(name, there)}")


def in_trials(
    chosen: Sequence[Signal | Column],
    edges: NDArray[np.float64],
    kinds: Mapping[str, Kind] | None = None,
) -> tuple[NDArray[np.float64] | None, tuple[Channel, ...]]:
    """Return (B, T, D) values of behavior in bins, NaN where missing, and what channels they are.

    Args:
        chosen: Signals, and columns of B values.
        edges: (B, T + 1) seconds.
        kinds: Of channels, or of all channels of a signal, by name.

    Raises:
        InputError: A kind is of no channel, or values are not of it.
    """
    asked = dict(kinds or {})
    known = {name for item in chosen for name in (*item.names, _stem(item.names))}
    for name in asked:
        if name not in known:
            raise InputError(f"kinds: no behavior channel '{name}'; {nearest(name, sorted(known))}")
    values: list[NDArray[np.float64]] = []
    channels: list[Channel] = []
    n_trials, n_bins = edges.shape[0], edges.shape[1] - 1
    for item in chosen:
        if isinstance(item, Column):
            channel, of_each = channel_of(
                item.name, item.values, asked.get(item.name), per_trial=True
            )
            filled = np.broadcast_to(of_each[:, None, None], (n_trials, n_bins, 1))
            values.append(filled.astype(np.float64))
            channels.append(channel)
            continue
        for part in _of_kinds(item, asked):
            values.append(part.in_bins(edges))
            channels.extend(part.channels)
    return (np.concatenate(values, axis=2) if values else None), tuple(channels)


def _of_kinds(signal: Signal, asked: Mapping[str, Kind]) -> list[Signal]:
    """Return the signal in parts, each of the kind that is asked for."""
    whole = asked.get(_stem(signal.names))
    if not any(name in asked for name in signal.names):
        return [signal if whole is None else signal.as_kind(whole)]
    parts = [signal.column(i) for i in range(len(signal.names))]
    return [part.as_kind(asked.get(part.names[0], whole or part.kind)) for part in parts]


def _stem(names: Sequence[str]) -> str:
    """Return what channels of one signal begin with: ``hand_vel`` of ``hand_vel_x``, ``..._y``."""
    return names[0] if len(names) == 1 else names[0].rpartition("_")[0]
