"""What embeddings hold of behavior, and what is told without it, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_embed import TESTED, WINDOW, D, make_session, make_task

from neuroblend.experiments.identity.task import CellTask
from neuroblend.experiments.identity.tuning import ablation, residual, tuning_of


def test_tuning_is_the_mean_correlation_over_sessions() -> None:
    """Frames whose behavior is missing take no part."""
    sessions = [make_session("a", 130), make_session("b", 110)]
    sessions[0].behavior[20:50, 0] = np.nan
    task = CellTask.of(sessions, TESTED, WINDOW)
    by_hand: dict[str, list[list[float]]] = {cell: [] for cell in task.cells}
    for session in sessions:
        for i, cell in enumerate(session.neuron_id.tolist()):
            there = [~np.isnan(session.behavior[:, d]) for d in range(D)]
            by_hand[cell].append(
                [
                    np.corrcoef(session.activity[there[d], i], session.behavior[there[d], d])[0, 1]
                    for d in range(D)
                ]
            )
    expected = [np.mean(each, axis=0) for each in by_hand.values()]
    np.testing.assert_allclose(tuning_of(task), expected, atol=1e-5)


def test_a_session_that_lacks_a_channel_takes_no_part_in_it() -> None:
    """Cells of that session alone get the mean of the others."""
    sessions = [make_session("a", 130), make_session("b", 110)]
    both = tuning_of(CellTask.of(sessions, TESTED, WINDOW))
    sessions[1].behavior[:, 1] = 0.0
    task = CellTask.of(sessions, TESTED, WINDOW)
    found = tuning_of(task)
    np.testing.assert_allclose(found[:, 0], both[:, 0], atol=1e-6)
    first = np.isin(task.cells, sessions[0].neuron_id)
    alone = tuning_of(CellTask.of(sessions[:1], TESTED, WINDOW))[:, 1]
    np.testing.assert_allclose(found[first, 1], alone, atol=1e-6)
    np.testing.assert_allclose(found[~first, 1], alone.mean(), atol=1e-6)


def test_what_does_not_vary_has_no_tuning() -> None:
    task = make_task()
    flat = tuple(replace(s, behavior=torch.zeros_like(s.behavior)) for s in task.sessions)
    assert not tuning_of(replace(task, sessions=flat)).any()


def test_a_residual_is_uncorrelated_with_what_was_taken_out() -> None:
    rng = np.random.default_rng(0)
    vectors, known = rng.normal(size=(50, 4)) + 3, rng.normal(size=(50, 2))
    left = residual(vectors + known @ rng.normal(size=(2, 4)), known)
    np.testing.assert_allclose(left, residual(vectors, known), atol=1e-10)
    np.testing.assert_allclose(left.T @ known, 0, atol=1e-10)
    np.testing.assert_allclose(left.mean(axis=0), 0, atol=1e-10)


def test_cells_that_one_channel_tells_are_not_ablation_it() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 80)
    tested = np.arange(160) % 2 == 0
    tuning = rng.normal(size=(160, 2))
    tuning[:, 0] += 3 * (labels == "a")
    vectors = tuning[:, [0, 0, 1]] * [1.0, -2.0, 1.0] + 0.3 * rng.normal(size=(160, 3))
    found = ablation(vectors, tuning, labels, tested, ("pupil", "speed"), 0, 5)
    assert found["full"] > 0.85
    assert found["without"]["pupil"] < 0.7
    assert found["without"]["speed"] == pytest.approx(found["full"], abs=0.06)
    assert found["without_all"] < 0.7
