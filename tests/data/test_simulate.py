"""The simulated recording: reproducible, true to its own rates, and like the recordings it cites.

Shapes: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from neuroblend.data.trials import Trials
from neuroblend.simulate.reaching import simulate_reaching

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def trials() -> Trials:
    return simulate_reaching(n_trials=160, seed=3)


def velocity(trials: Trials) -> Array:
    return trials.behavior.astype(np.float64)


def rates(trials: Trials) -> Array:
    return trials.rates.astype(np.float64)


def target(trials: Trials) -> NDArray[np.int64]:
    return trials.condition.astype(np.int64)


def condition_mean(values: Array, condition: NDArray[np.int64]) -> Array:
    """Replace each trial of ``values`` (B, ...) by the mean of its condition."""
    mean = np.empty_like(values)
    for c in np.unique(condition):
        mean[condition == c] = values[condition == c].mean(axis=0)
    return mean


def bits_per_spike(counts: Array, expected: Array) -> float:
    """Poisson log-likelihood gain over each neuron's mean rate, in bits per spike."""
    mean = counts.mean(axis=(0, 1))
    gain = counts * np.log(expected / mean) - (expected - mean)
    return float(gain.sum() / np.log(2) / counts.sum())


def variance_within_conditions(values: Array, condition: NDArray[np.int64]) -> float:
    """Share of the variance of ``values`` (B, ...) that its condition means leave over."""
    left = ((values - condition_mean(values, condition)) ** 2).sum()
    return float(left / ((values - values.mean(axis=0)) ** 2).sum())


def test_shapes_names_and_types() -> None:
    trials = simulate_reaching(n_trials=10, n_neurons=7, n_bins=45, n_conditions=4, bin_s=0.025)
    n = trials.n_neurons
    # Neurons without a spike are kept out, so that a short recording may have fewer.
    assert 1 <= n <= 7
    assert trials.spikes.shape == rates(trials).shape == (10, 45, n)
    assert np.issubdtype(trials.spikes.dtype, np.unsignedinteger)
    assert trials.behavior.shape == (10, 45, 2)
    assert trials.behavior.dtype == trials.rates.dtype == np.float32
    assert trials.behavior_names == ("hand_vel_x", "hand_vel_y")
    assert trials.bin_s == 0.025


