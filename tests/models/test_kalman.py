"""The Kalman filter and smoother against the posterior of the joint Gaussian."""

import numpy as np
import pytest

from neuroblend.models.references.kalman import Kalman, lagged_spikes


@pytest.fixture
def world():
    """Behavior that is second-order autoregressive, and spikes that are linear in it."""
    rng = np.random.default_rng(0)
    n_trials, n_bins, n_neurons = 200, 12, 6
    behavior = np.zeros((n_trials, n_bins, 2))
    behavior[:, 0] = rng.standard_normal((n_trials, 2))
    change = np.zeros((n_trials, 2))
    for t in range(1, n_bins):
        change = 0.7 * change + 0.3 * rng.standard_normal((n_trials, 2))
        behavior[:, t] = 0.9 * behavior[:, t - 1] + change
    loading = rng.standard_normal((2, n_neurons))
    spikes = 3 + behavior @ loading + rng.standard_normal((n_trials, n_bins, n_neurons))
    return spikes, 40 * behavior + 5


def posterior(model: Kalman, spikes: np.ndarray, n_seen: int) -> np.ndarray:
    """The mean of all states given the first ``n_seen`` bins, from their joint covariance."""
    n_bins, size = spikes.shape[0], len(model.noise)
    spread = [model.initial]
    for _ in range(n_bins - 1):
        spread.append(model.transition @ spread[-1] @ model.transition.T + model.noise)
    joint = np.zeros((n_bins, size, n_bins, size))
    for s in range(n_bins):
        carried = np.eye(size)
        for t in range(s, n_bins):
            joint[t, :, s] = carried @ spread[s]
            joint[s, :, t] = joint[t, :, s].T
            carried = model.transition @ carried
    joint = joint.reshape(n_bins * size, n_bins * size)
    seen = np.kron(np.eye(n_bins)[:n_seen], model.emission)
    noise = np.kron(np.eye(n_seen), np.linalg.inv(model.precision))
    gain = joint @ seen.T @ np.linalg.inv(seen @ joint @ seen.T + noise)
    return (gain @ (spikes[:n_seen] - model.mean).ravel()).reshape(n_bins, size)


def test_filter_and_smoother_are_the_posterior_mean(world) -> None:
    spikes, behavior = world
    model = Kalman.fit(spikes[:150], behavior[:150])
    filtered, smoothed = model.decode(spikes[150:152])
    for i in range(2):
        whole = posterior(model, spikes[150 + i], 12)[:, :2] * model.scale + model.centre
        np.testing.assert_allclose(smoothed[i], whole, rtol=1e-5, atol=1e-5)
        for t in (0, 5, 11):
            past = posterior(model, spikes[150 + i], t + 1)[t, :2] * model.scale + model.centre
            np.testing.assert_allclose(filtered[i, t], past, rtol=1e-5, atol=1e-5)


def test_it_decodes_and_the_future_helps(world) -> None:
    spikes, behavior = world
    filtered, smoothed = Kalman.fit(spikes[:150], behavior[:150]).decode(spikes[150:])
    errors = [((found - behavior[150:]) ** 2).mean() for found in (filtered, smoothed)]
    assert errors[1] < errors[0] < 0.2 * behavior.var()


def test_padding_and_missing_behavior_change_nothing(world) -> None:
    spikes, behavior = world
    short = spikes[150:151].copy()
    short[:, 8:] = np.nan
    gaps = behavior[:150].copy()
    gaps[:20, 3] = np.nan
    model = Kalman.fit(spikes[:150], gaps)
    found, alone = model.decode(short), model.decode(spikes[150:151, :8])
    for padded, whole in zip(found, alone, strict=True):
        np.testing.assert_allclose(padded[:, :8], whole)
        assert np.isnan(padded[:, 8:]).all()


def test_lagged_spikes_are_those_of_earlier_bins() -> None:
    spikes = np.arange(10.0).reshape(1, 10, 1)
    lagged = dict(lagged_spikes(spikes, 0.06))
    assert lagged["spikes 0 ms before"].ravel().tolist() == list(range(10))
    assert lagged["spikes 120 ms before"].ravel().tolist() == [0, 0, *range(8)]
    assert len(dict(lagged_spikes(spikes, 0.5))) == 1
