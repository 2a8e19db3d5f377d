import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_trials, refuses, write_arrays
from safetensors.numpy import load_file
from students import make_student
from test_student import counts_of

from neuroblend.data.recording import Recording
from neuroblend.deploy.adapt import Align, adapt_student
from neuroblend.deploy.bundle import load_student, save_student
from neuroblend.deploy.student import TrainedStudent
from neuroblend.registry import MODELS
from neuroblend.task.batch import Batch

QUICK = {"epochs": 2, "batch_size": 8, "valid_every": 1, "accelerator": "cpu"}
OTHERS = [f"m{i}" for i in range(7)]
TINY = {
    "ndt": {"width": 8, "feedforward": 8, "n_layers": 1},
    "gru": {"width": 5},
    "lfads": {"generator": 8, "factors": 4, "encoder": 5, "controller": 4, "initial": 4},
}


@pytest.fixture(scope="module")
def student() -> TrainedStudent:
    return make_student("gru", TINY["gru"], "norm")


def adapted(student: TrainedStudent, spikes: object = None, **given: object) -> TrainedStudent:
    spikes = counts_of((20, 12, 7)) if spikes is None else spikes
    given = {"settings": QUICK} | given
    if isinstance(spikes, np.ndarray):
        given = {"unit_id": OTHERS} | given
    return adapt_student(student, spikes, **given)


@pytest.mark.parametrize("model", TINY)
def test_weights_of_neurons_alone_are_trained_and_behavior_is_decoded(model, tmp_path) -> None:
    student = make_student(model, TINY[model], MODELS[model].layer)
    found = adapted(student)
    before, after = (dict(s.model.named_parameters()) for s in (student, found))
    followed = {name for name in before if before[name].shape != after[name].shape}
    for name in set(before) - followed:
        assert torch.equal(before[name], after[name]), name
    assert {name for name in before if "readout" in name} <= followed
    assert len(followed) < len(before)
    said = found.predict(counts_of((3, 12, 7)), unit_id=OTHERS)
    assert said.behavior.shape == (3, 12, 2)
    assert said.rates.shape == (3, 12, 7)
    assert said.behavior_units == ("cm/s", "cm/s")
    save_student(found, tmp_path / "a.nbm")
    again = load_student(tmp_path / "a.nbm")
    np.testing.assert_array_equal(
        again.predict(counts_of((3, 12, 7)), unit_id=OTHERS).behavior, said.behavior
    )
    about = again.about["adapted"]
    assert about["behavior_seen"] is False
    assert about["from"] == student.about
    assert about["data_hash"].startswith("sha256:")
    assert (about["n_neurons"], about["n_known_neurons"], about["n_trials"]) == (7, 0, 20)


@pytest.mark.parametrize("held_out", [0.0, 0.3])
@pytest.mark.parametrize("model", TINY)
def test_a_neuron_of_the_same_id_starts_from_its_weights(model, held_out, monkeypatch) -> None:
    """Untrained, and with the strangers silent, the student is what zeros for the missing give."""
    monkeypatch.setattr("neuroblend.training.train.train", untrained)
    student = make_student(model, TINY[model], MODELS[model].layer, held_out_fraction=held_out)
    known = student.neurons
    kept = known.seen[1:]
    ids = np.array([*kept[::-1], "x1", "x2"])
    spikes = counts_of((20, 12, ids.size))
    found = adapted(student, spikes, unit_id=ids)
    assert found.neurons.unit_id.tolist() == ids.tolist()
    expected = student.predict(spikes, unit_id=ids, missing_units="zeros")
    said = found.predict(spikes, unit_id=ids)
    np.testing.assert_allclose(said.latents, expected.latents, atol=1e-5)
    at = [known.unit_id.tolist().index(i) for i in ids[:-2]]
    np.testing.assert_allclose(said.rates[:, :, :-2], expected.rates[:, :, at], rtol=1e-4)
    mean = spikes[:, :, -2:].mean()
    assert np.exp(found.model.net.readout.bias[-2:].detach().numpy()) == pytest.approx(
        mean, rel=0.3
    )
    assert not found.about["adapted"]["notes"]
    none = adapted(student, spikes, unit_id=ids, match="none")
    assert none.about["adapted"]["n_known_neurons"] == 0
    assert "turned or mirrored" in none.about["adapted"]["notes"][0]


