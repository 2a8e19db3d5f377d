"""The regression agrees with scikit-learn's, one neuron at a time."""

import numpy as np
import pytest
from conftest import refuses
from sklearn.linear_model import PoissonRegressor

from neuroblend.models.references import poisson_glm
from neuroblend.models.references.poisson_glm import PENALTIES, choose_penalty, fit_poisson


def make_samples(n: int = 400, n_features: int = 6, n_outputs: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, n_features)) @ rng.normal(size=(n_features, n_features)) + 2
    slopes = rng.normal(size=(n_features, n_outputs)) / n_features
    log_rates = features @ slopes
    log_rates += np.array([-3.0, -1.5, 0.0, 1.0]) - log_rates.mean(axis=0)
    return features, rng.poisson(np.exp(log_rates)).astype(np.float64)


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 3.0])
def test_agrees_with_scikit_learn(penalty) -> None:
    features, counts = make_samples()
    glm = fit_poisson(features, counts, penalty, tolerance=1e-7)
    for j in range(counts.shape[1]):
        other = PoissonRegressor(alpha=penalty, solver="newton-cholesky", tol=1e-10)
        other.fit(features, counts[:, j])
        np.testing.assert_allclose(glm.weights[:, j], other.coef_, atol=1e-5)
        np.testing.assert_allclose(glm.offset[j], other.intercept_, atol=1e-5)


def test_the_default_tolerance_is_close_enough() -> None:
    features, counts = make_samples()
    quick, exact = (fit_poisson(features, counts, 1e-3, tol) for tol in (1e-4, 1e-7))
    np.testing.assert_allclose(quick(features), exact(features), atol=1e-3)


def test_outputs_do_not_touch_each_other() -> None:
    features, counts = make_samples()
    together = fit_poisson(features, counts, 0.01, 1e-7)
    alone = fit_poisson(features, counts[:, 1:2], 0.01, 1e-7)
    np.testing.assert_allclose(together.weights[:, 1:2], alone.weights, atol=1e-5)


@pytest.mark.parametrize("n_features", [0, 3])
def test_features_that_do_not_vary_and_none_leave_the_mean(n_features) -> None:
    _, counts = make_samples()
    glm = fit_poisson(np.ones((len(counts), n_features)), counts, 0.1, 1e-7)
    np.testing.assert_allclose(glm.weights, 0, atol=1e-6)
    np.testing.assert_allclose(glm.offset, np.log(counts.mean(axis=0)), atol=1e-6)


def test_a_silent_output_counts_as_half_a_spike() -> None:
    features, counts = make_samples()
    counts[:, 2] = 0
    glm = fit_poisson(features, counts, 0.01)
    assert np.isfinite(glm.weights).all()
    assert np.exp(glm(features)[:, 2]).sum() == pytest.approx(0.5, rel=0.05)


def test_the_penalty_is_the_one_that_predicts_trials_left_out() -> None:
    """Against cross-validation by hand with scikit-learn."""
    features, counts = make_samples(n=120, n_features=20)
    trial = np.repeat(np.arange(12), 10)
    penalties = np.array([1000.0, 10.0, 0.3, 0.01])

    def score(penalty: float) -> float:
        total = 0.0
        for fold in range(5):
            left = trial % 5 == fold
            for j in range(counts.shape[1]):
                model = PoissonRegressor(alpha=penalty, solver="newton-cholesky")
                rates = model.fit(features[~left], counts[~left, j]).predict(features[left])
                total += (counts[left, j] * np.log(rates) - rates).sum()
        return total / len(features)

    scores = [score(penalty) for penalty in penalties]
    found, chosen = choose_penalty(features, counts, trial, penalties)
    assert 0 < int(np.argmax(scores)) < 3  # else nothing is chosen
    assert chosen == penalties[np.argmax(scores)]
    assert found == pytest.approx(max(scores), abs=5e-3)  # its tolerance is coarse


def test_the_search_goes_on_past_a_dip_but_not_for_ever(monkeypatch) -> None:
    tried = []

    class Fixed:
        """Predicts log rates of a given quality whatever the data."""

        def __init__(self, features, counts) -> None:
            pass

        def solve(self, penalty, tolerance, start):
            tried.append(penalty)
            return penalty

        def in_features(self, penalty):
            quality = {8.0: 1.0, 4.0: 0.9, 2.0: 1.2, 1.0: 1.1, 0.5: 1.1, 0.25: 1.4}[penalty]
            return lambda features: np.full((len(features), 1), quality)

    monkeypatch.setattr(poisson_glm, "_Problem", Fixed)
    features, counts, trial = np.zeros((10, 1)), np.full((10, 1), 99.0), np.arange(10)
    _, chosen = choose_penalty(features, counts, trial, np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.25]))
    assert chosen == 2.0
    assert 0.25 not in tried


def test_candidates_go_from_strong_to_weak() -> None:
    assert (np.diff(PENALTIES) < 0).all()


def test_one_trial_cannot_be_left_out() -> None:
    features, counts = make_samples(n=20)
    refuses("one trial", choose_penalty, features, counts, np.zeros(20, dtype=np.int64))


def test_a_fit_that_does_not_converge_says_so(monkeypatch) -> None:
    monkeypatch.setattr(poisson_glm, "MOST_ITERATIONS", 1)
    refuses("no convergence", fit_poisson, *make_samples(), 1e-4)
