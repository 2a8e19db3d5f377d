"""MATLAB files -> trials or recordings, by a mapping of a few lines.

Of trials that are cut and binned::

    spikes: binned               # an array, or a cell of one array a trial
    axes: [neuron, bin, trial]   # of it, in MATLAB's order; of a cell without trial;
                                 # may be left out where sizes leave no doubt
    bin_s: 0.02                  # a number, or where it is
    behavior: {hand_vel: kin.vel, choice: trials.choice}

``condition``, ``region``, ``unit_id``, ``lengths``, ``split`` and ``held_out`` say where those are.
Behavior has the same axes, ``channel`` in place of ``neuron``, or one value a trial; otherwise
``{values: kin.vel, axes: [channel, bin, trial]}``.

Of a continuous recording, in seconds::

    spike_times: units.times     # a cell, or a field of a struct array: one vector a unit
    time_unit: s                 # or ms, or the number of samples/s
    signals:
      hand: {values: kin.pos, times: kin.t, unit: cm}   # or rate: 100 (and start: 0) for times
    events: {licks: lick_times}
    trials: {start_time: trials.start, stop_time: trials.stop, choice: trials.choice}

``time_unit`` is that of every time in the file: spikes, ``times``, ``events``, and columns of
trials that end in ``_time``. Where some are on another, it is told beside them, as in
``{values: kin.pos, times: kin.t, time_unit: s}`` or, of events and columns of trials,
``go: {times: trials.go, time_unit: ms}``.

One vector of all spikes needs ``spike_units``, the unit of each. ``kinds: {heading: circular}``
says of what kind behavior is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from neuroblend.data.axes import AXES
from neuroblend.data.recording import Recording
from neuroblend.data.signal import Signal
from neuroblend.data.trials import Trials
from neuroblend.data.units import unit_table
from neuroblend.errors import InputError, nearest, some
from neuroblend.files import errors_of
from neuroblend.readers.mat_axes import axes_of, lines_of, plain
from neuroblend.readers.mat_file import find, load_mat

OF_TRIALS = ("condition", "region", "unit_id", "lengths", "split", "held_out")
TRIAL_KEYS = ("spikes", "axes", "bin_s", "behavior", "kinds", "event", "start_s", *OF_TRIALS)
RECORDING_KEYS = (
    "spike_times", "spike_units", "time_unit", "signals", "events", "trials", "unit_id", "region",
    "kinds",
)  # fmt: skip
SIGNAL_KEYS = ("values", "times", "time_unit", "rate", "start", "unit", "names")
TIME_KEYS = ("times", "time_unit")


def read_mat(
    path: str | Path, mapping: str | Path | Mapping[str, Any] | None = None
) -> Trials | Recording:
    """Read a ``.mat`` file, v5 or v7.3.

    Args:
        path: The file.
        mapping: As above: a dict, or a YAML file; the file of the same name that ends in
            ``.yaml`` where ``None``.

    Returns:
        Trials where the mapping has ``spikes``, a recording where it has ``spike_times``.

    Raises:
        InputError: Something is not where the mapping says, or is not what it says.
    """
    path = Path(path)
    given = _mapping(path.with_suffix(".yaml") if mapping is None else mapping, path)
    with errors_of(path):
        if ("spikes" in given) == ("spike_times" in given):
            raise InputError(
                f"mapping: found {some(given) or 'nothing'}, wanted either spikes (binned, in "
                "trials) or spike_times"
            )
        of_trials = "spikes" in given
        for key in given:
            known = TRIAL_KEYS if of_trials else RECORDING_KEYS
            if key not in known:
                raise InputError(f"mapping: unknown '{key}'; {nearest(str(key), known)}")
        values = load_mat(path)
        return (_trials if of_trials else _recording)(values, given, path.stem)


def _mapping(given: str | Path | Mapping[str, Any], path: Path) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    try:
        mapping = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            f"{path}: needs a mapping, {given}, which says where spikes are, such as 'spike_times: "
            f"units.times'; `neuroblend inspect {path}` shows what there is"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{given}: not YAML ({why})") from None
    if not isinstance(mapping, dict):
        raise InputError(f"{given}: found {mapping!r}, wanted lines such as 'spikes: binned'")
    return mapping


def _trials(values: Mapping[str, Any], given: Mapping[str, Any], name: str) -> Trials:
    spikes = find(values, given["spikes"])
    axes, notes = axes_of(values, given, spikes)
    spikes = _in_order(spikes, axes, AXES, "spikes")
    n_trials = len(spikes)
    behavior: dict[str, Any] = {}
    of_behavior = tuple("channel" if axis == "neuron" else axis for axis in axes)
    for label, where in lines_of(given, "behavior").items():
        entry = where if isinstance(where, Mapping) else {"values": where}
        found = plain(find(values, entry.get("values")))
        if np.size(found) == n_trials and not isinstance(found, list):
            behavior[label] = np.ravel(found)
            continue
        if isinstance(found, list) and all(np.size(item) == 1 for item in found):
            behavior[label] = _column(found)
            continue
        wanted = tuple(entry.get("axes", of_behavior))
        flat = not isinstance(found, list) and np.ndim(found) < len(wanted)
        wanted = tuple(axis for axis in wanted if axis != "channel") if flat else wanted
        order = ("trial", "bin") if flat else ("trial", "bin", "channel")
        behavior[label] = _in_order(found, wanted, order, f"behavior '{label}'")
    fields: dict[str, Any] = {
        key: _column(find(values, given[key])) for key in OF_TRIALS if key in given
    }
    fields |= {key: given[key] for key in ("kinds", "event", "start_s") if key in given}
    bin_s: Any = given.get("bin_s")
    bin_s = np.ravel(find(values, bin_s))[0] if isinstance(bin_s, str) else bin_s
    trials = Trials.from_arrays(spikes, bin_s, behavior or None, name=name, **fields)
    return trials.with_note(*notes)


def _in_order(
    found: Any, axes: tuple[str, ...], wanted: tuple[str, ...], what: str
) -> NDArray[Any] | list[Any]:
    """Return an array with its axes in the order ``wanted``, or a list of one a trial."""
    many = isinstance(found, list)
    here = tuple(axis for axis in axes if axis != "trial") if many else axes
    order = tuple(axis for axis in wanted if axis != "trial") if many else wanted
    if sorted(here) != sorted(order):
        raise InputError(f"{what}: found axes [{', '.join(here)}], wanted {', '.join(order)}")
    arrays = [np.asarray(item) for item in found] if many else [np.asarray(found)]
    for array in arrays:
        if array.ndim != len(here):
            raise InputError(f"{what}: found shape {array.shape} for axes [{', '.join(here)}]")
    turned = [np.transpose(array, [here.index(axis) for axis in order]) for array in arrays]
    return turned if many else turned[0]


def _recording(values: Mapping[str, Any], given: Mapping[str, Any], name: str) -> Recording:
    unit = given.get("time_unit", "s")
    step = _seconds(unit)
    trains, ids = _trains(values, given)
    columns = {key: _column(find(values, given[key])) for key in ("region",) if key in given}
    kinds = lines_of(given, "kinds")
    signals = {
        label: _signal(values, entry, label, kinds.get(label), unit)
        for label, entry in lines_of(given, "signals").items()
    }
    for label in kinds:
        if label not in signals:
            raise InputError(f"kinds: no signal '{label}'; {nearest(label, signals)}")
    for label, where in lines_of(given, "events").items():
        signals[label] = Signal.events(_times(values, where, label, unit), label)
    trials = _table(values, lines_of(given, "trials"), unit)
    for key, column in columns.items():
        if len(column) != len(trains):
            raise InputError(f"{key}: found {len(column)} for {len(trains)} units")
    units = unit_table(np.arange(len(trains)) if ids is None else ids, columns)
    units = units.drop(columns="id") if ids is None else units
    return Recording.of([train * step for train in trains], signals, None, units, trials, name)


def _table(values: Mapping[str, Any], lines: Mapping[str, Any], unit: Any) -> pd.DataFrame:
    """Return the trial table, its times in seconds."""
    is_time = {k: isinstance(at, Mapping) or k.endswith("_time") for k, at in lines.items()}
    columns = {
        label: _times(values, at, label, unit) if is_time[label] else _column(find(values, at))
        for label, at in lines.items()
    }
    lengths = {label: len(column) for label, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = some([f"{n} of {label}" for label, n in lengths.items()])
        raise InputError(f"trials: found {told}, wanted one value a trial")
    return pd.DataFrame(columns)


def _times(values: Mapping[str, Any], entry: Any, label: str, unit: Any) -> NDArray[np.float64]:
    """Return the seconds of events or of a column of trials."""
    if isinstance(entry, Mapping):
        for key in entry:
            if key not in TIME_KEYS:
                raise InputError(f"'{label}': unknown '{key}'; {nearest(str(key), TIME_KEYS)}")
        entry, unit = entry.get("times"), entry.get("time_unit", unit)
    found = _column(find(values, entry))
    if found.dtype.kind not in "buif":
        raise InputError(f"'{label}': found {found.dtype} values, wanted times")
    return found.astype(np.float64) * _seconds(unit)


def _trains(
    values: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[list[NDArray[np.float64]], NDArray[Any] | None]:
    """Return the times of each unit, and the names of units if there are."""
    found = find(values, given["spike_times"])
    ids = _column(find(values, given["unit_id"])) if "unit_id" in given else None
    if isinstance(found, list):
        if ids is not None and len(ids) != len(found):
            raise InputError(f"unit_id: found {len(ids)} for {len(found)} units")
        return [_vector(item, i) for i, item in enumerate(found)], ids
    if "spike_units" not in given:
        raise InputError(
            f"'{given['spike_times']}' is one array of shape {np.shape(found)}, wanted a cell with "
            "a unit each, or spike_units, the unit of each spike"
        )
    times, owners = _vector(found, 0), np.ravel(find(values, given["spike_units"]))
    if times.size != owners.size:
        raise InputError(f"spike_units: found {owners.size} for {times.size} spikes")
    there = np.unique(owners)
    if ids is not None and ids.size != there.size:
        raise InputError(f"unit_id: found {ids.size} for {there.size} units that have spikes")
    return [times[owners == unit] for unit in there], there if ids is None else ids


def _signal(values: Mapping[str, Any], entry: Any, label: str, kind: Any, unit: Any) -> Signal:
    told = set(entry) if isinstance(entry, Mapping) else set()
    if "values" not in told or not {"times", "rate"} & told:
        raise InputError(f"signal '{label}': found {entry}, wanted {{values: ..., times: ...}}")
    for key in entry:
        if key not in SIGNAL_KEYS:
            raise InputError(f"signal '{label}': unknown '{key}'; {nearest(str(key), SIGNAL_KEYS)}")
    samples = np.atleast_2d(np.asarray(find(values, entry["values"])))
    if "times" in entry:
        clock = {"times": entry["times"], "time_unit": entry.get("time_unit", unit)}
        times = _times(values, clock, label, unit)
    else:
        rate, start = (_number(entry.get(key, 0.0), label, key) for key in ("rate", "start"))
        if rate <= 0:
            raise InputError(f"signal '{label}': rate: found {rate:g}, wanted samples/s")
        times = start + np.arange(max(samples.shape)) / rate
    if samples.shape[0] != times.size and samples.shape[1] == times.size:
        samples = samples.T  # a row of samples is as common as a column
    n_channels = samples.shape[1]
    names = entry.get("names") or ([label] if n_channels == 1 else range(n_channels))
    names = [str(n) if str(n).startswith(label) else f"{label}_{n}" for n in names]
    return Signal.of(times, samples, names, str(entry.get("unit", "")), kind)


def _number(found: Any, label: str, key: str) -> float:
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise InputError(f"signal '{label}': {key}: found {found!r}, wanted a number")
    return float(found)


def _seconds(unit: Any) -> float:
    """Return how many seconds one of a unit of time is."""
    known = {"s": 1.0, "ms": 1e-3}
    if unit in known:
        return known[unit]
    if isinstance(unit, bool) or not isinstance(unit, (int, float)) or unit <= 0:
        raise InputError(f"time_unit: found {unit!r}, wanted s, ms, or the samples/s")
    return 1.0 / unit


def _vector(found: Any, unit: int) -> NDArray[np.float64]:
    values = np.asarray(found)
    is_vector = values.dtype.kind in "buif" and values.size == max(values.shape, default=0)
    if values.size and not is_vector:
        raise InputError(f"unit {unit}: found shape {values.shape}, wanted one vector of times")
    return values.astype(np.float64).ravel()


def _column(found: Any) -> NDArray[Any]:
    """Return one value for each trial or unit."""
    if isinstance(found, list):
        if bad := [np.shape(item) for item in found if np.size(item) != 1]:
            raise InputError(f"found a cell of shape {bad[0]}, wanted one value in each")
        return np.array([item if isinstance(item, str) else np.ravel(item)[0] for item in found])
    return np.ravel(found)
