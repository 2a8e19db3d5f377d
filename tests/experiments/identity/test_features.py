import numpy as np
import pytest
from scipy.stats import skew

from neuroblend.experiments.identity.features import (
    COMPANY,
    EXPLAINED_BY,
    activity_components,
    activity_profile,
    hand_features,
    mean_by_cell,
    principal_components,
)

FRAME_S = 0.23344201


@pytest.fixture
def activity():
    """(600, 12) non-negative, mostly zero; the last two neurons silent and constant."""
    rng = np.random.default_rng(0)
    shared = np.exp(np.convolve(rng.normal(size=600), np.ones(8) / 4, "same"))
    x = rng.poisson(0.3 * shared[:, None], size=(600, 12)) * rng.exponential(size=(600, 12))
    x[:, 10], x[:, 11] = 0.0, 0.7
    return x.astype(np.float32)


def test_hand_features_are_what_their_names_say(activity) -> None:
    vectors, names = hand_features(activity, FRAME_S)
    assert vectors.shape == (12, len(names)) and len(set(names)) == len(names)
    column = dict(zip(names, vectors.T, strict=True))
    x = activity[:, :10].astype(float)
    z = (x - x.mean(0)) / x.std(0)
    for i in range(10):
        others = np.delete(z, i, axis=1).mean(1)
        expected = {
            "log1p_variation": np.log1p(x[:, i].std() / x[:, i].mean()),
            "arcsinh_skewness": np.arcsinh(skew(x[:, i])),
            "fraction_of_zeros": (x[:, i] == 0).mean(),
            "population_correlation": np.corrcoef(x[:, i], others)[0, 1],
            "population_change_correlation": np.corrcoef(x[1:, i], np.diff(others))[0, 1],
            "autocorrelation_0.23s": np.corrcoef(x[1:, i], x[:-1, i])[0, 1],
            "autocorrelation_1.87s": np.corrcoef(x[8:, i], x[:-8, i])[0, 1],
            "quantile_0.9": np.quantile(z[:, i], 0.9),
        }
        for name, value in expected.items():
            assert column[name][i] == pytest.approx(value, abs=1e-6), name
    differences = column["log_mean"][:10] - np.log(x.mean(0))
    np.testing.assert_allclose(differences, differences[0])


@pytest.mark.parametrize(
    "describe",
    [
        lambda x: hand_features(x, FRAME_S)[0],
        lambda x: activity_profile(x, FRAME_S),
        activity_components,
    ],
)
def test_descriptions_are_finite_and_free_of_the_unit(describe, activity) -> None:
    vectors = describe(activity)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(describe(activity * np.float32(64)), vectors, atol=1e-5)
    negative = activity - np.float32(0.5)  # such as a baseline that was subtracted
    for odd in (activity[:, 10:], activity[:, :1], negative, activity[:5], 0 * activity):
        assert np.isfinite(describe(odd)).all()
        assert describe(odd).shape == (odd.shape[1], vectors.shape[1])


def test_components_are_correlations_with_those_of_activity(activity) -> None:
    loadings = activity_components(activity, 32)
    assert loadings.shape == (12, 32)
    x = activity[:, :10].astype(float)
    z = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(loadings[:10] @ loadings[:10].T, np.corrcoef(z.T), atol=1e-6)
    time_course = z @ np.linalg.svd(z, full_matrices=False)[2][0]
    expected = [np.corrcoef(time_course, row)[0, 1] for row in z.T]
    np.testing.assert_allclose(np.abs(loadings[:10, 0]), np.abs(expected), atol=1e-6)
    assert loadings[:, 0].sum() > 0
    assert not loadings[10:].any()
    assert not loadings[:, 12:].any()


def test_profiles_do_not_hang_on_the_order_of_neurons_and_tell_rhythms() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(3000) * FRAME_S
    slow, fast = (np.sin(2 * np.pi * f * t)[:, None] for f in (0.05, 1.0))
    x = np.concatenate([slow + rng.normal(size=(3000, 5)), fast + rng.normal(size=(3000, 5))], 1)
    profile = activity_profile(x, FRAME_S)
    np.testing.assert_allclose(activity_profile(x[:, ::-1], FRAME_S)[::-1], profile, atol=1e-8)
    peak = profile[:, :20].argmax(1)
    assert (peak[:5] < peak[5:].min()).all()
    explained = profile[:, -len(EXPLAINED_BY) :]
    assert (np.diff(explained, axis=1) > -1e-9).all()
    np.testing.assert_allclose(explained[:, -1], 1)
    company = profile[:, -len(EXPLAINED_BY) - 2 * len(COMPANY) : -len(EXPLAINED_BY)]
    for i in (0, 7):
        for given, found in zip((x, np.diff(x, axis=0)), np.split(company[i], 2), strict=True):
            others = np.delete(np.corrcoef(given.T)[i], i)
            np.testing.assert_allclose(found, np.quantile(others, COMPANY))


def test_components_over_cells_know_fitted_cells_alone() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8)) @ rng.normal(size=(8, 8))
    fitted = np.arange(50) < 30
    reached = principal_components(vectors, fitted, 5)
    assert reached.shape == (50, 5)
    assert principal_components(vectors, fitted).shape == (50, 8)
    changed = vectors.copy()
    changed[~fitted] *= 100
    np.testing.assert_array_equal(principal_components(changed, fitted, 5)[:30], reached[:30])
    np.testing.assert_allclose(np.corrcoef(reached[:30].T), np.eye(5), atol=1e-9)


def test_a_cell_is_the_mean_of_its_sessions() -> None:
    vectors, ids = mean_by_cell(
        [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 8.0]])],
        [np.array(["b", "a"]), np.array(["b"])],
    )
    assert ids.tolist() == ["a", "b"]
    np.testing.assert_array_equal(vectors, [[3.0, 4.0], [3.0, 5.0]])
