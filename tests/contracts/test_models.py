"""Rules that hold for every registered model."""

import pytest
import torch
from conftest import make_example, make_task, make_trials, refuses
from torch import nn

from neuroblend.behavior.kind import Behavior
from neuroblend.distill.objective import Objective, output_of
from neuroblend.evaluation.predict import rates_of
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import MODELS, load
from neuroblend.task.task import Task
from neuroblend.training.masking import TimeMask

SMALL = {
    "ndt": {"n_layers": 2, "width": 8, "feedforward": 12},
    "gru": {"width": 6},
    "stndt": {"n_layers": 2, "feedforward": 12},
    "lfads": {"generator": 8, "factors": 5, "encoder": 6, "controller": 7, "inputs": 2},
}


def test_every_registered_model_is_covered() -> None:
    assert set(SMALL) == set(MODELS)


def build(name: str, task: Task, **settings: object) -> Student:
    torch.manual_seed(1)
    return Student(load(MODELS[name].target)(task.spec, **SMALL[name] | settings))


def build_teacher(name: str, task: Task) -> Teacher:
    fusion = Concat(task.spec)
    torch.manual_seed(2)
    return Teacher(load(MODELS[name].target)(fusion.spec, **SMALL[name]), fusion)


models = pytest.mark.parametrize("name", sorted(MODELS))
forward = pytest.mark.parametrize("forward_bins", [0, 3])


@models
@forward
def test_output_has_every_bin_and_neuron_and_is_finite(name, forward_bins) -> None:
    task, batch = make_example(forward_bins=forward_bins)
    for model in (build(name, task), build_teacher(name, task)):
        log_rates = model(batch)
        assert log_rates.shape == (batch.n_trials, 12, 10)
        assert torch.isfinite(log_rates).all()


@models
def test_the_layer_to_distil_gives_a_feature_vector_a_bin(name) -> None:
    task = make_task(forward_bins=3)
    layer = MODELS[name].layer
    features = output_of(build(name, task), task.batch("valid"), [layer]).features[layer]
    assert features.ndim == 3
    assert features.shape[:2] == (task.split.valid.size, 12)


@models
@forward
def test_a_gradient_reaches_every_weight(name, forward_bins) -> None:
    task = make_task(forward_bins=forward_bins)
    batch = TimeMask()(task.batch("train"), 0)
    for model in (build(name, task), build_teacher(name, task)):
        Objective()(model, batch)["loss"].backward()
        for weight_name, weight in model.named_parameters():
            assert weight.grad is not None, weight_name
            assert weight.grad.abs().sum() > 0, weight_name


@models
def test_same_seed_same_result(name) -> None:
    task, batch = make_example()
    outputs = []
    for _ in range(2):
        model = build(name, task).train()
        torch.manual_seed(3)
        outputs.append(model(batch))
    assert torch.equal(*outputs)


@models
def test_a_student_is_blind_to_behavior_and_targets(name) -> None:
    task, batch = make_example()
    student = build(name, task).eval()
    shuffled = torch.randperm(batch.n_trials)
    behavior = Behavior(batch.behavior.values[shuffled], batch.behavior.present[shuffled])
    for other in (
        batch._replace(behavior=behavior),
        batch._replace(target=batch.target[shuffled]),
        batch.public(),
    ):
        assert torch.equal(student(batch), student(other))
    teacher = build_teacher(name, task).eval()
    assert not torch.equal(teacher(batch), teacher(batch._replace(behavior=behavior)))


@models
@pytest.mark.parametrize(
    ("n_bins", "forward_bins", "bin_s"), [(12, 0, 0.02), (40, 30, 0.02), (8, 2, 0.4)]
)
def test_every_bin_is_predicted_from_spikes_of_another(name, n_bins, forward_bins, bin_s) -> None:
    """A masked or forward bin has no counts of its own: what it says must come from elsewhere."""
    task = make_task(make_trials(n_bins=n_bins, bin_s=bin_s), forward_bins=forward_bins)
    batch = task.batch("train").take(slice(2))
    student = build(name, task).eval()
    spikes = batch.spikes.clone().requires_grad_()
    log_rates = student(batch._replace(spikes=spikes))
    for t in range(n_bins):
        (gradient,) = torch.autograd.grad(log_rates[:, t].sum(), spikes, retain_graph=True)
        elsewhere = torch.arange(spikes.shape[1]) != t
        assert gradient[:, elsewhere].abs().sum() > 0, t


