import numpy as np
import pytest

from neuroblend.evaluation.bootstrap import N_BLOCKS, Draws, pseudo_values

ORDERED = Draws.of(200)


def test_draws_repeat_and_hold_every_trial_in_expectation() -> None:
    draws = Draws.of(50)
    np.testing.assert_array_equal(draws.trials, Draws.of(50).trials)
    assert (draws.trials.sum(axis=1) == 50).all()
    for i in (0, 1):
        np.testing.assert_allclose(draws.trials[i::2].mean(axis=0), 1, atol=0.2)


def test_every_other_replicate_draws_runs_of_an_eighth_of_the_recording() -> None:
    steps = np.abs(np.diff(ORDERED.trials, axis=1)) > 0  # where a run begins or ends
    assert steps[1::2].sum(axis=1).max() <= 2 * N_BLOCKS
    assert steps[::2].sum(axis=1).min() > 3 * N_BLOCKS
    alone = Draws.of(200, has_order=False).trials
    np.testing.assert_array_equal(alone[::2], ORDERED.trials[::2])
    assert (np.abs(np.diff(alone, axis=1)) > 0).sum(axis=1).min() > 3 * N_BLOCKS
    assert not Draws.of(N_BLOCKS).has_order


def of_mean(values: np.ndarray, draws: Draws = ORDERED) -> np.ndarray:
    """(R, 1) replicates of the mean of (B,) values."""
    return (draws.trials @ values / draws.trials.sum(axis=1))[:, None]


def width(*given: object, draws: Draws = ORDERED) -> float:
    low, high = draws.interval(*given)  # type: ignore[arg-type]
    return high - low


def test_the_interval_of_one_fit_is_that_of_theory() -> None:
    draws = Draws.of(100, has_order=False)
    values = np.random.default_rng(0).normal(3, 2, size=100)
    mean = values.mean()
    low, high = draws.interval(mean, np.array([mean]), of_mean(values, draws), 100)
    half = 1.984 * values.std(ddof=1) / 10  # t of 99 degrees of freedom
    assert [mean - low, high - mean] == pytest.approx([half, half], rel=0.06)


def test_seeds_that_test_the_same_trials_and_agree_know_no_more_than_one() -> None:
    values = np.random.default_rng(0).normal(size=200)
    one, mean = of_mean(values), values.mean()
    three = width(mean, np.full(3, mean), one.repeat(3, axis=1), 200)
    assert three == pytest.approx(width(mean, np.array([mean]), one, 200), rel=1e-6)


def test_seeds_that_differ_have_the_interval_of_students_t() -> None:
    """Where trials say nothing; 4.303 is the quantile of two degrees of freedom."""
    per_seed = np.array([0.0, 1.0, 2.0])
    nothing = np.zeros((1000, 3))
    assert width(1.0, per_seed, nothing, 200) == pytest.approx(2 * 4.303 / 3**0.5, rel=1e-3)


def test_what_folds_share_widens_their_interval() -> None:
    """As by Nadeau and Bengio: (1/K + 1/(K - 1)) of the variance between folds."""
    per_fold, nothing = np.arange(5.0), np.zeros((1000, 5))
    plain = width(2.0, per_fold, nothing, 200)
    assert width(2.0, per_fold, nothing, 200, 5 / 4) == pytest.approx(plain * (9 / 4) ** 0.5)


def test_fits_that_agree_by_luck_have_a_standard_error_of_trials_to_either_side() -> None:
    rng = np.random.default_rng(0)
    each = np.concatenate([of_mean(rng.normal(size=200)) for _ in range(2)], axis=1)
    found = width(0.0, np.zeros(2), each, 200)
    assert found == pytest.approx(2 / np.sqrt(400), rel=0.15)


def test_runs_of_trials_that_are_alike_widen_the_interval_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    alone, in_runs = rng.normal(size=200), rng.normal(size=25).repeat(8)
    for values, wanted in ((alone, 1.97 / 200**0.5), (in_runs, 2.36 / 25**0.5)):
        mean = values.mean()
        found = width(mean, np.array([mean]), of_mean(values), 200)
        assert found == pytest.approx(2 * wanted * values.std(ddof=1), rel=0.3)