def untrained(model, *_: object, **__: object):
    model.eval()
    return pd.DataFrame({"valid": [0.0]})


def test_known_latents_are_those_of_training_trials(student) -> None:
    found = student.known_latents
    latents = student.signals(student.task.batch("train"), ())["features"].reshape(-1, 10)
    np.testing.assert_allclose(found.mean, latents.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(latents.T), atol=1e-6)
    assert found.decoder is student.decoder
    of_rates = make_student("gru", TINY["gru"], "norm", signal="rates")
    other = of_rates.known_latents
    assert other.decoder.weights.shape[1] == 10
    assert other.decoder.weights.shape != of_rates.decoder.weights.shape


def test_alignment_is_nothing_where_latents_lie_as_they_did(student) -> None:
    found = student.known_latents
    align, batch = Align(found, "norm"), student.task.batch("train")
    with torch.no_grad():
        assert float(align.distance(student.model, batch)) == pytest.approx(0, abs=1e-6)
        masked = batch._replace(spikes=batch.spikes * 0)
        assert float(align.distance(student.model, masked)) == pytest.approx(0, abs=1e-6)
        # twice the spread: every variance of 1 is 1/4 of what it was, and correlations likewise
        wide = Align(replace(found, covariance=4 * found.covariance), "norm")
        correlation = found.covariance / np.sqrt(np.outer(*[np.diag(found.covariance)] * 2))
        expected = (0.75 * correlation) ** 2
        assert float(wide.distance(student.model, batch)) == pytest.approx(
            expected.sum() / 10, rel=1e-4
        )
        spread = np.sqrt(np.diag(found.covariance))
        moved = Align(replace(found, mean=found.mean + 2 * spread), "norm")
        assert float(moved.distance(student.model, batch)) == pytest.approx(4, rel=1e-4)


def test_padding_takes_no_part_in_alignment(student) -> None:
    align = Align(student.known_latents, "norm")
    counts = torch.from_numpy(counts_of((6, 12, student.spec.n_in)).astype(np.float32))
    present = (torch.arange(12) < 8).expand(6, 12)
    counts[:, 8:] = 0
    whole = Batch(counts[:, :8], target=counts[:, :8])
    padded = Batch(counts, target=counts, present=present)
    with torch.no_grad():
        expected = float(align.distance(student.model, whole))
        assert float(align.distance(student.model, padded)) == pytest.approx(expected, rel=1e-4)


def test_same_seed_same_student(student) -> None:
    a, b = adapted(student), adapted(student)
    for x, y in zip(a.model.parameters(), b.model.parameters(), strict=True):
        assert torch.equal(x, y)
    other = adapted(student, seed=1)
    assert not torch.equal(next(a.model.parameters()), next(other.model.parameters()))


def test_of_several_starts_what_validates_best_is_kept(student) -> None:
    one, two = adapted(student), adapted(student, starts=3)
    losses = [s.about["adapted"]["valid"] for s in (one, two)]
    assert losses[1] <= losses[0]
    assert two.about["adapted"]["starts"] == 3
    refuses("found 0 starts", adapted, student, starts=0)


def test_spikes_come_in_any_length(student) -> None:
    long = adapted(student, counts_of((6, 40, 7)))
    assert long.about["adapted"]["n_trials"] == 18
    short = adapted(student, counts_of((20, 9, 7)))
    assert short.predict(counts_of((2, 12, 7)), unit_id=OTHERS).behavior.shape == (2, 12, 2)
    stretch = adapted(student, counts_of((400, 7)))
    assert stretch.about["adapted"]["n_trials"] == 33
    rng = np.random.default_rng(0)
    recording = Recording.of(
        [np.sort(rng.uniform(0, 10, 200)) for _ in range(4)],
        span=(0.0, 10.0),
        name="later",
        observed=np.array([[0.0, 4.0], [5.0, 10.0]]),
    )
    found = adapted(student, recording)
    assert found.about["adapted"]["data"] == "later"
    assert found.about["adapted"]["n_trials"] == 36


def test_forward_bins_are_asked_for(student) -> None:
    forward = make_student("gru", TINY["gru"], "norm", forward_bins=2)
    found = adapted(forward)
    assert (found.spec.t_in, found.spec.t_out) == (10, 12)
    said = found.predict(counts_of((3, 10, 7)), unit_id=OTHERS)
    assert said.rates.shape == (3, 12, 7)
    refuses("found trials of 9 bins, wanted 12", adapted, forward, counts_of((20, 9, 7)))


