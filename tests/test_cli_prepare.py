"""``neuroblend prepare``, from raw arrays to a file that ``run`` reads."""

import re

import numpy as np
import pytest
from commands import refused, succeeds
from conftest import write_arrays
from raw_arrays import CLOCK, raw_arrays

from neuroblend.data.arrays import read_arrays
from neuroblend.data.trials import Trials


@pytest.fixture
def rat(tmp_path):
    track = 50 * (1 - np.cos(CLOCK * 2 * np.pi / 5))
    position = np.stack([0.8 * track, 0.6 * track], axis=1)
    return write_arrays(tmp_path / "rat.npz", raw_arrays(position=position))


def test_windows_side_by_side(rat, tmp_path) -> None:
    succeeds(
        "prepare", rat, "--every", 2, "--bin-ms", 100, "--behavior", "position,lick", "--kind",
        "y=circular", "--linearise", "position", "--direction", "position", "--where",
        "region in ('CA1', 'CA3')", cwd=tmp_path,
    )  # fmt: skip
    trials = Trials.load(tmp_path / "trials.h5")
    assert trials.behavior_names == ("x", "y", "lick", "position_linear", "position_direction")
    kinds = [channel.kind for channel in trials.channels]
    assert kinds == ["continuous", "circular", "events", "continuous", "discrete"]
    assert trials.behavior_units == ("cm", "cm", "", "cm", "")
    assert trials.window_id.tolist() == list(range(9))
    again = read_arrays(tmp_path / "trials.h5", ["position_linear", "position_direction"])
    assert again.channels == trials.channels[3:]
    assert again.unit_id.tolist() == ["a", "c"]


def test_around_events(rat, tmp_path) -> None:
    said = succeeds(
        "prepare", rat, "--align", "lick", "--window", -500, 1000, "--bin-ms", 100, "--overlap",
        "--behavior", "position", "--out", "licks.h5", cwd=tmp_path,
    ).stdout  # fmt: skip
    assert "3 trials x 15 bins of 100 ms x 2 neurons, -0.5 to 1 s from lick" in said


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--every", 2], "--bin-ms is missing"),
        (["--bin-ms", 100], "--align is missing"),
        (["--every", 2, "--bin-ms", 100, "--align", "lick"], "--align: --every cuts windows"),
        (["--every", 2, "--bin-ms", 100, "--out", "t.npz"], "wanted a name that ends in .h5"),
        (["--every", 2, "--bin-ms", 100, "--kind", "x"], "--kind x: wanted NAME=KIND"),
        (["--every", 2, "--bin-ms", 100, "--kind", "x=circle"], "did you mean 'circular'"),
        (["--every", 2, "--bin-ms", 300], "nearest are 0 to 2100 ms"),
        (["--every", 2, "--bin-ms", 100, "--behavior", "lik"], "did you mean 'lick'"),
        (["--every", 2, "--bin-ms", 100, "--linearise", "positon"], "did you mean 'position'"),
        (["--every", 2, "--bin-ms", 100, "--where", "region == 'CA2'"], r"region: CA1 \(2\), CA3"),
        (["--every", 2, "--bin-ms", 100, "--until", "stop_time"], "--until: is of trials"),
        (["--align", "lick", "--bin-ms", 100, "--window", 0, 3], "is it in seconds"),
        (["--intervals", "runing", "--bin-ms", 100, "--window", 0, 100], "did you mean 'running'"),
        (["--dataset", "mc_maze", "--where", "id == 1"], "--where: --dataset mc_maze sets it"),
    ],
)
def test_what_cannot_be_cut_is_refused_and_nothing_is_written(rat, tmp_path, args, message) -> None:

    assert re.search(message, refused("prepare", rat, *args, cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["rat.npz"]
