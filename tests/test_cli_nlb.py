"""The way of an NWB file through the command line, with scores checked against nlb_tools."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from commands import refused, succeeds
from conftest import write_arrays

TINY = [
    "--model", "gru", "--epochs", "1", "--seeds", "1", "--strategies", "hard", "--jobs", "1",
    "--set", "model.settings.width=6", "-q",
]  # fmt: skip
DATASET = ["--dataset", "mc_maze_small", "--bin-ms", "20"]


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli_nlb")
    for command in (
        ["simulate", "mc_maze_small", "--out", "maze.nwb", "--trials", 40, "--units", 12, "-q"],
        ["run", "maze.nwb", *DATASET, "--out", "run", *TINY],
        ["submit", "run", "--out", "submission.h5"],
    ):
        done = succeeds(*command, cwd=folder)
    return folder, done


def test_a_submission_has_the_benchmarks_layout(submitted) -> None:
    folder, done = submitted
    assert "mc_maze_small_20" in done.stdout
    with h5py.File(folder / "submission.h5") as file:
        group = file["mc_maze_small_20"]
        assert group["train_rates_heldin"].shape == (30, 35, 9)
        assert group["eval_rates_heldout"].shape == (10, 35, 3)
        assert group["eval_rates_heldin_forward"].shape == (10, 10, 9)
        rates = [item for key, item in group.items() if key != "unit_id"]
        assert all((item[()] > 0).all() and item.dtype == np.float32 for item in rates)
        assert group["unit_id"].shape == (12,)
    results = json.loads((folder / "run/results.json").read_text())
    assert results["arms"]["oracle"]["rate_r2"]["mean"] == pytest.approx(1)
    assert "fp_bps" in results["arms"]["baseline"]


def test_scores_are_those_of_the_benchmarks_evaluator(submitted) -> None:
    folder, _ = submitted
    options = ["--predictions", "submission.h5", "--targets", "maze.nwb", "--out", "scores.json"]
    done = succeeds("evaluate", *options, cwd=folder)
    assert "[100] co-bps" in done.stdout
    (scores,) = json.loads((folder / "scores.json").read_text())
    options = ["--layout", "targets", "--out", "targets.h5"]
    succeeds("prepare", "maze.nwb", *DATASET, *options, cwd=folder)
    results = json.loads((folder / "run/results.json").read_text())["arms"]["hard"]
    ours = scores["mc_maze_scaling_20_split"]
    assert ours["[100] co-bps"] == pytest.approx(results["co_bps"]["mean"], abs=1e-6)
    assert ours["[100] fp-bps"] == pytest.approx(results["fp_bps"]["mean"], abs=1e-6)
    evaluation = pytest.importorskip("nlb_tools.evaluation", reason="nlb_tools is not installed")
    (theirs,) = evaluation.evaluate(str(folder / "targets.h5"), str(folder / "submission.h5"))
    assert set(theirs) == set(scores)
    for key, value in theirs["mc_maze_scaling_20_split"].items():
        # targets were rounded to float32 when they were written, as the benchmark's are
        assert ours[key] == pytest.approx(value, abs=1e-6)


def test_trials_and_tensors_are_written_and_run(submitted) -> None:
    folder, _ = submitted
    assert "hand_vel" in succeeds("inspect", "maze.nwb", cwd=folder).stdout
    done = succeeds(
        "prepare", "maze.nwb", "--align", "move_onset_time", "--window", -250, 450, "--bin-ms", 20,
        "--lag-ms", 100, "--behavior", "hand_vel", "--out", "own.h5", cwd=folder,
    )  # fmt: skip
    assert "40 trials x 35 bins of 20 ms x 12 neurons, -0.25 to 0.45 s from move" in done.stdout
    done = succeeds(
        "prepare", "maze.nwb", *DATASET, "--layout", "nlb", "--out", "nlb.h5", cwd=folder
    )
    with h5py.File(folder / "nlb.h5") as file:
        assert file["train_spikes_heldin"].shape == (30, 35, 9)
    succeeds("run", "nlb.h5", "--forward-bins", 10, "--out", "again", *TINY, cwd=folder)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["run", "maze.nwb"], "name the benchmark's dataset with --dataset"),
        (["run", "maze.nwb", "--dataset", "mc_maz"], "no dataset 'mc_maz': did you mean 'mc_maze'"),
        (["run", "maze.nwb", "--dataset", "mc_rtt"], "no time series 'finger_vel'"),
        (["run", "maze.nwb", *DATASET[:2], "--bin-ms", "10"], "bins of 5 or 20 ms"),
        (["run", "maze.nwb", *DATASET, "--forward-bins", "3"], "forward period of 200 ms, 10 bins"),
        (["prepare", "maze.nwb"], "--align is missing"),
        (["prepare", "maze.nwb", *DATASET, "--align", "x"], "--dataset mc_maze_small sets it"),
        (["prepare", "maze.nwb", *DATASET, "--layout", "target"], "did you mean 'targets'"),
        (["inspect", "none.nwb"], "no such file"),
        (["simulate", "mc_maz"], "did you mean 'mc_maze'"),
        (["submit", "again_none"], "not the folder of a run"),
        (["evaluate", "--predictions", "none.h5", "--targets", "maze.nwb"], "no such file"),
        (["evaluate", "--predictions", "maze.nwb", "--targets", "maze.nwb"], "wanted a group"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(submitted, command, message) -> None:
    folder, _ = submitted
    before = sorted(path.name for path in folder.iterdir())
    assert message in refused(*command, cwd=folder)
    assert sorted(path.name for path in folder.iterdir()) == before


def predictions_with(folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The submission with one of its arrays changed."""
    with h5py.File(folder / "submission.h5") as file:
        arrays = {f"mc_maze_small_20/{k}": v[()] for k, v in file["mc_maze_small_20"].items()}
    key = f"mc_maze_small_20/{name}"
    return write_arrays(folder / f"{name}.h5", arrays | {key: change(arrays[key])})


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("unit_id", lambda ids: ids[::-1], ["predictions are of another order than the targets"]),
        ("eval_rates_heldout", lambda rates: rates - 10, ["eval_rates_heldout: ", "negative"]),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(submitted, name, change, words) -> None:
    folder, _ = submitted
    bad = predictions_with(folder, name, change)
    command = ["evaluate", "--predictions", bad, "--targets", "maze.nwb", "--out", "no.json"]
    line = refused(*command, cwd=folder)
    assert all(word in line for word in words)
    assert not (folder / "no.json").exists()
