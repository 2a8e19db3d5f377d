import numpy as np
import pytest

from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.lagged import blocks_of
from neuroblend.evaluation.readout import (
    BOTH_SIDES,
    FAMILIES,
    HISTORY,
    SAME_BIN,
    best_of,
    lags_of,
    read_out,
)


def data(seed=0, n_trials=40):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 0.2, size=(n_trials, 15, 6)) * np.array([1, 10, 0.1, 1, 1, 1])
    slope = rng.normal(size=(6, 2)) * np.array([1.0, 1000.0])
    return rates, rates @ slope + np.array([5.0, -300.0]), slope


def test_a_linear_relation_is_found_in_its_own_units() -> None:
    rates, behavior, slope = data()
    decoder = Decoder.fit(rates, behavior)
    np.testing.assert_allclose(decoder.weights[0], slope, rtol=1e-2)
    np.testing.assert_allclose(decoder(rates), behavior, rtol=0.02, atol=2)


def test_missing_samples_take_no_part() -> None:
    rates, behavior, slope = data()
    wild = behavior.copy()
    wild[:20, :, 0] = np.nan
    decoder = Decoder.fit(rates, wild)
    np.testing.assert_allclose(decoder.weights[0], slope, rtol=1e-2)
    alone = Decoder.fit(rates[20:], behavior[20:])
    np.testing.assert_allclose(decoder.weights[0, :, 0], alone.weights[0, :, 0], rtol=1e-6)


def test_the_penalty_guards_against_noise() -> None:
    """Many useless rates and few trials: an unpenalised fit would do worse than the mean."""
    rng = np.random.default_rng(0)
    rates, behavior = rng.normal(size=(12, 10, 80)), rng.normal(size=(12, 10, 1))
    test_rates, test = rng.normal(size=(200, 10, 80)), rng.normal(size=(200, 10, 1))

    def error(decoded):
        return ((decoded - test) ** 2).mean()

    plain, *_ = np.linalg.lstsq(rates.reshape(-1, 80), behavior.reshape(-1), rcond=None)
    assert error(Decoder.fit(rates, behavior)(test_rates)) < 1.15 * test.var()
    assert error((test_rates @ plain)[..., None]) > 1.5 * test.var()


def test_a_rate_that_never_moves_has_no_weight() -> None:
    rates, behavior, _ = data()
    rates[:, :, 3] = 0.2
    decoder = Decoder.fit(rates, behavior)
    assert np.isfinite(decoder.weights).all()
    assert np.abs(decoder.weights[0, 3]).max() < 1e-6


def parts(values) -> dict:
    return {"train": values[:60], "valid": values[60:80], "test": values[80:]}


@pytest.mark.parametrize(("lag", "family"), [(0, SAME_BIN), (-3, HISTORY), (4, BOTH_SIDES)])
def test_behavior_is_found_wherever_it_follows_from(lag, family) -> None:
    """Behavior of another bin is decoded by the families that see that bin, and by no other."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 1.0, size=(100, 30, 8))
    behavior = np.roll(rates, -lag, axis=1) @ rng.normal(size=(8, 2)) * [1.0, 500.0]
    behavior[:, :5] = behavior[:, -5:] = np.nan  # where the roll wraps around
    found = [read_out(parts(rates), parts(behavior), f, bin_s=0.05) for f in FAMILIES]
    sees = FAMILIES.index(family)
    for i, each in enumerate(found):
        r2 = each.test.continuous.r2()[0].min()
        assert bool(r2 > 0.99) is (i >= sees), (each.family, r2)
        assert np.isfinite(each.decoded).all()
    assert best_of(found).family in FAMILIES[sees:]


def test_a_read_out_with_lags_is_a_ridge_regression() -> None:
    """Of few neurons and lags, with the same penalty, it is scikit-learn's."""
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(1)
    rates, behavior = rng.normal(size=(100, 12, 3)), rng.normal(size=(100, 12, 1))
    lags = np.array([-2, -1, 0])
    decoder = Decoder.fit_lagged(parts(rates), parts(behavior), lags)
    index = [np.clip(np.arange(12) + lag, 0, 11) for lag in lags]
    flat = rates[:60].reshape(-1, 3)
    scaled = (rates - flat.mean(0)) / flat.std(0)
    features = np.concatenate([scaled[:, i] for i in index], axis=2)
    x, y = features[:60].reshape(-1, 9), behavior[:60].reshape(-1)
    wanted = [
        Ridge(p).fit(x, y).predict(features[80:].reshape(-1, 9)) for p in np.logspace(0, 6, 13)
    ]
    decoded = decoder(rates[80:]).reshape(-1)
    assert min(np.abs(decoded - each).max() for each in wanted) < 1e-8


def test_lags_reach_as_far_in_seconds_and_blocks_hold_each_once() -> None:
    assert lags_of(HISTORY, 0.07, 40).tolist() == list(range(-6, 1))
    assert lags_of(BOTH_SIDES, 0.02, 50).tolist() == list(range(-21, 22))
    assert lags_of(BOTH_SIDES, 0.02, 10).tolist() == list(range(-5, 6))
    lags = lags_of(BOTH_SIDES, 0.005, 400)
    blocks = blocks_of(lags)
    assert [lag for block in blocks for lag in block] == lags.tolist()
    assert [0] in blocks and len(blocks) == 27
