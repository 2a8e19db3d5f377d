import copy
import math

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses
from torch import nn

from neuroblend.config import HideBins, TrainingConfig
from neuroblend.distill.feature import Feature
from neuroblend.distill.multitask import Multitask
from neuroblend.distill.objective import Objective
from neuroblend.errors import InputError
from neuroblend.models.lfads import LFADS
from neuroblend.models.ndt import NDT
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.training import train as train_module
from neuroblend.training.masking import TimeMask
from neuroblend.training.train import RESUME_FILE, train

QUICK = TrainingConfig(epochs=6, batch_size=8, valid_every=1, lr=1e-2, accelerator="cpu")


def make_student(task, seed=0) -> Student:
    torch.manual_seed(seed)
    return Student(NDT(task.spec, n_layers=1, width=8, feedforward=8))


def make_objective(task) -> Objective:
    fusion = Concat(task.spec)
    torch.manual_seed(9)
    teacher = Teacher(NDT(fusion.spec, n_layers=1, width=12, feedforward=8), fusion)
    terms = {"feature": Feature([("norm", "norm")]), "multitask": Multitask("norm")}
    return Objective(terms, teacher)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_trains_the_same_model_and_leaves_the_process_alone() -> None:
    task = make_task()
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    runs = []
    for seed in (4, 4, 5):
        with torch.random.fork_rng():
            student = make_student(task)
        history = train(student, task, settings=QUICK, seed=seed)
        runs.append((weights(student), history))
    assert torch.equal(torch.rand(3), expected)
    assert same(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1].to_numpy(), runs[1][1].to_numpy())
    assert not same(runs[0][0], runs[2][0])


def test_the_history_has_a_row_an_epoch_and_every_term() -> None:
    task = make_task()
    settings = QUICK.model_copy(update={"valid_every": 2})
    history = train(make_student(task), task, make_objective(task), settings)
    columns = {"epoch", "lr", "loss", "task", "feature", "multitask", "valid"}
    assert set(history.columns) == columns
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert history["valid"].isna().tolist() == [True, False] * 3
    expected = 0.2 * history["task"] + 0.8 * history["feature"] + 0.1 * history["multitask"]
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-4)
    assert history["lr"].idxmax() == 0
    assert history["lr"].iloc[-1] < 0.1 * history["lr"].max()


def test_masks_follow_the_settings_and_the_time_in_training(monkeypatch) -> None:
    seen = []
    draw = TimeMask.draw

    def watched(mask, *sizes):
        seen.append(mask)
        return draw(mask, *sizes)

    monkeypatch.setattr(TimeMask, "draw", watched)
    task = make_task()
    training = TrainingConfig(
        epochs=4, mask=HideBins(ratio=0.4, ramp=(0.0, 1.0), random=0.2, kept=0.1)
    )
    train(Student(NDT(task.spec, 1, 8)), task, settings=training)
    steps = [mask for mask in seen if mask.random]
    assert {(mask.ratio, mask.random, mask.kept) for mask in steps} == {(0.4, 0.2, 0.1)}
    spans = [mask.expand_probability for mask in steps]
    assert spans == pytest.approx([i / len(spans) for i in range(len(spans))])


def test_the_best_validation_weights_are_kept() -> None:
    """A learning rate that wrecks the model late: the weights from before must come back."""
    task = make_task()
    student, short = make_student(task), make_student(task)
    settings = QUICK.model_copy(update={"epochs": 12, "lr": 0.3})
    history = train(student, task, settings=settings)
    best = int(history["epoch"].iloc[history["valid"].argmin()])
    assert best < 12
    kept: list[dict] = []
    train(short, task, settings=settings, progress=lambda *_: kept.append(weights(short)))
    assert same(weights(student), kept[best - 1])
    assert not same(weights(student), kept[-1])


def test_training_stops_when_validation_no_longer_improves() -> None:
    task = make_task()
    settings = QUICK.model_copy(update={"epochs": 200, "lr": 0.3, "patience": 3})
    history = train(make_student(task), task, settings=settings)
    best = int(history["valid"].argmin())
    assert len(history) < 200
    assert len(history) - 1 - best == 3


def test_every_weight_that_learns_is_trained_and_the_teacher_is_not() -> None:
    task = make_task()
    student, objective = make_student(task), make_objective(task)
    assert not list(objective.parameters())  # made by prepare, before the optimiser exists
    teacher_before = weights(objective.teacher)
    start = weights(student)
    train(student, task, objective, QUICK)
    assert not any(torch.equal(start[name], value) for name, value in weights(student).items())
    readout = objective.terms["multitask"].readout
    maps = objective.terms["feature"].maps[0]
    assert not torch.equal(maps.weight, torch.eye(12, 8))
    assert readout.weight.abs().sum() > 0
    assert same(teacher_before, weights(objective.teacher))
    assert not objective.teacher.training