def test_a_score_that_some_draws_lack_has_an_interval_and_one_that_all_lack_has_none() -> None:
    values = np.random.default_rng(0).normal(size=200)
    replicates, mean = of_mean(values), np.array([values.mean()])
    whole = ORDERED.interval(mean[0], mean, replicates, 200)
    replicates[:100] = np.nan
    assert ORDERED.interval(mean[0], mean, replicates, 200) == pytest.approx(whole, rel=0.2)
    assert np.isnan(ORDERED.interval(mean[0], mean, replicates * np.nan, 200)).all()
    assert np.isnan(ORDERED.interval(np.nan, mean * np.nan, replicates, 200)).all()


def test_pseudo_values_of_a_mean_are_those_of_its_folds() -> None:
    folds = np.array([1.0, 4.0, 2.5])
    without = np.array([np.delete(folds, i).mean() for i in range(3)])
    np.testing.assert_allclose(pseudo_values(folds.mean(), without), folds)


@pytest.mark.parametrize(
    ("n_seeds", "trial", "seed", "in_runs", "keeps", "least", "most"),
    [
        (1, 0.42, 0.0, False, False, 92, 98),
        (1, 0.42, 0.0, True, True, 87, 98),
        (2, 0.42, 0.0, False, False, 95, 100),  # the price of one degree of freedom
        (2, 0.05, 0.1, False, False, 92, 99),
        (3, 0.42, 0.0, False, False, 93, 99),
        (3, 0.42, 0.1, False, True, 93, 99),
        (3, 0.05, 0.1, False, False, 92, 98),
        (5, 0.42, 0.0, True, True, 91, 99),
        (5, 0.42, 0.05, False, True, 92, 98),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    n_seeds, trial, seed, in_runs, keeps, least, most
) -> None:
    """In per cent of 400 runs, each seed testing a fifth of the trials."""
    rng = np.random.default_rng([n_seeds, round(1000 * seed), in_runs, keeps])

    def over_trials() -> np.ndarray:
        return trial * (rng.normal(size=25).repeat(8) if in_runs else rng.normal(size=200))

    hits = 0
    for _ in range(400):
        kept = over_trials()
        values, replicates = [], []
        for _ in range(n_seeds):
            test = rng.permutation(200)[:40]
            scores = (kept if keeps else over_trials())[test] + seed * rng.normal()
            weights = ORDERED.trials[:, test]
            values.append(scores.mean())
            replicates.append(weights @ scores / weights.sum(axis=1))
        per_seed = np.array(values)
        low, high = ORDERED.interval(per_seed.mean(), per_seed, np.stack(replicates, axis=1), 40)
        hits += low <= 0 <= high
    assert least <= hits / 4 <= most


@pytest.mark.parametrize(
    ("fold", "seed", "least"), [(0.0, 0.0, 93), (0.08, 0.0, 93), (0.09, 0.045, 90)]
)
def test_intervals_of_one_seed_hold_the_truth_where_its_folds_differ(fold, seed, least) -> None:
    """Also where a fifth of the variance between fits is shared by the folds, and so unseen."""
    rng = np.random.default_rng(round(1000 * fold))
    hits = 0
    few = Draws(ORDERED.trials[:200], has_order=True)
    for _ in range(400):
        parts = np.split(rng.permutation(200), 5)
        scores = 0.42 * rng.normal(size=200) + seed * rng.normal()
        for part in parts:
            scores[part] += fold * rng.normal()
        each, replicates = [], []
        for part in parts:
            rest = np.delete(np.arange(200), part)
            weights = few.trials[:, rest]
            each.append(scores[rest].mean())
            replicates.append(weights @ scores[rest] / weights.sum(axis=1))
        whole = scores.mean()
        values = pseudo_values(whole, np.array(each))
        drawn = pseudo_values(few.trials @ scores / 200, np.stack(replicates, axis=1))
        low, high = few.interval(whole, values, drawn, 200, 5 / 4)
        hits += low <= 0 <= high
    assert least <= hits / 4 <= 99
