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

from neuroblend.files import new_h5
from neuroblend.nlb.arrays import Bools, Floats, Ints
from neuroblend.nlb.simulate.session import Session
from neuroblend.nlb.simulate.tables import DESCRIPTIONS, NlbDataset, UnitIds

RATE_HZ = 1000.0


@dataclass(frozen=True)
class Units:
    """The units of a file, in the order of its units table.

    Attributes:
        unit_id: (N,), ascending.
        electrode: (N,), row of the electrodes table.
        held_out: (N,).
        loading: (K, N) of log expected counts on the latents.
        log_rate: (N,), log expected counts/ms where all latents are 0.
    """

    unit_id: Ints
    electrode: Ints
    held_out: Bools
    loading: NDArray[np.float32]
    log_rate: Floats

    def held_in(self) -> "Units":
        """Those that test data have."""
        kept = ~self.held_out
        by_unit = (self.unit_id[kept], self.electrode[kept], self.held_out[kept])
        return Units(*by_unit, self.loading[:, kept], self.log_rate[kept])


def write_nwb(
    path: Path,
    dataset: NlbDataset,
    session: Session,
    units: Units,
    spike_times: list[Floats],
    title: str,
) -> None:
    """Write one session.

    Args:
        path: File, written over.
        dataset: Whose schema.
        session: Its ``signals`` are taken out one by one, to hold each in memory once.
        units: N of them.
        spike_times: Of each unit, seconds, ascending.
        title: What the file is, for its description and identifier.
    """
    dandiset = dataset.benchmark.dandiset
    when = datetime.fromisoformat(dataset.task.date).replace(tzinfo=UTC)
    file = NWBFile(
        session_description=f"Simulated by neuroblend, not recorded: {title}",
        identifier=title.replace(" ", "-"),
        session_start_time=when,
        file_create_date=when,
        session_id=title,
        keywords=["simulated", "Neural Latents Benchmark"],
        notes=f"The schema is that of DANDI:{dandiset}. True rates are kept beside it.",
    )
    _add_electrodes(file, dataset.ids)
    file.units = _units_table(file, dataset.ids, session, units, spike_times)
    file.trials = _trials_table(session)
    if dataset.signals and session.signals:
        _add_behavior(file, dataset, session)
    # given a file and not a path, which pynwb would have end in .nwb
    with new_h5(path) as hdf5, NWBHDF5IO(file=hdf5, mode="w") as io:
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
    file: NWBFile, ids: UnitIds, session: Session, units: Units, spike_times: list[Floats]
) -> UnitsTable:
    n = len(units.unit_id)
    intervals = [seconds(session.observed)] * n
    heldout = "Whether test data lack the unit"
    columns = [
        *_ragged("spike_times", "Spike times in s", spike_times),
        *_ragged("obs_intervals", "Intervals in s in which spikes were recorded", intervals),
        VectorData(name="heldout", description=heldout, data=units.held_out),
    ]
    if ids.per_electrode > 1:
        region = DynamicTableRegion(
            name="electrodes",
            description="The electrode of the unit",
            data=units.electrode,
            table=file.electrodes,
        )
        ends = np.arange(1, n + 1)
        columns += [region, VectorIndex(name="electrodes_index", data=ends, target=region)]
    return UnitsTable(
        name="units", description="Simulated units", id=units.unit_id, columns=columns
    )


def _trials_table(session: Session) -> TimeIntervals:
    columns: list[VectorData] = []
    for name, values in session.trials.items():
        description = DESCRIPTIONS[name]
        if isinstance(values, list):
            columns += _ragged(name, description, values)
            continue
        data = seconds(values) if name.endswith("_time") else values
        data = data.astype(object) if data.dtype.kind == "U" else data
        columns.append(VectorData(name=name, description=description, data=data))
    rows = np.arange(len(session.trials["start_time"]))
    return TimeIntervals(name="trials", description="Simulated trials", id=rows, columns=columns)


def _ragged(
    name: str, description: str, rows: list[NDArray[Any]]
) -> tuple[VectorData, VectorIndex]:
    """A column of arrays of unlike lengths, one a row."""
    data = VectorData(name=name, description=description, data=np.concatenate(rows))
    ends = np.cumsum([len(row) for row in rows])
    return data, VectorIndex(name=f"{name}_index", data=ends, target=data)


def _add_behavior(file: NWBFile, dataset: NlbDataset, session: Session) -> None:
    module = file.create_processing_module(name="behavior", description="Simulated behavior")
    observed = np.zeros(len(session.latents), bool)
    for start, stop in session.observed:
        observed[start:stop] = True
    for signal in dataset.signals:
        data = session.signals.pop(signal.name)
        clock: dict[str, Any] = {"rate": RATE_HZ, "starting_time": 0.0}
        if not dataset.sampled:
            kept = np.ones_like(observed) if signal.throughout else observed
            data, clock = data[kept], {"timestamps": seconds(np.flatnonzero(kept))}
        kind: type[TimeSeries] = TimeSeries
        if signal.spatial:
            kind, clock["reference_frame"] = SpatialSeries, "Centre of the workspace"
        series = kind(
            name=signal.name,
            data=data,
            unit=signal.unit,
            conversion=signal.conversion,
            description=signal.description,
            comments=f"columns=[{','.join(signal.columns)}]",
            **clock,
        )
        module.add(series)


def seconds(ms: NDArray[Any]) -> Floats:
    """Whole milliseconds, or NaN, to seconds."""
    return np.round(np.asarray(ms, np.float64) / 1000, 6)
