"""Vectors of cells by contrast: what they hang on, and that they tell what they can."""

import math

import numpy as np
import pytest
import torch
from test_embed import TESTED, WINDOW, make_session, make_task

from neuroblend.experiments.identity.contrast import TEMPERATURE, contrast, contrastive_vectors
from neuroblend.experiments.identity.task import CellTask
from neuroblend.models.nuclr import NuCLR


def test_the_contrast_by_hand() -> None:
    first, second = (torch.nn.functional.normalize(torch.randn(5, 3), dim=1) for _ in range(2))
    total = 0.0
    for a, b in ((first, second), (second, first)):
        for i in range(5):
            scores = [float(a[i] @ b[j]) / TEMPERATURE for j in range(5)]
            total -= scores[i] - math.log(sum(math.exp(s) for s in scores))
    assert contrast(first, second).item() == pytest.approx(total / 10, rel=1e-5)
    assert contrast(torch.eye(3), torch.eye(3)) < contrast(torch.eye(3), torch.eye(3).roll(1, 0))


def test_a_vector_hangs_on_the_neuron_and_on_the_company_of_others() -> None:
    net = NuCLR(8, 4).eval()
    activity = torch.randn(2, 40, 6, requires_grad=True)
    company = torch.tensor([True, True, True, False, True, True])
    vectors = net(activity, company)
    assert vectors.shape == (2, 6, 4)
    torch.testing.assert_close(vectors.norm(dim=2), torch.ones(2, 6))
    (gradient,) = torch.autograd.grad(vectors[0, 0, 1], activity)
    reached = gradient[0].abs().sum(dim=0) > 0
    assert reached.tolist() == [True, True, True, False, True, True]
    assert not gradient[1].any()
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(net(activity[:, :, order], company[order]), vectors[:, order])


def test_a_neuron_is_no_company_of_its_own() -> None:
    """Whether it stands for the population makes no difference to its own vector."""
    net = NuCLR(8, 4).eval()
    activity = torch.randn(1, 40, 5)
    alone = torch.tensor([False, True, True, True, True])
    every = torch.ones(5, dtype=torch.bool)
    torch.testing.assert_close(net(activity, alone)[:, 0], net(activity, every)[:, 0])
    assert torch.isfinite(net(activity, torch.zeros(5, dtype=torch.bool))).all()


def test_the_same_seed_gives_the_same_vectors_and_tested_cells_teach_nothing() -> None:
    task = make_task()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    found = contrastive_vectors(task, 1, steps=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.shape[0] == 16
    np.testing.assert_array_equal(found, contrastive_vectors(task, 1, steps=4))
    assert not np.array_equal(found, contrastive_vectors(task, 2, steps=4))
    sessions = [make_session(name, 120) for name in ("a", "b")]
    for session in sessions:
        tested = np.isin(session.neuron_id, list(TESTED))
        session.activity[:, tested] = session.activity[::-1, tested] ** 2
    other = contrastive_vectors(CellTask.of(sessions, TESTED, WINDOW), 1, steps=4)
    known = task.spec.reference.numpy()
    np.testing.assert_allclose(other[known], found[known], atol=1e-6)
    assert not np.allclose(other[~known], found[~known], atol=1e-3)


def test_slow_cells_are_told_from_fast_ones() -> None:
    task = make_task(n_frames=400)
    vectors = contrastive_vectors(task, 0, steps=60)
    slow = np.array([name.startswith("slow") for name in task.cells])
    known = task.spec.reference.numpy()
    centres = [vectors[known & kind].mean(axis=0) for kind in (slow, ~slow)]
    to_slow, to_fast = (np.linalg.norm(vectors - centre, axis=1) for centre in centres)
    assert ((to_slow < to_fast)[~known] == slow[~known]).all()


def test_a_session_of_tested_cells_alone_is_encoded() -> None:
    sessions = [make_session(name, 120) for name in ("a", "b")]
    strangers = frozenset(sessions[1].neuron_id.tolist())
    task = CellTask.of(sessions, strangers, WINDOW)
    vectors = contrastive_vectors(task, 0, steps=2)
    assert np.isfinite(vectors).all()
    assert (np.abs(vectors).sum(axis=1) > 0).all()
