"""From a folder that Kilosort wrote and phy sorted, and a wheel on its own clock, to a verdict.

    python examples/from_kilosort.py

Such a folder has spikes alone; behavior comes as signals of your own, in seconds on the same clock.
``params.py`` is read for the sampling rate and never run.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import neuroblend as nb
from neuroblend.readers.kilosort import read_kilosort

SECONDS, RATE, N_UNITS = 120, 30000.0, 14


def write_session(folder: Path, seed: int = 0) -> nb.Signal:
    """Write a small folder as Kilosort does, and return the wheel that its units fire with."""
    rng = np.random.default_rng(seed)
    clock = np.arange(0, SECONDS, 0.01)
    noise = rng.normal(size=(clock.size, 2)).cumsum(axis=0)
    speed = np.stack([np.convolve(n, np.ones(60) / 60, "same") for n in noise.T], axis=1)
    speed = np.gradient(speed, axis=0)
    speed /= speed.std(axis=0)
    drive = speed @ rng.normal(0, 0.5, (2, N_UNITS))
    bins, units = np.nonzero(rng.poisson(12 * np.exp(np.clip(drive, -2, 2)) * 0.01))
    samples = ((clock[bins] + rng.uniform(0, 0.01, bins.size)) * RATE).astype(np.uint64)
    order = np.argsort(samples, kind="stable")
    np.save(folder / "spike_times.npy", samples[order][:, None])
    np.save(folder / "spike_clusters.npy", units[order].astype(np.int32))
    (folder / "params.py").write_text(f"dat_path = 'raw.bin'\nsample_rate = {RATE}\n")
    labels = [f"{unit}\t{'mua' if unit > 11 else 'good'}" for unit in range(N_UNITS)]
    (folder / "cluster_group.tsv").write_text("\n".join(["cluster_id\tgroup", *labels]) + "\n")
    return nb.Signal.of(clock, 10 * speed, ["wheel_x", "wheel_y"], "cm/s")


def main(out: str = "runs/kilosort", epochs: int = 20) -> None:
    with tempfile.TemporaryDirectory() as folder:
        session = Path(folder) / "session"
        session.mkdir()
        wheel = write_session(session)
        recording = read_kilosort(session, signals={"wheel": wheel})
    print(recording, *recording.notes, sep="\n")
    trials = recording.windows(1.0, 0.025)
    print(trials)
    settings = {
        "seeds": 1,
        "controls": "none",
        "model": {"name": "gru", "settings": {"width": 24}},
        "distill": {"strategies": ["feature+multitask"]},
        "training": {"epochs": epochs},
    }
    run = nb.run(trials, out, settings, jobs=1, quiet=True)
    print(nb.verdict(run.results()).sentence)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/kilosort")
