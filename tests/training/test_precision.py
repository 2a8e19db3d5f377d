"""Mixed precision ends with scores like those of single precision."""

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials

from neuroblend.config import TrainingConfig
from neuroblend.distill.hard import Hard
from neuroblend.distill.objective import Objective
from neuroblend.evaluation.predict import rates_of
from neuroblend.evaluation.score import score_model, scores_on_test
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import MODELS, load
from neuroblend.task.task import Task
from neuroblend.training.train import train

SMALL = {
    "ndt": {"n_layers": 1, "width": 16, "feedforward": 16},
    "gru": {"width": 12},
    "stndt": {"n_layers": 1, "feedforward": 16},
    "lfads": {"generator": 16, "factors": 8, "encoder": 8, "controller": 8, "inputs": 2},
}


def trained(name: str, task: Task, precision: str) -> tuple[Student, dict[str, float]]:
    torch.manual_seed(2)
    fusion = Concat(task.spec)
    teacher = Teacher(load(MODELS[name].target)(fusion.spec, **SMALL[name]), fusion)
    student = Student(load(MODELS[name].target)(task.spec, **SMALL[name]))
    settings = TrainingConfig(
        epochs=15, batch_size=24, lr=5e-3, precision=precision, accelerator="cpu"
    )
    train(student, task, Objective({"hard": Hard()}, teacher), settings, seed=0)
    return student, scores_on_test([score_model(student, task)[0]], task.trials.channels)


def test_every_model_is_covered() -> None:
    assert set(SMALL) == set(MODELS)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_bf16_scores_agree_with_fp32(name) -> None:
    task = make_task(make_trials(n_trials=80))
    single, scores = trained(name, task, "32-true")
    mixed, mixed_scores = trained(name, task, "bf16-mixed")
    assert all(weight.dtype == torch.float32 for weight in mixed.parameters())
    for score in ("co_bps", "behavior_r2"):
        assert mixed_scores[score] == pytest.approx(scores[score], abs=0.03), score
    batch = task.batch("test")
    rates = [np.log(rates_of(model, batch)) for model in (single, mixed)]
    difference = np.abs(rates[0] - rates[1]).mean()
    assert 0 < difference < 0.1 * rates[0].std()  # it did compute in another precision
