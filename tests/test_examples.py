"""Every example runs, at one epoch, and the README shows what runs."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, tiny_config

import neuroblend as nb
from neuroblend.data.trials import Trials
from neuroblend.deploy.student import TrainedStudent
from neuroblend.models.gru import GRU
from neuroblend.privilege.concat import Concat

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def test_every_example_is_covered() -> None:
    covered = {"quickstart.py", "distill_by_hand.py", "continuous_recording.py"}
    covered |= {"your_own_model.py", "your_own_strategy.py", "stream.py", "lsl_stream.py"}
    covered |= {"from_pynapple.py", "from_kilosort.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == covered


def test_quickstart(tmp_path, monkeypatch, capsys) -> None:
    source = (EXAMPLES / "quickstart.py").read_text()
    assert len([line for line in source.splitlines() if line.strip()]) < 15
    for slow, quick in {
        "epochs=50": "epochs=1",
        "n_trials=240": "n_trials=60",
        "n_neurons=60": "n_neurons=12",
        "jobs=None": "jobs=1",
        "quiet=False": "quiet=True",
    }.items():
        assert slow in source
        source = source.replace(slow, quick)
    (tmp_path / "quickstart.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("quickstart.py", run_name="__main__")
    printed = capsys.readouterr().out
    assert "From spikes alone" in printed
    assert (tmp_path / "runs/quickstart/report.html").is_file()


def test_the_readme_shows_the_quickstart() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    example = (EXAMPLES / "quickstart.py").read_text()
    assert block.strip() in example.replace("\n\n\n", "\n\n")


def test_distill_by_hand(capsys) -> None:
    runpy.run_path(str(EXAMPLES / "distill_by_hand.py"))["main"](epochs=1)
    printed = capsys.readouterr().out
    assert re.search(r"baseline: -?\d\.\d+ bits/spike", printed)
    assert re.search(r"distilled: -?\d\.\d+ bits/spike", printed)


@pytest.mark.parametrize("installed", [True, False])
def test_your_own_model(installed, capsys, monkeypatch) -> None:
    """A module of another layout, and one from another package, where that is installed."""
    pytest.importorskip("pytorch_tcn", reason="pytorch-tcn is not installed")
    if not installed:
        monkeypatch.setitem(sys.modules, "pytorch_tcn", None)
    runpy.run_path(str(EXAMPLES / "your_own_model.py"))["main"](epochs=1)
    printed = capsys.readouterr().out
    rows = re.findall(
        r"^(\S+) +(baseline|teacher|student) +-?\d\.\d{3} +-?\d\.\d{3}$", printed, re.M
    )
    networks = ["MyNet", "pytorch-tcn"] if installed else ["MyNet"]
    assert rows == [(n, role) for n in networks for role in ("baseline", "teacher", "student")]
    assert ("pip install pytorch-tcn" in printed) is not installed


def test_from_pynapple(tmp_path, capsys) -> None:
    pytest.importorskip("pynapple", reason="pynapple is not installed")
    runpy.run_path(str(EXAMPLES / "from_pynapple.py"))["main"](str(tmp_path / "run"), epochs=1)
    printed = capsys.readouterr().out
    assert "60 trials, signals: hand_vel, licks" in printed
    assert "behavior: hand_vel_x, hand_vel_y" in printed and "behavior R²" in printed
    assert (tmp_path / "run/results.json").is_file()


def test_from_kilosort(tmp_path, capsys) -> None:
    runpy.run_path(str(EXAMPLES / "from_kilosort.py"))["main"](str(tmp_path / "run"), epochs=1)
    printed = capsys.readouterr().out
    assert "12 of 14 units taken, good (of 12 good, 2 mua)." in printed
    assert "behavior: wheel_x (cm/s), wheel_y (cm/s)" in printed and "behavior R²" in printed


def test_your_own_strategy(tmp_path) -> None:
    """As a user would: a file beside the data, and the run's own workers import it."""
    source = (EXAMPLES / "your_own_strategy.py").read_text()
    for slow, quick in {'"seeds": 2': '"seeds": 1', '"simulated"': "make_trials()"}.items():
        assert slow in source
        source = source.replace(slow, quick)
    source = source.replace("import sys\n", "import sys\nfrom conftest import make_trials\n", 1)
    (tmp_path / "mine.py").write_text(source)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "mine.py", "1", "out"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^mine:Change\+multitask +-?\d", done.stdout, re.M)
    assert "No conclusion" in done.stdout
    assert (tmp_path / "out/report.html").is_file()


@pytest.fixture(scope="module")
def causal(tmp_path_factory) -> TrainedStudent:
    out = str(tmp_path_factory.mktemp("stream") / "run")
    return runpy.run_path(str(EXAMPLES / "stream.py"))["causal_student"](out, epochs=1)


