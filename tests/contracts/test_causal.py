"""No later spike changes what a causal model says of a bin: for every model and read-out."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses, tiny_config
from test_models import SMALL, forward, models
from torch import Tensor, nn

from neuroblend.distill.objective import Objective, output_of
from neuroblend.evaluation.reach import ReceptiveField, receptive_field
from neuroblend.evaluation.readout import CAUSAL_FAMILIES, read_out
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.decoding.networks import (
    build_blind_teacher,
    build_direct,
    build_reference,
    build_student,
    build_teacher,
    check_network,
    student_settings,
)
from neuroblend.experiments.decoding.rivals import rival_signals
from neuroblend.experiments.decoding.settings import ModelConfig, RunConfig
from neuroblend.models.build import build_network
from neuroblend.models.ndt import NDT
from neuroblend.privilege.roles import Student
from neuroblend.registry import MODELS, REFERENCES
from neuroblend.task.batch import Batch
from neuroblend.task.task import Task

CUT = 17  # the last bin that is not changed
LENGTHS = np.tile([30, 24, 20, 27], 10)
CONVOLUTION = "test_causal:Convolution"


class Convolution(nn.Module):
    """Of three bins: causal, or around a bin."""

    def __init__(self, spec, causal: bool = False, ahead: int = 1) -> None:
        super().__init__()
        self.padding = (2, 0) if causal else (2 - ahead, ahead)
        self.hidden = nn.Conv1d(spec.n_in, 6, 3)
        self.out = nn.Linear(6, spec.n_out)

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        if present is not None:
            spikes = spikes * present[:, :, None]
        padded = nn.functional.pad(spikes.transpose(1, 2), self.padding)
        return self.out(self.hidden(padded).transpose(1, 2).tanh())


def Deaf(spec) -> nn.Module:  # one that cannot be told to be causal
    return Convolution(spec)


def Noisy(spec) -> nn.Module:
    class Drawing(Convolution):
        def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
            return super().forward(spikes) + torch.rand(1)

    return Drawing(spec)


class Gated(Convolution):
    """One that looks ahead behind a gate that begins closed, from a given height of it on."""

    def __init__(self, spec, height: float = 0.0) -> None:
        super().__init__(spec, causal=True)
        self.gate, self.height = nn.Parameter(torch.zeros(1)), height

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        opened = (self.gate.abs() - self.height).relu()
        later = nn.functional.pad(spikes[:, 1:], (0, 0, 0, 1))
        is_one = (
            torch.arange(spikes.shape[1])[:, None] == 28
        )  # a bin that no sample of bins need hit
        return super().forward(spikes, present) + opened * (later * is_one).sum(2, keepdim=True)


def config_of(name: str, **changes: object) -> RunConfig:
    settings = {"name": name, "settings": SMALL.get(name, {}), "causal": True} | changes
    return tiny_config(model=settings)


def padded_task() -> Task:
    whole, padding = make_trials(n_bins=30), np.arange(30) >= LENGTHS[:, None]
    spikes, behavior = whole.spikes.copy(), whole.behavior.copy()
    spikes[padding], behavior[padding] = 0, np.nan
    return make_task(make_trials(spikes=spikes, behavior=behavior, lengths=LENGTHS))


def with_another_future(batch: Batch) -> Batch:
    later = torch.arange(batch.spikes.shape[1]) > CUT
    other = torch.poisson(torch.full(batch.spikes.shape, 2.0))
    return batch._replace(spikes=torch.where(later[:, None], other, batch.spikes))


def test_every_model_and_reference_can_be_causal() -> None:
    assert all(model.causal for model in (*MODELS.values(), *REFERENCES.values()))


@models
@pytest.mark.parametrize("lengths", ["one length", "padded", "forward bins"])
def test_no_later_spike_changes_rates_features_or_behavior(name, lengths) -> None:
    whole = make_trials(n_bins=30)
    task = padded_task() if lengths == "padded" else make_task(
        whole, forward_bins=4 if lengths == "forward bins" else 0
    )  # fmt: skip
    student, layer = build_student(config_of(name), task, 0).eval(), MODELS[name].layer
    batch = task.batch("train")
    with torch.no_grad():
        was, now = (output_of(student, b, [layer]) for b in (batch, with_another_future(batch)))
    behavior = task.trials.behavior[task.split.train]
    parts = ("train", "valid", "test")
    for each in ("rates", "features"):
        both = [o.log_rates if each == "rates" else o.features[layer] for o in (was, now)]
        assert torch.equal(*(o[:, : CUT + 1] for o in both)), each
        assert not torch.equal(*(o[:, CUT + 1 :] for o in both))
        signals = [o.numpy().copy() for o in both]
        for signal in signals if batch.present is not None else []:
            signal[~batch.present] = np.nan
        for family in CAUSAL_FAMILIES:
            given = dict.fromkeys(parts, signals[0]), dict.fromkeys(parts, behavior)
            decoder = read_out(*given, family, name=each).decoder
            decoded = [decoder(signal)[:, : CUT + 1] for signal in signals]
            np.testing.assert_allclose(*decoded, rtol=0, atol=1e-9)


@models
def test_a_causal_network_learns_with_all_of_its_weights(name) -> None:
    task = make_task(make_trials(n_bins=30), forward_bins=3)
    student = build_student(config_of(name), task, 0)
    Objective()(student, task.batch("train"))["loss"].backward()
    for weight_name, weight in student.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, weight_name


@models
def test_a_causal_network_sees_the_bin_that_it_speaks_of(name) -> None:
    task = make_task(make_trials(n_bins=30))
    student = build_student(config_of(name), task, 0).eval()
    spikes = task.batch("valid").spikes.clone()
    was = student(Batch(spikes))
    spikes[:, CUT] += 1
    assert not torch.equal(was[:, CUT], student(Batch(spikes))[:, CUT])


@models
def test_teachers_see_the_whole_trial_and_are_what_they_were(name) -> None:
    task, seen = make_task(make_trials(n_bins=30)), {}
    for causal in (False, True):
        config = config_of(name, causal=causal)
        for build in (build_teacher, build_blind_teacher):
            seen.setdefault(build, []).append(build(config, task, 3).state_dict())
    for one, other in seen.values():
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    blind = build_blind_teacher(config_of(name), task, 3)
    probe = Student(blind.net)
    assert receptive_field(probe, 30, task.spec.n_in).future != 0
    assert receptive_field(build_direct(config_of(name), task, 3), 30, task.spec.n_in).future == 0


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("gru", "bidirectional", True),
        ("ndt", "context_forward_s", 0.1),
        ("stndt", "causal", False),
        (CONVOLUTION, "causal", False),
    ],
)
def test_a_setting_that_looks_ahead_is_refused(name, key, value) -> None:
    message = f"--causal with model.settings.{key} {value}: a causal {name} has {key}"
    refuses(message, check_network, config_of(name, settings={key: value}), make_task())


def test_what_training_opens_is_seen_before_it_is_scored(tmp_path) -> None:
    task = make_task(make_trials(n_bins=30))
    message = r"model test_causal:Gated: found that it looks ahead \(by bins: 1\)"
    refuses(message, check_network, config_of("test_causal:Gated"), task)
    config = config_of("test_causal:Gated", settings={"height": 0.5})
    check_network(config, task)
    experiment = Decoding(config)
    for name, build in (("direct", build_direct), ("baseline", build_student)):
        (arm,) = [arm for arm in experiment.arms() if arm.name == name]
        fit = SimpleNamespace(arm=arm)
        scene = SimpleNamespace(task=task, fit=fit, data=task.trials, out=tmp_path)
        student = build(config, task, 0)
        experiment.score(scene, student)
    student.net.gate.data += 1
    message = r"^baseline, trained: found that it looks ahead \(by bins: 1\), wanted with --causal"
    refuses(message, experiment.score, scene, student)


def test_settings_of_a_causal_network_can_be_changed() -> None:
    settings = {"context_backward_s": 0.1, "positions": "learned", "context_forward_s": 0}
    settings = student_settings(ModelConfig(settings=settings, causal=True))
    net = build_network("ndt", settings, make_task().spec)
    assert (net.window.back, net.past.turns) == (5, None)


def test_a_causal_lfads_needs_inputs() -> None:
    refuses(
        "found inputs 0", check_network, config_of("lfads", settings={"inputs": 0}), make_task()
    )


@pytest.mark.parametrize("make_task_of", [make_task, padded_task])
def test_a_network_of_ones_own_is_told_and_probed(make_task_of) -> None:
    task = make_task_of()
    assert check_network(config_of(CONVOLUTION), task) == "out:in"
    check_network(config_of("test_causal:Deaf", settings={}, causal=False), task)
    message = r"test_causal:Deaf: found that it looks ahead \(by bins: 1\), wanted with --causal"
    refuses(message, check_network, config_of("test_causal:Deaf"), task)
    refuses("gives other numbers at each call", check_network, config_of("test_causal:Noisy"), task)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"causal": True}, ReceptiveField(2, 0)),
        ({}, ReceptiveField(1, 1)),
        ({"ahead": 2}, ReceptiveField(0, 2)),
    ],
)
def test_the_receptive_field_of_a_convolution(settings, expected) -> None:
    net = Convolution(make_task().spec, **settings).train()
    assert receptive_field(net, 40, 8, ["out"]) == expected
    assert receptive_field(Student(net), 40, 8, n_probed=5) == expected
    assert net.training
    refuses("no layer 'hiden': did you mean 'hidden'", receptive_field, net, 9, 8, ["hiden"])


def test_the_receptive_field_grows_with_layers_until_it_is_unbounded() -> None:
    spec = make_task().spec
    for n_layers in (1, 3):
        net = NDT(spec, n_layers, 8, context_forward_s=0.02, context_backward_s=0.06,
                  positions="rotary")  # fmt: skip
        assert receptive_field(net, 40, 8) == (3 * n_layers, n_layers)
    assert receptive_field(net, 9, 8) == (None, 3)


@forward
def test_what_a_lab_has_is_causal_too(forward_bins) -> None:
    task = make_task(make_trials(n_bins=30), forward_bins=forward_bins)
    batch = task.batch_of(np.arange(40))
    batches = (batch, with_another_future(batch))
    for arm in ("wiener", "kalman"):
        was, now = (rival_signals(arm, None, task, b, causal=True) for b in batches)
        assert not [name for name in was if "smoother" in name]
        for name in was:
            np.testing.assert_array_equal(was[name][:, : CUT + 1], now[name][:, : CUT + 1])
        free = rival_signals(arm, None, task, batch)
        assert len(free) > len(was) or any((free[n] != was[n]).any() for n in was)
    for name in REFERENCES:
        student = build_reference(name, task, causal=True)
        train = task.batch("train")
        student.net.fit_to(train.spikes, train.target)
        assert receptive_field(student, task.spec.t_in, task.spec.n_in).future == 0


def test_a_causal_half_of_a_gaussian_is_a_mean_over_the_past() -> None:
    task = make_task(make_trials(n_bins=30))
    spikes = np.zeros((1, 30, task.spec.n_in))
    spikes[0, 10] = 1
    signals = rival_signals("wiener", None, task, Batch(torch.from_numpy(spikes)), causal=True)
    weights = signals["spikes smoothed by 40 ms"][0, :, 0]
    expected = np.exp(-0.5 * (np.arange(9) / 2) ** 2)
    np.testing.assert_allclose(weights[10:19], expected / expected.sum(), atol=1e-6)
    assert (weights[:10] == 0).all()


def test_read_outs_of_a_causal_run_have_no_future_but_for_teachers() -> None:
    experiment = Decoding(config_of("gru", causal=True).model_copy(update={"controls": "all"}))
    for arm in experiment.arms():
        ahead = "history and future" in experiment.families(arm)
        assert ahead == ("teacher" in arm.name), arm.name
    free = Decoding(config_of("gru", causal=False))
    assert all("history and future" in free.families(arm) for arm in free.arms())


def test_a_causal_lfads_has_no_posterior_of_the_initial_condition() -> None:
    task = make_task()
    student = build_student(config_of("lfads"), task, 0)
    names = {name.partition(".")[0] for name, _ in student.net.named_parameters()}
    assert not names & {"encode_initial", "initial_posterior"}
    student.train()
    student(task.batch("train"))
    assert student.net.own_losses(1.0)["kl"] > 0