def test_same_seed_same_recording() -> None:
    one, two = (simulate_reaching(n_trials=16, n_neurons=10, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.spikes, two.spikes)
    np.testing.assert_array_equal(rates(one), rates(two))
    np.testing.assert_array_equal(velocity(one), velocity(two))
    np.testing.assert_array_equal(target(one), target(two))


def test_other_seed_other_recording() -> None:
    one, two = (simulate_reaching(n_trials=16, n_neurons=30, seed=s) for s in (5, 6))
    assert not np.array_equal(velocity(one), velocity(two))
    assert not np.array_equal(target(one), target(two))
    assert sorted(one.rate_hz) != sorted(two.rate_hz)


def test_movements_do_not_depend_on_number_of_neurons() -> None:
    few, many = (simulate_reaching(n_trials=16, n_neurons=n, seed=5) for n in (5, 20))
    np.testing.assert_array_equal(velocity(few), velocity(many))


def test_total_counts_agree_with_rates() -> None:
    # Many bins a neuron and a median rate that leaves no neuron silent, hence none kept out.
    trials = simulate_reaching(n_trials=80, n_neurons=150, median_rate_hz=5, seed=1)
    assert trials.n_neurons == 150
    expected = rates(trials).sum(axis=(0, 1))
    z = (trials.spikes.sum(axis=(0, 1)) - expected) / np.sqrt(expected)
    assert abs(z.mean()) < 3 / np.sqrt(150)
    assert 0.75 < z.std() < 1.25
    assert np.abs(z).max() < 4.5


def test_counts_are_poisson_given_rates(trials: Trials) -> None:
    expected = rates(trials)
    residual = trials.spikes - expected
    assert (residual**2).sum() / expected.sum() == pytest.approx(1, abs=0.02)
    # No correlation is left between successive bins: the rates hold all that is shared.
    standardised = residual / np.sqrt(expected)
    assert np.mean(standardised[:, 1:] * standardised[:, :-1]) == pytest.approx(0, abs=0.01)


def test_rates_over_neurons_are_like_a_recording() -> None:
    hz = simulate_reaching(n_trials=16, n_neurons=400, seed=2).rate_hz
    low, median, high = np.percentile(hz, [25, 50, 75])
    # MC_Maze, 182 units in one second around two reaches: 0.5, 1.5 and 4.5 Hz, the fastest 21 Hz.
    assert 0.5 < low < 1.2
    assert 1.3 < median < 2.4
    assert 3 < high < 5
    assert 15 < hz.max() < 60


def test_mean_rates_follow_the_parameter() -> None:
    trials = simulate_reaching(n_trials=40, n_neurons=20, median_rate_hz=12, rate_log_sd=0, seed=2)
    np.testing.assert_allclose(rates(trials).mean(axis=(0, 1)) / trials.bin_s, 12, rtol=1e-4)


def test_conditions_are_balanced_and_shuffled() -> None:
    condition = target(simulate_reaching(n_trials=42, n_neurons=5, n_conditions=5))
    assert sorted(np.bincount(condition)) == [8, 8, 8, 9, 9]
    assert np.any(condition != np.arange(42) % 5)


def test_hand_ends_near_its_target(trials: Trials) -> None:
    end = velocity(trials).sum(axis=1) * trials.bin_s
    angle = 2 * np.pi * target(trials) / 8
    goal = 140 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    error = np.linalg.norm(end - goal, axis=-1)
    assert np.median(error) < 20
    assert error.max() < 60  # neighbouring targets are 107 mm apart
    assert np.median(error) > 2


def test_speeds_are_like_a_recording(trials: Trials) -> None:
    speed = np.linalg.norm(velocity(trials), axis=-1)
    peak = speed.max(axis=1)
    assert 800 < np.median(peak) < 1100
    assert 0.08 < peak.std() / peak.mean() < 0.3
    # At rest before the go cue, and again at the end.
    assert 0 < np.median(speed[:, :4]) < 10
    assert np.median(speed[:, -3:]) < 10


def test_movement_onset_varies_with_reaction_time(trials: Trials) -> None:
    speed = np.linalg.norm(velocity(trials), axis=-1)
    onset = (speed > 100).argmax(axis=1)
    assert 15 <= np.median(onset) <= 21
    assert 1 < onset.std() < 4


def test_movements_differ_between_trials_of_a_condition(trials: Trials) -> None:
    assert 0.1 < variance_within_conditions(velocity(trials), target(trials)) < 0.5


def test_truth_tells_more_than_the_condition(trials: Trials) -> None:
    counts, truth = trials.spikes.astype(np.float64), rates(trials)
    oracle = bits_per_spike(counts, truth)
    psth = bits_per_spike(counts, condition_mean(truth, target(trials)))
    assert 0.1 < psth < 0.4
    assert psth + 0.05 < oracle < 0.6


def test_neurons_lead_the_hand() -> None:
    def best_lag(lead_s: float) -> int:
        trials = simulate_reaching(n_trials=80, lead_s=lead_s, behavior_lag_s=0, seed=4)
        neural = rates(trials).sum(axis=2)
        speed = np.linalg.norm(velocity(trials), axis=-1)
        size = speed.shape[1] - 15
        scores = [
            np.corrcoef(neural[:, :size].ravel(), speed[:, lag : lag + size].ravel())[0, 1]
            for lag in range(15)
        ]
        return int(np.argmax(scores))

    assert best_lag(0.2) - best_lag(0.1) == 5


def test_behavior_lag_moves_the_hand_and_nothing_else() -> None:
    size = {"n_trials": 16, "n_neurons": 20}
    at_once, later = (simulate_reaching(**size, behavior_lag_s=lag) for lag in (0, 0.1))
    np.testing.assert_array_equal(at_once.spikes, later.spikes)
    # Postural noise belongs to the bin, not to the movement: it does not move with the lag.
    np.testing.assert_allclose(velocity(at_once)[:, 5:], velocity(later)[:, :-5], atol=30)


def test_central_share_puts_the_movement_into_the_rates() -> None:
    def explained(central_share: float) -> float:
        """R2 of peak speed around its condition mean, from the true log rates."""
        trials = simulate_reaching(400, 20, central_share=central_share, shared_sd=0, seed=7)
        log_rates = np.log(rates(trials))[:, :10].mean(axis=1)  # before the go cue
        peak = np.linalg.norm(velocity(trials), axis=-1).max(axis=1)
        x = log_rates - condition_mean(log_rates, target(trials))
        y = peak - condition_mean(peak, target(trials))
        fit, *_ = np.linalg.lstsq(x[:200], y[:200], rcond=1e-3)
        return float(1 - ((y[200:] - x[200:] @ fit) ** 2).sum() / (y[200:] ** 2).sum())

    assert explained(0) < 0.05
    assert explained(1) > 0.6
    assert 0.15 < explained(0.5) < explained(1)


def test_shared_fluctuations_are_shared_and_can_be_left_out() -> None:
    def leftover(shared_sd: float) -> Array:
        """Log rates before the go cue, around their condition means: (B, N)."""
        trials = simulate_reaching(80, 30, central_share=0, shared_sd=shared_sd, seed=8)
        early: Array = np.log(rates(trials))[:, :4].mean(axis=1)
        return early - condition_mean(early, target(trials))

    assert leftover(0).std() < 0.02
    noisy = leftover(0.35)
    assert 0.15 < noisy.std() < 0.4
    pairs = np.asarray(np.corrcoef(noisy.T))[np.triu_indices(30, k=1)]
    assert 0.2 < pairs.mean() < 0.7  # a gain that most neurons follow the same way


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("n_trials", 0),
        ("n_neurons", -1),
        ("bin_s", 0.0),
        ("median_rate_hz", float("nan")),
        ("rate_log_sd", -0.1),
        ("shared_sd", -0.1),
        ("central_share", 1.5),
    ],
)
def test_what_cannot_be_simulated_is_named(argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=argument):
        simulate_reaching(**{argument: value})  # type: ignore[arg-type]
