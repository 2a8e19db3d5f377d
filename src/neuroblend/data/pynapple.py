"""Pynapple objects <-> the parts of a recording.

==================  ===============================================================================
object              what becomes of it
==================  ===============================================================================
``TsGroup``         spikes; its keys (or metadata ``unit_id``) name units, metadata are their
                    columns, its time support is when they were observed
``Tsd``             a signal of one channel; truth values are discrete
``TsdFrame``        a signal, a channel a column; metadata ``channel``, ``unit``, ``kind``,
                    ``period``, ``categories`` and ``held`` of columns are taken up
``Ts``              events
``IntervalSet``     the trial table; as a signal a state that is on or off, or what metadata
                    ``state`` says, and its other metadata by ``name.column``
==================  ===============================================================================

Sortings and analyzers of SpikeInterface go through its own bridge to ``TsGroup``.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import Channel
from neuroblend.data.signal import Signal
from neuroblend.data.units import unit_table
from neuroblend.errors import InputError, blamed_on

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("TsGroup", "Tsd", "TsdFrame", "TsdTensor", "Ts", "IntervalSet")
SORTING = "sorting"
START, STOP = "start_time", "stop_time"


def kind_of(value: object) -> str:
    """Return the pynapple class of an object, ``"sorting"`` of SpikeInterface, else ``""``.

    Told by the names of its classes, so that neither package need be installed.
    """
    for parent in type(value).__mro__:
        package = parent.__module__.partition(".")[0]
        if package == "pynapple" and parent.__name__ in KINDS:
            return parent.__name__
        if package == "spikeinterface" and parent.__name__ in ("BaseSorting", "SortingAnalyzer"):
            return SORTING
    return ""


@dataclass(frozen=True, eq=False)
class Parts:
    """What :meth:`Recording.of` takes, of whatever objects it was given.

    Attributes:
        spike_times: One (n_spikes,) array a neuron, or what was given.
        signals: By name.
        trials: One row a trial.
        units: One row a neuron; ``None`` where spikes came without.
        observed: (n, 2) seconds in which spikes were observed; ``None`` where that is unknown.
        tables: Of intervals, by name.
    """

    spike_times: Any
    signals: dict[str, Signal]
    trials: pd.DataFrame | None
    units: pd.DataFrame | None = None
    observed: NDArray[np.float64] | None = None
    tables: Mapping[str, pd.DataFrame] | None = None


class Objects(NamedTuple):
    """A recording as pynapple has it, in the order in which ``Recording.from_pynapple`` takes it.

    Attributes:
        units: A ``TsGroup``.
        signals: ``TsdFrame``, ``Ts`` and ``IntervalSet`` by name.
        trials: An ``IntervalSet``; ``None`` without a trial table.
    """

    units: Any
    signals: dict[str, Any]
    trials: Any


def parts_of(spike_times: Any, signals: Mapping[str, Any] | None, trials: Any) -> Parts:
    """Return the parts of a recording; what is no pynapple object is handed on as it is.

    Raises:
        InputError: An object is none of those that are wanted in its place.
    """
    tables = {
        name: interval_table(value)
        for name, value in (signals or {}).items()
        if kind_of(value) == "IntervalSet"
    }
    made = {name: signal_of(value, name) for name, value in (signals or {}).items()}
    if kind_of(trials):
        trials = interval_table(_only(trials, "IntervalSet", "trials"))
    parts = Parts(spike_times, made, trials, tables=tables)
    if not kind_of(spike_times):
        return parts
    group = to_group(spike_times)
    times, units, observed = units_of(group)
    return replace(parts, spike_times=times, units=units, observed=observed)


def to_group(units: Any) -> Any:
    """Return a ``TsGroup``, made by SpikeInterface of what is its own.

    Raises:
        InputError: It is another pynapple object, or SpikeInterface cannot make one.
    """
    if kind_of(units) != SORTING:
        return _only(units, "TsGroup", "spike_times")
    with blamed_on("SpikeInterface's to_pynapple_tsgroup: of this sorting"):
        return importlib.import_module("spikeinterface.exporters").to_pynapple_tsgroup(units)


def units_of(
    group: Any,
) -> tuple[list[NDArray[np.float64]], pd.DataFrame, NDArray[np.float64]]:
    """Return spike times, the table of units, and (n, 2) seconds of support, of a ``TsGroup``."""
    keys = list(group.keys())
    columns = dict(group.metadata.items())
    columns.pop("rate", None)  # which pynapple counts
    ids = columns.pop("unit_id", keys)
    support = group.time_support
    observed = np.column_stack([support.start, support.end])
    return [np.asarray(group[key].t) for key in keys], unit_table(ids, columns), observed


def signal_of(value: Any, name: str) -> Signal:
    """Return a signal of a pynapple object, or the signal that it is already.

    Raises:
        InputError: It is neither.
    """
    if isinstance(value, Signal):
        return value
    if (make := _SIGNALS.get(kind_of(value))) is None:
        shape = f" of shape {value.shape}" if kind_of(value) == "TsdTensor" else ""
        raise InputError(
            f"signal '{name}': found a {type(value).__name__}{shape}, wanted a Signal, or a "
            "pynapple Tsd, TsdFrame, Ts or IntervalSet"
        )
    return make(value, name)


def interval_table(intervals: Any) -> pd.DataFrame:
    """Return one row an interval: ``start_time``, ``stop_time``, and its metadata."""
    import pandas as pd  # noqa: PLC0415  # not needed to predict

    table = pd.DataFrame({START: intervals.start, STOP: intervals.end})
    for name in intervals.metadata.columns:
        table[str(name)] = np.asarray(intervals.metadata[name])
    return table


def _of_tsd(tsd: Any, name: str) -> Signal:
    return Signal.of(tsd.t, tsd.values, [name])


def _of_frame(frame: Any, name: str) -> Signal:
    signal = _sampled(frame, name)
    holds = "held" in frame.metadata.columns and any(frame.metadata["held"])
    return signal.held() if holds else signal


def _sampled(frame: Any, name: str) -> Signal:
    """Return the samples of a frame, with what its metadata say of channels."""
    columns, about = list(frame.columns), frame.metadata
    alone = len(columns) == 1 and not isinstance(columns[0], str)
    names = [name] if alone else [c if c == name else f"{name}_{c}" for c in map(str, columns)]
    told: dict[str, list[Any]] = {key: about[key].tolist() for key in about.columns}
    names = [str(label) for label in told.get("channel", names)]
    unit = str(told["unit"][0]) if "unit" in told else ""
    if "kind" not in told:
        return Signal.of(frame.t, frame.values, names, unit)
    period = told["period"][0] if "period" in told else None
    signal = Signal.of(frame.t, frame.values, names, unit, told["kind"][0], period=period)
    if "categories" not in told or told["kind"][0] != "discrete":
        return signal
    # values are numbers of categories, where these are told
    channels = tuple(
        Channel(label, "discrete", unit, tuple(json.loads(text)))
        for label, text in zip(names, told["categories"], strict=True)
    )
    return replace(signal, values=np.asarray(frame.values, dtype=np.float64), channels=channels)


def _of_intervals(intervals: Any, name: str) -> Signal:
    rows = np.column_stack([intervals.start, intervals.end])
    labels = intervals.metadata["state"] if "state" in intervals.metadata.columns else None
    return Signal.states(rows, name, labels)


_SIGNALS: dict[str, Callable[[Any, str], Signal]] = {
    "Tsd": _of_tsd,
    "TsdFrame": _of_frame,
    "Ts": lambda ts, name: Signal.events(ts.t, name),
    "IntervalSet": _of_intervals,
}


def _only(value: Any, wanted: str, what: str) -> Any:
    if (kind := kind_of(value)) != wanted:
        found = f"pynapple {kind}" if kind else type(value).__name__
        article = "a pynapple" if not kind else "an" if wanted.startswith("I") else "a"
        raise InputError(f"{what}: found a {found}, wanted {article} {wanted}")
    return value


def objects_of(
    spike_times: tuple[NDArray[np.float64], ...],
    signals: Mapping[str, Signal],
    units: pd.DataFrame,
    trials: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    observed: NDArray[np.float64],
) -> Objects:
    """Return the parts of a recording as pynapple objects.

    Units with names keep them as metadata ``unit_id``, since keys are whole numbers there.

    Raises:
        InputError: Pynapple is not installed, or joins or refuses what a table holds.
    """
    import pandas as pd  # noqa: PLC0415  # not needed to predict

    nap = _pynapple()
    ids = units["id"].to_numpy() if "id" in units else np.arange(len(spike_times))
    is_number = ids.dtype.kind in "ui"
    keys = ids if is_number else np.arange(len(ids))
    about: dict[str, Any] = {} if is_number else {"unit_id": ids.astype(str)}
    kept = [c for c in units if c not in ("id", "rate") and _flat(units[c])]
    about |= {str(c): units[c].to_numpy() for c in kept}
    support = nap.IntervalSet(observed[:, 0], observed[:, 1])
    with blamed_on("pynapple: with these units"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of units without a spike
        group = nap.TsGroup(
            {int(k): nap.Ts(t) for k, t in zip(keys, spike_times, strict=True)},
            time_support=support,
            metadata=pd.DataFrame(about, index=[int(k) for k in keys]) if about else None,
        )
    made = {name: _to_object(signal, nap) for name, signal in signals.items()}
    made |= {name: _to_intervals(table, name) for name, table in tables.items()}
    return Objects(group, made, None if trials.empty else _to_intervals(trials, "trials"))


def _pynapple() -> Any:
    try:
        return importlib.import_module("pynapple")
    except ImportError:
        raise InputError("pynapple is not installed: `pip install neuroblend[pynapple]`") from None


def _to_object(signal: Signal, nap: Any) -> Any:
    if signal.kind == "events":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of one event, which lasts no time
            return nap.Ts(np.repeat(signal.times, signal.values[:, 0].astype(int)))
    if signal.holds and signal.kind == "discrete":
        return _held(signal)
    about: dict[str, list[Any]] = {
        "channel": list(signal.names),
        "unit": [channel.unit for channel in signal.channels],
        "kind": [channel.kind for channel in signal.channels],
    }
    if signal.kind == "circular":
        about["period"] = [channel.period for channel in signal.channels]
    if signal.kind == "discrete":
        about["categories"] = [json.dumps(channel.categories) for channel in signal.channels]
    if signal.holds:
        about["held"] = [True] * len(signal.names)
    columns, known = list(signal.names), slice(int(signal.holds), None)  # what is first is unknown
    return nap.TsdFrame(signal.times[known], signal.values[known], columns=columns, metadata=about)


def _held(signal: Signal) -> Any:
    """Return intervals of a state, with their names where it is more than on or off."""
    import pandas as pd  # noqa: PLC0415  # not needed to predict

    channel, codes = signal.channels[0], signal.values[:, 0]
    on_off = channel.categories == ("0", "1")
    begins, ends = signal.times[:-1], signal.times[1:]
    kept = (codes[:-1] == 1 if on_off else ~np.isnan(codes[:-1])) & (ends > begins)
    table = pd.DataFrame({START: begins[kept], STOP: ends[kept]})
    if not on_off:
        table["state"] = [channel.categories[int(code)] for code in codes[:-1][kept]]
    return _to_intervals(table, channel.name)


def _to_intervals(table: pd.DataFrame, name: str) -> Any:
    if not {START, STOP} <= set(table):
        raise InputError(f"{name}: pynapple wants columns {START} and {STOP}, found {list(table)}")
    ordered = table.sort_values(START, kind="stable")
    starts, stops = (ordered[key].to_numpy(dtype=np.float64) for key in (START, STOP))
    others = {str(c): ordered[c].to_numpy() for c in table if c not in (START, STOP)}
    if not ((stops > starts).all() and (starts[1:] >= stops[:-1]).all()):
        raise InputError(
            f"{name}: intervals overlap or do not last, which pynapple would join or leave out; "
            "keep those that stand apart"
        )
    with blamed_on(f"pynapple: with {name}"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an end is moved by 1 us off the next start
        made = _pynapple().IntervalSet(starts, stops, metadata=others or None)
    if len(made) != len(ordered):
        raise InputError(f"{name}: pynapple keeps {len(made)} of {len(ordered)} intervals")
    return made


def _flat(column: pd.Series[Any]) -> bool:
    """Whether a column has numbers, truth values or text, which metadata can hold."""
    values = column.to_numpy()
    if values.dtype.kind != "O":
        return True
    return all(isinstance(cast(object, v), (str, int, float, bool, np.generic)) for v in values)
