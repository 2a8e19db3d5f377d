"""Spike times that cannot be seconds on one clock: refused, with the likely reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroblend.data.measured import STOP
from neuroblend.data.signal import Signal
from neuroblend.errors import InputError, some

FEW_SPIKES = 100  # with which nothing is said of rates
SLOWEST_HZ = 0.5  # that the fastest neuron of a recording may be
FAR = 10.0  # times the end of all else that spikes may go on
SAMPLING_HZ = (5e3, 5e4)  # of what records spikes
SINCE_1970_S = 1e9
_BULK = (0.02, 0.98)  # parts of a neuron's spikes between which most are
Times = NDArray[np.float64]


def in_order(spike_times: Sequence[Times], names: Sequence[Any]) -> tuple[list[Times], list[str]]:
    """Return ascending times, and a note on neurons whose times were not.

    Raises:
        InputError: The clock restarts, as where two recordings were put one after the other.
    """
    falls = [np.flatnonzero(np.diff(times) < 0) for times in spike_times]
    mixed = [i for i, fall in enumerate(falls) if fall.size]
    if not mixed:
        return list(spike_times), []
    once = [i for i in mixed if falls[i].size == 1 and spike_times[i].size >= 10]
    active = [times for times in spike_times if times.size >= 10]
    if len(once) > len(active) / 2 and len(once) > 1:
        i = once[0]
        at = int(falls[i][0])
        before, after = spike_times[i][at : at + 2]
        raise InputError(
            f"spike times start again: those of unit {names[i]} fall from {before:.6g} to "
            f"{after:.6g} s after spike {at}, and so, once each, do those of {len(once)} of "
            f"{len(spike_times)} units; wanted one clock (give each part as a file of its own, or "
            "add the length of the first to the second)"
        )
    note = f"spike times of {len(mixed)} units ({some(names[i] for i in mixed)}) were not ascending"
    return [np.sort(times) for times in spike_times], [f"{note}: sorted."]


def check_seconds(spike_times: Sequence[Times], ends: Mapping[str, float]) -> None:
    """Refuse spike times that are milliseconds or samples.

    Args:
        spike_times: Ascending, one array a neuron.
        ends: Last second of whatever else was recorded, by what it is.

    Raises:
        InputError: Every neuron fires less than one does in a second, while times go far past all
            else, or are whole numbers.
    """
    known = [times for times in spike_times if times.size]
    n_spikes = sum(times.size for times in known)
    if n_spikes < FEW_SPIKES:
        return
    # of the bulk of spikes: a stray one far away is a fault of another kind
    first, last = (float(np.median([t[int(part * (t.size - 1))] for t in known])) for part in _BULK)
    hz = max(t.size for t in known) / max(last - first, 1e-9)
    if hz > SLOWEST_HZ:
        return
    whole = all((times % 1 == 0).all() for times in known)
    what = max(ends, key=ends.__getitem__, default=None)
    times_over = last / ends[what] if what and ends[what] > 0 else 1.0
    if not whole and times_over < FAR:
        return
    reach = f"; the last {what} at {ends[what]:.6g} s" if what else ""
    inside = sum(int((t <= ends[what]).sum()) for t in known) if what else n_spikes
    if what and inside < n_spikes:
        reach += f", {n_spikes - inside} of {n_spikes} spikes after it"
    raise InputError(
        f"spike times reach {last:.6g}, with at most {hz:.2g} spikes/s of a neuron{reach}; wanted "
        f"seconds, and these look like {_likely(times_over, whole)}"
    )


def _likely(times_over: float, whole: bool) -> str:
    if SAMPLING_HZ[0] <= times_over <= SAMPLING_HZ[1] or (whole and times_over < FAR):
        rate = f", about {times_over:.2g} a second" if times_over >= FAR else ""
        return f"samples (divide by the sampling rate{rate})"
    if times_over > 1e5:
        return "microseconds (divide by 1e6)"
    return "milliseconds (divide by 1000)"


def check_clock(name: str, times: Times, last_spike: float) -> None:
    """Refuse a signal whose times are milliseconds where spikes are in seconds.

    Raises:
        InputError: It goes on far past the last spike, with seconds between its samples.
    """
    if times.size < FEW_SPIKES or last_spike <= 0 or times[-1] < FAR * last_spike:
        return
    step = float(np.median(np.diff(times)))
    if step >= 1 and times[0] < last_spike:
        factor = _likely(float(times[-1]) / last_spike, bool((times % 1 == 0).all()))
        raise InputError(
            f"signal '{name}': found a sample every {step:g} s, up to {times[-1]:.6g} s, and the "
            f"last spike at {last_spike:.6g} s; wanted seconds, and these look like {factor}"
        )


def apart(what: str, a: tuple[float, float], other: str, b: tuple[float, float]) -> str:
    """Return how to say that two clocks share no second."""
    far = max(a[0], b[0]) > SINCE_1970_S > min(a[1], b[1])
    hint = " (is one of them time since 1970?)" if far else ""
    return (
        f"{what} from {a[0]:.6g} to {a[1]:.6g} s and {other} from {b[0]:.6g} to {b[1]:.6g} s do "
        f"not overlap{hint}; wanted one clock"
    )


def check_clocks(
    spike_times: Sequence[Times], signals: Mapping[str, Signal], trials: pd.DataFrame
) -> None:
    """Refuse times of spikes or signals that cannot be seconds.

    Raises:
        InputError: They are milliseconds or samples.
    """
    ends = {f"sample of {n}": s.span[1] for n, s in signals.items() if s.span is not None}
    if STOP in trials and trials[STOP].dtype.kind in "fiu" and trials[STOP].notna().any():
        ends["trial"] = float(trials[STOP].max())
    check_seconds(spike_times, ends)
    last = max(float(times[-1]) for times in spike_times if times.size)
    for name, signal in signals.items():
        if signal.span is not None:
            check_clock(name, signal.times, last)


def common_span(spike_times: Sequence[Times], signals: Mapping[str, Signal]) -> tuple[float, float]:
    """Return the time in which all signals were sampled, or, without any, of the spikes.

    Raises:
        InputError: There is none.
    """
    known = [times for times in spike_times if times.size]
    fired = float(min(t[0] for t in known)), float(max(t[-1] for t in known))
    spans = {name: s.span for name, s in signals.items() if s.span is not None}
    if not spans:
        return fired
    last, first = (max(spans, key=lambda n: spans[n][0]), min(spans, key=lambda n: spans[n][1]))
    span = spans[last][0], spans[first][1]
    if span[0] >= span[1]:
        raise InputError(
            apart(f"samples of '{last}'", spans[last], f"samples of '{first}'", spans[first])
        )
    if fired[1] < span[0] or fired[0] > span[1]:
        raise InputError(apart("spikes", fired, f"samples of {some(spans)}", span))
    return span
