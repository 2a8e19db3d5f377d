"""Cached guidance, terms that a network brings, and means over several processes."""

import pytest
import torch
from conftest import make_task, refuses
from torch import Tensor, nn

from neuroblend.config import TrainingConfig
from neuroblend.distill.feature import Feature
from neuroblend.distill.hard import Hard
from neuroblend.distill.objective import Objective, own_losses
from neuroblend.distill.reduce import mean_over, variance_over
from neuroblend.models.gru import GRU
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.task.batch import Batches
from neuroblend.training.masking import TimeMask
from neuroblend.training.train import train


def make_teacher(task, calls: list | None = None) -> Teacher:
    fusion = Concat(task.spec)
    torch.manual_seed(2)
    teacher = Teacher(GRU(fusion.spec, width=6), fusion)
    if calls is not None:
        teacher.net.register_forward_hook(lambda *_: calls.append(1))
    return teacher


def make_student(task) -> Student:
    torch.manual_seed(1)
    return Student(GRU(task.spec, width=6, dropout=0.0))


def terms() -> dict:
    return {"hard": Hard(), "feature": Feature([("norm", "norm")])}


def test_cached_guidance_is_what_the_teacher_gives_for_unmasked_spikes() -> None:
    task = make_task()
    whole = task.batch("train")
    student, losses = make_student(task), []
    for cache in (True, False):
        torch.manual_seed(0)
        objective = Objective(terms(), make_teacher(task), cache=cache)
        objective.prepare(student, whole)
        (batch,) = list(Batches(whole, 24, seed=3))
        losses.append(objective(student, batch))
    for name in losses[0]:
        torch.testing.assert_close(losses[0][name], losses[1][name])


def test_a_cached_teacher_is_asked_once_a_trial_whatever_the_masks() -> None:
    task, calls = make_task(), []
    whole = task.batch("train")
    objective = Objective(terms(), make_teacher(task, calls), cache=True)
    student = make_student(task)
    objective.prepare(student, whole)
    n_calls = len(calls)
    guides = [objective._guide(TimeMask()(whole, seed).take(slice(5, 9))) for seed in (0, 1)]
    assert len(calls) == n_calls
    assert torch.equal(guides[0].log_rates, guides[1].log_rates)
    order = torch.tensor([7, 2, 11])
    shuffled, plain = (objective._guide(whole.take(rows)) for rows in (order, slice(None)))
    torch.testing.assert_close(shuffled.log_rates, plain.log_rates[order])
    assert set(shuffled.features) == {"norm"}
    with pytest.raises(ValueError, match="know their trials"):
        objective(student, whole._replace(trial=None))


def test_training_with_a_cache_ends_elsewhere_than_without() -> None:
    """It guides by other rates, so it must not be mistaken for the same thing."""

    task, weights = make_task(), []
    settings = TrainingConfig(epochs=2, batch_size=8, accelerator="cpu")
    for cache in (True, False):
        student = make_student(task)
        train(student, task, Objective(terms(), make_teacher(task), cache=cache), settings)
        weights.append(torch.cat([weight.flatten() for weight in student.parameters()]))
    assert not torch.equal(*weights)


class Bringing(nn.Module):
    """A stranger's module with a loss term of its own."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.progress: list[float] = []

    def forward(self, spikes: Tensor) -> Tensor:
        return self.linear(spikes)

    def own_losses(self, progress: float) -> dict[str, Tensor]:
        self.progress.append(progress)
        return {"weight_norm": 0.25 * self.linear.weight.square().sum()}


def test_a_module_of_ones_own_brings_its_terms_and_hears_how_far_training_is() -> None:
    task = make_task()
    student = Student(Bringing(task.spec.n_in, task.spec.n_out)).train()
    parts = Objective()(student, task.batch("train"))
    norm = student.net.linear.weight.square().sum() / 4
    torch.testing.assert_close(parts["weight_norm"], norm)
    torch.testing.assert_close(parts["loss"], parts["task"] + norm)
    assert own_losses(student.eval()) == {}
    student.net.progress.clear()

    settings = TrainingConfig(epochs=4, batch_size=8, valid_every=1, accelerator="cpu")
    history = train(student, task, settings=settings)
    assert student.net.progress == pytest.approx([i / 12 for i in range(12)])
    assert history["weight_norm"].notna().all()


def test_means_are_over_what_is_there() -> None:
    values = torch.randn(4, 5, 3)
    values[2, 3:] = torch.inf
    where = torch.ones(4, 5, 1, dtype=torch.bool)
    where[2, 3:] = False
    kept = torch.cat([values[:2].flatten(), values[2, :3].flatten(), values[3].flatten()])
    torch.testing.assert_close(mean_over(values, where), kept.mean())
    torch.testing.assert_close(mean_over(values[3:]), values[3].mean())
    assert mean_over(values, torch.zeros(4, 5, 1, dtype=torch.bool)) == 0
    flat = values[where[:, :, 0]]
    torch.testing.assert_close(
        variance_over(values, where[:, :, 0]), flat.var(0, correction=0).mean()
    )


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"loss": torch.tensor(1.0)}, "'loss'.*by names other than"),
        ({"task": torch.tensor(1.0)}, "'task'.*by names other than"),
        ({"x": torch.ones(3)}, r"'x' \(shape \(3,\)\), wanted scalar tensors"),
        ({"x": 1.0}, "'x'.*float.*wanted scalar tensors"),
        ({"hard": torch.tensor(1.0)}, "'hard' is a term of the objective too"),
    ],
)
def test_terms_that_would_stand_for_others_are_refused(own, message) -> None:
    task = make_task()
    student = Student(Bringing(task.spec.n_in, task.spec.n_out)).train()
    student.net.own_losses = lambda progress: own
    objective = Objective({"hard": Hard()}, make_teacher(task))
    refuses(message, objective, student, task.batch("train"))
