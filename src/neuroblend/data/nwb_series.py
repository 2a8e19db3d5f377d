"""Time series of an NWB file -> signals: samples, states and events.

Shape legend: ``S`` samples of a signal, ``D`` channels.

Values are taken as they are stored; a ``conversion`` to the declared unit is not applied, as the
Neural Latents Benchmark does not apply it, and the unit is that of the stored values.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pynwb import NWBFile, TimeSeries
from pynwb.behavior import BehavioralEvents, CompassDirection, SpatialSeries
from pynwb.core import MultiContainerInterface
from pynwb.misc import AnnotationSeries, IntervalSeries

from neuroblend.data.channel import MOST_CATEGORIES, Channel, turn_of
from neuroblend.data.channels import channel_units
from neuroblend.data.signal import Signal
from neuroblend.errors import InputError

PREFIXES = {"k": 1e3, "c": 1e-2, "m": 1e-3, "µ": 1e-6}
RAW = ("ElectricalSeries", "ImageSeries", "TwoPhotonSeries", "OnePhotonSeries", "SpikeEventSeries")
# of pynwb and of the extension ndx-events, where that is loaded
EVENT_TYPES = ("EventsTable", "Events", "LabeledEvents", "TTLs")


def find_series(file: NWBFile) -> dict[str, TimeSeries]:
    """Return every numeric time series of the file by name.

    Two of one name are distinguished by their parents' names.
    """
    return _named(
        [i for i in file.objects.values() if isinstance(i, TimeSeries) and _is_numeric(i)]
    )


def find_behavior(file: NWBFile) -> dict[str, Any]:
    """Return whatever may be behavior by name: numeric series, events, annotations."""
    return _named(
        [
            item
            for item in file.objects.values()
            if isinstance(item, AnnotationSeries)
            or type(item).__name__ in EVENT_TYPES
            or (isinstance(item, TimeSeries) and _may_be_behavior(item))
        ]
    )


def read_behavior(item: Any, name: str, path: Path) -> Signal:
    """Read what :func:`find_behavior` found.

    Events are what lies in ``BehavioralEvents``, annotations (one channel for each text, of up to
    eight), event tables, series that are declared instantaneous, and those with timestamps of
    their own whose values never change. An ``IntervalSeries`` is a state, 0 or 1.

    Raises:
        InputError: Its times or values cannot be used.
    """
    if isinstance(item, IntervalSeries):
        return _states(item, name)
    if type(item).__name__ in EVENT_TYPES:
        times = item["timestamp"].data if "timestamp" in getattr(item, "colnames", ()) else None
        times = item.timestamps if times is None else times
        return Signal.events(np.asarray(times[:], dtype=np.float64), name)
    if isinstance(item, AnnotationSeries):
        return _annotations(item, name)
    if is_events(item):
        return Signal.events(series_times(item), name)
    return read_signal(item, name, path)


def is_events(series: TimeSeries) -> bool:
    """Return whether a series has times at which something happened, rather than samples."""
    if isinstance(series.parent, BehavioralEvents) or series.continuity == "instantaneous":
        return True
    if is_held(series) or isinstance(series, SpatialSeries):
        return False
    if series.timestamps is None or series.data.ndim != 1:
        return False
    first = series.data[:2]  # most have two values already
    return bool((first == first[0]).all() and (series.data[()] == first[0]).all())


def is_held(series: TimeSeries) -> bool:
    """Return whether each value of a series holds until the next, as it declares."""
    return bool(series.continuity == "step")


def read_signal(series: TimeSeries, name: str, path: Path) -> Signal:
    """Read the samples of one series; one whose continuity is ``step`` holds between them.

    Raises:
        InputError: Its times go backwards, or it has more than two axes.
    """
    values = np.asarray(series.data[()])
    if values.ndim > 2:
        raise InputError(f"{path}: {name} has shape {values.shape}, wanted (sample, channel)")
    times = series_times(series)
    if np.isnan(times).any() or (np.diff(times) < 0).any():
        bad = int(np.flatnonzero(~(np.diff(times) >= 0))[0])
        raise InputError(
            f"{path}: timestamps of {name} go backwards or are missing after sample {bad} "
            f"({times[bad]:.6g} s)"
        )
    if times.shape[0] != values.shape[0]:
        raise InputError(
            f"{path}: {name} has {values.shape[0]} samples and {times.shape[0]} timestamps"
        )
    names = [f"{name}{c}" for c in channel_suffixes(series)]
    (unit,) = channel_units(stored_unit(series), 1)
    if isinstance(series.parent, CompassDirection) and len(names) == 1:
        turn = turn_of(str(series.unit or "")) / float(series.conversion or 1.0)
        signal = Signal.of(times, values, names, unit, "circular", period=turn)
    else:
        signal = Signal.of(times, values, names, unit)
    return signal.held() if is_held(series) else signal


def _states(series: IntervalSeries, name: str) -> Signal:
    """Return the states of an interval series: +n where feature n begins, -n where it ends."""
    codes = np.asarray(series.data[()], dtype=np.int64)
    times = series_times(series)
    order = np.argsort(times, kind="stable")
    codes, times = codes[order], times[order]
    features = sorted(set(np.abs(codes[codes != 0]).tolist()))
    if not features:
        raise InputError(f"{name}: an IntervalSeries without a start or stop (1 or -1)")
    columns = []
    for feature in features:
        changes = np.where(np.abs(codes) == feature, np.sign(codes), 0)
        last = np.maximum.accumulate(np.where(changes != 0, np.arange(codes.size), -1))
        before = float(changes[changes != 0][0] < 0)  # it had begun before it was first seen
        columns.append(np.where(last < 0, before, (changes[last] > 0).astype(float)))
        columns[-1] = np.r_[before, columns[-1]]
    many = len(features) > 1
    channels = tuple(
        Channel(f"{name}_{f}" if many else name, "discrete", categories=("0", "1"))
        for f in features
    )
    return Signal(np.r_[times[0], times], np.stack(columns, axis=1), channels, holds=True)


def _annotations(series: AnnotationSeries, name: str) -> Signal:
    """Return the events of each text, or of all texts where they are many."""
    words = np.array([v.decode() if isinstance(v, bytes) else str(v) for v in series.data[:]])
    times = series_times(series)
    texts = sorted(set(words.tolist()))
    if not 1 < len(texts) <= MOST_CATEGORIES:
        return Signal.events(times, name)
    order = np.argsort(times, kind="stable")
    parts = [Signal.events(times[words == text], f"{name}_{text}") for text in texts]
    values = np.stack([words[order] == text for text in texts], axis=1).astype(np.float64)
    return Signal(times[order], values, tuple(part.channels[0] for part in parts))


def stored_unit(series: TimeSeries) -> str:
    """Return the unit of a series' values as they are stored, such as ``"mm/s"``.

    A file that declares m/s and a conversion of 0.001 to it stores mm/s.
    """
    unit, factor = str(series.unit or "").strip(), float(series.conversion or 1.0)
    if np.isclose(factor, 1.0):
        return unit
    prefix = next((p for p, size in PREFIXES.items() if np.isclose(factor, size)), None)
    metres = re.fullmatch(r"m(?:et(?:er|re)s?)?(/.*)?", unit)
    if prefix and metres:
        return f"{prefix}m{metres[1] or ''}"
    return f"{factor:g} {unit}" if unit else ""


def series_times(series: TimeSeries) -> NDArray[np.float64]:
    """Return (S,) seconds of a series' samples, from its timestamps or its rate."""
    if series.timestamps is not None:
        return np.asarray(series.timestamps[()], dtype=np.float64)
    return np.arange(series.data.shape[0]) / float(series.rate) + float(series.starting_time)


