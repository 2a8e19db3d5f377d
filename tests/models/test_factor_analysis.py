"""Factors against scikit-learn's on all bins, and regressions on them against scikit-learn's."""

import numpy as np
import torch
from conftest import make_example, make_task, make_trials, refuses
from sklearn.decomposition import FactorAnalysis as Analysis
from sklearn.linear_model import PoissonRegressor

from neuroblend.distill.objective import output_of
from neuroblend.models.references.factor_analysis import FactorAnalysis, analysed
from neuroblend.models.references.smoothing import smooth
from neuroblend.privilege.roles import Student


def factors_of(net: FactorAnalysis, batch) -> np.ndarray:
    features = output_of(Student(net), batch, ["factors"]).features["factors"]
    return features.flatten(0, 1).double().numpy()


def test_factors_are_those_of_scikit_learn_on_all_bins(monkeypatch) -> None:
    """A few rows of the same covariance stand for all bins; a rotation is free."""
    monkeypatch.setattr("neuroblend.models.references.factor_analysis.TOLERANCE", 1e-12)
    task, batch = make_example(make_trials(n_trials=100))
    net = FactorAnalysis(task.spec, 2, 0.05).fit_to(batch.spikes, batch.target)
    smoothed = smooth(batch.spikes, 0.05, 0.02).flatten(0, 1).double().numpy()
    other = Analysis(2, tol=1e-10, max_iter=10_000, svd_method="lapack")
    expected = other.fit_transform(smoothed / smoothed.std(axis=0))
    found = factors_of(net, batch)
    rotation, *_ = np.linalg.lstsq(found, expected, rcond=None)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(2), atol=1e-3)
    np.testing.assert_allclose(found @ rotation, expected, atol=1e-3)


def test_rates_are_a_regression_on_factors() -> None:
    task, batch = make_example()
    net = FactorAnalysis(task.spec, 3, penalty=0.02).fit_to(batch.spikes, batch.target)
    features, log_rates = factors_of(net, batch), net(batch.spikes)
    for j in range(task.spec.n_out):
        model = PoissonRegressor(alpha=0.02, tol=1e-8, max_iter=1000)
        expected = model.fit(features, batch.target[:, :, j].reshape(-1).numpy()).predict(features)
        np.testing.assert_allclose(log_rates[:, :, j].exp().reshape(-1), expected, rtol=2e-3)


def test_the_number_of_factors_that_made_the_rates_is_found() -> None:
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=(150, 40, 4)), axis=1)
    spectrum[:, 5:] = 0
    latents = np.fft.irfft(spectrum, 40, axis=1)
    latents /= latents.std()
    rates = 2 * np.exp(0.2 * latents @ rng.normal(size=(4, 30)))
    task, batch = make_example(make_trials(spikes=rng.poisson(rates), behavior=None))
    net = FactorAnalysis(task.spec).fit_to(batch.spikes, batch.target)
    assert int(net.n_factors) == 4
    factors = factors_of(net, batch)
    assert factors.shape[1] == 16  # room for the largest candidate below 23 neurons
    assert (factors[:, :4].std(axis=0) > 0.1).all()
    assert (factors[:, 4:] == 0).all()


def test_fewer_neurons_that_vary_than_factors() -> None:
    smoothed = torch.zeros(5, 8, 4)
    smoothed[:, :, 1] = torch.rand(5, 8)
    _, projection = analysed(smoothed, None, 3)
    assert torch.isfinite(projection).all()
    assert (projection[[0, 2, 3]] == 0).all()
    assert (projection[:, 1:] == 0).all()


def test_a_number_of_factors_out_of_range() -> None:
    task = make_task()
    for wrong, message in ((0, "more than 0"), (task.spec.n_in + 1, "wanted 1 to 8, the neurons")):
        refuses(message, FactorAnalysis, task.spec, wrong)
