"""A continuous recording, each signal on its own clock, and the ways to cut trials out of it.

Shape legend: ``S`` samples of a signal, ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from neuroblend.data.clocks import merged
from neuroblend.data.trials import Trials, checked_bin_width
from neuroblend.errors import InputError, nearest

LONGEST_GAP_S = 0.25  # behavior is interpolated over shorter gaps, missing in longer ones


@dataclass(frozen=True, eq=False)
class Signal:
    """A signal sampled on its own clock.

    Attributes:
        times: (S,) seconds, ascending; repeats and gaps are kept as recorded.
        values: (S, D) samples, NaN where missing.
        names: D channel names.
        unit: Of the values, such as ``"cm/s"``; ``""`` where unknown.
    """

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    names: tuple[str, ...]
    unit: str = ""

    @classmethod
    def of(
        cls, times: ArrayLike, values: ArrayLike, names: Sequence[str], unit: str = ""
    ) -> Signal:
        """Check arrays and make a signal of them; (S,) values are one channel.

        Raises:
            InputError: Shapes do not fit, or times go backwards or are not finite.
        """
        clock = np.asarray(times, dtype=np.float64)
        samples = np.asarray(values, dtype=np.float64)
        samples = samples[:, None] if samples.ndim == 1 else samples
        if clock.ndim != 1 or samples.shape != (clock.size, len(names)) or clock.size < 2:
            raise InputError(
                f"signal {', '.join(names)}: found {samples.shape} values at {clock.shape} times, "
                f"wanted (sample, {len(names)}) at (sample,)"
            )
        if n_infinite := int(np.isinf(samples).sum()):
            raise InputError(
                f"signal {', '.join(names)}: {n_infinite} samples are infinite; mark missing ones "
                "with NaN"
            )
        if not np.isfinite(clock).all() or (np.diff(clock) < 0).any():
            raise InputError(f"signal {', '.join(names)}: times are not finite and ascending")
        return cls(clock, samples, tuple(names), unit)

    def __repr__(self) -> str:
        unit = f" ({self.unit})" if self.unit else ""
        return (
            f"Signal({', '.join(self.names)}{unit}: {self.times.size} samples, "
            f"{self.times[0]:.6g} to {self.times[-1]:.6g} s)"
        )

    def in_bins(self, edges: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the mean of the samples within each bin.

        A bin without samples is interpolated between its neighbours where they are at most
        ``LONGEST_GAP_S`` apart, and missing otherwise.

        Args:
            edges: (..., T + 1) seconds, ascending along the last axis.

        Returns:
            (..., T, D) samples, NaN where missing.
        """
        first = np.searchsorted(self.times, edges)
        known = ~np.isnan(self.values)

        def summed(samples: NDArray[Any]) -> NDArray[np.float64]:
            before = np.vstack([np.zeros(samples.shape[1]), np.cumsum(samples, axis=0)])
            return np.diff(before[first], axis=-2)

        total, n_samples = summed(np.where(known, self.values, 0)), summed(known)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / n_samples
        centres = (edges[..., :-1] + edges[..., 1:]) / 2
        return np.where(n_samples > 0, mean, self._between(centres)).astype(np.float32)

    def _between(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        after = np.clip(np.searchsorted(self.times, at), 1, self.times.size - 1)
        near = self.times[after] - self.times[after - 1] <= LONGEST_GAP_S
        inside = (at >= self.times[0]) & (at <= self.times[-1])
        columns = [np.interp(at, self.times, column) for column in self.values.T]
        return np.where((near & inside)[..., None], np.stack(columns, axis=-1), np.nan)


@dataclass(frozen=True, eq=False)
class Recording:
    """Spike times, behavior signals and tables, all in seconds on one session clock.

    Attributes:
        spike_times: One ascending (n_spikes,) array a neuron.
        signals: Behavior signals by name.
        units: One row a neuron; columns ``id``, ``region`` and ``heldout`` are carried into
            trials.
        trials: One row a trial, times in seconds.
        span: First and last second of the recording.
        name: What to call it.
        observed: (n, 2) ascending seconds in which spikes were recorded; the whole span where
            ``None``.
    """

    spike_times: tuple[NDArray[np.float64], ...]
    signals: Mapping[str, Signal]
    span: tuple[float, float]
    units: pd.DataFrame = field(default_factory=pd.DataFrame)
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)
    name: str = "recording"
    observed: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        spike_times: Sequence[ArrayLike],
        signals: Mapping[str, Signal] | None = None,
        span: tuple[float, float] | None = None,
        units: pd.DataFrame | None = None,
        trials: pd.DataFrame | None = None,
        name: str = "recording",
        observed: NDArray[np.float64] | None = None,
    ) -> Recording:
        """Check arrays and make a recording of them.

        Without ``span``, it is the time in which every signal was recorded or, with no signal, the
        time from the first spike to the last.

        Raises:
            InputError: Spike times are not finite, or there are none.
        """
        per_neuron = tuple(_sorted_times(times, i) for i, times in enumerate(spike_times))
        if not any(times.size for times in per_neuron):
            raise InputError("spike_times: no neuron has a spike")
        if not all(np.isfinite(times).all() for times in per_neuron):
            raise InputError("spike_times: found NaN or infinite times")
        signals = dict(signals or {})
        if span is None and signals:
            clocks = [signal.times for signal in signals.values()]
            span = (max(c[0] for c in clocks), min(c[-1] for c in clocks))
        elif span is None:
            everything = np.concatenate(per_neuron)
            span = (everything.min(), everything.max())
        span = float(span[0]), float(span[1])
        units = pd.DataFrame(index=range(len(per_neuron))) if units is None else units
        trials = pd.DataFrame() if trials is None else trials
        if observed is not None:
            observed = _intervals(observed)
        return cls(per_neuron, signals, span, units, trials, name, observed)

    def __repr__(self) -> str:
        n_spikes = sum(times.size for times in self.spike_times)
        signals = [f"{key} ({s.unit})" if s.unit else key for key, s in self.signals.items()]
        return (
            f"Recording({self.name!r}: {len(self.spike_times)} neurons, {n_spikes} spikes, "
            f"{self.span[0]:.6g} to {self.span[1]:.6g} s, {len(self.trials)} trials, "
            f"signals: {', '.join(signals) or 'none'})"
        )

    @property
    def unit_id(self) -> NDArray[Any] | None:
        """(N,) names of the neurons, the column ``id`` of ``units``; ``None`` without one."""
        return self.units["id"].to_numpy() if "id" in self.units else None

    def windows(
        self,
        width_s: float,
        bin_s: float,
        behavior: Sequence[str] | None = None,
        lag_s: float = 0.0,
        keep: NDArray[np.bool_] | None = None,
    ) -> Trials:
        """Cut the whole span into windows side by side and return them as trials.

        The trials know that they are (``window_id``), and are split in blocks.

        Args:
            width_s: Length of a window in seconds, rounded to whole bins.
            bin_s: Width of a bin in seconds.
            behavior: Signals to take, all of them where ``None``.
            lag_s: How much later than spikes behavior is read, in seconds.
            keep: (n_windows,) bool, windows to keep; all where ``None``.

        Raises:
            InputError: A window is longer than the span, or :meth:`align` complains.
        """
        width = round(width_s / checked_bin_width(bin_s)) * bin_s
        start, stop = self.span
        n_windows = int((stop - max(lag_s, 0.0) - start) / width + 1e-9) if width > 0 else 0
        if n_windows < 1:
            raise InputError(
                f"windows of {width_s:g} s in bins of {bin_s:g} s: none fits into the "
                f"{stop - start:.4g} s recorded"
            )
        window_id = np.arange(n_windows)
        if keep is not None:
            window_id = window_id[keep]
        starts = start + width * window_id
        return self.align(
            starts, (0.0, width), bin_s, behavior, lag_s, window_id=window_id, event=None
        )

    def align(
        self,
        events: ArrayLike,
        window: tuple[float, float],
        bin_s: float,
        behavior: Sequence[str] | None = None,
        lag_s: float = 0.0,
        condition: ArrayLike | None = None,
        split: ArrayLike | None = None,
        until: ArrayLike | None = None,
        window_id: ArrayLike | None = None,
        event: str | None = "event",
    ) -> Trials:
        """Cut one trial around each event.

        Args:
            events: (B,) seconds.
            window: Start and end of a trial relative to its event, in seconds.
            bin_s: Width of a bin in seconds.
            behavior: Signals to take, all of them where ``None``.
            lag_s: How much later than spikes behavior is read, in seconds.
            condition: (B,) labels.
            split: (B,) of ``"train"``, ``"valid"``, ``"test"``.
            until: (B,) seconds at which each trial ends, if that is before the end of its window;
                trials then differ in length, in whole bins. NaN for the end of the window.
            window_id: (B,) ascending numbers of trials that lie side by side where these follow;
                see :class:`~neuroblend.data.trials.Trials`.
            event: What the events are called, on axes and in files; ``None`` where they are
                nothing of note, as starts of windows.

        Returns:
            The trials; those that leave the recorded span, or the intervals in which spikes were
            observed, are dropped, and a note says how many.

        Raises:
            InputError: A signal is unknown, or no trial is left, or :meth:`Trials.from_arrays`
                complains.
        """
        checked_bin_width(bin_s)
        n_bins = round((window[1] - window[0]) / bin_s)
        if n_bins < 1:
            raise InputError(f"window {window} s holds no bin of {bin_s:g} s")
        starts = np.asarray(events, dtype=np.float64) + window[0]
        latest = self.span[1] - max(lag_s, 0.0)
        lengths = np.full(starts.shape, n_bins)
        if until is not None:
            # a micro-bin of tolerance, here and below, so that rounding never drops a bin
            fitting = (np.asarray(until, dtype=np.float64) - starts) / bin_s + 1e-6
            lengths = np.where(np.isnan(fitting), n_bins, np.clip(fitting, 0, n_bins)).astype(int)
        ends = starts + lengths * bin_s
        inside = (starts >= self.span[0] - 1e-6 * bin_s) & (ends <= latest + 1e-6 * bin_s)
        if self.observed is not None:
            if not len(self.observed):
                raise InputError(f"{self.name}: there is no time in which every unit was observed")
            within = np.searchsorted(self.observed[:, 0], starts + 1e-6 * bin_s) - 1
            inside &= (within >= 0) & (ends <= self.observed[within, 1] + 1e-6 * bin_s)
        inside &= lengths > 0
        starts, lengths = starts[inside], lengths[inside]
        if not starts.size:
            raise InputError(
                f"none of {inside.size} trials lies within the recorded {self.span[0]:.6g} to "
                f"{self.span[1]:.6g} s (and where spikes were observed)"
            )
        edges = starts[:, None] + bin_s * np.arange(n_bins + 1)
        spikes = np.stack(
            [np.diff(np.searchsorted(times, edges), axis=1) for times in self.spike_times], axis=2
        )
        signals = self._chosen(behavior)
        samples = [signal.in_bins(edges + lag_s) for signal in signals]
        spikes[np.arange(n_bins) >= lengths[:, None]] = 0  # of whatever came after a trial
        trials = Trials.from_arrays(
            spikes,
            bin_s,
            np.concatenate(samples, axis=2) if samples else None,
            [name for signal in signals for name in signal.names] if samples else None,
            None if condition is None else np.asarray(condition)[inside],
            self.units["region"].to_numpy() if "region" in self.units else None,
            None if split is None else np.asarray(split)[inside],
            self.units["heldout"].to_numpy(dtype=bool) if "heldout" in self.units else None,
            name=self.name,
            lengths=lengths,
            window_id=None if window_id is None else np.asarray(window_id)[inside],
            behavior_units=[signal.unit for signal in signals for _ in signal.names] or None,
            event=event,
            start_s=window[0],
            unit_id=self.unit_id,
        )
        if inside.all():
            return trials
        return trials.with_note(
            f"{int((~inside).sum())} of {inside.size} trials leave what was recorded"
            f"{' or hold no bin' if until is not None else ''}: dropped."
        )

    def _chosen(self, names: Sequence[str] | None) -> list[Signal]:
        for name in names or ():
            if name not in self.signals:
                raise InputError(f"no signal '{name}': {nearest(name, self.signals)}")
        return [self.signals[name] for name in (self.signals if names is None else names)]


def _sorted_times(times: object, neuron: int) -> NDArray[np.float64]:
    try:
        values = np.asarray(times, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty((0, 0))
    if values.ndim != 1:
        raise InputError(
            f"spike_times: found {type(times).__name__} for neuron {neuron}, wanted one array of "
            "seconds for each neuron, such as [group[i].t for i in group]"
        )
    return np.sort(values)


def _intervals(observed: ArrayLike) -> NDArray[np.float64]:
    """Return (n, 2) ascending intervals, those that touch or overlap as one."""
    values = np.asarray(observed, dtype=np.float64)
    if values.size == 0:
        return np.empty((0, 2))
    if values.ndim != 2 or values.shape[1] != 2 or not (values[:, 1] > values[:, 0]).all():
        raise InputError(
            f"observed: found shape {values.shape}, wanted (interval, 2) seconds, each start "
            "before its stop"
        )
    return merged(values)
