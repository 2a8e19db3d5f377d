import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss, mean_poisson_deviance, roc_auc_score

from neuroblend.evaluation.kind_sums import N_RANKS, CircularSums, DiscreteSums, EventSums


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def drawn(rng, n_trials, n_replicates=4):
    """Replicates, the first of which has every trial once."""
    weights = rng.multinomial(n_trials, np.full(n_trials, 1 / n_trials), n_replicates)
    return np.vstack([np.ones(n_trials), weights]).astype(float)


def repeated(values, weights):
    """Return (n,) values of (B, T) as a replicate draws them, those that are missing too."""
    return np.repeat(values, weights.astype(int), axis=0).ravel()


@pytest.mark.parametrize("n_categories", [2, 4])
def test_categories_are_scored_as_scikit_learn_does(rng, n_categories) -> None:
    true = rng.integers(0, n_categories, size=(12, 9)).astype(float)
    logits = rng.normal(size=(12, 9, n_categories)) + 2 * np.eye(n_categories)[true.astype(int)]
    log = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    found = logits.argmax(axis=2).astype(float)
    true[rng.random(true.shape) < 0.2] = np.nan
    sums = DiscreteSums.of(found[:, :, None], [log], true[:, :, None])
    weights = drawn(rng, 12)
    scores = (sums.balanced_accuracy, sums.gain, sums.gain_fraction, sums.auc)
    accuracy, gain, fraction, auc = (score(weights)[:, 0] for score in scores)
    for r, w in enumerate(weights):
        truth, guess = repeated(true, w), repeated(found, w)
        known = ~np.isnan(truth)
        truth, guess = truth[known].astype(int), guess[known].astype(int)
        each = np.repeat(log, w.astype(int), axis=0).reshape(-1, n_categories)[known]
        assert accuracy[r] == pytest.approx(balanced_accuracy_score(truth, guess))
        share = np.bincount(truth, minlength=n_categories) / len(truth)
        entropy = log_loss(truth, np.tile(share, (len(truth), 1)), labels=range(n_categories))
        lost = log_loss(truth, np.exp(each), labels=range(n_categories))
        assert gain[r] == pytest.approx((entropy - lost) / np.log(2))
        assert fraction[r] == pytest.approx(1 - lost / entropy)
        if n_categories == 2:
            assert auc[r] == pytest.approx(roc_auc_score(truth, each[:, 1]))
    if n_categories > 2:
        assert np.isnan(auc).all()


def test_a_curve_of_many_values_is_close_to_exact(rng) -> None:
    true = (rng.random((50, 60)) < 0.1).astype(float)
    odds = rng.normal(size=true.shape) + true
    assert odds.size > 10 * N_RANKS
    log = np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=2)
    sums = DiscreteSums.of(true[:, :, None], [log], true[:, :, None])
    assert sums.auc()[0, 0] == pytest.approx(roc_auc_score(true.ravel(), odds.ravel()), abs=1e-3)


def test_folds_that_tell_nothing_have_no_curve_together_whatever_their_sizes(rng) -> None:
    found = []
    for _ in range(100):
        folds = []
        for n, share, spread in ((20, 0.3, 0.0), (60, 0.7, 1.0)):
            true = (rng.random((n, 1)) < share).astype(float)
            odds = spread * rng.normal(size=true.shape)
            log = np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=2)
            folds.append(DiscreteSums.of(true[:, :, None], [log], true[:, :, None]).ranks)
        ranks = np.concatenate(folds)
        nothing = np.zeros((len(ranks), 1))
        found.append(DiscreteSums(nothing[:, :, None, None], nothing, ranks).auc()[0, 0])
    assert np.mean(found) == pytest.approx(0.5, abs=0.02)


def test_a_category_that_is_not_tested_counts_neither_in_accuracy_nor_in_chance() -> None:
    true = np.array([[0.0, 0, 1, 1]])
    log = np.log(np.full((1, 4, 3), 1 / 3))
    sums = DiscreteSums.of(np.array([[0.0, 2, 1, 1]])[:, :, None], [log], true[:, :, None])
    assert sums.balanced_accuracy()[0, 0] == 0.75
    assert sums.chance()[0, 0] == 0.5
    assert sums.balanced_skill()[0, 0] == 0.5


def test_angles_are_scored_across_the_turn(rng) -> None:
    true = rng.uniform(-0.6, 0.6, size=(8, 7)) % (2 * np.pi)
    found = (true + rng.normal(0, 0.3, size=true.shape)) % (2 * np.pi)
    true[0, :3] = np.nan
    sums = CircularSums.of(found[:, :, None], true[:, :, None])
    weights = drawn(rng, 8)
    for r, w in enumerate(weights):
        truth, guess = repeated(true, w), repeated(found, w)
        truth, guess = truth[~np.isnan(truth)], guess[~np.isnan(truth)]
        error = np.angle(np.exp(1j * (guess - truth)))
        length = abs(np.exp(1j * truth).mean())
        skill = 1 - (1 - np.cos(error)).mean() / (1 - length)
        assert sums.skill(weights)[r, 0] == pytest.approx(skill)
        assert sums.degrees(weights)[r, 0] == pytest.approx(np.degrees(np.abs(error).mean()))
    mean = np.angle(np.exp(1j * true[~np.isnan(true)]).mean())
    guesses = np.full_like(true, mean)
    assert CircularSums.of(guesses[:, :, None], true[:, :, None]).skill()[0, 0] == pytest.approx(
        0, abs=1e-9
    )


def test_events_are_scored_by_poisson_deviance(rng) -> None:
    rate = rng.gamma(1.0, 0.4, size=(9, 11))
    true = rng.poisson(rate).astype(float)
    true[2:4, 5:] = np.nan
    sums = EventSums.of(rate[:, :, None], true[:, :, None])
    weights = drawn(rng, 9)
    for r, w in enumerate(weights):
        truth, guess = repeated(true, w), repeated(rate, w)
        truth, guess = truth[~np.isnan(truth)], guess[~np.isnan(truth)]
        mean = np.full_like(truth, truth.mean())
        null, left = mean_poisson_deviance(truth, mean), mean_poisson_deviance(truth, guess)
        assert sums.deviance_explained(weights)[r, 0] == pytest.approx(1 - left / null)
        bits = (null - left) / 2 * len(truth) / truth.sum() / np.log(2)
        assert sums.bits(weights)[r, 0] == pytest.approx(bits)
