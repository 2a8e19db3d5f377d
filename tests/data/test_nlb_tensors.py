"""Tensors against nlb_tools, on simulated files of all seven datasets."""

import logging
import shutil
import warnings
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import edited, refuses

from neuroblend.nlb.datasets import DATASETS, find_dataset
from neuroblend.nlb.session import load_session
from neuroblend.nlb.simulate.files import simulate_nlb
from neuroblend.nlb.tensors import TensorMaker
from neuroblend.nlb.trials import read_nlb

NAMES = tuple(DATASETS)
SMALL = "mc_maze_small"


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nlb")

    @cache
    def file(name: str) -> Path:
        return simulate_nlb(name, folder / f"{name}.nwb", n_trials=24, n_units=12, seed=1)

    return file


def oracle(path: Path, name: str, bin_ms: int, evaluated: str = "val") -> dict:
    tools = pytest.importorskip("nlb_tools.make_tensors", reason="nlb_tools is not installed")
    interface = pytest.importorskip("nlb_tools.nwb_interface")
    logging.getLogger("nlb_tools").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = interface.NWBDataset(str(path))
        data.resample(bin_ms)
        made = tools.make_train_input_tensors(
            data, name, save_file=False, include_behavior=True, include_forward_pred=True
        )
        given = tools.make_eval_input_tensors(data, name, evaluated, save_file=False)
        made |= {f"given_{key}": value for key, value in given.items()}
        if evaluated == "val":
            targets = tools.make_eval_target_tensors(data, name, save_file=False, include_psth=True)
            (group, tensors), *others = targets.items()
            assert not others
            made |= tensors | {"group": group}
    return made


def maker_of(path: Path, name: str = SMALL, bin_ms: int = 5) -> TensorMaker:
    return TensorMaker(load_session(path, find_dataset(name)), find_dataset(name), bin_ms)


def ours(path: Path, name: str, bin_ms: int, evaluated: str = "val") -> dict:
    maker = maker_of(path, name, bin_ms)
    assert not maker.notes
    made = maker.train() | {f"given_{k}": v for k, v in maker.eval(evaluated).items()}
    return made | (maker.targets() | {"group": maker.group} if evaluated == "val" else {})


def assert_same(mine: dict, theirs: dict) -> None:
    assert set(mine) == set(theirs)
    for key, expected in theirs.items():
        if key == "group":
            assert mine[key] == expected
        elif key.endswith("cond_idx"):
            assert len(mine[key]) == len(expected)
            for a, b in zip(mine[key], expected, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=key)
        elif key == "psth" or key.endswith("behavior"):  # filtered: equal to rounding
            scale = np.nanmax(np.abs(expected))
            np.testing.assert_allclose(mine[key], expected, 0, 1e-12 * scale, err_msg=key)
        else:  # counts, jitter and masks are the same numbers
            np.testing.assert_array_equal(
                np.asarray(mine[key], float), np.asarray(expected, float), err_msg=key
            )


@pytest.mark.parametrize("bin_ms", [5, 20])
@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_is_that_of_nlb_tools(files, name, bin_ms) -> None:
    theirs = oracle(files(name), name, bin_ms)
    assert_same(ours(files(name), name, bin_ms), theirs)
    assert np.nansum(theirs["eval_spikes_heldout"]) > 0


@pytest.mark.parametrize("name", ["mc_maze_small", "area2_bump", "dmfc_rsg"])
def test_train_and_test_files_are_joined_as_there(files, tmp_path, name) -> None:
    shutil.copy(files(name), tmp_path / "b_train.nwb")
    simulate_nlb(name, tmp_path / "a_test.nwb", n_trials=24, n_units=12, seed=1, part="test")
    for evaluated in ("val", "test"):
        assert_same(ours(tmp_path, name, 20, evaluated), oracle(tmp_path, name, 20, evaluated))