def channel_suffixes(series: TimeSeries) -> list[str]:
    """Return the suffixes of a series' channels: ``_x``, ``_y``, numbers, or nothing for one."""
    n_channels = 1 if series.data.ndim == 1 else series.data.shape[1]
    comment = series.comments or ""
    if "columns=" in comment:
        names = comment.split("[")[-1].split("]")[0].split(",")
        if len(names) == n_channels:
            return [f"_{name.strip()}" for name in names]
    return [""] if n_channels == 1 else [f"_{i}" for i in range(n_channels)]


def _named(items: list[Any]) -> dict[str, Any]:
    """Return items by name: a series within a container is ``<container>_<series>``."""
    found: dict[str, Any] = {}
    for item in items:
        within = item.parent
        name = f"{within.name}_{item.name}" if _is_container(within) else item.name
        while name in found and within is not None:
            name, within = f"{within.name}_{name}", within.parent
        found[name] = item
    return found


def _may_be_behavior(series: TimeSeries) -> bool:
    """Return whether a series has numbers, one or a few at a time, that no electrode recorded."""
    raw = any(kind.__name__ in RAW for kind in type(series).__mro__)
    if isinstance(series, IntervalSeries) or isinstance(series.parent, BehavioralEvents):
        return len(getattr(series.data, "shape", ())) > 0
    return _is_numeric(series) and not raw


def _is_numeric(series: TimeSeries) -> bool:
    data = series.data
    kind = getattr(getattr(data, "dtype", None), "kind", "O")
    return kind in "biuf" and len(getattr(data, "shape", ())) > 0 and data.shape[0] > 1


def _is_container(item: Any) -> bool:
    return (
        isinstance(item, MultiContainerInterface)
        and not isinstance(item, NWBFile)
        and (type(item).__name__ != "ProcessingModule")
    )
