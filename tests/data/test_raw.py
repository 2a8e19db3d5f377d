import numpy as np
import pytest
from conftest import refuses, write_arrays
from raw_arrays import CLOCK, raw_arrays

from neuroblend.data.cut import Cut
from neuroblend.data.raw import read_raw
from neuroblend.readers.prepare import check_out, cut_trials, prepare_recording


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_arrays_become_a_recording(tmp_path, suffix) -> None:
    recording = read_raw(write_arrays(tmp_path / f"rat{suffix}", raw_arrays()))
    assert [times.size for times in recording.spike_times] == [80, 0, 120]
    assert list(recording.unit_id) == ["a", "b", "c"]
    position = recording.signals["position"]
    assert (position.names, position.unit) == (("x", "y"), "cm")
    assert recording.signals["lick"].kind == "events"
    assert recording.tables["running"]["stop_time"].tolist() == [4.0, 9.0]
    assert recording.span == (CLOCK[0], CLOCK[-1])
    assert recording.notes == ("Keys that mean nothing here were left alone: about.",)


def test_units_may_be_told_by_clusters(tmp_path) -> None:
    given = raw_arrays(
        spike_times=[0.5, 1.0, 1.5, 2.0], spike_clusters=[7, 3, 7, 9], spike_times_index=None,
        unit_id=None,
    )  # fmt: skip
    recording = read_raw(write_arrays(tmp_path / "k.npz", given))
    assert recording.units["id"].tolist() == [3, 7, 9]
    assert [times.tolist() for times in recording.spike_times] == [[1.0], [0.5, 1.5], [2.0]]


def test_from_arrays_to_trials(tmp_path) -> None:
    path = write_arrays(tmp_path / "rat.npz", raw_arrays())
    cut = Cut(None, None, 100, behavior=("position", "lick", "running"), every_s=2.0)
    trials = cut_trials(path, cut)
    assert trials.window_id.tolist() == trials.trial_id.tolist() == list(range(9))
    assert trials.behavior_names == ("x", "y", "lick", "running")
    assert trials.behavior[1, :, 3].tolist() == [1] * 20
    assert trials.behavior[:, :, 2].sum() == 3
    assert trials.unit_id.tolist() == ["a", "c"] and trials.region.tolist() == ["CA1", "CA3"]
    licks = cut_trials(path, Cut("lick", (-500, 500), 100, behavior=("position",)))
    assert (licks.n_trials, licks.event) == (3, "lick")


def test_windows_within_intervals_alone(tmp_path) -> None:
    path = write_arrays(tmp_path / "rat.npz", raw_arrays())
    cut = Cut(None, None, 100, behavior=("position",), every_s=1.0, intervals="running")
    assert cut_trials(path, cut).window_id.tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spike_times": None}, "no 'spike_times'"),
        ({"spike_times_index": None}, "units cannot be told apart"),
        ({"spike_times_index": [80, 60, 200]}, "wanted ends that ascend to the 200 spikes"),
        ({"spike_times_index": [80, 80, 190]}, "wanted ends that ascend to the 200 spikes"),
        ({"position_times": CLOCK + 1e3}, "spikes from .* and samples of position from 1000 .*one"),
        ({"position_times": CLOCK[:-1]}, r"found \(1000, 2\) values at \(999,\) times"),
        ({"position_times": CLOCK * 1000}, "a sample every 20 s.*milliseconds"),
        ({"running_intervals": [1.0, 2.0]}, "wanted .interval, 2. seconds"),
        ({"region": [b"CA1", b"CA\xe9", b"CA3"]}, "region: found bytes that are not UTF-8"),
        ({"position_unit": b"m\xe9"}, "position_unit: found bytes that are not UTF-8"),
        ({"spike_times_index": np.empty(0, int)}, "spike_times_index: found 0 ends"),
        ({"spike_times_index": [80.5, 80.5, 200]}, "wanted ends that ascend"),
        ({"unit_id": ["a"]}, r"unit_id: found shape \(1,\), wanted \(3,\), one for a unit"),
        ({"spike_times": ["1.5", "2"]}, "spike_times: found <U3 values, wanted numbers"),
        ({"lick_times": ["a", "b"]}, "lick_times: found <U1 values, wanted numbers"),
        ({"lick_times": np.array([1, 2], "M8[s]")}, "lick_times: found datetime64"),
        ({"running_intervals": [["a", "b"]]}, "running_intervals: found <U1 values"),
        ({"position": 3.0, "position_names": None}, r"signal position: found \(\) values"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, changes, message) -> None:
    refuses(message, read_raw, write_arrays(tmp_path / "rat.npz", raw_arrays(**changes)))


def test_trials_are_written_under_their_own_name(tmp_path) -> None:
    path = write_arrays(tmp_path / "rat.npz", raw_arrays())
    cut = Cut(None, None, 100, behavior=("position",), every_s=2.0)
    refuses("wanted a name that ends in .h5, such as out.h5", check_out, tmp_path / "out.npz")
    refuses("trials are written as HDF5", prepare_recording, [path], cut, tmp_path / "out.npz")
    said = prepare_recording([path], cut, tmp_path / "out.h5")
    assert "Trials('rat': 9 trials" in said[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.h5", "rat.npz"]