def test_times_off_the_grid_fall_into_the_same_bins(files, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        times = file["intervals/trials/move_onset_time"]
        shift = np.random.default_rng(0).uniform(-0.004, 0.004, times.shape)
        times[:] = times[:] + shift.round(6)

    path = edited(files(SMALL), tmp_path / "off.nwb", edit)
    assert_same(ours(path, SMALL, 5), oracle(path, SMALL, 5))


def test_missing_kinematics_are_missing_there_too(files, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        file["processing/behavior/hand_vel/data"][5000:5400] = np.nan

    path = edited(files(SMALL), tmp_path / "nan.nwb", edit)
    mine = maker_of(path).grid.resampled("hand_vel", 5)
    interface = pytest.importorskip("nlb_tools.nwb_interface")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = interface.NWBDataset(str(path))
        data.resample(5)
    np.testing.assert_allclose(mine, data.data["hand_vel"].to_numpy(), rtol=0, atol=1e-9)
    assert np.isnan(mine).any()


def test_trials_for_a_run_hold_the_same_tensors(files) -> None:
    name = "mc_maze_small"
    trials = read_nlb(files(name), DATASETS[name], 20)
    tensors = ours(files(name), name, 20)
    held_out, of_eval = trials.held_out, trials.split == "test"
    spikes = trials.spikes[~of_eval][:, :, ~held_out]
    np.testing.assert_array_equal(spikes[:, :35], tensors["train_spikes_heldin"])
    np.testing.assert_array_equal(spikes[:, 35:], tensors["train_spikes_heldin_forward"])
    spikes = trials.spikes[of_eval][:, :, held_out]
    np.testing.assert_array_equal(spikes[:, :35], tensors["eval_spikes_heldout"])
    np.testing.assert_array_equal(spikes[:, 35:], tensors["eval_spikes_heldout_forward"])
    expected = tensors["eval_behavior"].astype(np.float32)
    np.testing.assert_array_equal(trials.behavior[of_eval][:, :35], expected)
    assert trials.behavior_names == ("hand_vel_x", "hand_vel_y")
    assert trials.bin_s == 0.02


def test_trials_that_cannot_be_used_are_left_out_of_every_tensor(files, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        split = file["intervals/trials/split"].asstr()[:]
        rows = np.flatnonzero(split == "train")
        times = file["intervals/trials/move_onset_time"]
        times[rows[0]] = np.nan
        times[rows[-1]] = times[rows[-1]] + 1e4

    whole = maker_of(files(SMALL)).train()
    maker = maker_of(edited(files(SMALL), tmp_path / "a.nwb", edit))
    made = maker.train()
    assert "2 of 18 train trials left out: 1 without a time" in maker.notes[-1]
    assert "1 that leave the recording" in maker.notes[-1]
    for key, value in made.items():
        np.testing.assert_array_equal(value, whole[key][1:-1], err_msg=key)


def test_spikes_outside_of_observed_intervals_are_said(files, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        spikes = file["units/spike_times"]
        ends = file["units/spike_times_index"][:]
        spikes[ends[0] - 1] = 1e5  # far beyond the end, where nlb_tools ends with an IndexError

    maker = maker_of(edited(files(SMALL), tmp_path / "a.nwb", edit))
    assert any("1 spikes lie outside of the observed intervals" in note for note in maker.notes)
    assert np.isfinite(maker.train()["train_spikes_heldin"]).all()


def test_overlapping_trials_are_refused_where_they_may_not_overlap(files, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        times = file["intervals/trials/move_onset_time"]
        times[3] = times[2] + 0.3
        file["intervals/trials/split"][2:4] = ["train", "train"]

    path = edited(files(SMALL), tmp_path / "a.nwb", edit)
    refuses("1 trials reach into the next", maker_of(path).train)


def test_what_a_dataset_needs_is_named(files, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        trials = file["intervals/trials"]
        trials.move("trial_version", "trial_versions")
        names = [n for n in trials.attrs["colnames"] if n != "trial_version"]
        trials.attrs["colnames"] = [*names, "trial_versions"]

    path = edited(files(SMALL), tmp_path / "a.nwb", edit)
    refuses(r"lacks 'trial_version'.*did you mean 'trial_versions'", maker_of, path)
    refuses("no dataset 'mc_maz': did you mean 'mc_maze'", find_dataset, "mc_maz")
    rtt = files("mc_rtt")
    refuses("--bin-ms 10: the benchmark has bins of 5 or 20 ms", maker_of, rtt, "mc_rtt", 10)
    message = "no trials of split 'test'; there are 18 of train"
    refuses(message, maker_of(rtt, "mc_rtt").eval, "test")
