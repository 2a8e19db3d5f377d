"""Bin by bin, a causal student says what it says of the whole recording."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses, tiny_config
from test_causal import CONVOLUTION, config_of
from test_models import SMALL, models
from torch import nn

from neuroblend.deploy.direct import decoded_by, direct_signals
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.signals import StudentSignals
from neuroblend.deploy.stream import History, Stream
from neuroblend.deploy.student import TrainedStudent
from neuroblend.distill.objective import output_of
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.predict import in_recorded_order
from neuroblend.evaluation.readout import (
    CAUSAL_FAMILIES,
    FEATURES,
    LOG_RATES,
    RATES,
    lags_of,
    log_of,
)
from neuroblend.experiments.decoding.networks import build_direct, build_student, feature_layer
from neuroblend.models.parts.streams import Streams
from neuroblend.registry import MODELS
from neuroblend.task.batch import Batch

N_STEPS = 200  # of training trials of 30 bins
TASK = make_task(make_trials(n_bins=30))


def poisson(n_bins: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.poisson(torch.full((1, n_bins, TASK.spec.n_in), 0.5), generator=generator)


def make_decoder(n_signal: int, family: str) -> Decoder:
    rng, lags = np.random.default_rng(0), lags_of(family, 0.02, 30)
    return Decoder(rng.normal(size=(len(lags), n_signal, 2)) / 9, rng.normal(size=2), lags)


def steps(stream: Stream, counts: torch.Tensor) -> list[np.ndarray]:
    """Rates, latents and behavior, each (bin, ...)."""
    found = [stream.step(each)[:3] for each in counts[0].numpy()]
    return [np.stack(each) for each in zip(*found, strict=True)]


@models
@pytest.mark.parametrize("signal", [RATES, LOG_RATES, FEATURES])
@pytest.mark.parametrize("family", CAUSAL_FAMILIES)
def test_a_stream_equals_the_whole_recording(name, signal, family) -> None:
    student, layer = build_student(config_of(name), TASK, 0), MODELS[name].layer
    counts = poisson(N_STEPS)
    with torch.no_grad():
        whole = output_of(student.eval(), Batch(counts), [layer])
    rates = in_recorded_order(whole.log_rates.exp().numpy(), TASK.split.order)
    latents = whole.features[layer].numpy()
    read = {RATES: rates, LOG_RATES: log_of(rates), FEATURES: latents}[signal]
    decoder = make_decoder(read.shape[2], family)
    stream = Stream(student, TASK.spec, layer, decoder, signal, TASK.split.order)
    found = steps(stream, counts)
    expected = [each[0] for each in (rates, latents, decoder(read.astype(np.float64)))]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert (found[0].dtype, found[1].dtype, found[2].dtype) == ("float32", "float32", "float64")
    assert stream.n_steps == N_STEPS
    stream.reset()
    np.testing.assert_array_equal(steps(stream, counts[:, :40])[2], found[2][:40])


@models
def test_a_state_does_not_grow_and_streams_run_side_by_side(name) -> None:
    net = build_student(config_of(name), TASK, 0).net.eval()
    assert isinstance(net, Streams)
    counts = torch.cat([poisson(40), poisson(40, seed=1)])
    state = net.begin(2)
    shapes = [(each.shape, each.dtype) for each in state]
    together = []
    with torch.no_grad():
        for t in range(40):
            log_rates, state = net.step(counts[:, t], state)
            together.append(log_rates)
            assert [(each.shape, each.dtype) for each in state] == shapes
        torch.testing.assert_close(torch.stack(together, dim=1), net(counts), rtol=0, atol=1e-5)


@models
def test_forward_bins_change_no_bin_of_a_stream(name) -> None:
    task = make_task(make_trials(n_bins=30), forward_bins=4)
    student, layer = build_student(config_of(name), task, 0).eval(), MODELS[name].layer
    counts = poisson(26)
    with torch.no_grad():
        whole = output_of(student, Batch(counts), [layer])
    stream = Stream(student, task.spec, layer)
    found = [stream.step(each) for each in counts[0]]
    rates, latents = (np.stack([getattr(s, n) for s in found]) for n in ("rates", "latents"))
    np.testing.assert_allclose(rates, whole.log_rates[0, :26].exp(), atol=1e-5)
    np.testing.assert_allclose(latents, whole.features[layer][0, :26], atol=1e-5)


@models
def test_a_network_trained_on_behavior_streams_it(name) -> None:
    student = build_direct(config_of(name), TASK, 0)
    counts = poisson(60)
    decoded = decoded_by(student, Batch(counts))
    decoder = make_decoder(2, "history")
    stream = Stream(student, TASK.spec, "net.norm", decoder, "decoded", TASK.split.order)
    found = [stream.step(each) for each in counts[0]]
    assert found[0].rates is None
    behavior = np.stack([each.behavior for each in found])
    np.testing.assert_allclose(behavior, decoder(decoded.astype(np.float64))[0], atol=1e-5)


@models
def test_a_network_that_looks_ahead_cannot_stream(name) -> None:
    student = build_student(config_of(name, causal=False), TASK, 0)
    refuses("looks (ahead|at whole trials).*--causal", Stream, student, TASK.spec,
            MODELS[name].layer)  # fmt: skip


def test_positions_in_a_trial_stream_until_it_ends() -> None:
    settings = SMALL["ndt"] | {"positions": "learned"}
    student = build_student(config_of("ndt", settings=settings), TASK, 0).eval()
    counts = poisson(30)
    stream = Stream(student, TASK.spec, "norm")
    rates = np.stack([stream.step(each).rates for each in counts[0]])
    np.testing.assert_allclose(rates, student(Batch(counts))[0].exp().detach(), atol=1e-5)
    refuses("a bin after the 30 of a trial.*reset", stream.step, counts[0, 0])
    stream.reset()
    np.testing.assert_array_equal(stream.step(counts[0, 0]).rates, rates[0])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ndt", {"context_backward_s": None}, "context_backward_s null, wanted seconds"),
        ("lfads", {"n_samples": 3}, "averages over n_samples"),
    ],
)
def test_what_needs_all_of_the_past_is_refused(name, settings, message) -> None:
    student = build_student(config_of(name, settings=SMALL[name] | settings), TASK, 0)
    refuses(message, Stream, student, TASK.spec, MODELS[name].layer)


class Cumulative(nn.Module):
    """Looks back to the start of a trial."""

    def __init__(self, spec) -> None:
        super().__init__()
        self.out = nn.Linear(spec.n_in, spec.n_out)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        return self.out(spikes.cumsum(1))


class Clock(Cumulative):
    """Knows the time in a trial."""

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        return self.out(spikes) + torch.arange(spikes.shape[1])[:, None]


def test_a_causal_network_of_ones_own_is_called_on_what_it_sees() -> None:
    config = tiny_config(model={"name": CONVOLUTION, "settings": {}, "causal": True})
    student = build_student(config, TASK, 0).eval()
    layer = feature_layer(config.model, student.net)
    counts = poisson(70)
    with torch.no_grad():
        whole = output_of(student, Batch(counts), [layer])
    rates, latents, _ = steps(Stream(student.net, TASK.spec, layer), counts)
    np.testing.assert_allclose(rates, whole.log_rates[0].exp(), atol=1e-5)
    np.testing.assert_allclose(latents, whole.features[layer][0], atol=1e-5)
    for net, message in (
        (Cumulative, "as far as a trial goes, wanted one with methods begin and step"),
        (Clock, "depend on when in a trial a bin is"),
    ):
        refuses(message, Stream, net(TASK.spec), TASK.spec, "out")
    free = build_student(tiny_config(model={"name": CONVOLUTION, "settings": {}}), TASK, 0)
    refuses("looks ahead.*--causal", Stream, free, TASK.spec, layer)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros(7), r"counts of shape \(7,\), wanted \(8,\), one bin of the 8 neurons"),
        (np.zeros((1, 8)), r"counts of shape \(1, 8\)"),
        (np.full(8, 0.5), "found 0.5 for neuron 0, wanted counts/bin: whole numbers"),
        ([0, 0, -1, 0, 0, 0, 0, 0], "found -1 for neuron 2"),
        ([0, 0, 0, np.nan, 0, 0, 0, 0], "found nan for neuron 3"),
        (np.full(8, np.inf), "found inf"),
        (np.full(8, 1e30), r"found 1e\+30 for neuron 0, wanted .* from 0 to 65535"),
        (np.full(8, 65536), "found 65536 for neuron 0"),
        (["a"] * 8, "wanted numbers"),
    ],
)
def test_what_is_no_bin_of_counts_is_refused_and_changes_nothing(counts, message) -> None:
    stream = Stream(build_student(config_of("gru"), TASK, 0), TASK.spec, "norm")
    other = Stream(build_student(config_of("gru"), TASK, 0), TASK.spec, "norm")
    refuses(message, stream.step, counts)
    np.testing.assert_array_equal(stream.step(np.ones(8)).rates, other.step([1] * 8).rates)


def test_streams_say_what_does_not_fit_together() -> None:
    student = build_student(config_of("gru"), TASK, 0)
    given = (student, TASK.spec)
    refuses("no layer 'nrm': did you mean 'norm'", Stream, *given, "nrm")
    decoder = make_decoder(10, "same bin")
    known = "no signal 'spikes': There are: rates, log rates, features"
    refuses(known, Stream, *given, "norm", decoder, "spikes")
    ahead = make_decoder(10, "history and future")
    refuses("a read-out of history and future", Stream, *given, "norm", ahead)
    said = repr(Stream(*given, "norm", decoder))
    assert said.startswith("Stream(8 neurons in bins of 20 ms to rates of 10 and behavior_0, beh")


def test_a_stream_has_weights_of_its_own() -> None:
    student = build_student(config_of("gru"), TASK, 0).train()
    stream = Stream(student, TASK.spec, "norm")
    was = stream.step(np.ones(8)).rates
    with torch.no_grad():
        student.net.readout.bias += 1
    stream.reset()
    np.testing.assert_array_equal(stream.step(np.ones(8)).rates, was)
    assert student.training and not student.net.norm._forward_hooks


@pytest.mark.parametrize("name", [*sorted(MODELS), CONVOLUTION])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_of_a_stream_goes_on_by_itself(name, copied) -> None:
    student, layer = build_student(config_of(name), TASK, 0), "out:in"
    layer = MODELS[name].layer if name in MODELS else layer
    counts = poisson(60)[0].numpy()
    stream, whole = (Stream(student, TASK.spec, layer, make_decoder(10, "history")) for _ in "ab")
    wanted = [whole.step(each) for each in counts]
    for each in counts[:20]:
        stream.step(each)
    other = copied(stream)
    assert other.n_steps == 20
    for one, want in zip(counts[20:], wanted[20:], strict=True):
        other.step(np.zeros(8))  # what another is given changes nothing
        found = stream.step(one)
        for a, b in zip(found[:3], want[:3], strict=True):
            np.testing.assert_array_equal(a, b)
    other = copied(other)
    other.reset()
    for one, want in zip(counts, wanted, strict=True):
        found = other.step(one)
        np.testing.assert_array_equal(found.latents, want.latents)
        np.testing.assert_array_equal(found.behavior, want.behavior)


@pytest.mark.parametrize("family", CAUSAL_FAMILIES)
def test_a_read_out_with_history_begins_as_it_does_offline(family) -> None:
    decoder, signal = make_decoder(4, family), np.random.default_rng(1).normal(size=(1, 90, 4))
    history = History(decoder)
    for _ in range(2):
        found = np.stack([history(each)[0] for each in signal[0]])
        np.testing.assert_allclose(found, decoder(signal)[0], atol=1e-12)
        history.reset()


def test_a_run_and_a_file_stream_what_they_predict(tmp_path) -> None:
    from neuroblend.deploy.bundle import load_student, save_student
    from neuroblend.experiments.run import run

    trials = make_trials(n_trials=60, n_bins=30)
    config = tiny_config(model={"name": "gru", "settings": {"width": 6}, "causal": True})
    folder = run(trials, tmp_path / "run", config, jobs=1, quiet=True)
    seen = ~folder.splits()[0].held_out
    spikes = np.asarray(trials.spikes[:1])
    for arm in ("hard", "direct"):
        student = folder.student(arm)
        save_student(student, tmp_path / "student.nbm")
        offline = student.predict(spikes)
        for stream in (student.stream(), load_student(tmp_path / "student.nbm").stream()):
            np.testing.assert_array_equal(stream.unit_id, trials.unit_id[seen])
            found = [stream.step(each[seen]) for each in spikes[0]]
            behavior = np.stack([each.behavior for each in found])
            np.testing.assert_allclose(behavior, offline.behavior[0], atol=1e-5)
            if arm == "hard":
                rates = np.stack([each.rates for each in found])
                np.testing.assert_allclose(rates, offline.rates[0], atol=1e-5)
    wiener = folder.student("wiener")
    refuses("stream: wiener has no network", wiener.stream)
    refuses("onnx: wiener has no network", wiener.export_onnx, tmp_path / "x.onnx")
    assert Stream(student.model, student.spec, student.layer).unit_id is None
    message = "no form 'steps': did you mean 'step'"
    refuses(message, folder.student("hard").export_onnx, tmp_path / "x.onnx", "steps")


@models
def test_memory_does_not_grow_with_a_stream(name) -> None:
    """A shortened form of ``benchmarks/streaming.py``: a kept tensor a step would be megabytes."""
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        pytest.skip("no /proc/self/statm: this system does not say how much memory there is in use")
    student, decoder = build_student(config_of(name), TASK, 0), make_decoder(10, "history")
    stream, counts, used = Stream(student, TASK.spec, MODELS[name].layer, decoder), np.ones(8), []
    for n_steps in (400, 800):
        for _ in range(n_steps):
            stream.step(counts)
        used.append(int(statm.read_text().split()[1]))
    assert (used[1] - used[0]) * 4096 < 500 * 800


@models
@pytest.mark.parametrize("role", ["student", "direct"])
def test_a_long_recording_is_predicted_as_it_is_streamed(name, role, monkeypatch) -> None:
    """Windows of it overlap by all that the network looks back."""
    monkeypatch.setattr("neuroblend.deploy.asked.BLOCK", 400)
    monkeypatch.setattr("neuroblend.deploy.windows.LONG", 512)  # two windows and a half
    trials = make_trials(n_bins=30, unit_id=[f"n{i}" for i in range(10)])
    task, settings = make_task(trials), SMALL[name]
    model = (build_student if role == "student" else build_direct)(config_of(name), task, 0).eval()
    held_out, layer = task.split.held_out, MODELS[name].layer
    is_student = role == "student"
    student = TrainedStudent(
        arm=role, seed=0, spec=task.spec,
        neurons=KnownNeurons(trials.unit_id, trials.unit_index, held_out, 10),
        signals=StudentSignals(model, layer, held_out) if is_student else direct_signals(model),
        decoder=make_decoder(10 if is_student else 2, "history"),
        readout=("rates" if is_student else "decoded", "history"),
        channels=trials.channels, model=model, layer=layer, network=(name, settings),
    )  # fmt: skip
    half = max(650, 7 * student.reach.past // 4)
    counts = np.random.default_rng(2).poisson(0.5, (2 * half, 10))
    offline, stream = student.predict(counts), student.stream()
    assert not [note for note in offline.notes if "windows" in note]
    found = np.stack([stream.step(each).behavior for each in counts[:, ~held_out]])
    np.testing.assert_allclose(offline.behavior[0], found, atol=2e-5)
    long_trials = student.predict(counts.reshape(2, half, 10))
    np.testing.assert_allclose(long_trials.behavior[0], found[:half], atol=2e-5)
