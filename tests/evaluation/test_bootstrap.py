import numpy as np
import pytest

from neuroblend.evaluation.bootstrap import Draws, interval


def test_draws_repeat_and_hold_every_trial_in_expectation() -> None:
    draws = Draws.of(50, 3)
    np.testing.assert_array_equal(draws.trials, Draws.of(50, 3).trials)
    assert (draws.trials.sum(axis=1) == 50).all()
    np.testing.assert_allclose(draws.trials.mean(axis=0), 1, atol=0.2)
    np.testing.assert_allclose(draws.seeds.sum(axis=1), 1)
    assert (Draws.of(50, 1).seeds == 1).all()


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=100)
    draws = Draws.of(100, 1)
    low, high = interval(draws.over_seeds((draws.trials @ values / 100)[:, None]), values.mean())
    half = 1.96 * values.std() / 10
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_a_trial_tested_by_several_seeds_counts_once() -> None:
    """Three seeds that test the same trials know no more than one of them."""
    values = np.random.default_rng(0).normal(size=100)
    one, three = Draws.of(100, 1), Draws.of(100, 3)
    replicates = three.trials @ values / 100
    width = np.ptp(interval(three.over_seeds(np.repeat(replicates[:, None], 3, axis=1)), 3.0))
    alone = np.ptp(interval(one.over_seeds((one.trials @ values / 100)[:, None]), 3.0))
    assert width == pytest.approx(alone, rel=0.1)


def test_seeds_that_differ_widen_the_interval() -> None:
    draws = Draws.of(100, 4)
    flat = np.zeros((1000, 4))
    assert np.ptp(interval(draws.over_seeds(flat), 0.0)) == 0
    apart = flat + np.array([0.0, 1.0, 2.0, 3.0])
    assert np.ptp(interval(draws.over_seeds(apart), 1.5)) > 1


def test_bias_of_the_replicates_does_not_move_the_interval() -> None:
    replicates = np.random.default_rng(0).normal(size=5000)
    low, high = interval(replicates - 7, 0.3)
    assert low == pytest.approx(0.3 - 1.96, abs=0.1)
    assert high == pytest.approx(0.3 + 1.96, abs=0.1)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    draws = Draws.of(60, 1)
    hits = 0
    for _ in range(300):
        sample = rng.normal(size=60)
        low, high = interval((draws.trials @ sample) / 60, sample.mean())
        hits += low <= 0 <= high
    assert 0.90 <= hits / 300 <= 0.98
