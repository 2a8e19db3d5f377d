"""An hour of 200 neurons in bins of 20 ms, predicted from a file by a student from a file.

Seconds and peak memory of `neuroblend predict STUDENT hour.npz` in a process of its own, with one
thread, for an NDT and a GRU of the built-in sizes as trained by default and causal, and the time
that a fresh process takes to load the student. The networks are not trained, which costs the same.

Run: python benchmarks/hour.py [--hours 1] [--models ndt gru]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import neuroblend as nb

N_NEURONS, BIN_S = 200, 0.02
LOAD = "import neuroblend as nb; nb.load_student({!r})"


def timed(*command: str) -> tuple[float, float]:
    """Return seconds and peak memory in MB of a command."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: failed")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return time.perf_counter() - began, usage.ru_maxrss / unit


def student_of(model: str, causal: bool, out: Path) -> None:
    """Write a student that was hardly trained."""
    rng = np.random.default_rng(0)
    spikes = rng.poisson(0.1, (40, 50, N_NEURONS))
    spikes[0, 0] = 1
    trials = nb.Trials.from_arrays(spikes, BIN_S, rng.normal(size=(40, 50, 2)).cumsum(axis=1))
    settings = {
        "model": {"name": model, "causal": causal},
        "distill": {"strategies": ["multitask"]},
        "training": {"epochs": 1},
        "seeds": 1,
        "controls": "none",
    }
    run = nb.run(trials, out.with_suffix(""), settings, quiet=True)
    nb.save_student(run.student("multitask"), out)


def main() -> None:
    """Print a row of each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--models", nargs="+", default=["ndt", "gru"])
    given = parser.parse_args()
    n_bins = round(given.hours * 3600 / BIN_S)
    print(f"{n_bins} bins of {BIN_S * 1000:g} ms, {N_NEURONS} neurons")
    print(f"{'':14}{'load':>8}{'predict':>10}{'memory':>10}")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        spikes = np.random.default_rng(1).poisson(0.1, (n_bins, N_NEURONS)).astype(np.uint8)
        np.savez(here / "hour.npz", spikes=spikes, unit_id=np.arange(N_NEURONS), bin_s=BIN_S)
        for model in given.models:
            for causal in (False, True):
                file, out = here / f"{model}-{causal}.nbm", here / "out.h5"
                student_of(model, causal, file)
                load, _ = timed("-c", LOAD.format(str(file)))
                command = ("predict", str(file), str(here / "hour.npz"), "--out", str(out), "-q")
                took, memory = timed("-m", "neuroblend", *command)
                name = f"{model}{' causal' if causal else ''}"
                print(f"{name:14}{load:>6.1f} s{took:>8.1f} s{memory:>7.0f} MB", flush=True)


if __name__ == "__main__":
    main()
