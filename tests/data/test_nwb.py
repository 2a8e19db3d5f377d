from dataclasses import replace

import h5py
import numpy as np
import pytest
from conftest import edited, refuses

from neuroblend.data.cut import Cut
from neuroblend.data.nwb import read_nwb
from neuroblend.errors import InputError
from neuroblend.inspect.nwb import inspect_nwb
from neuroblend.nlb.simulate.files import simulate_nlb
from neuroblend.readers.prepare import cut_trials, prepare_recording

CUT = Cut("move_onset_time", (-250, 450), 10, 100, ("hand_vel",), ("trial_type", "trial_version"))


@pytest.fixture(scope="module")
def maze(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nwb")
    return simulate_nlb("mc_maze_small", folder / "maze.nwb", n_trials=24, n_units=12, seed=2)


def test_a_recording_holds_what_the_file_holds(maze) -> None:
    recording = read_nwb(maze)
    with h5py.File(maze) as file:
        ends = file["units/spike_times_index"][:]
        spikes = np.split(file["units/spike_times"][:], ends[:-1])
        velocity = file["processing/behavior/hand_vel/data"][:]
        times = file["processing/behavior/hand_vel/timestamps"][:]
        onset = file["intervals/trials/move_onset_time"][:]
    for mine, theirs in zip(recording.spike_times, spikes, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    signal = recording.signals["hand_vel"]
    np.testing.assert_array_equal(signal.values, velocity)
    np.testing.assert_array_equal(signal.times, times)
    assert signal.names == ("hand_vel_x", "hand_vel_y")
    np.testing.assert_array_equal(recording.trials["move_onset_time"], onset)
    assert recording.units["heldout"].sum() == 3
    assert len(read_nwb(maze, ["hand_pos"]).signals) == 1


def test_a_series_with_a_rate_has_a_clock(tmp_path) -> None:
    path = simulate_nlb("mc_rtt", tmp_path / "rtt.nwb", n_trials=16, n_units=8)
    signal = read_nwb(path, ["finger_vel"]).signals["finger_vel"]
    assert np.allclose(np.diff(signal.times), 0.001)
    assert signal.names == ("finger_vel_x", "finger_vel_y")


def test_trials_are_cut_where_they_should_be(maze) -> None:
    trials = cut_trials(maze, CUT)
    recording = read_nwb(maze, ["hand_vel"])
    table = recording.trials[recording.trials["split"] != "none"]
    assert trials.n_trials == len(table)
    assert trials.n_bins == 70
    assert trials.bin_s == 0.01
    first = table["move_onset_time"].to_numpy()[0]
    edges = first - 0.25 + 0.01 * np.arange(71)
    for i, times in enumerate(recording.spike_times):
        np.testing.assert_array_equal(trials.spikes[0, :, i], np.histogram(times, edges)[0])
    signal = recording.signals["hand_vel"]
    inside = (signal.times >= edges[3] + 0.1 - 1e-9) & (signal.times < edges[4] + 0.1 - 1e-9)
    expected = signal.values[inside].mean(axis=0)
    np.testing.assert_allclose(trials.behavior[0, 3], expected, rtol=1e-3, atol=0.5)
    assert (trials.event, trials.start_s) == ("move_onset_time", -0.25)
    assert trials.behavior_units == ("mm/s", "mm/s")  # stored in units of 0.001 m/s
    assert trials.held_out.sum() == 3
    assert set(trials.split) == {"train", "valid"}
    assert trials.condition[0] == f"{table['trial_type'].iloc[0]}, {table['trial_version'].iloc[0]}"
    assert any("of split none: left out" in note for note in trials.notes)


def test_inspection_tells_units_trials_columns_and_gaps(maze, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        data = file["processing/behavior/hand_vel/data"]
        data[:3] = np.nan

    contents = inspect_nwb(edited(maze, tmp_path / "edited.nwb", edit))
    units = dict(contents.units)
    assert units["units"].startswith("12, of which")
    assert units["held in / held out"] == "9 / 3"
    signals = contents.signals.set_index("signal")
    assert signals.loc["hand_vel", "missing"].startswith("6 (")
    assert signals.loc["hand_vel", "channels"] == "x, y"
    assert signals.loc["hand_vel", "unit"] == "mm/s"
    assert int(signals.loc["hand_vel", "gaps"]) > 0
    assert "backwards" not in signals
    assert "move_onset_time" in set(contents.columns["column"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"align": "move_onset"}, "no column 'move_onset': did you mean 'move_onset_time'"),
        ({"condition": ("trial_typ",)}, "did you mean 'trial_type'"),
        ({"behavior": ("hand_vell",)}, "no time series 'hand_vell': did you mean 'hand_vel'"),
        ({"align": "split"}, "column 'split' holds no times"),
        ({"window_ms": (-250, 9000)}, r"trials overlap within \(-250, 9000\) ms"),
        ({"window_ms": (-250, 9000), "overlap": True}, "none of .* trials lies within"),
        ({"window_ms": (450, -250)}, "holds no bin"),
        ({"bin_ms": 5000.0}, "bin_s: found 5 s, wanted"),
    ],
)
def test_cuts_that_cannot_be_made_are_refused(maze, tmp_path, change, message) -> None:
    refuses(message, prepare_recording, [maze], replace(CUT, **change), tmp_path / "out.h5")
    assert not list(tmp_path.iterdir())


def without(key: str):
    def edit(file: h5py.File) -> None:
        del file[key]

    return edit


def backwards(file: h5py.File) -> None:
    times = file["processing/behavior/hand_vel/timestamps"]
    times[10] = times[8]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without("units"), "no units table"),
        (without("intervals"), "no trials, so nothing to align to"),
        (backwards, "timestamps of hand_vel go backwards or are missing after sample 9"),
        (without("processing/behavior/hand_vel"), "no time series 'hand_vel'"),
    ],
)
def test_files_that_lack_something_are_refused(maze, tmp_path, edit, message) -> None:
    refuses(message, cut_trials, edited(maze, tmp_path / "edited.nwb", edit), CUT)


