"""A simulated session -> an NWB file with the schema of the published benchmark files.

Tables are handed to NWB as whole columns, since adding units row by row copies every spike through
Python lists.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from numpy.typing import NDArray
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import SpatialSeries
from pynwb.epoch import TimeIntervals
from pynwb.misc import Units as UnitsTable

from neuroblend.nlb.simulate.session import Session
from neuroblend.nlb.simulate.tables import DESCRIPTIONS, NlbDataset, Signal, UnitIds

RATE_HZ = 1000.0


@dataclass(frozen=True)
class Units:
    """The units of a file, in the order of its units table.

    Attributes:
        unit_id: (N,), ascending.
        held_out: (N,).
        loading: (K, N) of log expected counts on the latents.
        log_rate: (N,), log expected counts/ms where all latents are 0.
    """

    unit_id: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    loading: NDArray[np.float32]
    log_rate: NDArray[np.float64]


def write_nwb(
    path: Path,
    dataset: NlbDataset,
    session: Session,
    units: Units,
    spike_times: list[NDArray[np.float64]],
    columns: tuple[str, ...],
    *,
    title: str,
) -> None:
    """Write one session.

    Args:
        path: File, written over; its name must end in ``.nwb``.
        dataset: Whose schema.
        session: Its ``signals`` are taken out one by one, to hold each in memory once.
        units: N of them.
        spike_times: Of each unit, seconds, ascending.
        columns: Of the trials table, beside start and stop.
        title: What the file is, for its description and identifier.
    """
    when = datetime.fromisoformat(dataset.task.date).replace(tzinfo=UTC)
    file = NWBFile(
        session_description=f"Simulated by neuroblend, not recorded: {title}",
        identifier=title.replace(" ", "-"),
        session_start_time=when,
        file_create_date=when,
        session_id=title,
        keywords=["simulated", "Neural Latents Benchmark"],
        notes=f"The schema is that of DANDI:{dataset.dandiset}. True rates are kept beside it.",
    )
    _add_electrodes(file, dataset.ids)
    file.units = _units_table(file, dataset.ids, session, units, spike_times)
    file.trials = _trials_table(session, columns)
    if dataset.signals and session.signals:
        _add_behavior(file, dataset, session)
    with NWBHDF5IO(path=str(path), mode="w") as io:
        io.write(file)


def _add_electrodes(file: NWBFile, ids: UnitIds) -> None:
    """One group an array, one row an electrode."""
    for array in range(ids.n_arrays):
        device = file.create_device(name=f"electrode_array_{array + 1}", description="Simulated")
        group = file.create_electrode_group(
            name=f"electrode_group_{array + 1}",
            description="Simulated electrodes",
            location="simulated",
            device=device,
        )
        for _ in range(ids.n_electrodes):
            file.add_electrode(group=group, location="simulated")


def _units_table(
    file: NWBFile,
    ids: UnitIds,
    session: Session,
    units: Units,
    spike_times: list[NDArray[np.float64]],
) -> UnitsTable:
    n = len(units.unit_id)
    intervals = np.tile(seconds(session.observed), (n, 1))
    columns = [
        *_ragged(
            "spike_times", "Spike times in s", np.concatenate(spike_times), _ends(spike_times)
        ),
        *_ragged(
            "obs_intervals",
            "Intervals in s in which spikes were recorded",
            intervals,
            len(session.observed) * np.arange(1, n + 1),
        ),
        VectorData(
            name="heldout", description="Whether test data lack the unit", data=units.held_out
        ),
    ]
    if ids.per_electrode > 1:
        region = DynamicTableRegion(
            name="electrodes",
            description="The electrode of the unit",
            data=electrode_of(ids, units.unit_id),
            table=file.electrodes,
        )
        columns += [
            region,
            VectorIndex(name="electrodes_index", data=np.arange(1, n + 1), target=region),
        ]
    return UnitsTable(
        name="units", description="Simulated units", id=units.unit_id, columns=columns
    )


def electrode_of(ids: UnitIds, unit_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of the electrodes table for each unit id (N,)."""
    array = unit_id // ids.per_array - 1 if ids.per_array else np.zeros_like(unit_id)
    within = unit_id % ids.per_array if ids.per_array else unit_id
    return array * ids.n_electrodes + within // ids.per_electrode - 1


def _trials_table(session: Session, columns: tuple[str, ...]) -> TimeIntervals:
    data: list[VectorData] = []
    described = {
        "start_time": "Start of the trial in s",
        "stop_time": "End of the trial in s",
    } | {name: DESCRIPTIONS[name] for name in columns}
    for name, description in described.items():
        values = session.trials[name]
        if isinstance(values, list):
            data += _ragged(name, description, np.concatenate(values), _ends(values))
            continue
        values = seconds(values) if name.endswith("_time") else values
        if values.dtype.kind == "U":
            values = values.astype(object)
        data.append(VectorData(name=name, description=description, data=values))
    n = len(session.trials["start_time"])
    return TimeIntervals(
        name="trials", description="Simulated trials", id=np.arange(n), columns=data
    )


def _ragged(
    name: str, description: str, flat: NDArray[Any], ends: NDArray[np.int64]
) -> tuple[VectorData, VectorIndex]:
    data = VectorData(name=name, description=description, data=flat)
    return data, VectorIndex(name=f"{name}_index", data=ends, target=data)


def _ends(rows: list[NDArray[Any]]) -> NDArray[np.int64]:
    return np.cumsum([len(row) for row in rows])


def _add_behavior(file: NWBFile, dataset: NlbDataset, session: Session) -> None:
    module = file.create_processing_module(name="behavior", description="Simulated behavior")
    observed = observed_mask(session)
    for signal in dataset.signals:
        data = session.signals.pop(signal.name)
        clock: dict[str, Any] = {"rate": RATE_HZ, "starting_time": 0.0}
        if not dataset.sampled:
            kept = np.ones_like(observed) if signal.throughout else observed
            data, clock = data[kept], {"timestamps": seconds(np.flatnonzero(kept))}
        module.add(_series(signal, data, clock))


def _series(signal: Signal, data: NDArray[np.float64], clock: dict[str, Any]) -> TimeSeries:
    fields: dict[str, Any] = {
        "name": signal.name,
        "data": data,
        "unit": signal.unit,
        "conversion": signal.conversion,
        "description": signal.description,
        "comments": f"columns=[{','.join(signal.columns)}]",
    }
    if signal.spatial:
        return SpatialSeries(**fields, **clock, reference_frame="Centre of the workspace")
    return TimeSeries(**fields, **clock)


def observed_mask(session: Session) -> NDArray[np.bool_]:
    """Whether each millisecond was recorded: (n_ms,)."""
    mask = np.zeros(session.n_ms, bool)
    for start, stop in session.observed:
        mask[start:stop] = True
    return mask


def seconds(ms: NDArray[Any]) -> NDArray[np.float64]:
    """Whole milliseconds, or NaN, to seconds."""
    return np.round(np.asarray(ms, np.float64) / 1000, 6)