def test_stream(causal, capsys) -> None:
    runpy.run_path(str(EXAMPLES / "stream.py"))["main"](causal)
    printed = capsys.readouterr().out
    assert "2000 bins of 20 ms, 64 latents in each" in printed
    assert re.search(r"over the largest value: [0-9]e-(0[6-9]|[1-9]\d)\n", printed)


def test_lsl_stream(causal, capsys, monkeypatch) -> None:
    """Counts through an outlet and an inlet of the library, on this machine alone."""
    pytest.importorskip("pylsl", reason="pylsl is not installed", exc_type=Exception)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    runpy.run_path(str(EXAMPLES / "lsl_stream.py"))["main"](causal, n_bins=40, pace=0.05)
    printed = capsys.readouterr().out
    assert "40 of 40 bins arrived and were decoded" in printed
    assert re.search(r"over the largest value: [0-9]e-(0[6-9]|[1-9]\d)\n", printed)


def test_continuous_recording(tmp_path) -> None:
    rng = np.random.default_rng(0)
    clock = np.arange(0, 60, 1 / 60)
    position = np.stack([200 + 150 * np.sin(clock / 5), 100 + clock * 0], axis=1)
    position[1800:] = position[1800]  # the animal rests in the second half
    position[:, 1] += rng.normal(size=clock.size)
    trains = [np.sort(rng.uniform(0, 60, size=n)) for n in (80, 200, 150)]
    np.savez(
        tmp_path / "in.npz",
        spike_times=np.concatenate(trains),
        spike_times_index=np.cumsum([train.size for train in trains]),
        position=position,
        position_times=clock,
    )
    runpy.run_path(str(EXAMPLES / "continuous_recording.py"))["main"](
        str(tmp_path / "in.npz"), str(tmp_path / "out.h5")
    )
    trials = Trials.load(tmp_path / "out.h5")
    assert trials.n_trials in range(9, 15)
    assert trials.behavior_names == ("x", "y")


@pytest.mark.slow
def test_the_main_job_helps_decoding(tmp_path) -> None:
    """The built-in recording at its real size: the selected student beats the baseline."""
    (line,) = re.findall(r"neuroblend (run simulated .*)--out", (ROOT / "Makefile").read_text())
    command = [sys.executable, "-m", "neuroblend", *line.split(), "--out", tmp_path / "run"]
    done = subprocess.run([*map(str, command), "-q"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    gain = results["contrasts"][f"{results['selected']} - baseline"]["decoding_r2"]
    assert gain["ci95"][0] > 0


def test_the_strategy_of_the_docs_works() -> None:
    text = (ROOT / "docs" / "extending.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    task = make_task()
    fusion = Concat(task.spec)
    torch.manual_seed(0)
    names = {
        "nb": nb,
        "task": task,
        "student": nb.Student(GRU(task.spec, width=4)),
        "teacher": nb.Teacher(GRU(fusion.spec, width=4), fusion),
    }
    quick = "nb.train(student, task, objective, nb.TrainingConfig(epochs=1))"
    exec(block.replace("nb.train(student, task, objective)", quick), names)
    losses = names["objective"](names["student"], task.batch("train"))
    assert losses["variance"] > 0


def test_what_contributing_shows_works(tmp_path) -> None:
    """Its model distils, its encoding encodes, and its figure draws."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert all(len(block.splitlines()) < 30 for block in blocks)
    given = """
import dataclasses, numpy as np, torch
from dataclasses import dataclass
from torch import Tensor, nn
from neuroblend.behavior.kind import Behavior
from neuroblend.errors import InputError
from neuroblend.models.parts.recurrent import states_of
from neuroblend.report.style import COLORS, OTHER, Picture, new_figure
from neuroblend.report.view import View
from neuroblend.task.spec import TaskSpec
"""
    names: dict = {"__name__": "shown"}
    for block in (given, *blocks):
        exec(block, names)
    task = make_task(forward_bins=2)
    assert names["SmallGRU"](task.spec)(task.example().spikes).shape == (task.n_train, 12, 10)
    heading = torch.linspace(-3, 3, 24).reshape(2, 12, 1).numpy()
    heading[0, 3] = float("nan")
    encoded = names["Circular"].of(heading, ["heading"]).encode(heading)
    assert encoded.values.shape == (2, 12, 2) and not encoded.present[0, 3].any()
    with pytest.raises(ValueError, match="wanted radians"):
        names["Circular"].of(heading * 10, ["heading"])
    folder = nb.run(make_trials(), tmp_path / "run", tiny_config())
    picture = names["rates"](names["View"](folder))
    assert picture.uri.startswith("data:image/svg")