@pytest.mark.parametrize(
    ("spikes", "given", "message"),
    [
        (np.zeros((20, 12, 7), int), {}, "spikes: "),
        (counts_of((3, 12, 7)), {}, "too few trials: 3"),
        (counts_of((30, 7)), {}, "too few trials"),
        (counts_of((20, 12, 7)), {"match": "id"}, "match: found 'id', wanted one of auto, none"),
        (counts_of((20, 12, 7)), {"weight": -1.0}, "found weight -1.0, wanted 0 or more"),
        (counts_of((20, 12, 7)), {"seed": -1}, "found seed -1"),
        (counts_of((20, 12, 7)), {"settings": {"epoch": 2}}, "did you mean 'epochs'"),
        (counts_of((20, 12, 7)), {"settings": {"devices": 2}}, "found devices 2, wanted 1"),
        (counts_of((20, 12, 7)) + 0.5, {}, "spikes"),
        (make_trials(bin_s=0.05), {}, "found bins of 0.05 s, wanted 0.02 s"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(student, spikes, given, message) -> None:
    refuses(message, adapted, student, spikes, **given)


def test_neurons_of_training_need_nothing(student) -> None:
    ids = student.neurons.unit_id[::-1]
    refuses("predict takes these spikes as they are", adapted, student, counts_of((20, 12, 10)),
            unit_id=ids)  # fmt: skip
    adapted(student, counts_of((20, 12, 10)), unit_id=ids, match="none")
    adapted(student, counts_of((20, 12, 10)), unit_id=None)


def test_networks_as_wide_as_their_neurons_are_refused() -> None:
    for model, settings in (("stndt", {}), ("ndt", {"width": None})):
        refuses("are as many as its neurons", adapted, make_student(model, settings, "norm"))


def test_students_without_latents_are_refused(student, tmp_path) -> None:
    wiener = replace(student, arm="wiener", layer=None, network=None, model=None)
    refuses("wiener has no latents", adapted, wiener)
    save_student(replace(student, task=None), tmp_path / "old.nbm")
    assert not [k for k in load_file(tmp_path / "old.nbm") if k.startswith("latents")]
    refuses("without statistics of its latents", adapted, load_student(tmp_path / "old.nbm"))


def test_a_network_that_takes_no_padding_is_refused_in_a_line() -> None:
    student = make_student("test_adapt:NoPadding")
    refuses("adapt: on spikes", adapted, student, counts_of((20, 9, 7)))


class NoPadding(torch.nn.Module):
    def __init__(self, spec) -> None:
        super().__init__()
        self.embed = torch.nn.Linear(spec.n_in, 4)
        self.readout = torch.nn.Linear(4, spec.n_out)

    def forward(self, spikes):
        return self.readout(torch.tanh(self.embed(spikes)))


def test_from_the_command_line(student, tmp_path) -> None:
    save_student(student, tmp_path / "s.nbm")
    spikes = counts_of((20, 12, 7))
    spikes[:, :, 3] = 0
    ids = np.array([student.neurons.seen[0], *OTHERS[1:]])
    write_arrays(tmp_path / "day2.npz", {"spikes": spikes, "unit_id": ids})

    def call(*given: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "neuroblend", *map(str, given)],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip

    done = call("adapt", "s.nbm", "day2.npz", "--out", "a.nbm", "--epochs", 2, "--quiet")
    assert done.returncode == 0, done.stderr
    assert "for 6 neurons, 1 of them known; learned from 20 trials" in done.stdout
    assert "never fire:" in done.stderr
    done = call("predict", "a.nbm", "day2.npz", "--out", "p.h5")
    assert done.returncode == 0, done.stderr
    for given, message in (
        (("s.nbm", "none.npz"), "none.npz"),
        (("s.nbm", "day2.npz", "--epochs", 0), "epochs"),
    ):
        done = call("adapt", *given, "--out", "b.nbm")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert message in done.stderr
    assert not (tmp_path / "b.nbm").exists()


def test_it_loads_light() -> None:
    code = (
        "import sys, neuroblend.deploy.adapt;"
        "print([m for m in ('lightning', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
