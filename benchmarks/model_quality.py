"""What each model reaches on the simulated maze, next to the true rates.

All models are trained on the same trials of one simulated session for the same number of epochs,
one thread each, and scored on test trials like the oracle, which predicts the true rates;
``share`` is co-bps as a share of the oracle's. The defaults just show that it runs.

Run: python benchmarks/model_quality.py [--trials 2869] [--epochs 60] [--bin-ms 20] [--models ndt]
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from neuroblend.config import TrainingConfig
from neuroblend.data.split import split_trials
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError
from neuroblend.evaluation.score import score_model, score_rates, scores_on_test
from neuroblend.evaluation.scored import Scored
from neuroblend.models.references.smoothing import Smoothing
from neuroblend.nlb.datasets import find_dataset
from neuroblend.nlb.simulate.files import simulate_nlb, true_rates
from neuroblend.nlb.trials import read_nlb
from neuroblend.privilege.roles import Student
from neuroblend.registry import find_model, load
from neuroblend.task.task import Task
from neuroblend.training.train import train

# sizes and training for thousands of trials of 182 neurons; the models' defaults are for hundreds
LESS_DROPOUT = dict.fromkeys(("dropout", "dropout_embedding", "dropout_rates"), 0.2)
ENTRIES = {"lr": 2e-3, "batch_size": 32, "mask": "entries"}
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ndt": ({"n_layers": 4, "width": 128} | LESS_DROPOUT, ENTRIES),
    "stndt": ({"n_layers": 3} | LESS_DROPOUT, ENTRIES),
    "lfads": (
        {"generator": 128, "factors": 64, "encoder": 96, "controller": 64, "inputs": 4}
        | {"initial": 64},
        {"lr": 4e-3, "batch_size": 64},
    ),
    "gru": ({"width": 128}, {"lr": 2e-3, "batch_size": 32}),
}
METRICS = ("co_bps", "fp_bps", "behavior_r2", "psth_r2", "rate_r2")


def simulated(n_trials: int, bin_ms: int, seed: int) -> Trials:
    """Return trials of a simulated maze, with the true rates."""
    with tempfile.TemporaryDirectory() as folder:
        path = simulate_nlb("mc_maze", Path(folder) / "maze.nwb", n_trials, seed=seed)
        return read_nlb(path, find_dataset("mc_maze"), bin_ms, partial(true_rates, path))


def tested(scored: Scored, task: Task) -> dict[str, float]:
    """Return scores on test trials by name."""
    return scores_on_test([scored], task.trials.channels)


def trained(name: str, task: Task, epochs: int) -> tuple[dict[str, float], float, int]:
    """Train a student on spikes alone; return test scores, minutes and the best epoch."""
    model, (net, training) = find_model(name), SETTINGS[name]
    settings = TrainingConfig(epochs=epochs, patience=epochs, **training)
    torch.manual_seed(0)
    student = Student(load(model.target)(task.spec, **net))
    began = time.perf_counter()
    history = train(student, task, settings=settings)
    minutes = (time.perf_counter() - began) / 60
    best = int(history["epoch"].iloc[history["valid"].argmin()])
    return tested(score_model(student, task)[0], task), minutes, best


def row(name: str, scores: dict[str, float], oracle: dict[str, float], rest: str = "") -> str:
    """Return a line of the table."""
    cells = "".join(f"{scores.get(metric, float('nan')):>13.3f}" for metric in METRICS)
    return f"{name:<10}{cells}{scores['co_bps'] / oracle['co_bps']:>8.3f}{rest}"


def main() -> None:
    """Train, score and print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="2869 as published")
    parser.add_argument("--epochs", type=int, default=6, help="60 for what models can reach")
    parser.add_argument("--bin-ms", type=int, default=20, help="or 5")
    parser.add_argument("--models", default="smoothing," + ",".join(SETTINGS))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    trials = simulated(given.trials, given.bin_ms, given.seed)
    task = Task.of(trials, split_trials(trials, 0, forward_bins=round(0.2 / trials.bin_s)))
    print(f"{trials!r}, {task.split.train.size} to train on, {given.epochs} epochs")
    print(f"{'model':<10}" + "".join(f"{m:>13}" for m in METRICS) + "   share  minutes  best epoch")
    assert trials.rates is not None
    oracle = tested(score_rates(trials.rates, task)[0], task)
    for name in given.models.split(","):
        if name == "smoothing":
            began = time.perf_counter()
            student = Student(Smoothing(task.spec))
            train(student, task)
            scores, best = tested(score_model(student, task)[0], task), 0
            minutes = (time.perf_counter() - began) / 60
        else:
            scores, minutes, best = trained(name, task, given.epochs)
        print(row(name, scores, oracle, f"{minutes:>9.1f}{best:>12}"), flush=True)
    print(row("oracle", oracle, oracle))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
