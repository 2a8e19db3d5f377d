"""The command line as a user meets it."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from commands import refused, succeeds
from conftest import make_trials
from safetensors import SafetensorError
from typer.main import get_command

from neuroblend.cli.main import app
from neuroblend.cli.settings import settings_of
from neuroblend.config import HideBins
from neuroblend.data.trials import Trials
from neuroblend.experiments.decoding.settings import RunConfig

SPIKES = np.random.default_rng(0).poisson(0.5, size=(30, 8, 6))
BEHAVIOR = np.random.default_rng(1).normal(size=(30, 8, 2)).astype(np.float32)
ONE_SILENT = np.where(np.arange(6) == 2, 0, SPIKES)
WITH_GAPS = np.where(np.arange(30)[:, None, None] < [0, 4], np.nan, BEHAVIOR)
GOOD = {"spikes": SPIKES, "behavior": BEHAVIOR, "behavior_names": ["vx", "vy"], "bin_s": 0.02}
QUICK = [
    "--model", "gru", "--epochs", "1", "--seeds", "1", "--strategies", "hard", "--jobs", "1",
    "--accelerator", "cpu", "--quiet",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("cli")
    np.savez(folder / "mine.npz", **GOOD, condition=np.arange(30) % 2)
    done = succeeds("run", "mine.npz", *QUICK, cwd=folder)
    return folder, done


def test_help_answers_without_torch() -> None:
    code = (
        "import sys; sys.argv = ['neuroblend', '--help']\n"
        "from neuroblend.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'lightning', 'sklearn', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in ("run", "predict", "report"):
        assert verb in done.stdout


def test_the_help_of_a_verb_tells_its_defaults(tmp_path) -> None:
    for flag in ("--help", "-h"):
        told = succeeds("run", flag, cwd=tmp_path).stdout
    assert all(f"[default: ({word})]" in told for word in ("simulated", "runs/<source>", "both"))
    assert "--install-completion" in succeeds("-h", cwd=tmp_path).stdout
    for verb, command in get_command(app).commands.items():
        for option in command.params:
            if option.param_type_name == "option" and not (option.required or option.is_flag):
                has = isinstance(option.show_default, str) or option.default is not None
                assert has, (verb, option.opts)


def test_a_run_prints_its_table_and_writes_its_page(finished) -> None:
    folder, done = finished
    out = folder / "runs" / "mine"
    for word in ("teacher", "baseline", "multitask", "hard", "behavior R²", "co-bps", "PSTH R²"):
        assert word in done.stdout
    assert "page: runs/mine/report.html" in done.stdout
    assert "simulated" not in done.stdout
    page = (out / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    (out / "report.html").unlink()
    succeeds("report", out, cwd=folder)
    assert (out / "report.html").read_text() == page


def test_predict_needs_spikes_alone(finished) -> None:
    folder, _ = finished
    np.savez(folder / "sleep.npz", spikes=SPIKES[:7])
    succeeds("predict", "runs/mine", "sleep.npz", "--out", "rates.h5", cwd=folder)
    with h5py.File(folder / "rates.h5") as file:
        assert file["rates"].shape == (7, 8, 6)
        assert (file["rates"][()] > 0).all()


def test_the_same_command_again_does_nothing_new(finished) -> None:
    folder, first = finished
    before = (folder / "runs/mine/results.json").stat().st_mtime_ns
    again = succeeds("run", "mine.npz", *QUICK, cwd=folder)
    assert again.stdout == first.stdout
    assert (folder / "runs/mine/results.json").stat().st_mtime_ns == before


def test_another_run_in_the_same_folder_is_refused(finished) -> None:
    folder, _ = finished
    line = refused("run", "mine.npz", *QUICK, "--alpha", "0.3", cwd=folder)
    assert "holds another run (distill.alpha is 0.75 there and 0.3 here)" in line


def test_a_run_can_be_given_as_a_file_of_settings(finished) -> None:
    folder, _ = finished
    succeeds("run", "mine.npz", "--config", "runs/mine/config.yaml", "--jobs", 1, "-q", cwd=folder)
    (folder / "bad.yaml").write_text("training: {epoch: 3}")
    line = refused("run", "mine.npz", "--config", "bad.yaml", cwd=folder)
    assert "bad.yaml: unknown setting 'training.epoch': did you mean 'epochs'" in line


def test_a_preset_of_the_command_line_stands_over_a_file(tmp_path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "model: {name: lfads, settings: {factors: 9, kl_initial: 0.1}}\n"
        "training: {lr: 0.5, epochs: 7}"
    )
    found = settings_of(
        RunConfig, tmp_path / "mine.yaml", {"model.preset": "mc_maze"}, ["training.lr=0.25"]
    )
    assert (found.model.settings["factors"], found.model.settings["kl_initial"]) == (100, 0.1)
    assert (found.training.lr, found.training.batch_size, found.training.epochs) == (0.25, 256, 7)
    found = settings_of(RunConfig, None, {"model.preset": "mc_maze"}, ["training.mask.ratio=0.3"])
    assert found.training.mask == HideBins(ratio=0.3, ramp=(0.16, 0.24))


def test_settings_keep_their_source_and_types(finished) -> None:
    folder, _ = finished
    succeeds(
        "run", "--config", "runs/mine/config.yaml", "--out", "runs/again", "--jobs", 1, "-q",
        "--set", "model.settings.bidirectional=false", "--set", "distill.strategies=[feature]",
        "--set", "training.lr=2e-3", "--set", "data.behavior=null",
        "--set", "training.mask.kind=bins", "--set", "training.mask.span=3", cwd=folder,
    )  # fmt: skip
    config = yaml.safe_load((folder / "runs/again/config.yaml").read_text())
    assert config["data"]["source"].endswith("mine.npz")
    assert config["model"]["settings"] == {"bidirectional": False}
    assert config["distill"]["strategies"] == ["feature"]
    assert config["training"]["lr"] == 0.002
    assert config["training"]["mask"]["span"] == 3
    assert config["data"]["behavior"] is None


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_run_says_so_and_leaves_no_process(tmp_path, jobs) -> None:
    np.savez(tmp_path / "a.npz", **GOOD)
    command = [sys.executable, "-m", "neuroblend", "run", "a.npz", "--jobs", str(jobs)]
    command += ["--epochs", "100000", "--accelerator", "cpu", "--set", "training.patience=100000"]
    run = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        folder = tmp_path / "runs/a"
        while not (folder / "teacher/seed0").is_dir() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert (folder / "teacher/seed0").is_dir(), "no training began in two minutes"
        time.sleep(1)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        _, stderr = run.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 130, stderr
    assert "error: interrupted; the same command goes on from here" in stderr
    assert "Traceback" not in stderr
    assert not (folder / "results.json").exists()


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"spikes": ONE_SILENT}, "1 of 6 neurons never fire: kept out (2)"),
        ({"behavior": WITH_GAPS}, "behavior 'vy': 32 of 240 samples are missing"),
    ],
)
def test_what_is_left_out_is_said(tmp_path, changes, note) -> None:
    np.savez(tmp_path / "a.npz", **(GOOD | changes))
    quiet = [option for option in QUICK if option != "--quiet"]
    done = succeeds("run", "a.npz", *quiet, cwd=tmp_path)
    assert note in done.stderr
    assert note.replace("'", "&#39;") in (tmp_path / "runs/a/report.html").read_text()


BAD_FILES = {
    "missing key": ({"spikes": None}, "no key 'spikes'"),
    "no bin width": ({"bin_s": None}, "no key 'bin_s'"),
    "absurd bin width": ({"bin_s": 20}, "is it in milliseconds?"),
    "NaN counts": ({"spikes": np.where(SPIKES == 0, np.nan, SPIKES)}, "NaN"),
    "negative counts": ({"spikes": -SPIKES}, "negative counts"),
    "fractional counts": ({"spikes": SPIKES / 2}, "fractional counts"),
    "fewer trials of behavior": ({"behavior": BEHAVIOR[:9]}, "found 9 trials x 8 bins"),
    "fewer bins of behavior": ({"behavior": BEHAVIOR[:, :7]}, "found 30 trials x 7 bins"),
    "constant channel": ({"behavior": BEHAVIOR * [1, 0]}, "'vy' is 0 in every bin"),
    "all-NaN channel": ({"behavior": BEHAVIOR * [1, np.nan]}, "'vy' holds nothing but NaN"),
    "no behavior": ({"behavior": None, "behavior_names": None}, "no behavior"),
    "too few trials": ({"spikes": SPIKES[:5], "behavior": BEHAVIOR[:5]}, "too few trials"),
    "pickled": ({"spikes": np.array([{}], dtype=object)}, "pickled"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line_and_leaves_no_folder(tmp_path, case) -> None:
    changes, message = BAD_FILES[case]
    arrays = {key: value for key, value in (GOOD | changes).items() if value is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in refused("run", "a.npz", *QUICK, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


FULL_DISK = {
    "h5py": RuntimeError(
        "Unable to close file (errno = 28, error message = 'No space left on device')"
    ),
    "safetensors": SafetensorError("I/O error: No space left on device (os error 28)"),
    "Python": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "quota": OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
}


@pytest.mark.parametrize(("kind", "error"), FULL_DISK.items())
def test_a_disk_that_is_full_is_said_so_and_nothing_is_half_written(
    tmp_path, monkeypatch, kind, error
) -> None:
    def fails(*args: object, **given: object) -> None:
        Path(args[1]).write_bytes(b"half")
        raise error

    np.savez(tmp_path / "a.npz", **GOOD)
    said = "disk quota exceeded" if kind == "quota" else "no space left on device"
    with monkeypatch.context() as patch:  # while the folder is made
        patch.setattr(Trials, "save", fails)
        line = refused("run", "a.npz", *QUICK, cwd=tmp_path)
    assert f"runs/a: cannot be written, {said}; make room" in line
    assert [path.name for path in tmp_path.rglob("*")] == ["a.npz", "runs"]
    with monkeypatch.context() as patch:  # while a model is trained
        patch.setattr("neuroblend.training.checkpoint.save_file", fails)
        line = refused("run", "a.npz", *QUICK, cwd=tmp_path)
    assert ".safetensors: cannot be written, " in line and said in line
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.safetensors"))
    succeeds("run", "a.npz", *QUICK, cwd=tmp_path)


def test_a_full_disk_is_named_where_results_and_pages_are_written(
    finished, tmp_path, monkeypatch
) -> None:
    folder, _ = finished
    error = FULL_DISK["Python"]
    monkeypatch.setattr(Path, "write_text", lambda *args, **given: (_ for _ in ()).throw(error))
    before = (folder / "runs/mine/report.html").read_bytes()
    line = refused("report", "runs/mine", cwd=folder)
    assert "report.html: cannot be written, no space left on device" in line
    assert (folder / "runs/mine/report.html").read_bytes() == before
    assert not list(folder.rglob("*.part"))


def test_a_truncated_file_is_refused(tmp_path) -> None:
    make_trials().save(tmp_path / "whole.h5")
    np.savez(tmp_path / "a.npz", **GOOD)
    for name in ("whole.h5", "a.npz"):
        file = tmp_path / name
        file.write_bytes(file.read_bytes()[:700])
        assert "truncated" in refused("run", name, *QUICK, cwd=tmp_path)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--strategies", "fature"], "unknown strategy 'fature': did you mean 'feature'"),
        (["--model", "ndtt"], "unknown model 'ndtt': did you mean 'ndt'"),
        (["--strategy", "hard"], "--strategies"),
        (["--seeds", "many"], "--seeds': Input should be a valid integer"),
        (["--set", "training.lrr=1"], "unknown setting 'training.lrr': did you mean 'lr'"),
        (["--set", "training"], "wanted name=value"),
        (["--behavior", "vxx"], "no behavior channel 'vxx': did you mean 'vx'"),
        (["--folds", "31"], "--folds 31: wanted 2 to the 30"),
        (["--jobs", "0"], "--jobs 0: wanted 1 or more"),
        (["--config", "none.yaml"], "none.yaml: cannot be read"),
        (["--precision", "16"], "training.precision"),
        (["--set", "model.settings.n_heads=0"], "ndt: found 2 layers, 0 heads"),
        (["--model", ":x"], "wanted package.module:attribute"),
        (["--model", "..a:b"], "wanted package.module:attribute"),
        (["--config", "a.npz"], "a.npz: not YAML"),
    ],
)
def test_a_bad_option_names_the_nearest(tmp_path, args, message) -> None:
    np.savez(tmp_path / "a.npz", **GOOD)
    assert message in refused("run", "a.npz", *args, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_inspection_of_arrays_tells_units_window_and_gaps(tmp_path) -> None:
    np.savez(
        tmp_path / "a.npz", **(GOOD | {"behavior": WITH_GAPS}), behavior_units=["cm/s", "mm"],
        event="go_cue_time", start_s=-0.06, split=["train"] * 20 + ["test"] * 10,
    )  # fmt: skip
    shown = succeeds("inspect", "a.npz", cwd=tmp_path).stdout
    for told in ("6 of 6 in the file", "-0.06 to 0.1 s from go_cue_time", "20 train, 10 test"):
        assert told in shown
    assert re.search(r"vx +continuous +cm/s .* 0 *\n.*vy +continuous +mm .* 32 \(.* %\) *\n", shown)


def test_verbs_and_sources_that_are_not_there(tmp_path) -> None:
    assert "simulated" in refused("run", "simulatd", cwd=tmp_path)
    assert "no such file" in refused("run", "none.npz", cwd=tmp_path)
    assert "predict" in refused("predictt", cwd=tmp_path)
    assert "not the folder of a run" in refused("report", tmp_path, cwd=tmp_path)
    assert "no such folder" in refused("report", "runs/x", cwd=tmp_path)
    assert "not the folder of a run" in refused("predict", tmp_path, "x.npz", cwd=tmp_path)


def test_a_module_of_the_users_own(tmp_path) -> None:
    (tmp_path / "mymodels.py").write_text(
        "from torch import nn\n\n"
        "def build(spec, hidden=5):\n"
        "    return nn.Sequential(nn.Linear(spec.n_in, hidden), nn.Tanh(),\n"
        "                         nn.Linear(hidden, spec.n_out))\n"
    )
    np.savez(tmp_path / "a.npz", **GOOD)
    options = [*QUICK, "--model", "mymodels:build", "--set", "model.settings.hidden=7"]
    options[options.index("hard")] = "feature+multitask"
    succeeds("run", "a.npz", *options, cwd=tmp_path)
    line = refused("run", "a.npz", *options, "--out", "b", "--layer", "9", cwd=tmp_path)
    assert "no layer '9'" in line
    line = refused("run", "a.npz", "--model", "mymodels:biuld", cwd=tmp_path)
    assert "did you mean 'build'" in line
