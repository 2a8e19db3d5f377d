"""Intervals of decoding, from scores that are drawn instead of trained for."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neuroblend.data.channel import Channel
from neuroblend.data.split import split_trials
from neuroblend.data.trials import Trials
from neuroblend.engine.arm import BASELINE, Arm, Fit
from neuroblend.engine.results import gather
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.evaluation.metrics import ErrorSums
from neuroblend.evaluation.score import drawn_scores, scores_by_fold, scores_on_test
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.decoding.samples import samples_of_seed
from neuroblend.experiments.decoding.settings import RunConfig

X = (Channel("x"),)

N = 120
DATA = Trials.from_arrays(np.ones((N, 2, 2), dtype=np.uint8), 0.1)


def scored(trial: np.ndarray, score: np.ndarray) -> Scored:
    """What a fit leaves whose R² is the mean of (n,) ``score``."""
    one, nothing = np.ones((len(trial), 1)), None
    sums = ErrorSums(one, 0 * one, one, 1 - score[:, None])
    given: dict[str, Any] = dict.fromkeys(Scored.__dataclass_fields__, nothing)
    return Scored(**given | {"trial": trial, "behavior": sums, "chosen": sums})


class Drawn(Decoding):
    """A baseline, and a student that is better by ``gain`` and what a trial and a fit add."""

    def __init__(self, n_seeds: int, gain: float, trial: float, fit: float, first_seed=0) -> None:
        super().__init__(RunConfig(seeds=n_seeds, first_seed=first_seed, controls="none"))
        self.gain, self.trial, self.fit = gain, trial, fit

    def arms(self) -> list[Arm]:
        return [Arm(BASELINE, candidate=True, compared_with=()), Arm("hard", candidate=True)]

    def summary(self, folder: Any) -> dict[str, Any]:
        return {}

    def samples(self, folder: Any, draws: Draws) -> dict[str, Any]:
        rng = np.random.default_rng(self.config.first_seed)
        base = 0.3 + 0.3 * rng.normal(size=N)
        better = base + self.gain + self.trial * rng.normal(size=N)
        found: dict[str, list[Any]] = {BASELINE: [], "hard": []}
        for seed in self.config.all_seeds:
            tests = [split.test for split in folder.splits() if split.seed == seed]
            fits = [self.fit * rng.normal() for _ in tests]
            scores = {BASELINE: [base] * len(tests), "hard": [better + f for f in fits]}
            for arm, values in scores.items():
                folds = [scored(t, v[t]) for t, v in zip(tests, values, strict=True)]
                only_seed = len(self.config.all_seeds) == 1
                found[arm].append(samples_of_seed(folds, X, draws, only_seed))
        return found


def results(n_seeds: int, n_folds: int | None, *scores: float, first_seed: int = 0) -> dict:
    experiment = Drawn(n_seeds, *scores, first_seed=first_seed)
    folds = [None] if n_folds is None else range(n_folds)
    seeds = experiment.config.all_seeds
    splits = [split_trials(DATA, seed, 0.0, 0, fold, n_folds) for seed in seeds for fold in folds]
    folder: Any = SimpleNamespace(
        experiment=experiment,
        data=lambda: DATA,
        splits=lambda: splits,
        fits=lambda: [Fit(arm, s.seed, s.fold) for arm in experiment.arms() for s in splits],
        scores=lambda fit: {"valid": {"decoding_r2": 0.0}},
    )
    return gather(folder)


@pytest.mark.parametrize(
    ("n_seeds", "n_folds", "covers"),
    [(1, None, "none"), (1, 4, "folds"), (2, None, "seeds"), (2, 4, "seeds")],
)
def test_results_say_what_intervals_cover(n_seeds, n_folds, covers) -> None:
    found = results(n_seeds, n_folds, 0.1, 0.1, 0.0)
    assert found["intervals"] == covers
    gain = found["contrasts"]["hard - baseline"]["decoding_r2"]
    assert len(gain["per_seed"]) == n_seeds
    assert gain["mean"] == pytest.approx(0.1, abs=0.05)
    assert np.mean(gain["ci95"]) == pytest.approx(gain["mean"])


def test_no_r2_has_an_interval_beyond_one() -> None:
    found = results(2, None, 0.3, 0.3, 0.1)["arms"]["hard"]
    for name, score in found.items():
        assert score["ci95"][1] == 1, name
        assert score["ci95"][0] < score["mean"] < 1


def test_folds_show_how_much_fits_differ() -> None:
    """The same trials, tested once; what each fold's fit adds is in the interval."""

    def width(fit: float) -> float:
        found = results(1, 5, 0.1, 0.1, fit)["contrasts"]["hard - baseline"]["decoding_r2"]
        return float(np.ptp(found["ci95"]))

    assert width(0.2) > 5 * width(0.0)


def test_what_each_fold_adds_has_the_score_as_its_mean() -> None:
    """Nearly: a score of all folds is no mean over folds, but of trials of equal power."""
    rng = np.random.default_rng(0)
    draws, trials = Draws.of(N), np.split(rng.permutation(N), 4)
    folds = [scored(t, 0.3 + 0.1 * rng.normal(size=len(t))) for t in trials]
    values, replicates = scores_by_fold(folds, X, draws)["decoding_r2"]
    assert values.mean() == pytest.approx(scores_on_test(folds, X)["decoding_r2"])
    np.testing.assert_allclose(values, [scores_on_test([f], X)["decoding_r2"] for f in folds])
    whole = drawn_scores(folds, X, draws)["decoding_r2"][: len(replicates)]
    np.testing.assert_allclose(replicates.mean(axis=1), whole, atol=0.01)


@pytest.mark.parametrize(("n_seeds", "n_folds"), [(3, None), (1, 5)])
def test_the_gain_is_within_its_interval(n_seeds, n_folds) -> None:
    """In 100 runs whose fits differ as much as their trials do."""
    hits = 0
    for run in range(100):
        found = results(n_seeds, n_folds, 0.05, 0.3, 0.06, first_seed=100 * run)
        low, high = found["contrasts"]["hard - baseline"]["decoding_r2"]["ci95"]
        hits += low <= 0.05 <= high
    assert 88 <= hits <= 100
