"""Exported, a student says what it says in PyTorch: every model, by whole trials and by bins."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses
from test_causal import CONVOLUTION, config_of
from test_models import SMALL, models
from test_streams import TASK, make_decoder, poisson
from torch import nn

from neuroblend.data.channel import Channel
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.onnx import _ReadOut, export_step, export_trials
from neuroblend.deploy.stream import Stream
from neuroblend.distill.objective import output_of
from neuroblend.evaluation.readout import FEATURES, LOG_RATES, RATES
from neuroblend.experiments.decoding.networks import build_direct, build_student
from neuroblend.registry import MODELS
from neuroblend.task.batch import Batch

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")
SHORT = make_task(make_trials(n_bins=8))  # what is exported is unrolled over bins
DOCS = Path(__file__).parents[2] / "docs" / "deploy.md"


def run_by_bins(path: Path, bins: np.ndarray, n_given: int) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path))
    states = [each for each in session.get_inputs() if each.name.startswith("state")]
    state = {each.name: np.full(each.shape, 7, np.float32) for each in states}  # begin ignores it
    found = []
    for t, counts in enumerate(bins):
        given = {"counts": counts[None].astype(np.float32), "begin": np.array([t == 0])}
        (*out,) = session.run(None, given | state)
        state = dict(zip(state, out[n_given:], strict=True))
        found.append(out[:n_given])
    return [np.concatenate(each) for each in zip(*found, strict=True)]


@models
@pytest.mark.parametrize(
    ("signal", "family"),
    [(RATES, "history"), (LOG_RATES, "history"), (FEATURES, "history"), (RATES, "same bin")],
)
def test_a_step_is_that_of_pytorch(name, signal, family, tmp_path) -> None:
    student, layer = build_student(config_of(name), TASK, 0), MODELS[name].layer
    n_signal = 10 if signal != FEATURES else Stream(student, TASK.spec, layer).step(
        np.zeros(8)).latents.size  # fmt: skip
    given = (student, TASK.spec, layer, make_decoder(n_signal, family), signal, TASK.split.order)
    names = export_step(tmp_path / "step.onnx", *given)
    assert names[:3] == ["rates", "latents", "behavior"]
    counts, stream = poisson(200, seed=3)[0].numpy(), Stream(*given)
    wanted = [np.stack(each) for each in zip(*(stream.step(c)[:3] for c in counts), strict=True)]
    for one, other in zip(run_by_bins(tmp_path / "step.onnx", counts, 3), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@models
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("forward_bins", [0, 4])
def test_whole_trials_are_those_of_pytorch(name, causal, forward_bins, tmp_path) -> None:
    task = make_task(make_trials(n_bins=16), forward_bins=forward_bins)
    student, layer = build_student(config_of(name, causal=causal), task, 0).eval(), None
    layer, decoder = MODELS[name].layer, make_decoder(10, "history and future")
    path = tmp_path / "trials.onnx"
    given = (student, task.spec, layer, decoder, RATES, task.split.order)
    assert export_trials(path, *given) == ["log_rates", "latents", "behavior"]
    counts = poisson(16 - forward_bins, seed=3).expand(5, -1, -1).roll(1, 2)
    session = onnxruntime.InferenceSession(str(path))
    log_rates, latents, behavior = session.run(None, {"counts": counts.numpy()})
    with torch.no_grad():
        whole = output_of(student, Batch(counts), [layer])
    expected = whole.log_rates.numpy()[:, :, np.argsort(task.split.order)]
    np.testing.assert_allclose(log_rates, expected, atol=1e-4)
    np.testing.assert_allclose(latents, whole.features[layer].numpy(), atol=1e-4)
    np.testing.assert_allclose(behavior, decoder(np.exp(expected)), rtol=1e-4, atol=1e-4)
    properties = session.get_modelmeta().custom_metadata_map
    assert (json.loads(properties["bin_s"]), json.loads(properties["n_in"])) == (0.02, 8)


def test_a_network_trained_on_behavior_and_one_without_read_out(tmp_path) -> None:
    direct, path = build_direct(config_of("ndt"), TASK, 0), tmp_path / "x.onnx"
    given = (TASK.spec, "norm", make_decoder(2, "history"), "decoded")
    assert export_step(path, direct, *given)[:3] == ["latents", "behavior", "next_0"]
    assert export_trials(path, direct, *given) == ["latents", "behavior"]
    student = build_student(config_of("gru"), TASK, 0)
    assert export_step(path, student, TASK.spec, "norm") == ["rates", "latents", "next_0"]
    learned = config_of("ndt", settings=SMALL["ndt"] | {"positions": "learned"})
    student = build_student(learned, TASK, 0)
    assert len(export_step(path, student, TASK.spec, "norm")) == 2 + 4


@models
@pytest.mark.parametrize("scale", [1000.0, 1.0, 0.001])
def test_units_of_behavior_decide_nothing(name, scale, tmp_path, monkeypatch) -> None:
    student, layer = build_student(config_of(name), SHORT, 0), MODELS[name].layer
    decoder = make_decoder(10, "history")
    decoder = replace(decoder, weights=decoder.weights * scale, offset=decoder.offset * scale)
    given = (student, SHORT.spec, layer, decoder, RATES, SHORT.split.order)
    for export in (export_step, export_trials):
        assert "behavior" in export(tmp_path / "x.onnx", *given)
    was = _ReadOut.behavior
    monkeypatch.setattr(_ReadOut, "behavior", lambda self, *given: was(self, *given) + 1e-3 * scale)
    for export in (export_step, export_trials):
        refuses("behavior that differ from PyTorch's", export, tmp_path / "y.onnx", *given)
    assert not (tmp_path / "y.onnx").exists()


def test_a_file_names_its_neurons_and_units(tmp_path) -> None:
    held_out, ids = TASK.split.held_out, np.array([f"n{i}" for i in range(10)])
    known = KnownNeurons(ids, np.arange(10), held_out, 10)
    given = (build_student(config_of("gru"), TASK, 0), TASK.spec, "norm", None, RATES,
             TASK.split.order)  # fmt: skip
    for export in (export_step, export_trials):
        export(tmp_path / "x.onnx", *given, known, [Channel("x", unit="mm/s")] * 2)
        session = onnxruntime.InferenceSession(str(tmp_path / "x.onnx"))
        about = session.get_modelmeta().custom_metadata_map
        assert json.loads(about["unit_id"]) == ids.tolist()
        assert json.loads(about["unit_id_seen"]) == ids[~held_out].tolist()
        assert json.loads(about["behavior_units"]) == ["mm/s", "mm/s"]


class Sorted(nn.Module):
    """Of an operation that has no counterpart there."""

    def __init__(self, spec) -> None:
        super().__init__()
        self.out = nn.Linear(spec.n_in, spec.n_out)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        return self.out(torch.special.bessel_j0(spikes))


def test_what_cannot_be_exported_is_refused_and_nothing_is_written(tmp_path, monkeypatch) -> None:
    path, spec = tmp_path / "x.onnx", TASK.spec
    free = build_student(config_of("gru", causal=False), TASK, 0)
    refuses("looks ahead", export_step, path, free, spec, "norm")
    own = build_student(config_of(CONVOLUTION), TASK, 0)
    refuses("without begin and step", export_step, path, own, spec, "out:in")
    refuses("onnx: exported, it fails", export_trials, path, Sorted(spec), spec, "out:in")
    monkeypatch.setattr("neuroblend.deploy.onnx.TOLERANCE", -1.0)
    causal = build_student(config_of("gru"), TASK, 0)
    refuses("rates that differ from PyTorch's by .*nothing was written", export_step, path, causal,
            spec, "norm")  # fmt: skip
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    refuses(r"onnx is not installed; pip install 'neuroblend\[onnx\]'", export_step, path, causal,
            spec, "norm")  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_the_page_on_deployment_runs(tmp_path, monkeypatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "onnxruntime" in block]
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    given = (
        build_student(config_of("ndt"), TASK, 0),
        TASK.spec,
        "norm",
        make_decoder(10, "history"),
    )
    export_step(tmp_path / "student.onnx", *given)
    monkeypatch.chdir(tmp_path)
    space = {"bins": poisson(40)[0].numpy()}
    exec(block, space)
    stream = Stream(*given)
    for counts in space["bins"]:
        last = stream.step(counts)
    np.testing.assert_allclose(space["behavior"][0], last.behavior, rtol=1e-4, atol=1e-4)
