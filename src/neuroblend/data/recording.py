"""A continuous recording, each signal on its own clock, and the ways to cut trials out of it.

Shape legend: ``S`` samples of a signal, ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from neuroblend.data import pynapple
from neuroblend.data.channel import Kind
from neuroblend.data.clocks import merged
from neuroblend.data.measured import choose, in_trials
from neuroblend.data.plausible import apart, check_clocks, common_span, in_order
from neuroblend.data.side_by_side import Within, windows_within
from neuroblend.data.signal import Signal
from neuroblend.data.ticks import NS, counted, edges_of
from neuroblend.data.trials import Trials
from neuroblend.data.window import n_bins_in
from neuroblend.errors import InputError

__all__ = ["Recording", "Signal"]

SLACK_S = 0.5 / NS  # by which times may leave an interval, as they are rounded


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
        tables: Other tables of intervals by name, with ``start_time`` and ``stop_time``.
        notes: What is unusual, in sentences for the user; trials carry them on.
    """

    spike_times: tuple[NDArray[np.float64], ...]
    signals: Mapping[str, Signal]
    span: tuple[float, float]
    units: pd.DataFrame = field(default_factory=pd.DataFrame)
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)
    name: str = "recording"
    observed: NDArray[np.float64] | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        spike_times: Any,
        signals: Mapping[str, Any] | None = None,
        span: tuple[float, float] | None = None,
        units: pd.DataFrame | None = None,
        trials: Any = None,
        name: str = "recording",
        observed: NDArray[np.float64] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        notes: Sequence[str] = (),
    ) -> Recording:
        """Check arrays and make a recording of them.

        Spikes, signals and trials may be pynapple objects, see
        :mod:`~neuroblend.data.pynapple`. Without ``span``, it is the time in which every
        signal was recorded or, with no signal, the time from the first spike to the last.

        Raises:
            InputError: Spike times are not finite, or there are none, or they cannot be seconds;
                the clocks of spikes and signals have no time in common.
        """
        if not isinstance(signals or {}, Mapping):
            raise InputError(
                f"signals: found a {type(signals).__name__}, wanted a dict of them by name"
            )
        given = pynapple.parts_of(spike_times, signals, trials)
        spike_times, signals, trials = given.spike_times, given.signals, given.trials
        units = given.units if units is None else units
        observed = given.observed if observed is None else observed
        tables = {**(given.tables or {}), **(tables or {})}
        units = pd.DataFrame(index=range(len(spike_times))) if units is None else units
        if len(units) != len(spike_times):
            raise InputError(f"units: found {len(units)} rows for {len(spike_times)} neurons")
        names = units["id"].tolist() if "id" in units else list(range(len(spike_times)))
        per_neuron, order = in_order([_times(t, i) for i, t in enumerate(spike_times)], names)
        if not any(times.size for times in per_neuron):
            raise InputError("spike_times: no neuron has a spike")
        if not all(np.isfinite(times).all() for times in per_neuron):
            raise InputError("spike_times: found NaN or infinite times")
        signals, trials = dict(signals or {}), pd.DataFrame(trials)
        check_clocks(per_neuron, signals, trials)
        if (
            span is None
            and given.observed is not None
            and not any(s.span for s in signals.values())
        ):
            span = given.observed.min(), given.observed.max()
        span = (
            common_span(per_neuron, signals) if span is None else (float(span[0]), float(span[1]))
        )
        if observed is not None:
            observed = _intervals(observed)
        return cls(
            tuple(per_neuron), signals, span, units, trials, name, observed, dict(tables or {}),
            (*notes, *order),
        )  # fmt: skip

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

    @classmethod
    def from_pynapple(
        cls,
        units: Any,
        signals: Mapping[str, Any] | None = None,
        trials: Any = None,
        name: str = "recording",
    ) -> Recording:
        """Make a recording of pynapple objects.

        Args:
            units: A ``TsGroup``, or a sorting or analyzer of SpikeInterface.
            signals: ``Tsd``, ``TsdFrame``, ``Ts`` (events) and ``IntervalSet`` (states) by name.
            trials: An ``IntervalSet``, its metadata being columns of the trial table.
            name: What to call the recording.

        Raises:
            InputError: An object is another than these, or :meth:`of` complains.
        """
        return cls.of(pynapple.to_group(units), signals, trials=trials, name=name)

    def to_pynapple(self) -> pynapple.Objects:
        """Return units, signals and trials as pynapple objects, as :meth:`from_pynapple` has them.

        Raises:
            InputError: Pynapple is not installed, or cannot hold a table.
        """
        observed = self.observed
        if observed is None:
            ends = [times[[0, -1]] for times in self.spike_times if times.size]
            observed = np.array(
                [
                    [
                        min(self.span[0], *(e[0] for e in ends)),
                        max(self.span[1], *(e[1] for e in ends)),
                    ]
                ]
            )
        tables = {name: table for name, table in self.tables.items() if name not in self.signals}
        return pynapple.objects_of(
            self.spike_times, self.signals, self.units, self.trials, tables, observed
        )

    def take_units(self, keep: ArrayLike, note: str | None = None) -> Recording:
        """Return the recording with the neurons ``keep`` ((n,) indices or (N,) bool) alone."""
        kept = np.arange(len(self.spike_times))[np.asarray(keep)]
        return replace(
            self,
            spike_times=tuple(self.spike_times[i] for i in kept),
            units=self.units.iloc[kept].reset_index(drop=True),
            notes=self.notes if note is None else (*self.notes, note),
        )

    def windows(
        self,
        width_s: float,
        bin_s: float,
        behavior: Sequence[str] | None = None,
        lag_s: float = 0.0,
        keep: NDArray[np.bool_] | None = None,
        kinds: Mapping[str, Kind] | None = None,
        within: ArrayLike | None = None,
    ) -> Trials:
        """Cut the whole span, or intervals, into windows side by side and return them as trials.

        The trials know that they are (``window_id``), and are split in blocks.

        Args:
            width_s: Length of a window in seconds, whole bins.
            bin_s: Width of a bin in seconds.
            behavior: What to take, as for :meth:`align`, save columns of the trial table.
            lag_s: How much later than spikes behavior is read, in seconds.
            keep: (n_windows,) bool, windows to keep; all where ``None``.
            kinds: As for :meth:`align`.
            within: (n, 2) seconds of intervals; windows begin at the start of each, and lie
                within it. The whole span where ``None``.

        Raises:
            InputError: A window is longer than the span or than each interval, or :meth:`align`
                complains.
        """
        width = n_bins_in((0.0, width_s), bin_s) * bin_s
        if within is None:
            starts, window_id, notes = self._all_windows(width, lag_s)
        else:
            starts, window_id, notes = windows_within(within, width)
        if keep is not None:
            starts, window_id = starts[keep], window_id[keep]
        rows = pd.DataFrame(index=window_id)
        trials = self.align(
            starts, (0.0, width), bin_s, behavior, lag_s, window_id=window_id, event=None,
            kinds=kinds, rows=rows,
        )  # fmt: skip
        return trials.with_note(*notes)

    def _all_windows(self, width: float, lag_s: float) -> Within:
        """Lay windows from the start of the span on."""
        start, stop = self.span
        n_windows = int((stop - max(lag_s, 0.0) - start) / width + 1e-9)
        if n_windows < 1:
            raise InputError(
                f"windows of {width:g} s: none fits into the {stop - start:.4g} s recorded"
            )
        window_id = np.arange(n_windows)
        starts = (start + width * window_id).astype(np.float64)
        return Within(starts, window_id, ())

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
        kinds: Mapping[str, Kind] | None = None,
        rows: pd.DataFrame | None = None,
    ) -> Trials:
        """Cut one trial around each event.

        Args:
            events: (B,) seconds.
            window: Start and end of a trial relative to its event, in seconds.
            bin_s: Width of a bin in seconds, of which the window has a whole number.
            behavior: What to take, all signals where ``None``: names of signals, of columns with
                one value a trial, of interval tables (a state, 0 or 1), or ``"table.column"``.
            lag_s: How much later than spikes behavior is read, in seconds.
            condition: (B,) labels.
            split: (B,) of ``"train"``, ``"valid"``, ``"test"``.
            until: (B,) seconds at which each trial ends, if that is before the end of its window;
                trials then differ in length, in whole bins. NaN for the end of the window.
            window_id: (B,) ascending numbers of trials that lie side by side where these follow;
                see :class:`~neuroblend.data.trials.Trials`.
            event: What the events are called, on axes and in files; ``None`` where they are
                nothing of note, as starts of windows.
            kinds: Of channels by name, where not as the signal has it:
                ``{"heading": "circular"}``.
            rows: B rows of the table that events are of, whose index numbers the trials. Where
                ``None``, those of ``trials``: which they are is known for a column of it
                (``recording.trials["go"].dropna()``), or for as many events as there are rows.

        Returns:
            The trials; those that leave the recorded span, or the intervals in which spikes were
            observed, are dropped, and a note says how many.

        Raises:
            InputError: A signal is unknown, or its clock has no time in common with the spikes; no
                trial is left, or :meth:`Trials.from_arrays` complains.
        """
        n_bins = n_bins_in(window, bin_s)
        if not np.isfinite(lag_s):
            raise InputError(f"lag: found {lag_s} s, wanted a finite number")
        rows = self._rows_of(events) if rows is None else rows
        times = _times(events, None)
        starts = times + window[0]
        lengths = np.full(starts.shape, n_bins)
        if until is not None:
            # a micro-bin of tolerance, so that rounding never drops a bin
            fitting = (np.asarray(until, dtype=np.float64) - starts) / bin_s + 1e-6
            lengths = np.where(np.isnan(fitting), n_bins, np.clip(fitting, 0, n_bins)).astype(int)
        inside = self._inside(starts, starts + lengths * bin_s, lag_s) & (lengths > 0)
        if not inside.any():
            raise InputError(self._none_inside(times))
        chosen = choose(behavior, self.signals, rows[inside], self.tables)
        for item in chosen:
            if isinstance(item, Signal):
                self._check_overlap(item)
        lengths = lengths[inside]
        edges = edges_of(starts[inside], bin_s, n_bins)
        spikes = counted(self.spike_times, edges)
        spikes[np.arange(n_bins) >= lengths[:, None]] = 0  # of whatever came after a trial
        values, channels = in_trials(chosen, edges / NS + lag_s, kinds)
        trials = Trials.from_arrays(
            spikes,
            bin_s,
            values,
            condition=None if condition is None else np.asarray(condition)[inside],
            region=self.units["region"].to_numpy() if "region" in self.units else None,
            split=None if split is None else np.asarray(split)[inside],
            held_out=self.units["heldout"].to_numpy() if "heldout" in self.units else None,
            name=self.name,
            lengths=lengths,
            window_id=None if window_id is None else np.asarray(window_id)[inside],
            event=event,
            start_s=window[0],
            unit_id=self.unit_id,
            channels=channels or None,
        )
        index = rows.index.to_numpy()[inside]
        is_number = index.dtype.kind in "ui"
        trial_id = index.astype(np.int64) if is_number else np.flatnonzero(inside)
        notes = self.notes
        if not inside.all():
            empty = " or hold no bin" if until is not None else ""
            gone = f"{int((~inside).sum())} of {inside.size} trials leave what was recorded{empty}"
            notes = (*notes, f"{gone}: dropped.")
        return replace(trials, trial_id=trial_id).with_note(*notes)

    def _rows_of(self, events: ArrayLike) -> pd.DataFrame:
        """Return the rows of the trial table that events belong to, without columns if unknown."""
        n_events = len(np.atleast_1d(np.asarray(events)))
        if isinstance(events, pd.Series) and events.index.isin(self.trials.index).all():
            return self.trials.loc[events.index]
        if n_events == len(self.trials):
            return self.trials
        return pd.DataFrame(index=range(n_events))

    def _inside(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64], lag_s: float
    ) -> NDArray[np.bool_]:
        """Return (B,) which trials lie in what was recorded."""
        latest = self.span[1] - max(lag_s, 0.0)
        inside = (starts >= self.span[0] - SLACK_S) & (ends <= latest + SLACK_S)
        if self.observed is not None:
            if not len(self.observed):
                raise InputError(f"{self.name}: there is no time in which every unit was observed")
            within = np.searchsorted(self.observed[:, 0], starts + SLACK_S) - 1
            inside &= (within >= 0) & (ends <= self.observed[within, 1] + SLACK_S)
        return inside

    def _none_inside(self, events: NDArray[np.float64]) -> str:
        """Return what to say where no trial is inside of what was recorded."""
        known = events[np.isfinite(events)]
        said = (
            f"none of {events.size} trials lies within the recorded {self.span[0]:.6g} to "
            f"{self.span[1]:.6g} s (and where spikes were observed)"
        )
        if not known.size:
            return said
        far = known.min() > 10 * max(self.span[1], 1.0)
        hint = "; are they milliseconds or samples, or on another clock?" if far else ""
        return f"{said}; events are at {known.min():.6g} to {known.max():.6g} s{hint}"

    def _check_overlap(self, signal: Signal) -> None:
        """Refuse a signal that was sampled at another time than spikes were."""
        if signal.span and (signal.span[1] < self.span[0] or signal.span[0] > self.span[1]):
            what = f"signal '{', '.join(signal.names)}'"
            raise InputError(apart(f"samples of {what}", signal.span, "the recording", self.span))


def _times(times: object, neuron: int | None) -> NDArray[np.float64]:
    """Return (n,) seconds of a neuron's spikes, or of events where ``None``."""
    is_masked = isinstance(times, np.ma.MaskedArray)
    if is_masked and neuron is not None:
        times = times.compressed()  # type: ignore[attr-defined]
    try:
        if is_masked and neuron is None:
            return np.ma.filled(times.astype(np.float64), np.nan)  # type: ignore[attr-defined]
        values = np.asarray(times, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty((0, 0))
    if values.ndim != 1:
        of = "events" if neuron is None else "spike_times"
        whose = "" if neuron is None else f" for neuron {neuron}"
        wanted = "an array of seconds" if neuron is None else "one array of seconds for each neuron"
        such = "" if neuron is None else ", such as [group[i].t for i in group]"
        raise InputError(f"{of}: found {type(times).__name__}{whose}, wanted {wanted}{such}")
    return values


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
