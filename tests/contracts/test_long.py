"""Spikes of any length, through causal students: what one pass over all of them gives."""

from functools import cache

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials
from test_causal import config_of
from test_models import SMALL, models
from torch import nn

from neuroblend.deploy.bundle import load_student, save_student
from neuroblend.deploy.lengths import REMEMBERS
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.signals import StudentSignals
from neuroblend.deploy.student import TrainedStudent
from neuroblend.evaluation.decoder import Decoder
from neuroblend.experiments.decoding.networks import build_student, student_settings
from neuroblend.registry import MODELS
from neuroblend.task.batch import Batch

TRIALS = make_trials(n_bins=30, unit_id=[f"n{i}" for i in range(10)])
TASK = make_task(TRIALS)


@cache
def make_causal(name: str, scale: float = 1.0, **settings: object) -> TrainedStudent:
    """A causal student whose recurrent weights are so many times those that training begins at."""
    settings = SMALL.get(name, {}) | settings
    config = config_of(name, settings=settings)
    model = build_student(config, TASK, 0).eval()
    for weight_name, weight in model.named_parameters():
        if "_hh" in weight_name and weight.ndim == 2:
            weight.data *= scale
    held_out, layer = TASK.split.held_out, MODELS[name].layer if name in MODELS else "out:in"
    return TrainedStudent(
        arm="hard", seed=0, spec=TASK.spec,
        neurons=KnownNeurons(TRIALS.unit_id, TRIALS.unit_index, held_out, 10),
        signals=StudentSignals(model, layer, held_out),
        decoder=Decoder(np.ones((1, 10, 2)) / 9, np.zeros(2), np.zeros(1, dtype=np.int64)),
        readout=("rates", "same bin"), channels=TRIALS.channels, model=model, layer=layer,
        network=(name, student_settings(config.model)),
    )  # fmt: skip


def one_pass(student: TrainedStudent, counts: np.ndarray) -> dict[str, np.ndarray]:
    seen = counts[:, ~student.neurons.held_out].astype(np.float32)[None]
    return student.signals(Batch(torch.from_numpy(seen)), ())


def of_size(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, of the largest value."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@models
@pytest.mark.parametrize("mean", [0.1, 2.0, 10.0])
def test_a_long_recording_is_one_pass_at_any_rate(name, mean, monkeypatch) -> None:
    monkeypatch.setattr("neuroblend.deploy.asked.BLOCK", 3000)
    student, rng = make_causal(name, scale=2.0), np.random.default_rng(1)
    counts = rng.poisson(mean, (7000, 10))
    counts[2500:2700] = 0
    whole, wanted = student.predict(counts), one_pass(student, counts)
    assert REMEMBERS not in whole.notes
    assert of_size(whole.latents, wanted["features"]) < 3e-5
    assert of_size(whole.rates, wanted["rates"]) < 3e-5


class Latch(nn.Module):
    """A network that remembers for ever whether a bin ever had 20 counts of the first neuron."""

    longest, period = None, 1

    def __init__(self, spec: object) -> None:
        super().__init__()
        self.out = nn.Linear(spec.n_in + 1, spec.n_out)

    def forward(self, spikes: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        ever = (spikes[:, :, :1] >= 20).float().cummax(dim=1).values
        return self.out(torch.cat([spikes, ever], dim=2))

    def begin(self, n_streams: int) -> tuple[torch.Tensor, ...]:
        return (torch.zeros(n_streams, 1),)

    def step(self, spikes: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple:
        ever = torch.maximum(state[0], (spikes[:, :1] >= 20).float())
        return self.out(torch.cat([spikes, ever], dim=1)[:, None])[:, 0], (ever,)


def test_a_network_that_never_forgets_is_said_to(monkeypatch) -> None:
    monkeypatch.setattr("neuroblend.deploy.asked.BLOCK", 6000)
    student = make_causal("test_long:Latch")
    counts = np.random.default_rng(0).poisson(0.3, (40000, 10))
    assert REMEMBERS not in student.predict(counts).notes
    counts[7000, ~student.neurons.held_out] = 30
    whole = student.predict(counts)
    assert whole.notes.count(REMEMBERS) == 1
    short = student.predict(counts[:15000])  # one window holds all of it
    assert REMEMBERS not in short.notes
    wanted = one_pass(student, counts[:15000])["features"]
    assert of_size(short.latents, wanted) < 1e-6


@models
@pytest.mark.parametrize("long", [16, 2048])
def test_any_number_of_bins_is_one_pass(name, long, monkeypatch) -> None:
    """Also where a window, of few bins here, is little more than the reach."""
    monkeypatch.setattr("neuroblend.deploy.windows.LONG", long)
    student = make_causal(name)
    past, rng = student.reach.past, np.random.default_rng(1)
    assert student.reach.any_length
    counts = rng.poisson(0.5, (past + 10, 10))
    lengths = sorted({*range(1, 70), *range(max(1, past - 5), past + 11)})
    for n in [n for n in lengths if n <= len(counts)]:
        found, wanted = student.predict(counts[:n]), one_pass(student, counts[:n])
        assert of_size(found.latents, wanted["features"]) < 3e-5, n
        np.testing.assert_allclose(found.rates, wanted["rates"], rtol=1e-4)


def test_edges_of_a_causal_student_are_all_that_it_looks_back() -> None:
    student = make_causal("ndt", context_backward_s=0.1)
    assert (student.reach.past, student.reach.future) == (10, 0)  # 5 bins a layer
    assert student.margins == (10, 0)
    edge = student.predict(np.ones((200, 10), dtype=int)).edge[0]
    assert np.flatnonzero(edge).tolist() == list(range(10))
    slow = make_causal("ndt", context_backward_s=0.5)
    assert slow.predict(np.ones((2, 30, 10), dtype=int)).edge.all()
    assert slow.predict(np.ones((200, 10), dtype=int)).edge.sum() == 50


def test_a_file_holds_how_far_a_causal_student_looks(tmp_path, monkeypatch) -> None:
    student = make_causal("gru")
    save_student(student, tmp_path / "s.nbm")
    again = load_student(tmp_path / "s.nbm")
    monkeypatch.delattr("neuroblend.deploy.lengths.receptive_field")  # it is not probed again
    assert again.reach == student.reach
    assert again.reach.any_length
    counts = np.random.default_rng(1).poisson(0.5, (2500, 10))
    np.testing.assert_array_equal(again.predict(counts).rates, student.predict(counts).rates)
