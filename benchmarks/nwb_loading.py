"""From an NWB file to the benchmark's tensors, and to its scores, beside nlb_tools.

Each side runs as a process of its own, one after the other; wall time and peak memory are of whole
processes, imports included. Prints ratios, and how cost grows with the number of trials. nlb_tools
is wanted (`pip install --no-deps nlb_tools==0.0.4`, pandas 2).

Run: python benchmarks/nwb_loading.py [--sizes 175,350,700] [--full 2869]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

NAME, BIN_MS, N_UNITS = "mc_maze", 5, 182


def ours(path: Path) -> dict:
    from neuroblend.nlb.datasets import DATASETS
    from neuroblend.nlb.session import load_session
    from neuroblend.nlb.tensors import TensorMaker

    maker = TensorMaker(load_session(path, DATASETS[NAME]), DATASETS[NAME], BIN_MS)
    return maker.train() | maker.targets()


def theirs(path: Path) -> dict:
    from nlb_tools.make_tensors import make_eval_target_tensors, make_train_input_tensors
    from nlb_tools.nwb_interface import NWBDataset

    warnings.simplefilter("ignore")
    data = NWBDataset(str(path))
    data.resample(BIN_MS)
    made = make_train_input_tensors(
        data, NAME, save_file=False, include_behavior=True, include_forward_pred=True
    )
    targets = make_eval_target_tensors(data, NAME, save_file=False, include_psth=True)
    return made | targets[NAME]


def in_process(side: str, path: Path, out: Path) -> tuple[float, float]:
    """Run one side in a process of its own: seconds until the tensors are there, and peak GB."""
    began = time.time()
    command = [sys.executable, __file__, "--worker", side, str(path), str(out)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ended, memory = map(float, answer.split()[-2:])
    return ended - began, memory


def worker(side: str, path: Path, out: Path) -> None:
    tensors = {"ours": ours, "theirs": theirs}[side](path)
    ended = time.time()  # writing them down for comparison is not what is measured
    kept = {key: value for key, value in tensors.items() if not key.endswith("cond_idx")}
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    usage = max(usage, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    np.savez(out, **kept)
    print(ended, usage / 2**20)


def differences(a: Path, b: Path) -> float:
    """Return the largest difference between two files of tensors; NaN must match."""
    mine, other = np.load(a), np.load(b)
    assert set(mine.files) == set(other.files)
    worst = 0.0
    for key in mine.files:
        x, y = mine[key].astype(float), other[key].astype(float)
        assert x.shape == y.shape, key
        assert np.array_equal(np.isnan(x), np.isnan(y)), key
        worst = max(worst, float(np.nanmax(np.abs(x - y))))
    return worst


def scoring(path: Path) -> tuple[float, float, float]:
    """Seconds of both evaluators on the same predictions, and their largest difference."""
    from nlb_tools.evaluation import evaluate

    from neuroblend.nlb.scores import evaluate_nlb

    tensors = dict(np.load(path, allow_pickle=False))
    rng = np.random.default_rng(0)
    n_eval, n_train = len(tensors["eval_behavior"]), len(tensors["train_behavior"])
    sizes = [tensors[f"train_spikes_{kind}"].shape[2] for kind in ("heldin", "heldout")]
    factors = rng.normal(size=(20, sum(sizes))) / 10

    def rates(n_trials: int, n_bins: int) -> list[np.ndarray]:
        latents = np.cumsum(rng.normal(size=(n_trials, n_bins, 20)), axis=1) / 10
        return np.split(0.02 * np.exp(latents @ factors), sizes[:1], axis=2)

    predictions = {}
    for key, shape in (
        ("train_rates_{}", (n_train, 140)),
        ("eval_rates_{}", (n_eval, 140)),
        ("eval_rates_{}_forward", (n_eval, 40)),
    ):
        pair = rates(*shape)
        predictions |= {key.format(k): r for k, r in zip(("heldin", "heldout"), pair, strict=True)}
    members = [np.flatnonzero(np.arange(n_eval) % len(tensors["psth"]) == c)
               for c in range(len(tensors["psth"]))]  # fmt: skip
    tensors["eval_cond_idx"] = np.array(members, dtype=object)
    took, scores = [], []
    for score in (evaluate_nlb, evaluate):
        began = time.perf_counter()
        scores.append(score({NAME: tensors}, {NAME: predictions})[0][f"{NAME}_split"])
        took.append(time.perf_counter() - began)
    return (*took, max(abs(scores[0][key] - scores[1][key]) for key in scores[1]))


def main(sizes: list[int], full: int) -> None:
    from neuroblend.nlb.simulate.files import simulate_nlb

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("trials     file   ours              nlb_tools          ratio         largest")
        print("             MB    s       GB        s        GB      time  memory   difference")
        took: list[tuple[int, float, float]] = []
        for n_trials in sizes:
            path = simulate_nlb(NAME, folder / f"{n_trials}.nwb", n_trials, N_UNITS)
            # it is so short that one run tells little; the quickest of three
            mine = min(in_process("ours", path, folder / "ours.npz") for _ in range(3))
            other = in_process("theirs", path, folder / "theirs.npz")
            worst = differences(folder / "ours.npz", folder / "theirs.npz")
            ratio = f"{other[0] / mine[0]:8.0f}x {other[1] / mine[1]:6.1f}x"
            print(
                f"{n_trials:6d} {path.stat().st_size / 1e6:8.0f} {mine[0]:6.2f} {mine[1]:8.2f} "
                f"{other[0]:10.1f} {other[1]:8.2f} {ratio} {worst:11.1e}",
                flush=True,
            )
            took.append((n_trials, mine[0], other[0]))
            path.unlink()
        for (n0, ours0, theirs0), (n1, ours1, theirs1) in pairwise(took):
            per = 1000 / (n1 - n0)
            print(f"from {n0} to {n1} trials, a trial costs {per * (ours1 - ours0):.1f} ms, "
                  f"nlb_tools {per * (theirs1 - theirs0):.0f} ms")  # fmt: skip
        mine, other, worst = scoring(folder / "theirs.npz")
        print(f"scores: ours {mine:.2f} s, nlb_tools {other:.2f} s: {other / mine:.1f}x; largest "
              f"difference {worst:.1e}")  # fmt: skip
        if full:
            path = simulate_nlb(NAME, folder / "full.nwb", full, N_UNITS)
            seconds, memory = in_process("ours", path, folder / "ours.npz")
            print(f"{full} trials, {path.stat().st_size / 1e6:.0f} MB: ours {seconds:.1f} s, "
                  f"{memory:.2f} GB")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="175,350,700")
    parser.add_argument("--full", type=int, default=2869, help="trials of the last size; 0: none")
    parser.add_argument("--worker", nargs=3, metavar=("SIDE", "FILE", "OUT"))
    given = parser.parse_args()
    if given.worker:
        worker(given.worker[0], *map(Path, given.worker[1:]))
    else:
        main([int(n) for n in given.sizes.split(",")], given.full)
