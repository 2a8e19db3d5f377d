"""MATLAB files of both formats, by a mapping."""

import h5py
import numpy as np
import pytest
import yaml
from conftest import refuses
from numpy.testing import assert_allclose, assert_array_equal
from scipy.io import savemat

from neuroblend.config import parse_settings
from neuroblend.data.recording import Recording
from neuroblend.data.trials import Trials
from neuroblend.experiments.decoding.load import prepared
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.readers.mat import read_mat
from neuroblend.readers.mat_file import load_mat

RNG = np.random.default_rng(0)
SPIKES = RNG.poisson(1.0, (8, 6, 4)).astype(float)  # trial, bin, neuron
VELOCITY = RNG.normal(size=(8, 6, 2))
CHOICE = ["left", "right"] * 4
TRAINS = [np.sort(RNG.uniform(0, 20, n)) for n in (30, 50, 40)]
CLOCK = np.arange(0, 20, 0.05)
POSITION = np.stack([np.sin(CLOCK), np.cos(CLOCK)], axis=1)
BINNED = {
    "spikes": "binned", "axes": ["neuron", "bin", "trial"], "bin_s": "width",
    "behavior": {"vel": "kin.vel", "choice": "kin.choice", "score": "kin.score"},
}  # fmt: skip
TIMES = {
    "spike_times": "units.times", "unit_id": "units.name", "region": "units.area",
    "signals": {"hand": {"values": "kin.pos", "times": "kin.t", "unit": "cm"}},
    "events": {"licks": "licks"},
    "trials": {"start_time": "starts", "choice": "choice"},
}  # fmt: skip


def contents() -> dict:
    """Variables as MATLAB has them: dicts are structs, lists of arrays or text are cells."""
    return {
        "binned": SPIKES.transpose(2, 1, 0),
        "width": 0.02,
        "kin": {
            "vel": VELOCITY.transpose(2, 1, 0), "choice": CHOICE, "score": np.arange(8.0),
            "pos": POSITION.T, "t": CLOCK,
        },
        "units": [
            {"times": train, "name": f"u{i}", "area": "M1"} for i, train in enumerate(TRAINS)
        ],
        "cells": TRAINS,
        "all": np.concatenate(TRAINS), "owner": np.repeat([4, 5, 9], [30, 50, 40]),
        "right": np.arange(8) % 2 == 0, "licks": np.array([2.2, 2.3]),
        "starts": np.arange(1.0, 17.0, 2.0), "choice": CHOICE,
        "ragged": [SPIKES[i].T[:, : 3 + i % 4] for i in range(8)],
    }  # fmt: skip


def cell(items: list) -> np.ndarray:
    made = np.empty((1, len(items)), dtype=object)
    for i, item in enumerate(items):
        made[0, i] = item
    return made


def write_v5(path) -> None:
    def of(value):
        if isinstance(value, dict):
            return {key: of(item) for key, item in value.items()}
        if isinstance(value, list) and isinstance(value[0], dict):
            kinds = [(key, object) for key in value[0]]
            made = np.empty((1, len(value)), dtype=kinds)
            for i, item in enumerate(value):
                made[0, i] = tuple(item.values())
            return made
        return cell(value) if isinstance(value, list) else value

    savemat(path, {key: of(value) for key, value in contents().items()})


def write_v73(path) -> None:
    """As MATLAB does: axes reversed, cells as references, text as uint16."""
    with h5py.File(path, "w") as file:
        refs = file.create_group("#refs#")

        def put(parent, key, value) -> None:
            if isinstance(value, dict):
                group = parent.create_group(key)
                group.attrs["MATLAB_class"] = np.bytes_("struct")
                for name, item in value.items():
                    put(group, name, item)
            elif isinstance(value, list) and isinstance(value[0], dict):
                group = parent.create_group(key)
                group.attrs["MATLAB_class"] = np.bytes_("struct")
                for name in value[0]:
                    references(group, name, [item[name] for item in value])
            elif isinstance(value, list):
                references(parent, key, value).attrs["MATLAB_class"] = np.bytes_("cell")
            elif isinstance(value, str):
                codes = np.array([[ord(c)] for c in value], dtype=np.uint16)
                parent[key] = codes
                parent[key].attrs["MATLAB_class"] = np.bytes_("char")
            else:
                parent[key] = np.atleast_2d(value).T
                is_logical = np.asarray(value).dtype == bool
                parent[key].attrs["MATLAB_class"] = np.bytes_("logical" if is_logical else "double")

        def references(parent, key, items):
            found = []
            for item in items:
                name = f"r{len(refs)}"
                put(refs, name, item)
                found.append(refs[name].ref)
            return parent.create_dataset(
                key, data=np.array(found, dtype=h5py.ref_dtype)[:, None], dtype=h5py.ref_dtype
            )

        for key, value in contents().items():
            put(file, key, value)


