import numpy as np
import pytest
from scipy.stats import poisson
from sklearn.metrics import r2_score

from neuroblend.evaluation.metrics import ErrorSums, PsthSums, SpikeSums, bits_per_spike, psths


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    rates = np.exp(rng.normal(-1, 0.7, size=(30, 20, 6)))
    return rates, rng.poisson(rates).astype(float), rng


def brute_force_bits(rates, spikes) -> float:
    known = ~np.isnan(spikes)
    null = np.broadcast_to(np.nanmean(spikes, axis=(0, 1)), spikes.shape)
    gain = poisson.logpmf(spikes[known], rates[known]) - poisson.logpmf(spikes[known], null[known])
    return gain.sum() / np.log(2) / np.nansum(spikes)


def test_bits_per_spike_is_the_likelihood_gain(data) -> None:
    rates, spikes, _ = data
    assert bits_per_spike(rates, spikes) == pytest.approx(
        brute_force_bits(rates, spikes), rel=1e-12
    )
    assert bits_per_spike(rates, spikes) > 0.1
    mean = np.broadcast_to(spikes.mean((0, 1)), spikes.shape)
    assert bits_per_spike(mean, spikes) == pytest.approx(0, abs=1e-12)


def test_missing_spikes_are_skipped_and_zero_rates_survive(data) -> None:
    rates, spikes, rng = data
    spikes[rng.random(spikes.shape) < 0.2] = np.nan
    assert bits_per_spike(rates, spikes) == pytest.approx(
        brute_force_bits(rates, spikes), rel=1e-12
    )
    rates[0, 0] = 0.0
    kept = rates.copy()
    assert np.isfinite(bits_per_spike(rates, spikes))
    np.testing.assert_array_equal(rates, kept)


def test_weights_are_trials_drawn_several_times(data) -> None:
    rates, spikes, rng = data
    index = rng.integers(30, size=30)
    weights = np.bincount(index, minlength=30)[None].astype(float)
    drawn = SpikeSums.of(rates, spikes).bits_per_spike(weights)[0]
    assert drawn == pytest.approx(brute_force_bits(rates[index], spikes[index]), rel=1e-10)
    true = rng.normal(size=(30, 20, 3))
    guess = true + rng.normal(size=true.shape)
    r2 = ErrorSums.of(guess, true).r2(weights)[0]
    flat = [x[index].reshape(-1, 3) for x in (true, guess)]
    np.testing.assert_allclose(r2, r2_score(*flat, multioutput="raw_values"), rtol=1e-9)


def test_bits_of_each_neuron(data) -> None:
    rates, spikes, _ = data
    each = SpikeSums.of(rates, spikes).bits_per_neuron()
    expected = [brute_force_bits(rates[:, :, [n]], spikes[:, :, [n]]) for n in range(6)]
    np.testing.assert_allclose(each, expected, rtol=1e-9)
    spikes[:, :, 2] = 0
    assert np.isnan(SpikeSums.of(rates, spikes).bits_per_neuron()[2])


def test_r2_skips_missing_samples_and_is_nan_for_constants() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(5, 1, size=(10, 8, 3))
    true[:, :, 2] = 4.0
    true[2, 3, 0] = np.nan
    guess = true + rng.normal(size=true.shape)
    guess[2, 3, 0] = 77
    r2 = ErrorSums.of(guess, true).r2()[0]
    known = ~np.isnan(true[:, :, 0])
    assert r2[0] == pytest.approx(r2_score(true[:, :, 0][known], guess[:, :, 0][known]), rel=1e-9)
    assert np.isnan(r2[2])


def test_r2_does_not_depend_on_units() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(size=(10, 8, 1))
    guess = true + rng.normal(size=true.shape)
    expected = ErrorSums.of(guess, true).r2()[0]
    for unit in (1e-9, 1e9):
        np.testing.assert_allclose(ErrorSums.of(guess * unit, true * unit).r2()[0], expected)


def test_psth_score_is_r2_of_condition_means(data) -> None:
    rates, spikes, rng = data
    condition = rng.integers(3, size=30)
    truth = psths(spikes, condition, 3, bin_s=0.02)
    sums = PsthSums(rates, condition, truth)
    means = np.stack([rates[condition == c].mean(0) for c in range(3)])
    expected = r2_score(truth.reshape(-1, 6), means.reshape(-1, 6))
    assert sums.r2()[0] == pytest.approx(expected, rel=1e-9)
    untested = PsthSums(rates[condition != 1], condition[condition != 1], truth).r2()[0]
    weights = (condition != 1)[None].astype(float)
    expected = r2_score(truth[[0, 2]].reshape(-1, 6), means[[0, 2]].reshape(-1, 6))
    assert sums.r2(weights)[0] == pytest.approx(expected, rel=1e-9)
    assert untested == pytest.approx(expected, rel=1e-9)


def test_psths_are_smoothed_means() -> None:
    spikes = np.zeros((4, 41, 1))
    spikes[:2, 20] = 1
    truth = psths(spikes, np.array([0, 0, 1, 1]), 2, bin_s=0.02)
    assert truth.shape == (2, 41, 1)
    assert truth[0].sum() == pytest.approx(1, rel=1e-3)
    bins = np.arange(41)
    width_s = np.sqrt((truth[0, :, 0] * (bins - 20) ** 2).sum()) * 0.02
    assert width_s == pytest.approx(0.05, rel=0.02)
    assert not truth[1].any()
