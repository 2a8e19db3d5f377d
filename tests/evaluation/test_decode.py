import numpy as np

from neuroblend.evaluation.readout import Decoder


def data(seed=0, n_trials=40):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 0.2, size=(n_trials, 15, 6)) * np.array([1, 10, 0.1, 1, 1, 1])
    slope = rng.normal(size=(6, 2)) * np.array([1.0, 1000.0])
    return rates, rates @ slope + np.array([5.0, -300.0]), slope


def test_a_linear_relation_is_found_in_its_own_units() -> None:
    rates, behavior, slope = data()
    decoder = Decoder.fit(rates, behavior)
    np.testing.assert_allclose(decoder.weights, slope, rtol=1e-2)
    np.testing.assert_allclose(decoder(rates), behavior, rtol=0.02, atol=2)


def test_missing_samples_take_no_part() -> None:
    rates, behavior, slope = data()
    wild = behavior.copy()
    wild[:20, :, 0] = np.nan
    decoder = Decoder.fit(rates, wild)
    np.testing.assert_allclose(decoder.weights, slope, rtol=1e-2)
    alone = Decoder.fit(rates[20:], behavior[20:])
    np.testing.assert_allclose(decoder.weights[:, 0], alone.weights[:, 0], rtol=1e-6)


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
    assert np.abs(decoder.weights[3]).max() < 1e-6