@pytest.fixture(scope="module", params=["v5", "v7.3"])
def mat(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("mat") / "day.mat"
    (write_v5 if request.param == "v5" else write_v73)(path)
    return path


def test_trials_by_a_mapping(mat) -> None:
    trials = read_mat(mat, BINNED)
    assert isinstance(trials, Trials)
    assert_array_equal(trials.spikes, SPIKES)
    assert trials.bin_s == 0.02
    assert trials.behavior_names == ("vel_0", "vel_1", "choice", "score")
    assert_allclose(trials.behavior[:, :, :2], VELOCITY, rtol=1e-6)
    assert trials.channels[2].categories == ("left", "right")
    assert_array_equal(trials.behavior[:, 3, 3], np.arange(8))


def test_a_cell_of_trials_is_ragged(mat) -> None:
    trials = read_mat(mat, {"spikes": "ragged", "axes": ["neuron", "bin"], "bin_s": 0.02})
    assert trials.lengths.tolist() == [3, 4, 5, 6] * 2
    assert_array_equal(trials.spikes[5, :4], SPIKES[5, :4])


def test_axes_that_sizes_tell_are_taken_with_a_note(mat) -> None:
    mapping = {key: value for key, value in BINNED.items() if key != "axes"}
    trials = read_mat(mat, mapping)
    assert_array_equal(trials.spikes, SPIKES)
    assert "[neuron, bin, trial] is the one order that fits 'vel', 'choice'" in trials.notes[-1]
    ragged = read_mat(mat, {"spikes": "ragged", "bin_s": 0.02})
    assert_array_equal(ragged.spikes[5, :4], SPIKES[5, :4])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"behavior": {"vel": "kin.vel"}},
            r"found shape \(4, 6, 8\) and no axes .*wanted such as 'axes: \[neuron, bin, trial\]'"
            r".*leave \[neuron, trial, bin\], \[neuron, bin, trial\]",
        ),
        ({"behavior": {"choice": "kin.choice"}}, r".*leave \[bin, neuron, trial\], \[neuron, b"),
        ({"behavior": {"licks": "licks"}}, ".*none fits"),
        ({"spikes": "kin.pos"}, r"found shape \(2, 400\), wanted axes trial, bin, neuron"),
    ],
)
def test_axes_that_sizes_leave_open_are_asked_for(mat, changes, message) -> None:
    mapping = {key: value for key, value in BINNED.items() if key != "axes"}
    refuses(f"day.mat: spikes: {message}", read_mat, mat, mapping | changes)


def test_recordings_by_a_mapping(mat, tmp_path) -> None:
    recording = read_mat(mat, TIMES)
    assert isinstance(recording, Recording)
    for found, train in zip(recording.spike_times, TRAINS, strict=True):
        assert_allclose(found, train)
    assert recording.units["id"].tolist() == ["u0", "u1", "u2"]
    assert recording.units["region"].tolist() == ["M1"] * 3
    hand = recording.signals["hand"]
    assert hand.names == ("hand_0", "hand_1") and hand.unit == "cm"
    assert_allclose(hand.values, POSITION)
    assert recording.signals["licks"].kind == "events"
    trials = recording.align(recording.trials["start_time"], (0, 1.5), 0.1, ["hand", "choice"])
    assert trials.channels[2].categories == ("left", "right")
    by_cells = read_mat(mat, {"spike_times": "cells"})
    assert by_cells.unit_id is None and by_cells.spike_times[2].size == 40
    owned = read_mat(mat, {"spike_times": "all", "spike_units": "owner", "time_unit": 10})
    assert owned.units["id"].tolist() == [4, 5, 9]
    assert_allclose(owned.spike_times[1], TRAINS[1] / 10)
    rated = {"hand": {"values": "kin.pos", "rate": 20, "names": ["x", "y"]}}
    signal = read_mat(mat, {"spike_times": "cells", "signals": rated}).signals["hand"]
    assert signal.names == ("hand_x", "hand_y")
    assert_allclose(signal.times, CLOCK)


def test_truth_values_are_so_in_both_formats(mat) -> None:
    mapping = BINNED | {"behavior": {"right": "right"}}
    assert read_mat(mat, mapping).channels[0].kind == "discrete"
    table = read_mat(mat, TIMES | {"trials": {"start_time": "starts", "right": "right"}}).trials
    assert table["right"].tolist() == [True, False] * 4 and table["right"].dtype == bool


def test_one_unit_of_time_is_that_of_the_file_unless_told_otherwise(mat) -> None:
    of_all = read_mat(mat, TIMES | {"time_unit": 10})
    assert_allclose(of_all.signals["hand"].times, CLOCK / 10)
    assert_allclose(of_all.signals["licks"].times, [0.22, 0.23])
    assert_allclose(of_all.trials["start_time"], np.arange(0.1, 1.7, 0.2))
    hand = TIMES["signals"]["hand"] | {"time_unit": "s"}
    told = {
        "time_unit": 10, "signals": {"hand": hand},
        "events": {"licks": {"times": "licks", "time_unit": "s"}},
        "trials": {"start_time": "starts", "go": {"times": "starts", "time_unit": "ms"}},
    }  # fmt: skip
    mixed = read_mat(mat, TIMES | told)
    assert_allclose(mixed.signals["hand"].times, CLOCK)
    assert_allclose(mixed.signals["licks"].times, [2.2, 2.3])
    assert_allclose(mixed.trials["go"], mixed.trials["start_time"] / 100)


