"""Position on a track -> position along it, and which way it is run.

Shape legend: ``S`` samples of a signal, ``D`` coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from neuroblend.data.binning import LONGEST_GAP_S
from neuroblend.data.channel import Channel
from neuroblend.data.signal import Signal
from neuroblend.errors import InputError

SMOOTH_S = 0.25  # standard deviation of the Gaussian that positions are smoothed with
SLOW = 0.05  # lengths of the track in a second, under which it has no direction
ASIDE = 0.25  # lengths of the track from its axis, beyond which a sample is not on it
PLACES = 100  # in each coordinate, of which each counts once, however long the animal stayed
DIRECTIONS = ("outbound", "inbound")
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Track:
    """A position signal along the main axis of its track.

    Attributes:
        linear: (S, 1) place along the axis, from 0 at one end, NaN where missing or off the track;
            the signal's unit.
        direction: (S, 1) which way it is run, NaN where missing or slow.
        notes: How both were decided.
    """

    linear: Signal
    direction: Signal
    notes: tuple[str, str]


def track_of(signal: Signal, name: str) -> Track:
    """Return places and directions along a track.

    The axis is the first principal one of the places that were visited, in the direction in which
    its largest coordinate grows; each of the places of a grid of 100 by 100 counts once, so that
    hours of rest in a corner do not turn it. A sample further from the axis than a quarter of the
    track's length is not on the track. Places are smoothed by a Gaussian of 250 ms;
    ``"outbound"`` is where they grow, ``"inbound"`` where they fall, and slower than a twentieth of
    the length in a second is neither. The length is 1/0.9 of that from the 5th to the 95th
    percentile of places.

    Raises:
        InputError: The signal is not of numbers, or never moves.
    """
    if signal.kind != "continuous":
        raise InputError(f"'{name}' is {signal.kind}, wanted positions")
    known = np.asarray(np.isfinite(signal.values).all(axis=1))
    points = signal.values[known]
    if len(points) < 2 or not np.ptp(points, axis=0).any():
        raise InputError(f"'{name}' never moves, so that it has no axis")
    places = _places(points)
    axes = np.linalg.eigh(np.cov(places.T).reshape(len(places.T), -1))[1][:, ::-1]
    axis = axes[:, 0] * np.sign(axes[np.abs(axes[:, 0]).argmax(), 0])
    low, high = np.percentile(places @ axis, [5, 95])
    length = (high - low) / 0.9
    aside = np.linalg.norm((points - np.median(places, axis=0)) @ axes[:, 1:], axis=1)
    on_track = aside <= ASIDE * length
    along = np.full(len(known), np.nan)
    along[known] = np.where(on_track, points @ axis, np.nan)
    along -= np.nanmin(along)
    unit = f" {signal.unit}" if signal.unit else ""
    noted = (
        f"{name}_linear: along the axis ({', '.join(f'{a:.2f}' for a in axis)}); "
        f"{float(1 - on_track.mean()):.0%} of samples are further than {ASIDE * length:.3g}{unit} "
        "from it, and missing."
    )
    direction, of_direction = _direction(signal, name, along, SLOW * length)
    linear = Signal.of(signal.times, along, [f"{name}_linear"], signal.unit)
    return Track(linear, direction, (noted, of_direction))


def _places(points: Floats) -> Floats:
    """Return each place of a grid that was visited, once."""
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    step = np.where(extent > 0, extent, 1.0) / PLACES
    places: Floats = np.unique(np.round((points - low) / step), axis=0) * step + low
    return places


def _direction(signal: Signal, name: str, along: Floats, slowest: float) -> tuple[Signal, str]:
    speed = _speed(signal.times, along)
    codes = np.where(speed > 0, 0.0, 1.0)
    with np.errstate(invalid="ignore"):
        codes[~(np.abs(speed) >= slowest)] = np.nan
    unit = f" {signal.unit}/s" if signal.unit else "/s"
    note = (
        f"{name}_direction: outbound where {name}_linear grows, inbound where it falls; missing "
        f"under {slowest:.3g}{unit} ({float(np.isnan(codes).mean()):.0%} of samples)."
    )
    channel = Channel(f"{name}_direction", "discrete", categories=DIRECTIONS)
    return Signal(signal.times, codes[:, None], (channel,)), note


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
