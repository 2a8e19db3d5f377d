"""Rules for every model that is fitted in closed form rather than trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_example, make_task, make_trials, refuses
from torch import nn

from neuroblend.distill.objective import output_of
from neuroblend.errors import InputError
from neuroblend.evaluation.metrics import bits_per_spike
from neuroblend.evaluation.predict import predict, rates_of
from neuroblend.models.references.factor_analysis import FactorAnalysis
from neuroblend.models.references.smoothing import Smoothing
from neuroblend.privilege.roles import Student
from neuroblend.task.task import Task
from neuroblend.training.checkpoint import load_weights, save_weights

LAYERS = {Smoothing: "smoothed", FactorAnalysis: "factors"}

models = pytest.mark.parametrize("model", list(LAYERS))
forward = pytest.mark.parametrize("forward_bins", [0, 3])


def fitted(model: type[nn.Module], task: Task, **settings: object) -> nn.Module:
    batch = task.batch("train")
    return model(task.spec, **settings).fit_to(batch.spikes, batch.target, batch.present)


def with_silent(*neurons: int) -> Task:
    """A task in whose training trials neurons, in the models' order, are silent."""
    task = make_task()
    spikes = task.trials.spikes.copy()
    for neuron in neurons:
        spikes[task.split.train, :, task.split.order[neuron]] = 0
        spikes[task.split.test, :, task.split.order[neuron]] = 1
    return Task.of(make_trials(spikes=spikes), task.split)


@models
def test_nothing_is_trained(model) -> None:
    assert not list(fitted(model, make_task()).parameters())


@models
def test_before_the_fit_other_neurons_have_their_mean(model) -> None:
    task = make_task(forward_bins=3)
    rates = model(task.spec)(task.batch("test").spikes)
    n_in, t_in = task.spec.n_in, task.spec.t_in
    mean = torch.tensor(task.spec.log_rate)
    torch.testing.assert_close(rates[:, :, n_in:], mean[n_in:].expand(rates[:, :, n_in:].shape))
    torch.testing.assert_close(rates[:, t_in:], mean.expand(rates[:, t_in:].shape))


@models
@forward
def test_held_out_neurons_are_predicted(model, forward_bins) -> None:
    task = make_task(make_trials(n_trials=120), forward_bins=forward_bins)
    held_out, test, t_in = task.split.held_out, task.split.test, task.spec.t_in
    rates = predict(Student(fitted(model, task)), task, test)
    assert np.isfinite(rates).all()
    spikes = task.trials.spikes[test]
    assert bits_per_spike(rates[:, :t_in, held_out], spikes[:, :t_in, held_out]) > 0.05
    if forward_bins:
        assert bits_per_spike(rates[:, t_in:], spikes[:, t_in:]) > 0


@models
@forward
def test_the_layer_gives_a_feature_vector_a_bin(model, forward_bins) -> None:
    task = make_task(forward_bins=forward_bins)
    layer, student = LAYERS[model], Student(fitted(model, task))
    features = output_of(student, task.batch("valid"), [layer]).features[layer]
    assert features.shape[:2] == (task.split.valid.size, 12)
    assert features.ndim == 3
    for t in range(task.spec.t_in, 12):  # in forward bins, those of the last bin that was seen
        assert torch.equal(features[:, t], features[:, task.spec.t_in - 1])


@models
def test_forward_bins_have_a_course_of_their_own(model) -> None:
    """Rates that rise after the last seen bin, in half of the neurons."""
    rng = np.random.default_rng(0)
    rate = np.full((200, 20, 8), 0.5)
    rate[:, 12:, :4] = np.linspace(0.2, 3, 8)[:, None]
    trials = make_trials(200, 20, 8, behavior=None, spikes=rng.poisson(rate))
    task = make_task(trials, forward_bins=8)
    rates = predict(Student(fitted(model, task)), task, task.split.test).mean(axis=0)
    assert rates[-1, :4].min() > 2
    assert rates[12, :4].max() < 1
    np.testing.assert_allclose(rates[12:, 4:], 0.5, atol=0.2)


@models
@forward
def test_a_fresh_instance_takes_the_fitted_numbers(model, forward_bins, tmp_path) -> None:
    task = make_task(forward_bins=forward_bins)
    student = Student(fitted(model, task))
    save_weights(student, tmp_path / "model.safetensors")
    other = Student(model(task.spec))
    load_weights(other, tmp_path / "model.safetensors")
    assert (rates_of(student, task.batch("test")) == rates_of(other, task.batch("test"))).all()


@models
def test_the_same_trials_give_the_same_fit_whatever_came_before(model) -> None:
    task = make_task(forward_bins=2)
    batch, before = task.batch("train"), task.batch("valid")
    twice = model(task.spec).fit_to(before.spikes, before.target)
    twice.fit_to(batch.spikes, batch.target)
    first, second = (fitted(model, task).state_dict() for _ in range(2))
    for other in (second, twice.state_dict()):
        assert all(torch.equal(first[name], other[name]) for name in first)


@models
def test_trials_do_not_see_each_other(model) -> None:
    task = make_task()
    net, spikes = fitted(model, task), task.batch("test").spikes
    torch.testing.assert_close(net(spikes)[3:5], net(spikes[3:5]))