@models
def test_trials_do_not_see_each_other(name) -> None:
    task, batch = make_example()
    student = build(name, task).eval()
    torch.testing.assert_close(student(batch)[3:5], student(batch.take(slice(3, 5))))


@models
def test_evaluation_is_without_dropout(name) -> None:
    task = make_task()
    student = build(name, task).train()
    batch = task.batch("test")
    assert (rates_of(student, batch) == rates_of(student, batch)).all()
    assert student.training


@models
def test_rates_start_at_each_neurons_mean(name) -> None:
    """So that a neuron's first rate is its own, whatever the others fire at."""
    task = make_task(make_trials(n_trials=200))
    rates = rates_of(build(name, task), task.batch("train")).mean(axis=(0, 1))
    expected = task.batch("train").target.mean((0, 1)).numpy()
    assert abs(rates / expected - 1).max() < 0.5


@models
def test_silent_neurons_give_finite_losses(name) -> None:
    trials = make_trials(n_trials=40)
    spikes = trials.spikes.copy()
    task = make_task(trials)
    silent = int(task.split.order[-1])
    for part in (task.split.train, task.split.valid):
        spikes[part, :, silent] = 0
    spikes[task.split.test, :, silent] = 1
    task = Task.of(make_trials(spikes=spikes), task.split)
    loss = Objective()(build(name, task), task.batch("train"))["loss"]
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gru", {"n_layers": 0}, "found 0 layers of width 6, wanted 1 or more"),
        ("ndt", {"positions": "sinusoid"}, "did you mean 'sinusoidal'"),
        ("ndt", {"readout_hidden": 0}, "readout_hidden 0"),
        ("ndt", {"n_layers": -1}, "found -1 layers, 2 heads"),
        ("ndt", {"n_heads": 3}, "width 8 is not a positive multiple of n_heads 3"),
        ("ndt", {"context_forward_s": float("inf")}, "forward_s inf, wanted seconds, 0 or more"),
        ("ndt", {"context_backward_s": float("nan")}, "context_backward_s nan"),
        ("stndt", {"n_layers": 0}, "wanted 1 or more"),
        ("stndt", {"context_forward_s": -1.0}, "null is for all"),
        ("stndt", {"contrast_ratio": 1.0}, "a fraction between 0 and 1"),
        ("stndt", {"contrast_temperature": 0.0}, "contrast_temperature 0"),
        ("lfads", {"factors": 0}, "factors 0, wanted 1 or more"),
        ("lfads", {"inputs": -1}, "inputs -1, wanted 0 or more"),
        ("lfads", {"kl_initial": -0.5}, "kl_initial -0.5"),
        ("lfads", {"kl_ramp": 2.0}, "a fraction of training"),
        ("lfads", {"prior_tau_s": 0.0}, "a time above 0"),
        ("lfads", {"dropout": 1.0}, "dropout"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, message) -> None:
    refuses(message, build, name, make_task(), **settings)


def test_any_module_plays_both_roles() -> None:
    """A module of another layout, (trial, neuron, bin), that knows nothing of this package."""
    batch = make_task().batch("train")

    def on(net, features):
        return net(features.transpose(1, 2)).transpose(1, 2)

    def on_both(net, batch):
        return on(net, torch.cat([batch.spikes, batch.behavior.values], 2))

    student = Student(nn.Conv1d(8, 10, 3, padding=1), lambda net, batch: on(net, batch.spikes))
    teacher = Teacher(nn.Conv1d(10, 10, 3, padding=1), on_both)
    assert student(batch).shape == teacher(batch).shape == batch.target.shape
    with pytest.raises(AttributeError):
        Student(nn.Linear(8, 10), lambda net, batch: net(batch.behavior.values))(batch)