def test_the_mapping_is_yaml_beside_the_file(mat) -> None:
    refuses("needs a mapping, .*day.yaml, which says where spikes are", read_mat, mat)
    mat.with_suffix(".yaml").write_text(yaml.safe_dump(TIMES))
    try:
        assert read_mat(mat).units["id"].tolist() == ["u0", "u1", "u2"]
        mat.with_suffix(".yaml").write_text("spikes: [")
        refuses("not YAML", read_mat, mat)
        mat.with_suffix(".yaml").write_text("binned")
        refuses("found 'binned', wanted lines such as", read_mat, mat)
    finally:
        mat.with_suffix(".yaml").unlink()


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"spikes": "binned", "spike_times": "cells"}, "wanted either spikes"),
        ({"behavior": {}}, "wanted either spikes"),
        (BINNED | {"bins": 1}, "unknown 'bins'; did you mean 'bin_s'"),
        (BINNED | {"spikes": "bined"}, "'bined': no 'bined'; did you mean 'binned'"),
        (BINNED | {"behavior": {"v": "kin.vell"}}, "'kin.vell': no 'vell'; did you mean 'vel'"),
        (BINNED | {"spikes": "binned.x"}, "'binned.x': binned is no struct, so it has no 'x'"),
        (BINNED | {"axes": ["neuron", "time", "trial"]}, r"found axes \[neuron, time, trial\]"),
        (BINNED | {"axes": ["bin", "trial"]}, r"found axes \[bin, trial\], wanted trial, bin"),
        (BINNED | {"axes": ["bin", "neuron", "trial"]}, "behavior 'vel'"),
        ({"spike_times": "all"}, "wanted a cell with a unit each, or spike_units"),
        ({"spike_times": "all", "spike_units": "licks"}, "spike_units: found 2 for 120 spikes"),
        (TIMES | {"time_unit": "us"}, "time_unit: found 'us', wanted s, ms, or"),
        (BINNED | {"behavior": ["kin.vel"]}, "behavior: found .'kin.vel'., wanted {name:"),
        ({"spike_times": 3}, "mapping: found 3, wanted where it is"),
        (TIMES | {"trials": ["starts"]}, "trials: found .'starts'., wanted {name"),
        (TIMES | {"trials": {"a": "starts", "b": "licks"}}, "trials: found 8 of a, 2 of b"),
        (TIMES | {"trials": {"go_time": "choice"}}, "'go_time': found .*, wanted times"),
        (TIMES | {"events": {"l": {"time": "licks"}}}, "unknown 'time'; did you mean 'times'"),
        (TIMES | {"region": "licks"}, "region: found 2 for 3 units"),
        (TIMES | {"unit_id": "licks"}, "unit_id: found 2 for 3 units"),
        (TIMES | {"kinds": {"hnd": "circular"}}, "kinds: no signal 'hnd'; did you mean 'hand'"),
        (TIMES | {"signals": {"hand": {"values": "kin.pos", "rate": "x"}}}, "rate: found 'x'"),
        (TIMES | {"signals": {"hand": {"values": "kin.pos", "rate": 0}}}, "rate: found 0"),
        (TIMES | {"signals": {"hand": "kin.pos"}}, "signal 'hand': found kin.pos, wanted"),
        (
            TIMES | {"signals": {"hand": {"values": "kin.pos", "time": "kin.t", "rate": 1}}},
            "signal 'hand': unknown 'time'; did you mean 'times'",
        ),
    ],
)
def test_what_is_not_there_is_refused(mat, mapping, message) -> None:
    refuses(f"day.mat: .*{message}", read_mat, mat, mapping)


def test_tables_and_objects_are_refused(tmp_path) -> None:
    with h5py.File(tmp_path / "t.mat", "w") as file:
        file["trials"] = np.zeros((6, 1), dtype=np.uint32)
        file["trials"].attrs["MATLAB_class"] = np.bytes_("table")
        file["trials"].attrs["MATLAB_object_decode"] = np.int32(3)
        file["binned"] = SPIKES
    refuses(
        "'trials' is a MATLAB table, which MATLAB alone can read; save plain",
        read_mat, tmp_path / "t.mat", {"spikes": "trials", "bin_s": 0.02},
    )  # fmt: skip
    (tmp_path / "no.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b" " * 50)
    refuses("truncated or not a MATLAB file", load_mat, tmp_path / "no.mat")
    refuses("no such file", load_mat, tmp_path / "gone.mat")


def test_a_run_takes_trials_of_a_mat_file(mat) -> None:
    mapping = mat.with_suffix(".yaml")
    try:
        mapping.write_text(yaml.safe_dump(BINNED))
        data = {"data": {"behavior": ["vel_0", "choice"]}}
        trials = prepared(str(mat), parse_settings(RunConfig, data))
        assert trials.behavior_names == ("vel_0", "choice")
        mapping.write_text(yaml.safe_dump(TIMES))
        refuses("day.mat: a continuous recording by its mapping", prepared, str(mat), RunConfig())
    finally:
        mapping.unlink()