@models
def test_a_neuron_silent_in_training_has_its_mean(model) -> None:
    task = with_silent(0, 9)
    assert task.spec.n_in < 9
    net = fitted(model, task)
    for part in ("train", "test"):
        log_rates = net(task.batch(part).spikes)
        assert torch.isfinite(log_rates).all()
        for neuron in (0, 9):
            mean = torch.tensor(task.spec.log_rate[neuron])
            torch.testing.assert_close(log_rates[:, :, neuron], mean.expand(log_rates.shape[:2]))


@models
@forward
def test_no_spikes_at_all(model, forward_bins) -> None:
    spec, spikes = make_task(forward_bins=forward_bins).spec, torch.zeros(24, 12, 10)
    seen = spikes[:, : spec.t_in, : spec.n_in]
    log_rates = model(spec).fit_to(seen, spikes)(seen)
    mean = torch.tensor(0.5 / (24 * 12)).log()
    torch.testing.assert_close(log_rates, mean.expand(24, 12, 10))


@models
def test_no_bin_is_expected_to_hold_more_spikes_than_any_did(model) -> None:
    task = make_task(forward_bins=2)
    log_rates = fitted(model, task, penalty=1e-5)(task.batch("test").spikes * 1000)
    most = task.batch("train").target.amax((0, 1)).log()
    assert torch.isfinite(log_rates).all()
    assert (log_rates[:, :, task.spec.n_in :] <= most[task.spec.n_in :]).all()
    assert (log_rates[:, task.spec.t_in :] <= most).all()


def padded(part: torch.Tensor, n: int) -> torch.Tensor:
    return nn.functional.pad(part, (0, 0, 0, n))


@models
@pytest.mark.parametrize("settings", [{}, {"kernel_s": None}])
def test_padding_changes_nothing(model, settings) -> None:
    task = make_task()
    batch, n_more = task.batch("train"), 30
    present = torch.arange(12 + n_more).expand(batch.n_trials, -1) < 12
    longer = replace(task.spec, t_in=12 + n_more, t_out=12 + n_more)
    plain = model(task.spec, **settings).fit_to(batch.spikes, batch.target)
    filled = model(longer, **settings).fit_to(
        padded(batch.spikes, n_more), padded(batch.target, n_more), present
    )
    # half a bin's worth of rounding in a float32 covariance goes a long way in a factor's sign
    for name, value in plain.state_dict().items():
        if not name.startswith(("projection", "readout.weight")):
            torch.testing.assert_close(filled.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    log_rates = filled(padded(batch.spikes, n_more), present)
    assert torch.isfinite(log_rates).all()
    torch.testing.assert_close(log_rates[:, :12], plain(batch.spikes), atol=1e-3, rtol=1e-3)
    same = filled(batch.spikes, None)
    torch.testing.assert_close(log_rates[:, :12], same, atol=1e-5, rtol=1e-5)


@models
def test_trials_of_different_lengths(model) -> None:
    """Each trial's rates are those that it has by itself, cut to its length."""
    lengths, trials = np.tile([12, 7, 9, 10], 10), make_trials()
    spikes = trials.spikes * (np.arange(12) < lengths[:, None])[:, :, None]
    task = make_task(make_trials(spikes=spikes, lengths=lengths, behavior=None))
    net, batch = fitted(model, task), task.batch("test")
    log_rates = net(batch.spikes, batch.present)
    for i, length in enumerate(batch.present.sum(1).tolist()):
        alone = net(batch.spikes[i : i + 1, :length])
        torch.testing.assert_close(log_rates[i, :length], alone[0], atol=1e-5, rtol=1e-5)
    assert torch.isfinite(Student(net)(batch)).all()


@models
@pytest.mark.parametrize("held_out_fraction", [0.0, 0.5])
def test_settings_are_chosen_with_and_without_held_out_neurons(model, held_out_fraction) -> None:
    task = make_task(held_out_fraction=held_out_fraction, forward_bins=2)
    net = fitted(model, task, kernel_s=None)
    assert torch.isfinite(net(task.batch("test").spikes)).all()


@models
def test_a_kernel_as_wide_as_rates_are_slow_is_chosen(model) -> None:
    rng = np.random.default_rng(0)
    for n_draws, width in ((1, 0.2), (50, 0.02)):
        drive = rng.normal(size=(60, n_draws, 1)) * np.ones((1, 50, 1))
        spikes = rng.poisson(0.3 * np.exp(drive * np.linspace(-1, 1, 12)))
        task = make_task(make_trials(60, 50, 12, spikes=spikes, behavior=None))
        net = fitted(model, task, kernel_s=None)
        assert float(net.kernel_s) == pytest.approx(width)


@models
def test_errors(model) -> None:
    task, batch = make_example(forward_bins=2)
    for wrong in ({"kernel_s": 0.0}, {"penalty": -1.0}):
        refuses("wanted more than 0", model, task.spec, **wrong)
    with pytest.raises(InputError, match=r"found spikes and targets .* \(10, 8\)"):
        model(task.spec).fit_to(batch.spikes, batch.spikes)
    refuses("one trial", model(task.spec).fit_to, batch.spikes[:1], batch.target[:1])