def test_files_that_are_not_nwb_are_refused(maze, tmp_path) -> None:
    for content in (maze.read_bytes()[:20000], b"hello"):
        (tmp_path / "bad.nwb").write_bytes(content)
        refuses("truncated, or not an NWB file", read_nwb, tmp_path / "bad.nwb")
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["x"] = 1
    refuses("HDF5, but not NWB", read_nwb, tmp_path / "other.nwb")
    refuses("no such file", read_nwb, tmp_path / "none.nwb")


def test_trials_beyond_what_was_observed_are_dropped_and_counted(maze, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        rows = np.flatnonzero(file["intervals/trials/split"].asstr()[:] == "train")
        times = file["intervals/trials/move_onset_time"]
        file["intervals/trials/start_time"][rows[0]] = -4.0
        file["intervals/trials/stop_time"][rows[-1]] = times[-1] + 200.0
        times[rows[0]] = -3.0
        times[rows[-1]] = times[-1] + 100.0
        times[rows[3]] = np.nan

    trials = cut_trials(edited(maze, tmp_path / "edited.nwb", edit), CUT)
    assert any("trials have no 'move_onset_time': left out" in note for note in trials.notes)
    assert any("2 of 23 trials leave what was recorded: dropped" in note for note in trials.notes)
    assert trials.n_trials == 21


def test_trials_may_end_at_a_column(maze) -> None:
    cut = Cut("start_time", (0, 4000), 20, 0, ("hand_vel",), until="stop_time")
    trials = cut_trials(maze, cut)
    table = read_nwb(maze).trials
    table = table[table["split"] != "none"]
    seconds = (table["stop_time"] - table["start_time"]).to_numpy()
    n_bins = np.minimum(seconds / 0.02 + 1e-6, 200).astype(int)
    np.testing.assert_array_equal(trials.lengths, n_bins)
    assert len(set(trials.lengths)) > 3
    with pytest.raises(InputError, match=r"no column 'stop_tim': .*stop_time"):
        cut_trials(maze, Cut("start_time", (0, 4000), 20, until="stop_tim"))
