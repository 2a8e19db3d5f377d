"""A causal run, from the command line to its page."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from commands import refused, succeeds
from conftest import make_trials

import neuroblend as nb
from neuroblend.evaluation.readout import BOTH_SIDES
from neuroblend.experiments.decoding.apply import predict_run

QUICK = [
    "--epochs", "1", "--seeds", "1", "--strategies", "feature,hard", "--jobs", "1",
    "--accelerator", "cpu", "--quiet", "--causal",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("causal")
    trials = make_trials(n_trials=60, condition=np.arange(60) % 2)
    trials.save(folder / "mine.h5")
    return folder


@pytest.fixture(scope="module")
def finished(folder) -> Path:
    given = ("--controls", "all", "--references", "smoothing,factor_analysis", "--out", "run")
    small = ("--model", "gru", "--set", "model.settings.width=6")
    succeeds("run", "mine.h5", *QUICK, *small, *given, cwd=folder)
    return folder / "run"


def test_a_causal_run_says_so_and_reads_no_future_out_but_of_teachers(finished) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert results["causal"] is True
    assert yaml.safe_load((finished / "config.yaml").read_text())["model"]["causal"] is True
    for arm, found in results["readouts"].items():
        assert "teacher" in arm or not [name for name in found if BOTH_SIDES in name], arm
    assert not [name for name in results["readouts"]["kalman"] if "smoother" in name]
    page = (finished / "report.html").read_text()
    assert "They are causal, as are the read-outs" in page
    assert "Causal: students, read-outs of behavior" in page


def test_a_causal_student_is_told_from_its_teacher_and_does_not_look_ahead(finished) -> None:
    """Widths differ, 6 and 12, and feature distillation bridges them."""
    run = nb.RunFolder(finished)
    history = (finished / "student-feature" / "seed0" / "history.csv").read_text()
    assert history.splitlines()[0].count("balance") == 1
    trials = run.data()
    spikes = np.asarray(trials.spikes[:4])
    later = spikes.copy()
    later[:, 8:] = 3
    for arm in ("baseline", "feature", "multitask", "direct", "wiener", "kalman", "smoothing"):
        was, now = (predict_run(run, given, arm) for given in (spikes, later))
        np.testing.assert_allclose(was.behavior[:, :8], now.behavior[:, :8], atol=1e-5)
        assert not np.allclose(was.behavior[:, 8:], now.behavior[:, 8:])
        if was.rates is not None:
            np.testing.assert_allclose(was.rates[:, :8], now.rates[:, :8], atol=1e-6)


def test_the_verdict_speaks_of_past_spikes(finished) -> None:
    results = json.loads((finished / "results.json").read_text())
    results |= {"intervals": "seeds", "n_tested": 50}
    results["selected"] = "feature"
    assert "From past spikes alone, the student" in nb.verdict(results).sentence
    assert "From spikes alone" in nb.verdict(results | {"causal": False}).sentence


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--model", "gru", "--set", "model.settings.bidirectional=true"),
         "--causal with model.settings.bidirectional True: a causal gru has bidirectional False"),
        (("--set", "model.settings.context_forward_s=null"),
         "a causal ndt has context_forward_s 0"),
        (("--model", "ahead:Net"), "ahead:Net: found that it looks ahead"),
    ],
)  # fmt: skip
def test_what_looks_ahead_is_refused_before_anything_is_trained(folder, given, message) -> None:
    (folder / "ahead.py").write_text(
        "import torch\n\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, spec):\n"
        "        super().__init__()\n"
        "        self.out = torch.nn.Linear(spec.n_in, spec.n_out)\n\n"
        "    def forward(self, spikes):\n"
        "        return self.out(spikes + spikes.mean(1, keepdim=True))\n"
    )
    assert message in refused("run", "mine.h5", *QUICK, *given, "--out", "no", cwd=folder)
    assert not (folder / "no").exists()
