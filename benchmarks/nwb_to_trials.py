"""Two hours of 300 units and four signals at 100 Hz: time and memory from NWB to trials.

    python benchmarks/nwb_to_trials.py [FILE]

The file is written once (about 200 MB) and read again where it is there.
"""

import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

HOURS, N_UNITS, HZ, N_SIGNALS = 2.0, 300, 100.0, 4
MOST_S, MOST_GB = 10.0, 1.0


def write(path: Path) -> None:
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries

    rng = np.random.default_rng(0)
    seconds = HOURS * 3600
    file = NWBFile(
        session_description="two hours", identifier="long",
        session_start_time=datetime(2024, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    for hz in rng.lognormal(1.5, 0.8, N_UNITS):
        times = rng.uniform(0, seconds, rng.poisson(hz * seconds))
        file.add_unit(spike_times=np.sort(times))
    module = file.create_processing_module(name="behavior", description="of the animal")
    clock = np.arange(int(seconds * HZ)) / HZ
    for i in range(N_SIGNALS):
        values = np.stack([np.sin(clock * (i + 1)), np.cos(clock * (i + 1))], axis=1)
        module.add(TimeSeries(name=f"signal_{i}", data=values, unit="cm", timestamps=clock))
    for start in np.arange(1.0, seconds - 2, 2.0):
        file.add_trial(start_time=start, stop_time=start + 1.5)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "two_hours.nwb")
    if not path.exists():
        write(path)
        print(f"written: {path} ({path.stat().st_size / 1e6:.0f} MB); give the command again")
        return
    begun = time.perf_counter()
    from neuroblend.data.cut import Cut
    from neuroblend.readers.prepare import cut_trials

    imported = time.perf_counter()
    names = tuple(f"signal_{i}" for i in range(N_SIGNALS))
    trials = cut_trials(path, Cut("start_time", (0, 1500), 20, behavior=names))
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(trials)
    print(f"imports {imported - begun:.1f} s, trials {done - imported:.1f} s, peak {peak:.2f} GB")
    ok = done - imported < MOST_S and peak < MOST_GB
    print(f"aim: under {MOST_S:g} s and {MOST_GB:g} GB: {'reached' if ok else 'missed'}")


if __name__ == "__main__":
    main()
