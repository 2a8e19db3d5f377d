"""From an NWB file to the benchmark's tensors, and to its scores, beside nlb_tools.

Each side runs as a process of its own, one after the other; wall time and peak memory are of whole
processes, imports included. Prints ratios, and how cost grows with the number of trials. nlb_tools
is wanted (`pip install --no-deps nlb_tools==0.0.4`, pandas 2).

Run: python benchmarks/nwb_loading.py [--sizes 175,350,700] [--full 2869]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
import warnings
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.child import answer, in_child, peak_mb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME, BIN_MS, N_UNITS = "mc_maze", 5, 182


def ours(path: Path) -> dict[str, NDArray[Any]]:
    from neuroblend.nlb.datasets import DATASETS
    from neuroblend.nlb.session import load_session
    from neuroblend.nlb.tensors import TensorMaker

    maker = TensorMaker(load_session(path, DATASETS[NAME]), DATASETS[NAME], BIN_MS)
    return maker.train() | maker.targets()


def theirs(path: Path) -> dict[str, NDArray[Any]]:
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


def child(job: dict[str, Any]) -> None:
    """Do one thing and hand what was found to the parent, which stays small."""
    do, folder = job["do"], Path(job["folder"])
    if do == "simulate":
        from neuroblend.nlb.simulate.files import simulate_nlb

        path = simulate_nlb(NAME, folder / "session.nwb", job["n_trials"], N_UNITS)
        answer({"mb": path.stat().st_size / 1e6})
    elif do == "compare":
        answer({"worst": differences(folder / "ours.npz", folder / "theirs.npz")})
    elif do == "score":
        answer(dict(zip(("ours", "theirs", "worst"), scoring(folder / "theirs.npz"), strict=True)))
    else:
        read(do, folder)


def read(side: str, folder: Path) -> None:
    """Make one side's tensors, and tell when they were there and what memory that took."""
    import numpy as np

    with redirect_stdout(StringIO()):
        tensors = {"ours": ours, "theirs": theirs}[side](folder / "session.nwb")
    ended = time.time()  # writing them down for comparison is not what is measured
    answer({"ended": ended, "gb": max(peak_mb(), peak_mb(resource.RUSAGE_CHILDREN)) / 1024})
    kept = {key: value for key, value in tensors.items() if not key.endswith("cond_idx")}
    np.savez(folder / side, allow_pickle=False, **kept)


def measured(side: str, folder: Path) -> tuple[float, float]:
    """Run one side in a process of its own: seconds until the tensors are there, and peak GB."""
    began = time.time()
    found = in_child(__file__, {"do": side, "folder": str(folder)})
    return found["ended"] - began, found["gb"]


def differences(a: Path, b: Path) -> float:
    """Return the largest difference between two files of tensors; NaN must match."""
    import numpy as np

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
    import numpy as np
    from nlb_tools.evaluation import evaluate

    from neuroblend.nlb.scores import evaluate_nlb

    tensors = dict(np.load(path, allow_pickle=False))
    rng = np.random.default_rng(0)
    n_eval, n_train = len(tensors["eval_behavior"]), len(tensors["train_behavior"])
    sizes = [tensors[f"train_spikes_{kind}"].shape[2] for kind in ("heldin", "heldout")]
    factors = rng.normal(size=(20, sum(sizes))) / 10

    def rates(n_trials: int, n_bins: int) -> list[NDArray[np.float64]]:
        latents = np.cumsum(rng.normal(size=(n_trials, n_bins, 20)), axis=1) / 10
        return np.split(0.02 * np.exp(latents @ factors), sizes[:1], axis=2)

    predictions: dict[str, NDArray[np.float64]] = {}
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
    """Simulate, read and score, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder, job = Path(name), {"folder": name}
        print("trials     file   ours              nlb_tools          ratio         largest")
        print("             MB    s       GB        s        GB      time  memory   difference")
        took: list[tuple[int, float, float]] = []
        for n_trials in sizes:
            mb = in_child(__file__, job | {"do": "simulate", "n_trials": n_trials})["mb"]
            # it is so short that one run tells little; the quickest of three
            mine = min(measured("ours", folder) for _ in range(3))
            other = measured("theirs", folder)
            worst = in_child(__file__, job | {"do": "compare"})["worst"]
            ratio = f"{other[0] / mine[0]:8.0f}x {other[1] / mine[1]:6.1f}x"
            print(
                f"{n_trials:6d} {mb:8.0f} {mine[0]:6.2f} {mine[1]:8.2f} "
                f"{other[0]:10.1f} {other[1]:8.2f} {ratio} {worst:11.1e}",
                flush=True,
            )
            took.append((n_trials, mine[0], other[0]))
        for (n0, ours0, theirs0), (n1, ours1, theirs1) in pairwise(took):
            per = 1000 / (n1 - n0)
            print(f"from {n0} to {n1} trials, a trial costs {per * (ours1 - ours0):.1f} ms, "
                  f"nlb_tools {per * (theirs1 - theirs0):.0f} ms")  # fmt: skip
        took_s = in_child(__file__, job | {"do": "score"})
        print(f"scores: ours {took_s['ours']:.2f} s, nlb_tools {took_s['theirs']:.2f} s: "
              f"{took_s['theirs'] / took_s['ours']:.1f}x; largest difference "
              f"{took_s['worst']:.1e}")  # fmt: skip
        if full:
            mb = in_child(__file__, job | {"do": "simulate", "n_trials": full})["mb"]
            seconds, memory = measured("ours", folder)
            print(f"{full} trials, {mb:.0f} MB: ours {seconds:.1f} s, {memory:.2f} GB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="175,350,700")
    parser.add_argument("--full", type=int, default=2869, help="trials of the last size; 0: none")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is None:
        main([int(n) for n in options.sizes.split(",")], options.full)
    else:
        child(options.child)
