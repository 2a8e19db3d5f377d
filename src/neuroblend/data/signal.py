"""A behavior signal on its own clock, of any kind, and its value in each bin.

Shape legend: ``S`` samples of a signal, ``B`` trials, ``T`` bins, ``D`` channels, ``K`` categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.data.binning import IN_BINS, Samples
from neuroblend.data.channel import Channel, Kind, channel_of
from neuroblend.data.clocks import merged
from neuroblend.errors import InputError, some

LATEST_S = 9e9  # that nanoseconds in 64 bits can tell
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Signal:
    """A signal on its own clock; made by :meth:`of`, :meth:`held`, :meth:`events`, :meth:`states`.

    Attributes:
        times: (S,) seconds, ascending; repeats and gaps are kept as recorded.
        values: (S, D) samples, NaN where missing; numbers of categories for discrete channels,
            how many events there were at each time for events.
        channels: What the D channels are, all of one kind.
        holds: Whether samples are changes, of which each holds until the next and the first before
            it too (NaN where it is not known); otherwise gaps are missing.
    """

    times: Floats
    values: Floats
    channels: tuple[Channel, ...]
    holds: bool = False

    @classmethod
    def of(
        cls,
        times: ArrayLike,
        values: ArrayLike,
        names: Sequence[str],
        unit: str = "",
        kind: Kind | None = None,
        categories: Sequence[Any] | None = None,
        period: float | None = None,
    ) -> Signal:
        """Check arrays and make a sampled signal of them; (S,) values are one channel.

        Args:
            times: (S,) seconds, ascending.
            values: (S, D) or (S,) samples; NaN, or under a NumPy mask, where missing. Text and
                truth values are discrete.
            names: D names of channels.
            unit: Of measure, such as ``"cm/s"``; ``""`` where unknown.
            kind: Of all channels; see :func:`~neuroblend.data.channel.channel_of`. For
                ``"events"``, values are how many there were at each time.
            categories: Of discrete channels, in order; those that are found where ``None``.
            period: A full turn of circular channels; 360 where the unit is degrees, else 2 pi.

        Raises:
            InputError: Shapes or values do not fit, or times go backwards or are not finite.
        """
        clock = np.asarray(times, dtype=np.float64)
        samples = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
        samples = samples[:, None] if samples.ndim == 1 else samples
        label = ", ".join(names)
        if clock.ndim != 1 or samples.shape != (clock.size, len(names)) or clock.size < 2:
            raise InputError(
                f"signal {label}: found {samples.shape} values at {clock.shape} times, "
                f"wanted (sample, {len(names)}) at (sample,)"
            )
        if samples.dtype.kind not in "biufOSU":
            raise InputError(f"signal {label}: found {samples.dtype} values, wanted numbers")
        if samples.dtype.kind in "uif" and kind in (None, "continuous") and categories is None:
            numbers = _unmasked(samples)
            if n_infinite := int(np.isinf(numbers).sum()):
                raise InputError(
                    f"signal {label}: {n_infinite} samples are infinite; mark missing ones with NaN"
                )
            channels = tuple(Channel(name, "continuous", unit) for name in names)
        else:
            made = [
                channel_of(name, samples[:, i], kind, unit, categories, period=period)
                for i, name in enumerate(names)
            ]
            channels = tuple(channel for channel, _ in made)
            numbers = np.stack([column for _, column in made], axis=1).astype(np.float64)
        _check_clock(clock, label)
        return cls(clock, numbers, channels)

    @classmethod
    def events(cls, times: ArrayLike, name: str) -> Signal:
        """Make a signal of things that happen, such as licks, from their (n,) seconds in any order.

        Raises:
            InputError: Times are not finite.
        """
        clock = np.sort(_present(times, name))
        _check_clock(clock, name)
        return cls(clock, np.ones((clock.size, 1)), (Channel(name, "events"),))

    @classmethod
    def states(cls, intervals: ArrayLike, name: str, labels: Sequence[Any] | None = None) -> Signal:
        """Make a discrete signal of a state that begins and ends.

        Args:
            intervals: (n, 2) seconds, start and stop of each.
            name: Of the channel.
            labels: (n,) what each interval is, such as ``"rem"``: the categories; between
                intervals the state is unknown. ``None`` for a state that is either on, ``"1"``,
                or off, ``"0"``.

        Raises:
            InputError: A start is not before its stop, or labelled intervals overlap.
        """
        rows = np.asarray(intervals, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != 2 or not len(rows):
            raise InputError(
                f"state {name}: found shape {rows.shape}, wanted (interval, 2) seconds"
            )
        if not (rows[:, 1] >= rows[:, 0]).all():
            bad = int((~(rows[:, 1] >= rows[:, 0])).argmax())
            raise InputError(
                f"state {name}: interval {bad} is {rows[bad, 0]:g} to {rows[bad, 1]:g} s, wanted "
                "its start before its stop"
            )
        if labels is None:
            rows = merged(rows)
            channel, codes = Channel(name, "discrete", categories=("0", "1")), np.ones(len(rows))
            between = 0.0
        else:
            order = np.argsort(rows[:, 0], kind="stable")
            rows, given = rows[order], np.asarray(labels, dtype=object)[order]
            if (overlap := rows[1:, 0] < rows[:-1, 1] - 1e-9).any():
                raise InputError(
                    f"state {name}: {int(overlap.sum())} labelled intervals overlap (the first at "
                    f"{rows[1:][overlap][0, 0]:g} s), wanted one state at a time"
                )
            channel, found = channel_of(name, given, "discrete")
            codes, between = found.astype(np.float64), np.nan
        values = np.stack([codes, np.full(len(rows), between)], axis=1).ravel()
        times = np.maximum.accumulate(np.r_[rows[0, 0], rows.ravel()])
        return cls(times, np.r_[between, values][:, None], (channel,), holds=True)

    @property
    def names(self) -> tuple[str, ...]:
        """D names of channels."""
        return tuple(channel.name for channel in self.channels)

    @property
    def unit(self) -> str:
        """Of measure, ``""`` where unknown."""
        return self.channels[0].unit

    @property
    def kind(self) -> Kind:
        """Of the channels."""
        return self.channels[0].kind

    @property
    def span(self) -> tuple[float, float] | None:
        """First and last second that was sampled; ``None`` where nothing was, but happened."""
        if self.kind == "events" or self.holds:
            return None
        return float(self.times[0]), float(self.times[-1])

    def __repr__(self) -> str:
        unit = f" ({self.unit})" if self.unit else ""
        kind = "" if self.kind == "continuous" else f" {self.kind}"
        what = "events" if self.kind == "events" else "changes" if self.holds else "samples"
        where = f", {self.times[0]:.6g} to {self.times[-1]:.6g} s" if self.times.size else ""
        names = ", ".join(self.names)
        return f"Signal({names}{unit}{kind}: {self.times.size} {what}{where})"

    def column(self, index: int) -> Signal:
        """Return one channel of the signal."""
        return replace(self, values=self.values[:, [index]], channels=(self.channels[index],))

    def held(self) -> Signal:
        """Return the signal with values that change in steps: each holds until the next sample.

        The last holds to the end; before the first, values are missing.

        Raises:
            InputError: It is of events.
        """
        if self.kind == "events":
            raise InputError(f"signal {', '.join(self.names)}: events do not hold")
        if self.holds:
            return self
        unknown = np.full((1, len(self.names)), np.nan)
        return replace(
            self,
            times=np.r_[self.times[:1], self.times],
            values=np.concatenate([unknown, self.values]),
            holds=True,
        )

    def as_kind(self, kind: Kind) -> Signal:
        """Return the signal with its numbers taken as of another kind.

        Raises:
            InputError: They cannot be.
        """
        if kind == self.kind:
            return self
        if self.kind not in ("continuous", "circular"):
            raise InputError(
                f"signal {', '.join(self.names)} is {self.kind}, and cannot be taken as {kind}"
            )
        taken = Signal.of(self.times, self.values, self.names, self.unit, kind)
        return replace(taken, holds=self.holds and kind != "events")

    def in_bins(self, edges: Floats) -> Floats:
        """Return the value of each channel in each bin.

        The mean of the samples within it, for circular channels the mean direction; of discrete
        ones the state that covers most of it, of events how many there are. A bin without samples
        is interpolated between its neighbours where they are at most ``LONGEST_GAP_S`` apart, and
        missing otherwise. Of values that hold, it is the mean over the time in which they are
        known.

        Args:
            edges: (..., T + 1) seconds, ascending along the last axis.

        Returns:
            (..., T, D) values, NaN where missing.
        """
        return IN_BINS[self.kind](
            Samples(self.times, self.values, self.channels, self.holds), edges
        )


def _unmasked(values: NDArray[Any]) -> Floats:
    """Return values as numbers, NaN where they are masked."""
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return np.asarray(values, dtype=np.float64)


def _present(times: ArrayLike, name: str) -> Floats:
    """Return (n,) times without those that a mask hides."""
    if isinstance(times, np.ma.MaskedArray):
        times = times.compressed()
    clock = np.asarray(times, dtype=np.float64)
    if clock.ndim != 1:
        raise InputError(f"events {name}: found shape {clock.shape}, wanted (event,) seconds")
    return clock


def _check_clock(clock: Floats, label: str) -> None:
    if not np.isfinite(clock).all() or (np.diff(clock) < 0).any():
        raise InputError(f"signal {label}: times are not finite and ascending")
    if clock.size and np.abs(clock).max() > LATEST_S:
        raise InputError(
            f"signal {label}: found times up to {np.abs(clock).max():.3g}, wanted seconds; are "
            f"they microseconds, or samples? ({some([f'{t:.6g}' for t in clock], 2)})"
        )
