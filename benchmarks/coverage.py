"""How often 95 % intervals hold the truth, for runs whose truth is known.

Nothing is trained. Each simulated run has a baseline and a student, whose scores of single trials
are drawn from a model with these parts:

- a trial's own difficulty, the same for both arms and all seeds;
- what a trial adds to the difference, drawn anew for each seed, or kept over seeds;
- what a fit adds to the difference, half of its variance in either arm: split and weights, drawn
  anew for each seed, or for each fold;
- for a recording that is cut into windows, runs of 8 trials that share what they add.

They become the sums over trials that a fit leaves behind, with trials of unequal power, so that R²
is a ratio of sums as it is in a run. Splits are ``split_trials``, and intervals are those that
``gather`` makes of all this. Of the difference of the arms and of the student's own score the
table has how many per cent of intervals hold the truth, and in brackets their mean width and the
standard deviation of what they are around (3.92 of them are the width, were it known).

The last table is how much the selected of equal arms is flattered, where trials that validate in
one seed are tested in another.

Run: python benchmarks/coverage.py [--runs 400]
"""

from __future__ import annotations

import argparse
import functools
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import Channel
from neuroblend.data.split import Split, split_trials
from neuroblend.data.trials import Trials
from neuroblend.engine.arm import BASELINE, Arm, Fit
from neuroblend.engine.results import gather
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.evaluation.metrics import ErrorSums
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.decoding.samples import samples_of_seed
from neuroblend.experiments.decoding.settings import RunConfig

X = (Channel("x"),)

Floats = NDArray[np.float64]

STUDENT = "student"
BASE, GAIN = 0.3, 0.05  # the truth: R² of the baseline, and what the student is above it
N_TRIALS, RUN = 200, 8  # trials of a recording; how many of them share what they add
DIFFICULTY = 0.3  # standard deviation over trials of what both arms have in common
POWER = 0.5  # and of the logarithm of a trial's behavioral power
N_FOLDS = 5
SEEDS = (1, 2, 3, 5)


@dataclass(frozen=True)
class Case:
    """Where scores come from.

    Attributes:
        name: In the table.
        trial: Standard deviation over trials of what a trial adds to the difference.
        seed: Standard deviation over seeds of what a fit adds to the difference.
        fold: The same over folds.
        keeps: Whether a trial adds the same in every seed.
        in_runs: Whether trials that follow one another add the same.
        folds: Whether every trial is tested once.
        windows: Whether trials say that they are windows, and are split in blocks.
    """

    name: str
    trial: float = 0.42
    seed: float = 0.0
    fold: float = 0.0
    keeps: bool = False
    in_runs: bool = False
    folds: bool = False
    windows: bool = False


CASES = (
    Case("no variance between seeds"),
    Case("seed s.d. .05", seed=0.05),
    Case("seed s.d. .10", seed=0.10),
    Case("seed noise alone (trial s.d. .05)", trial=0.05, seed=0.10),
    Case("trials keep what they add", keeps=True),
    Case("trials keep it, seed s.d. .05", seed=0.05, keeps=True),
    Case("runs of 8, split at random", keeps=True, in_runs=True),
    Case("runs of 8, split in blocks", keeps=True, in_runs=True, windows=True),
    Case("runs in blocks, seed s.d. .05", seed=0.05, keeps=True, in_runs=True, windows=True),
    Case("folds, fits alike", folds=True),
    Case("folds, fold s.d. .05", fold=0.05, folds=True),
    Case("folds, fold s.d. .10", fold=0.10, folds=True),
    Case("folds .09 + seed .045: a fifth shared", fold=0.09, seed=0.045, folds=True),
    Case("folds .07 + seed .07: half shared", fold=0.07, seed=0.07, folds=True),
    Case("folds, seed s.d. .05: all shared", seed=0.05, folds=True),
    Case("folds, runs of 8, at random", keeps=True, in_runs=True, folds=True),
    Case("the same, fold s.d. .10", fold=0.1, keeps=True, in_runs=True, folds=True),
    Case("folds, runs of 8, in blocks", keeps=True, in_runs=True, folds=True, windows=True),
    Case("the same in blocks, fold s.d. .10", fold=0.1, keeps=True, in_runs=True, folds=True,
         windows=True),
)  # fmt: skip


