"""What a lab would use instead, next to what a run selects, on several recordings.

Each recording is one run with all controls, tested once in folds or over several seeds. The table
has behavior R² by the chosen read-out and from the same bin, and co-bps; below it are the selected
arm minus each rival, paired, with 95 % intervals, and whether the selected arm is behind (its
interval lies below zero). Runs are kept in --out and go on where they were interrupted.

Run: python benchmarks/verdicts.py [--data FOLDER] [--only monkey_m1 ...] [--out runs/verdicts]
     [--model ndt] [--jobs 2] [--set training.epochs=60 ...]

Without --data, the recordings are simulated ones; FOLDER may hold monkey_m1.npz, ibl_wheel.npz and
rat_linear_track.npz.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import neuroblend as nb
from neuroblend.nlb.datasets import find_dataset
from neuroblend.nlb.simulate.files import simulate_nlb
from neuroblend.nlb.trials import read_nlb

RIVALS = ("wiener", "kalman", "direct", "baseline", "multitask", "two-heads", "masked-modalities")
SCORES = ("decoding_r2", "behavior_r2", "co_bps")
Load = Callable[[], nb.Trials]


def maze() -> nb.Trials:
    """Return a simulated MC_Maze-Small in 20 ms bins."""
    with tempfile.TemporaryDirectory() as folder:
        path = simulate_nlb("mc_maze_small", Path(folder) / "maze.nwb", seed=0)
        return read_nlb(path, find_dataset("mc_maze_small"), 20)


def rat(path: Path) -> nb.Trials:
    """Return windows of 4 s of a rat on a track, in 100 ms bins, with its position."""
    with np.load(path) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    spikes = np.split(content["spike_times"], content["spike_times_index"][:-1])
    order = np.argsort(content["position_times"], kind="stable")
    times = content["position_times"][order]
    fresh = np.r_[True, np.diff(times) > 0]
    position = content["position"][order][fresh].astype(float)
    signal = nb.Signal.of(times[fresh], position, ["x", "y"])
    return nb.Recording.of(spikes, {"position": signal}).windows(4.0, 0.1, ["position"])


def recordings(data: Path | None) -> Iterator[tuple[str, Load, dict[str, Any]]]:
    """Yield a name, how to load, and settings of each recording."""
    for seed in range(101, 106):
        drawn = {"seeds": 1, "data": {"folds": 5}}
        yield f"simulated-{seed}", partial(nb.simulate_reaching, seed=seed), drawn
    yield "mc_maze_small", maze, {"seeds": 5}  # its file says which trials are tested
    if data is None:
        return
    for name, units in (
        ("monkey_m1", None),
        ("monkey_m1", 20),
        ("ibl_wheel", 40),
        ("ibl_wheel", 20),
    ):
        load = partial(nb.read_arrays, data / f"{name}.npz")
        blocks = 6 if name == "monkey_m1" else None  # windows of one recording, side by side
        drawn = {"seeds": 1, "data": {"folds": 3, "units": units, "blocks": blocks}}
        yield f"{name}-{units}" if units else name, load, drawn
    folds = {"seeds": 1, "data": {"folds": 3}}
    yield "rat_linear_track", partial(rat, data / "rat_linear_track.npz"), folds
    yield "ibl_wheel", partial(nb.read_arrays, data / "ibl_wheel.npz"), folds


def show(name: str, results: dict[str, Any]) -> None:
    """Print the table of one recording."""
    chosen, arms, contrasts = results["selected"], results["arms"], results["contrasts"]
    print(f"\n{name}: selected {chosen}. {nb.verdict(results).sentence}\n")
    print(f"{'arm':20}{'behavior R²':>13}{'same bin':>10}{'co-bps':>9}")
    for arm, scores in arms.items():
        cells = [f"{scores[m]['mean']:.3f}" if m in scores else "-" for m in SCORES]
        mark = " *" if arm == chosen else ""
        print(f"{arm + mark:20}{cells[0]:>13}{cells[1]:>10}{cells[2]:>9}")
    for rival in RIVALS:
        found = contrasts.get(f"{chosen} - {rival}")
        for metric in SCORES[::2]:
            if found and metric in found:
                mean, (low, high) = found[metric]["mean"], found[metric]["ci95"]
                around = "" if low is None else f" [{low:+.3f} {high:+.3f}]"
                behind = "  BEHIND" if high is not None and high < 0 else ""
                print(f"  selected - {rival:10}{metric:12}{mean:+.3f}{around}{behind}")


def main() -> None:
    """Run what is asked for and print a table of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--out", type=Path, default=Path("runs/verdicts"))
    parser.add_argument("--model", default="ndt")
    parser.add_argument("--controls", default="all")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    for name, load, settings in recordings(given.data):
        if given.only and name not in given.only:
            continue
        config = settings | {"controls": given.controls, "model": {"name": given.model}}
        for text in given.set:
            path, _, value = text.partition("=")
            section, _, key = path.partition(".")
            config[section] = config.get(section, {}) | {key: yaml.safe_load(value)}
        run = nb.run(
            load(),
            given.out / f"{name}-{given.model}",
            nb.RunConfig(**config),
            jobs=given.jobs,
            quiet=True,
        )
        show(name, run.results())


if __name__ == "__main__":
    main()
