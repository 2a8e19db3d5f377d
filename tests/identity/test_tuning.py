"""How strongly predicted activity follows each channel, by hand."""

from dataclasses import replace

import numpy as np
import torch
from test_embed import TESTED, WINDOW, D, make_session, make_student, make_task
from torch import nn

from neuroblend.identity.embed import called_with
from neuroblend.identity.task import CellTask
from neuroblend.identity.tuning import channel_tuning, told_by


def by_hand(model, task, vectors) -> np.ndarray:
    found = {cell: [] for cell in range(len(task.cells))}
    with torch.no_grad(), called_with(model, torch.from_numpy(vectors)) as fresh:
        for frames in task.sessions:
            n = len(frames.activity) // WINDOW
            fresh.fold(len(frames.neurons), 0)
            predicted = model(frames.windows(WINDOW * torch.arange(n), WINDOW)).flatten(0, 1)
            for i, cell in enumerate(frames.neurons.tolist()):
                each = []
                for d in range(D):
                    there = frames.present[: n * WINDOW, d]
                    x, y = predicted[there, i], frames.behavior[: n * WINDOW][there, d]
                    each.append(np.corrcoef(x, y)[0, 1])
                found[cell].append(each)
    return np.array([np.mean(each, axis=0) for each in found.values()])


def test_tuning_is_the_mean_correlation_over_sessions() -> None:
    """Frames whose behavior is missing take no part; 130 frames hold six windows."""
    sessions = [make_session("a", 130), make_session("b", 110)]
    sessions[0].behavior[20:50, 0] = np.nan
    task = CellTask.of(sessions, TESTED, WINDOW)
    student = make_student(task)
    vectors = np.random.default_rng(0).normal(size=(len(task.cells), 4)).astype(np.float32)
    found = channel_tuning(student, task, vectors)
    assert found.shape == (16, D)
    np.testing.assert_allclose(found, by_hand(student, task, vectors), atol=1e-5)
    assert np.abs(found).max() > 0.05
    assert isinstance(student.net.embedding, nn.Embedding)  # the network is as it was


def test_what_does_not_vary_has_no_tuning() -> None:
    task = make_task()
    flat = tuple(replace(s, behavior=torch.zeros_like(s.behavior)) for s in task.sessions)
    vectors = np.ones((len(task.cells), 4), np.float32)
    assert not channel_tuning(make_student(task), replace(task, sessions=flat), vectors).any()


def test_cells_are_told_by_a_channel_in_which_classes_differ() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 60)
    tested = np.arange(120) % 2 == 0
    noise = rng.normal(size=120).astype(np.float32)
    reached, by_chance = told_by(noise + 4 * (labels == "a"), labels, tested, 0)
    assert reached > 0.9
    assert abs(by_chance - 0.5) < 0.06
    reached, by_chance = told_by(noise, labels, tested, 0)
    assert abs(reached - by_chance) < 0.15
