"""Small NWB files as labs write them."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import BehavioralEpochs, BehavioralEvents, CompassDirection, SpatialSeries
from pynwb.epoch import TimeIntervals
from pynwb.misc import AnnotationSeries, IntervalSeries

N_TRIALS, N_UNITS, LENGTH_S = 12, 6, 26.0
STARTS = 1.0 + 2.0 * np.arange(N_TRIALS)  # of trials, which last a second
LICKS = np.array([1.25, 1.35, 5.5, 9.05, 9.15])
QUALITY = ["good", "mua", "good", "good", "noise", "good"]


def lab_nwb(
    path: Path,
    change: Callable[[NWBFile], None] | None = None,
    observed: list[list[list[float]]] | None = None,
) -> Path:
    """Write a session with units, trials of a choice, and behavior of every kind.

    Args:
        path: Where to.
        change: Done to the file before it is written.
        observed: Intervals in which each unit was observed.
    """
    rng = np.random.default_rng(3)
    file = NWBFile(
        session_description="a session",
        identifier="lab",
        session_start_time=datetime(2024, 1, 1, tzinfo=UTC),
    )
    _electrodes(file)
    file.add_unit_column(name="quality", description="by hand")
    file.add_unit_column(name="depth", description="um")
    for i in range(N_UNITS):
        times = np.sort(rng.uniform(0, LENGTH_S, 300))
        seen = {} if observed is None else {"obs_intervals": observed[i]}
        file.add_unit(
            spike_times=times, quality=QUALITY[i], depth=100.0 * i, electrodes=[i], **seen
        )
    for name in ("choice", "reaction_time", "go_cue", "rewarded", "stimulus"):
        file.add_trial_column(name=name, description="of a trial")
    for i, start in enumerate(STARTS):
        file.add_trial(
            start_time=start, stop_time=start + 1.0, choice=["left", "right"][i % 2],
            reaction_time=0.2 + 0.05 * i, go_cue=start + 0.3, rewarded=bool(i % 3),
            stimulus=np.nan if i == 4 else float(i % 2),
        )  # fmt: skip
    sleep = TimeIntervals(name="sleep", description="stages of it")
    sleep.add_column(name="stage", description="which")
    for start, stop, stage in ((2.0, 6.0, "rem"), (6.0, 9.0, "nrem"), (12.0, 20.0, "rem")):
        sleep.add_interval(start_time=start, stop_time=stop, stage=stage)
    file.add_time_intervals(sleep)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some is deprecated, and what most files have
        _behavior(file)
    if change is not None:
        change(file)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def _electrodes(file: NWBFile) -> None:
    probe = file.create_device(name="probe")
    group = file.create_electrode_group(
        name="shank", description="of it", location="cortex", device=probe
    )
    for i in range(N_UNITS):
        file.add_electrode(group=group, location="M1" if i < 4 else "PMd")


def _behavior(file: NWBFile) -> None:
    module = file.create_processing_module(name="behavior", description="of it")
    clock = np.arange(0, LENGTH_S, 0.01)
    module.add(
        TimeSeries(name="speed", data=np.sin(clock), unit="m/s", conversion=0.01, rate=100.0)
    )
    lick = TimeSeries(name="lick", data=np.ones(5), unit="n/a", timestamps=LICKS)
    module.add(BehavioralEvents(time_series=lick))
    if hasattr(file, "create_events_table"):  # pynwb 4
        pokes = file.create_events_table(name="pokes", description="of the nose")
        for second in (1.05, 3.95):
            pokes.add_row(timestamp=second)
    module.add(
        BehavioralEpochs(
            interval_series=IntervalSeries(
                name="running", data=np.int8([1, -1, 1, -1]), timestamps=[3.0, 5.0, 10.0, 11.27]
            )
        )
    )
    heading = SpatialSeries(
        name="heading",
        data=(36.0 * clock) % 360,
        unit="degrees",
        rate=100.0,
        reference_frame="north",
    )
    module.add(CompassDirection(spatial_series=heading))
    notes = AnnotationSeries(
        name="notes", data=["poke", "tone", "poke"], timestamps=[1.5, 3.5, 7.5]
    )
    file.add_acquisition(notes)
    file.add_acquisition(
        TimeSeries(name="rewards", data=np.ones(4), unit="n/a", timestamps=[1.9, 5.9, 9.9, 11.9])
    )
