"""Smoothed rates against scipy, and regressions on them against scikit-learn."""

import numpy as np
import pytest
import torch
from conftest import make_example, make_task, refuses
from scipy.ndimage import gaussian_filter1d
from sklearn.linear_model import PoissonRegressor
from sklearn.preprocessing import StandardScaler

from neuroblend.models.references.smoothing import FLOOR_HZ, Smoothing, smooth

KERNEL_S, BIN_S = 0.05, 0.02


def smoothed_by_scipy(counts: np.ndarray) -> np.ndarray:
    def filtered(values: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(values, KERNEL_S / BIN_S, axis=1, mode="constant", truncate=10)

    return filtered(counts.astype(np.float64)) / filtered(np.ones(counts.shape))


def test_held_in_rates_are_smoothed_counts() -> None:
    task, batch = make_example()
    log_rates = Smoothing(task.spec, KERNEL_S).fit_to(batch.spikes, batch.target)(batch.spikes)
    expected = smoothed_by_scipy(batch.spikes.numpy()) + FLOOR_HZ * BIN_S
    found = log_rates[:, :, : task.spec.n_in].exp().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("offset", [0.01, 1.0])
def test_held_out_rates_are_a_regression_on_their_logs(offset) -> None:
    task = make_task()
    batch, n_in = task.batch("train"), task.spec.n_in
    net = Smoothing(task.spec, KERNEL_S, penalty=0.05, offset=offset)
    log_rates = net.fit_to(batch.spikes, batch.target)(batch.spikes)
    mean = np.exp(task.spec.log_rate[:n_in])
    logs = np.log(smoothed_by_scipy(batch.spikes.numpy()) / mean + offset).reshape(-1, n_in)
    features = StandardScaler().fit_transform(logs)
    for j in range(n_in, task.spec.n_out):
        model = PoissonRegressor(alpha=0.05, tol=1e-8, max_iter=1000)
        expected = model.fit(features, batch.target[:, :, j].reshape(-1).numpy()).predict(features)
        np.testing.assert_allclose(log_rates[:, :, j].exp().reshape(-1), expected, rtol=2e-3)


def test_a_constant_stays_what_it_is_up_to_the_ends() -> None:
    counts = torch.full((2, 9, 3), 0.7)
    present = torch.arange(9).expand(2, 9) < torch.tensor([[9], [4]])
    torch.testing.assert_close(smooth(counts, 0.1, BIN_S), counts)
    torch.testing.assert_close(smooth(counts, 0.1, BIN_S, present)[1, :4], counts[1, :4])


def test_bins_far_from_any_that_exist_are_finite() -> None:
    present = torch.arange(400).expand(1, 400) < 3
    assert torch.isfinite(smooth(torch.ones(1, 400, 2), 0.03, BIN_S, present)).all()


def test_gradients_flow_to_spikes() -> None:
    """So that what a rate depends on can be asked, as of any network."""
    task, batch = make_example(forward_bins=2)
    net = Smoothing(task.spec).fit_to(batch.spikes, batch.target)
    spikes = batch.spikes.clone().requires_grad_()
    net(spikes).sum().backward()
    assert torch.isfinite(spikes.grad).all()
    assert (spikes.grad != 0).any()


def test_what_is_no_count_of_the_neurons_is_refused() -> None:
    """Behavior beside the spikes, as a teacher sees it: its rates would be those of neurons."""
    task, batch = make_example()
    refuses("can be no teacher", Smoothing(task.spec).fit_to, batch.spikes + 1, batch.target)
    refuses("found offset 0", Smoothing, task.spec, offset=0.0)