@pytest.mark.parametrize("at", [2, 5])
def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path, monkeypatch, at) -> None:
    task = make_task()
    whole = make_student(task)
    history = train(whole, task, make_objective(task), QUICK, seed=3)

    monkeypatch.setattr(train_module, "SAVE_EVERY_S", 0.0)

    def stop(done: int, most: int) -> None:
        if done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make_student(task), task, make_objective(task), QUICK, 3, tmp_path, stop)
    assert (tmp_path / RESUME_FILE).is_file()
    torch.rand(7)  # whatever was drawn in between must not matter
    resumed, seen = make_student(task, seed=77), []
    given = (task, make_objective(task), QUICK, 3, tmp_path)
    again = train(resumed, *given, lambda done, most: seen.append(done))
    assert seen[0] == at
    assert same(weights(whole), weights(resumed))
    np.testing.assert_array_equal(history.to_numpy(), again.to_numpy())
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_ends_training_with_one_line() -> None:
    task = make_task()

    def broken(model: nn.Module, batch) -> dict[str, torch.Tensor]:
        return {"loss": model(batch).sum() * math.nan}

    with pytest.raises(InputError, match="loss is nan in epoch 1; lower the learning rate"):
        train(make_student(task), task, broken, QUICK)


def test_any_callable_is_an_objective() -> None:
    task = make_task()

    def squared(model: nn.Module, batch) -> dict[str, torch.Tensor]:
        return {"loss": (model(batch).exp() - batch.target).square().mean()}

    assert len(train(make_student(task), task, squared, QUICK)) == 6


def test_an_objective_of_the_users_own_is_prepared() -> None:
    task = make_task()

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_parameter("scale", None)

        def prepare(self, model: nn.Module, batch) -> None:
            self.scale = nn.Parameter(torch.zeros(()))

        def forward(self, model: nn.Module, batch) -> dict[str, torch.Tensor]:
            return {"loss": (model(batch) + self.scale).square().mean()}

    objective = Scaled()
    train(make_student(task), task, objective, QUICK)
    assert objective.scale.item() != 0


def test_an_interrupt_is_one_and_later_ones_still_work() -> None:
    import signal

    before = signal.getsignal(signal.SIGINT)

    def interrupt(done: int, most: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(make_student(make_task()), make_task(), settings=QUICK, progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="--accelerator cuda: none on this machine"):
        train(make_student(make_task()), make_task(), settings=TrainingConfig(accelerator="cuda"))


def test_precision_bf16_agrees_with_single() -> None:
    task = make_task(make_trials(n_trials=60))
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        settings = QUICK.model_copy(update={"precision": precision})
        losses.append(train(make_student(task), task, settings=settings)["valid"].iloc[-1])
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda net, batch: net(batch.spikes)[:, :, :1], r"found output \(\d+, 12, 1\), wanted"),
        (lambda net, batch: (net(batch.spikes), 0), "found output of type tuple, wanted a tensor"),
    ],
)
def test_an_output_that_would_be_broadcast_or_is_no_tensor_is_refused(forward, message) -> None:
    task = make_task()
    student = Student(nn.Linear(task.spec.n_in, task.spec.n_out), forward)
    refuses(message, train, student, task, settings=QUICK)
    own = TrainingConfig(epochs=1, batch_size=24, accelerator="cpu")

    def objective(model, batch):
        return {"loss": sum(weight.sum() for weight in model.parameters())}

    with pytest.raises(InputError, match=message):  # when it is validated
        train(student, task, objective, own)


def test_lfads_has_its_entries_hidden_from_it() -> None:
    task = make_task()
    found = []

    def objective(model, batch):
        found.append(batch)
        return Objective()(model, batch)

    net = LFADS(task.spec, 8, 5, 6, None, 7, 2, 4)
    train(Student(net), task, objective, QUICK.model_copy(update={"epochs": 1}))
    for batch in found:
        hidden = batch.scored[:, :, : task.spec.n_in]
        assert 0.1 < hidden.float().mean() < 0.4
        assert not hidden.all(2).any()  # no whole bins
        assert (batch.spikes.masked_select(hidden) == 0).all()
    copy.deepcopy(net)  # though this objective left nothing of the last step behind
    net.train()(found[0].spikes)
    copy.deepcopy(net)  # and though this call did
