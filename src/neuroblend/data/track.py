"""Position on a track -> position along it, and which way it is run.

Shape legend: ``S`` samples of a signal, ``D`` channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from neuroblend.data.channel import Channel
from neuroblend.data.signal import LONGEST_GAP_S, Signal
from neuroblend.errors import InputError

SMOOTH_S = 0.25  # standard deviation of the Gaussian that positions are smoothed with
SLOW = 0.05  # lengths of the track in a second, under which it has no direction
DIRECTIONS = ("outbound", "inbound")
Floats = NDArray[np.float64]


def linearised(signal: Signal, name: str) -> Signal:
    """Return the position along the first principal axis, from 0 at one end, in the same unit.

    The axis points to where the coordinate grows along which the track is longest.

    Raises:
        InputError: The signal is not of numbers, or never moves.
    """
    if signal.kind != "continuous":
        raise InputError(f"'{name}' is {signal.kind}, wanted positions")
    known = np.asarray(np.isfinite(signal.values).all(axis=1))
    points = signal.values[known]
    if len(points) < 2 or not np.ptp(points, axis=0).any():
        raise InputError(f"'{name}' never moves, so that it has no axis")
    centred = points - points.mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    axis = axis * np.sign(axis[np.abs(axis).argmax()])
    along = np.full((len(known), 1), np.nan)
    along[known, 0] = centred @ axis
    along -= np.nanmin(along)
    return Signal.of(signal.times, along, [f"{name}_linear"], signal.unit)


def direction(signal: Signal, name: str) -> tuple[Signal, str]:
    """Return which way the track is run, and a note that says how that was decided.

    ``"outbound"`` is where the position along the axis of :func:`linearised` grows, ``"inbound"``
    where it falls, after smoothing; it is missing where the animal is slower than a twentieth of
    the track (from the 5th to the 95th percentile of positions, divided by 0.9) in a second.

    Raises:
        InputError: As :func:`linearised`, or nothing moves that fast in both directions.
    """
    linear = linearised(signal, name)
    position = linear.values[:, 0]
    low, high = np.nanpercentile(position, [5, 95])
    slowest = SLOW * (high - low) / 0.9
    speed = _speed(linear.times, position)
    codes = np.where(speed > 0, 0.0, 1.0)
    with np.errstate(invalid="ignore"):
        codes[~(np.abs(speed) >= slowest)] = np.nan
    if len(np.unique(codes[~np.isnan(codes)])) < 2:
        raise InputError(f"'{name}' does not move along its axis in both directions")
    unit = f" {signal.unit}/s" if signal.unit else "/s"
    still = float(np.isnan(codes).mean())
    note = (
        f"{name}_direction: outbound where {name}_linear grows; missing under {slowest:.3g}{unit} "
        f"({still:.0%} of samples)."
    )
    channel = Channel(f"{name}_direction", "discrete", categories=DIRECTIONS)
    return Signal(linear.times, codes[:, None], (channel,)), note


def _speed(times: Floats, position: Floats) -> Floats:
    """Return (S,) change in a second of the smoothed position, each run without a gap by itself."""
    known = np.flatnonzero(np.isfinite(position))
    speed = np.full(position.shape, np.nan)
    step = float(np.median(np.diff(times[known])))
    if not step > 0:
        return speed
    for run in np.split(known, np.flatnonzero(np.diff(times[known]) > LONGEST_GAP_S) + 1):
        clock = np.arange(times[run[0]], times[run[-1]] + step / 2, step)
        if clock.size < 2:
            continue
        even = np.interp(clock, times[run], position[run])
        smooth = gaussian_filter1d(even, SMOOTH_S / step, mode="nearest")
        speed[run] = np.interp(times[run], clock, np.gradient(smooth, step))
    return speed