class Simulated(Decoding):
    """A run of two arms whose scores are drawn."""

    def __init__(self, case: Case, n_seeds: int, run: int) -> None:
        super().__init__(RunConfig(seeds=n_seeds, first_seed=1000 * run, controls="none"))
        self.case = case
        self.rng = np.random.default_rng([run, n_seeds, CASES.index(case) if case in CASES else 99])

    def arms(self) -> list[Arm]:
        return [Arm(BASELINE, candidate=True, compared_with=()), Arm(STUDENT, candidate=True)]

    def summary(self, folder: Any) -> dict[str, Any]:
        return {}

    def samples(self, folder: Any, draws: Draws) -> dict[str, Any]:
        case, rng = self.case, self.rng
        shared = BASE + DIFFICULTY * rng.standard_normal(N_TRIALS)
        kept = self._over_trials()
        power = rng.lognormal(-(POWER**2) / 2, POWER, N_TRIALS)
        scored: dict[str, list[list[Scored]]] = {BASELINE: [], STUDENT: []}
        by_seed: dict[int, list[Split]] = {}
        for split in folder.splits():
            by_seed.setdefault(split.seed, []).append(split)
        for splits in by_seed.values():
            added = kept if case.keeps else self._over_trials()
            # of a difference, each of whose arms has a share of its own
            of_seed = dict(zip(scored, case.seed / 2**0.5 * rng.standard_normal(2), strict=True))
            for each in scored.values():
                each.append([])
            for split in splits:
                of_fold = dict(
                    zip(scored, case.fold / 2**0.5 * rng.standard_normal(2), strict=True)
                )
                for arm, each in scored.items():
                    score = shared + of_seed[arm] + of_fold[arm]
                    if arm == STUDENT:
                        score = score + GAIN + added
                    each[-1].append(_scored(split.test, score[split.test], power[split.test]))
        return {
            arm: [samples_of_seed(folds, X, draws, len(seeds) == 1) for folds in seeds]
            for arm, seeds in scored.items()
        }

    def _over_trials(self) -> Floats:
        if not self.case.in_runs:
            return self.case.trial * self.rng.standard_normal(N_TRIALS)
        start = self.rng.integers(RUN)
        runs = np.repeat(self.rng.standard_normal(N_TRIALS // RUN + 2), RUN)
        found: Floats = self.case.trial * runs[start : start + N_TRIALS]
        return found


def _scored(trial: NDArray[np.int64], score: Floats, power: Floats) -> Scored:
    """Return what a fit leaves whose R² is the power-weighted mean of (n,) ``score``."""
    one = np.ones((len(trial), 1))
    sums = ErrorSums(one, 0 * one, power[:, None], (power * (1 - score))[:, None])
    nothing: Any = None
    read = ("rates", "same bin")
    return Scored(
        trial, None, None, sums, sums, None, None, nothing, None, None, None, nothing, read
    )


@functools.cache
def _recording(windows: bool) -> Trials:
    spikes = np.ones((N_TRIALS, 2, 2), dtype=np.uint8)
    window_id = np.arange(N_TRIALS) if windows else None
    return Trials.from_arrays(spikes, 0.1, window_id=window_id)


def simulated(case: Case, n_seeds: int, run: int) -> dict[str, Any]:
    """Return the content of ``results.json`` of one run."""
    experiment, data = Simulated(case, n_seeds, run), _recording(case.windows)
    folds = range(N_FOLDS) if case.folds else [None]
    n_folds = N_FOLDS if case.folds else None
    seeds = experiment.config.all_seeds
    splits = [split_trials(data, s, 0.0, 0, fold, n_folds) for s in seeds for fold in folds]
    fits = [Fit(arm, s.seed, s.fold) for arm in experiment.arms() for s in splits]
    folder: Any = SimpleNamespace(
        experiment=experiment,
        data=lambda: data,
        splits=lambda: splits,
        fits=lambda: fits,
        scores=lambda fit: {"valid": {"decoding_r2": 0.0}},
    )
    return gather(folder)


def coverage(case: Case, n_seeds: int, n_runs: int) -> list[tuple[float, float, float]]:
    """Return coverage, mean width and true standard deviation, of difference and of score."""
    found = [simulated(case, n_seeds, run) for run in range(n_runs)]
    entries = (
        (GAIN, [r["contrasts"][f"{STUDENT} - {BASELINE}"]["decoding_r2"] for r in found]),
        (BASE + GAIN, [r["arms"][STUDENT]["decoding_r2"] for r in found]),
    )
    rows = []
    for truth, each in entries:
        low, high = np.array([entry["ci95"] for entry in each], dtype=float).T
        means = [entry["mean"] for entry in each]
        held = float(np.mean((low <= truth) & (truth <= high)))
        rows.append((held, float(np.mean(high - low)), float(np.std(means))))
    return rows


def optimism(n_arms: int, n_seeds: int, n_runs: int = 2000) -> tuple[float, float]:
    """Return how much the selected of equal arms is flattered, and the s.d. of one arm's score.

    Trials keep what they add to an arm over seeds, and validate in one seed and test in another.
    The arm with the best mean validation score is selected, and its mean test score compared with
    the truth.
    """
    data, rng = _recording(False), np.random.default_rng(0)
    flattered, spread = [], []
    for run in range(n_runs):
        splits = [split_trials(data, 1000 * run + s, 0.0) for s in range(n_seeds)]
        added = 0.42 * rng.standard_normal((n_arms, N_TRIALS))
        valid = np.mean([added[:, s.valid].mean(axis=1) for s in splits], axis=0)
        test = np.mean([added[:, s.test].mean(axis=1) for s in splits], axis=0)
        flattered.append(test[valid.argmax()])
        spread.append(test[0])
    return float(np.mean(flattered)), float(np.std(spread))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=400, help="simulated runs of each entry")
    parser.add_argument("--only", help="cases whose name has this")
    given = parser.parse_args()
    began = time.time()
    setattr(Draws, "of", functools.cache(Draws.of))  # noqa: B010  # the same in every run
    head = "  ".join(f"{n} seed{'s' * (n > 1)}".center(20) for n in SEEDS)
    print(f"{'held the truth % (width, s.d.)':42s}{head}")
    for case in CASES:
        if given.only and given.only not in case.name:
            continue
        by_seeds = [coverage(case, n, given.runs) for n in SEEDS]
        for i in range(2):
            cells = (f"{100 * c:5.1f} ({w:.3f}, {sd:.3f})" for c, w, sd in (b[i] for b in by_seeds))
            name = case.name if i == 0 else f"{'':30s}score"
            print(f"{name:42s}{'  '.join(cells)}", flush=True)
    print(
        "\nselected of equal arms, trials that keep what they add: flattered by (s.d. of a score)"
    )
    for n_arms in (2, 4, 8):
        cells = ("{:+.4f} ({:.3f})".format(*optimism(n_arms, n)).center(20) for n in SEEDS)
        print(f"{n_arms} arms".ljust(42) + "  ".join(cells))
    print(f"{time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
