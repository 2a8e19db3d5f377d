"""Embeddings fitted from scratch: what they depend on, leave alone, and tell."""

from dataclasses import replace

import conftest
import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from neuroblend.config import TrainingConfig
from neuroblend.data.calcium.session import CalciumSession
from neuroblend.distill.objective import Objective, squared_error
from neuroblend.experiments.identity.embed import RIDGE, Fresh, _loss, called_with, fresh_embeddings
from neuroblend.experiments.identity.task import CellTask
from neuroblend.models.neuprint import NeuPRINT
from neuroblend.privilege.population import PopulationState, on_cells
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.task.batch import Batch
from neuroblend.training.masking import EntryMask
from neuroblend.training.train import train

WINDOW, D = 20, 2
KINDS = ("linear", "recurrent", "attention")
CELLS = {"a": range(10), "b": range(6, 16)}  # four cells are in both sessions
TESTED = frozenset({"slow/0", "fast/1", "slow/8", "fast/9", "slow/14", "fast/15"})
QUICK = {"epochs": 2, "batch_size": 4}


def name_of(cell: int) -> str:
    return f"{('slow', 'fast')[cell % 2]}/{cell}"


def make_session(name: str, n_frames: int) -> CalciumSession:
    """Every other cell drifts slowly; the others change from frame to frame."""
    rng = np.random.default_rng(ord(name))
    noise = rng.normal(size=(n_frames, 10))
    noise[:, ::2] = lfilter([1], [1, -0.9], noise[:, ::2], axis=0)
    behavior = lfilter([1], [1, -0.9], rng.normal(size=(n_frames, D)), axis=0)
    return conftest.make_session(
        name,
        n_frames,
        [name_of(cell) for cell in CELLS[name]],
        activity=np.exp(noise / noise.std(axis=0) / 2).astype(np.float32),
        behavior=behavior.astype(np.float32),
    )


def make_task(n_frames=120, tested=TESTED) -> CellTask:
    return CellTask.of([make_session(name, n_frames) for name in CELLS], tested, WINDOW)


def make_net(task, dynamics="linear", n_behavior=0, **settings) -> NeuPRINT:
    torch.manual_seed(1)
    small = {"n_embedding": 4, "n_pooled": 2, "n_state": 5, "context_frames": 1} | settings
    return NeuPRINT(replace(task.spec, n_behavior=n_behavior), dynamics, **small)


def make_student(task, dynamics="linear", **settings) -> Student:
    return Student(make_net(task, dynamics, **settings), on_cells)


def make_teacher(task, dynamics="linear") -> Teacher:
    return Teacher(make_net(task, dynamics, D), PopulationState(D, mark_gaps=False))


def with_behavior(task: CellTask, change) -> CellTask:
    """Return the task with behavior changed by ``change``."""
    sessions = tuple(replace(s, behavior=change(s.behavior)) for s in task.sessions)
    return replace(task, sessions=sessions)


def rows(task: CellTask, tested: bool) -> torch.Tensor:
    return (task.spec.reference != tested).nonzero().flatten()


# training


@pytest.mark.parametrize("dynamics", KINDS)
def test_embeddings_of_tested_cells_get_no_gradient_in_training(dynamics) -> None:
    task = make_task()
    for model in (make_student(task, dynamics), make_teacher(task, dynamics)):
        table = model.net.embedding.weight
        for step, batch in enumerate(task.train_batches(4, 0, torch.device("cpu"))):
            masked = EntryMask(0.25)(batch, step)
            Objective(task_loss=squared_error)(model, masked)["loss"].backward()
        assert not table.grad[rows(task, tested=True)].any()
        assert (table.grad[rows(task, tested=False)].abs().sum(dim=1) > 0).all()


def test_training_leaves_embeddings_of_tested_cells_where_they_began() -> None:
    """Weight decay shrinks them, and nothing else is done to them."""
    task = make_task()
    student = make_student(task)
    before = student.net.embedding.weight.detach().clone()
    trained(student, task, epochs=2)
    after = student.net.embedding.weight.detach()
    agree = torch.cosine_similarity(before, after, dim=1)
    tested = rows(task, tested=True)
    torch.testing.assert_close(agree[tested], torch.ones(len(tested)))
    assert (agree[rows(task, tested=False)] < 0.999).all()


def trained(model, task, epochs: int) -> None:
    settings = TrainingConfig(
        epochs=epochs, batch_size=4, lr=1e-2, mask="entries", accelerator="cpu"
    )
    objective = Objective(task_loss=squared_error)
    train(model, task, objective, settings, yardstick=squared_error)


# what fitting leaves alone


def test_the_network_is_as_it_was() -> None:
    task = make_task()
    student = make_student(task, "attention")
    net = student.net
    net.readout = torch.nn.Linear(2, 2)  # a weight that takes no part
    net.filter.bias.requires_grad_(False)
    wanted = {name: weight.requires_grad for name, weight in net.named_parameters()}
    before = {name: value.clone() for name, value in net.state_dict().items()}
    vectors = fresh_embeddings(student, task, **QUICK)
    assert student.net is net
    after = net.state_dict()
    assert set(after) == set(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {name: weight.requires_grad for name, weight in net.named_parameters()} == wanted
    assert all(weight.grad is None for weight in net.parameters())
    assert vectors.shape == (16, 4)
    assert vectors.dtype == np.float32
    assert (np.abs(vectors).sum(axis=1) > 0).all()


def test_the_network_is_as_it_was_after_an_interruption() -> None:
    task = make_task()
    student = make_student(task)
    net = student.net

    def interrupt(done: int, n_epochs: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fresh_embeddings(student, task, progress=interrupt, **QUICK)
    assert student.net is net
    assert all(weight.requires_grad for weight in net.parameters())


def test_a_frozen_teacher_stays_frozen() -> None:
    task = make_task()
    teacher = make_teacher(task).freeze()
    fresh_embeddings(teacher, task, **QUICK)
    assert not any(weight.requires_grad for weight in teacher.parameters())


def test_dropout_is_off_whatever_mode_a_model_is_in() -> None:
    task = make_task()
    student = make_student(task, "attention", dropout=0.5)
    first = fresh_embeddings(student.train(), task, **QUICK)
    np.testing.assert_array_equal(fresh_embeddings(student.eval(), task, **QUICK), first)


# what they hang on


@pytest.mark.parametrize("dynamics", KINDS)
def test_the_seed_decides_and_draws_from_nothing_else(dynamics) -> None:
    task = make_task()
    student = make_student(task, dynamics)
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first = fresh_embeddings(student, task, seed=1, **QUICK)
    assert torch.equal(torch.rand(2), expected)
    np.testing.assert_array_equal(fresh_embeddings(student, task, seed=1, **QUICK), first)
    assert not np.array_equal(fresh_embeddings(student, task, seed=2, **QUICK), first)


def test_the_seed_decides_windows_and_what_is_hidden() -> None:
    task = make_task()
    student = make_student(task)

    def fitted(seed: int, hide_by_seed: bool) -> tuple[np.ndarray, list[int]]:
        seeds: list[int] = []

        def mask(batch: Batch, seed: int) -> Batch:
            seeds.append(seed)
            return EntryMask(0.25)(batch, seed if hide_by_seed else len(seeds))

        return fresh_embeddings(student, task, seed, mask=mask, **QUICK), seeds

    (first, seeds), (other, other_seeds) = (fitted(seed, hide_by_seed=True) for seed in (1, 2))
    assert len({*seeds, *other_seeds}) == 2 * len(seeds) == 2 * len(other_seeds)
    np.testing.assert_array_equal(first, fresh_embeddings(student, task, 1, **QUICK))
    assert not np.array_equal(first, other)
    windows = [fitted(seed, hide_by_seed=False)[0] for seed in (1, 2)]
    assert not np.array_equal(*windows)


@pytest.mark.parametrize("dynamics", KINDS)
def test_a_tested_cell_decides_its_own_embedding_and_no_other(dynamics) -> None:
    task = make_task()
    row = task.cells.index("slow/8")  # a cell of both sessions
    sessions = []
    for session in task.sessions:
        activity = session.activity.clone()
        activity[:, session.neurons == row] *= -1
        sessions.append(replace(session, activity=activity))
    student = make_student(task, dynamics)
    first = fresh_embeddings(student, task, **QUICK)
    then = fresh_embeddings(student, replace(task, sessions=tuple(sessions)), **QUICK)
    moved = np.abs(then - first).max(axis=1) > 1e-4
    assert moved.nonzero()[0].tolist() == [row]


@pytest.mark.parametrize("dynamics", KINDS)
def test_a_students_do_not_hang_on_behavior_and_a_teachers_do(dynamics) -> None:
    task = make_task()
    others = [
        with_behavior(task, lambda b: b.flip(0)),
        with_behavior(task, torch.zeros_like),
        with_behavior(task, lambda b: None),
    ]
    student, teacher = make_student(task, dynamics), make_teacher(task, dynamics)
    mine, theirs = (fresh_embeddings(model, task, **QUICK) for model in (student, teacher))
    for other in others:
        np.testing.assert_array_equal(fresh_embeddings(student, other, **QUICK), mine)
    for other in others[:2]:
        assert not np.allclose(fresh_embeddings(teacher, other, **QUICK), theirs, atol=1e-4)


def test_no_embedding_hangs_on_what_the_network_has_learned_of_its_own_cell() -> None:
    """All begin at 0. Averages of the population have the weights that training gave them."""
    task = make_task()
    for n_pooled, changed in ((0, torch.arange(16)), (2, rows(task, tested=True))):
        student = make_student(task, n_pooled=n_pooled)
        first = fresh_embeddings(student, task, **QUICK)
        with torch.no_grad():
            student.net.embedding.weight[changed] = 3.0
        np.testing.assert_array_equal(fresh_embeddings(student, task, **QUICK), first)
    with torch.no_grad():
        student.net.embedding.weight[rows(task, tested=False)] = 3.0
    assert not np.array_equal(fresh_embeddings(student, task, **QUICK), first)


def test_they_begin_at_zero() -> None:
    task = make_task()
    assert not fresh_embeddings(make_student(task), task, lr=0.0, **QUICK).any()


def test_cells_of_a_session_that_nobody_learned_are_met_too() -> None:
    task = make_task(tested=frozenset(name_of(cell) for cell in CELLS["b"]))
    vectors = fresh_embeddings(make_student(task), task, **QUICK)
    assert np.isfinite(vectors).all()
    assert (np.abs(vectors).sum(axis=1) > 0).all()


def test_all_frames_are_used_those_that_validated_too() -> None:
    task = make_task()
    last = tuple(
        replace(s, activity=torch.cat([s.activity[:-20], s.activity[-20:].flip(0)]))
        for s in task.sessions
    )
    student = make_student(task)
    first = fresh_embeddings(student, task, **QUICK)
    moved = np.abs(fresh_embeddings(student, replace(task, sessions=last), **QUICK) - first)
    assert (moved.max(axis=1) > 0).all()


def test_progress_is_told_epoch_by_epoch() -> None:
    task, told = make_task(), []
    fresh_embeddings(
        make_student(task), task, epochs=3, progress=lambda done, n: told.append((done, n))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_loss_is_the_sum_over_neurons_of_error_and_penalty() -> None:
    predicted, target = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    scored = torch.rand(2, 5, 3) < 0.4
    scored[:, :, 2] = False
    table, neurons = torch.randn(6, 4), torch.tensor([5, 0, 3])
    expected = 0.0
    for n, cell in enumerate(neurons):
        errors = (predicted - target)[:, :, n][scored[:, :, n]].numpy()
        expected += RIDGE * sum(table[cell].numpy() ** 2) + (np.mean(errors**2) if n < 2 else 0)
    batch = Batch(target, None, target, scored, neurons=neurons)
    assert _loss(predicted, batch, table).item() == pytest.approx(expected, rel=1e-5)


# what they tell


@pytest.mark.parametrize("dynamics", KINDS)
def test_cells_that_behave_alike_end_up_closer_than_those_that_do_not(dynamics) -> None:
    """Of six cells that the network never saw, three drift slowly and three do not."""
    task = make_task(400)
    student = make_student(task, dynamics)
    trained(student, task, epochs=8)
    vectors = fresh_embeddings(student, task, epochs=6, batch_size=4)
    slow = np.array([cell.startswith("slow") for cell in task.cells])
    distance = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    alike = slow[:, None] == slow[None]
    np.fill_diagonal(alike, val=False)
    unlike = slow[:, None] != slow[None]
    for cells in (rows(task, tested=True).numpy(), rows(task, tested=False).numpy()):
        ours, alike_ours, unlike_ours = distance[cells], alike[cells], unlike[cells]
        assert ours[alike_ours].mean() < 0.6 * ours[unlike_ours].mean()
        nearest = np.where(alike_ours | unlike_ours, ours, np.inf).argmin(axis=1)
        assert (slow[nearest] == slow[cells]).all()


@pytest.mark.parametrize("dynamics", KINDS)
def test_no_cell_is_fitted_from_its_own_later_frames(dynamics) -> None:
    """Nor from those of the frame: whether the network knew it or not makes no difference."""
    task = make_task()
    student = make_student(task, dynamics)
    batch = task.sessions[0].windows(torch.tensor([0]), WINDOW)
    known = task.spec.reference[batch.neurons]
    assert known.any() and not known.all()
    activity = batch.spikes.clone().requires_grad_()
    table = torch.randn(len(task.cells), 4)
    with called_with(student, table) as fresh:
        fresh.fold(known, 3)
        predicted = student(batch._replace(spikes=activity))
    for i in range(len(batch.neurons)):
        (gradient,) = torch.autograd.grad(predicted[0, 7, i], activity, retain_graph=True)
        assert not gradient[0, 7:, i].any()
        assert gradient[0, 6, i] != 0
        assert gradient[0, 7:].any()  # others' frames tell of the population's state


def test_every_fold_has_its_share_of_reference_cells() -> None:
    fresh = Fresh(torch.nn.Identity(), torch.zeros(30, 2))
    reference = torch.arange(30) % 3 > 0
    fresh.fold(reference, 0)
    assert [int(reference[fold].sum()) for fold in fresh._folds] == [4] * 5
    assert torch.cat(fresh._folds).sort().values.tolist() == list(range(30))
    fresh.fold(reference[:2], 0)
    assert [len(fold) for fold in fresh._folds] == [1, 1]
