"""What is shown of every kind of file, and that long series are not read whole."""

import h5py
import numpy as np
import pytest
from conftest import refuses
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from scipy.io import savemat

from neuroblend.inspect import nwb
from neuroblend.inspect.look import inspect_file

RNG = np.random.default_rng(0)
SPIKES = RNG.poisson(1.0, (8, 6, 4))
TRAINS = [np.sort(RNG.uniform(0, 20, n)) for n in (30, 50, 40)]
CLOCK = np.arange(0, 20, 0.05)


def signals(contents):
    return contents.signals.set_index("signal")


def test_trials_show_what_may_be_behavior(tmp_path) -> None:
    path = tmp_path / "t.npz"
    choice = ["left", "right", "", "left"] * 2
    np.savez(path, spikes=SPIKES, bin_s=0.02, choice=choice, vel=RNG.normal(size=(8, 6, 2)), n=3)
    found = inspect_file(path)
    rows = signals(found)
    assert rows.loc["choice"].tolist() == ["discrete", "-", "left, right", "trial", "2 (25 %)"]
    assert rows.loc["vel", "kind"] == "continuous" and rows.loc["vel", "one a"] == "bin"
    assert found.following == [f"neuroblend run {path} --behavior choice,vel"]
    assert ("neurons", "4 of 4 in the file") in found.units and ("trials", "8") in found.trials


def test_a_file_that_cannot_be_run_is_shown_all_the_same(tmp_path) -> None:
    np.savez(tmp_path / "t.npz", spikes=SPIKES + 0.5, bin_s=0.02)
    found = inspect_file(tmp_path / "t.npz")
    assert "fractional counts" in found.notes[0]
    assert found.tables["key"].tolist() == ["spikes", "bin_s"]
    with h5py.File(tmp_path / "u.h5", "w") as file:
        file["a/b"] = np.arange(3)
    found = inspect_file(tmp_path / "u.h5")
    assert found.tables.iloc[0].tolist() == ["a/b", "int64", "(3,)", "0 to 2"]
    assert "no key 'spikes'" in found.notes[0]


def test_raw_arrays_show_signals_and_how_to_cut(tmp_path) -> None:
    path = tmp_path / "r.npz"
    np.savez(
        path, spike_times=np.concatenate(TRAINS), spike_times_index=[30, 80, 120],
        position=np.sin(CLOCK), position_times=CLOCK,
    )  # fmt: skip
    found = inspect_file(path)
    assert ("units", "3, of which 0 never fire") in found.units
    assert signals(found).loc["position", "Hz"] == "20"
    assert found.following[0].startswith(f"neuroblend prepare {path} --every 2 --bin-ms 20")


def test_folders_of_phy_show_units_by_quality(tmp_path) -> None:
    np.save(tmp_path / "spike_times.npy", np.sort(RNG.integers(0, 90000, 100)))
    np.save(tmp_path / "spike_clusters.npy", RNG.integers(0, 3, 100))
    (tmp_path / "params.py").write_text("sample_rate = 30000.0\n")
    (tmp_path / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n1\tmua\n2\tgood\n")
    found = inspect_file(tmp_path)
    assert found.notes == ("2 of 3 units taken, good (of 2 good, 1 mua).",)
    assert "quality (good)" in dict(found.units)["other columns"]
    assert found.following[0].startswith(f"neuroblend prepare {tmp_path} behavior.npz")


def test_mat_files_show_variables_then_what_the_mapping_makes_of_them(tmp_path) -> None:
    path = tmp_path / "d.mat"
    savemat(path, {"binned": SPIKES.astype(float), "kin": {"v": RNG.normal(size=(8, 6))}})
    found = inspect_file(path)
    assert found.tables["key"].tolist() == ["binned", "kin.v"]
    assert found.tables["shape"].tolist() == ["(8, 6, 4)", "(8, 6)"]
    assert "Write " in found.notes[0] and "d.yaml" in found.notes[0]
    path.with_suffix(".yaml").write_text(
        "{spikes: binned, axes: [trial, bin, neuron], bin_s: 0.02, behavior: {v: kin.v}}"
    )
    found = inspect_file(path)
    assert signals(found).loc["v", "kind"] == "continuous"
    assert found.following == [f"neuroblend run {path}"]


@pytest.fixture
def unitless(tmp_path):
    """NWB with no units, a table of its own, and a raw series that is long."""
    import datetime

    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    file = NWBFile("s", "s", start)
    raw = np.zeros((6000, 4), dtype=np.int16)
    raw[3000] = 7
    file.add_acquisition(TimeSeries(name="raw", data=raw, unit="V", rate=1000.0))
    late = np.r_[np.arange(50) * 0.1, 10 + np.arange(50) * 0.1]
    speed = np.where(np.arange(100) < 10, np.nan, 1.0 * np.arange(100))
    file.add_acquisition(TimeSeries(name="speed", data=speed, unit="cm/s", timestamps=late))
    file.create_time_intervals(name="laps", description="laps")
    file.intervals["laps"].add_interval(start_time=1.0, stop_time=2.0)
    with NWBHDF5IO(str(tmp_path / "n.nwb"), "w") as io:
        io.write(file)
    return tmp_path / "n.nwb"


def test_nwb_without_units_and_trials(unitless, monkeypatch) -> None:
    found = inspect_file(unitless)
    rows = signals(found)
    assert rows.loc["speed"].tolist() == [
        "continuous", "cm/s", "1", "10 to 99", "100", "10", "1", "10 (10 %)",
    ]  # fmt: skip
    assert rows.loc["raw", "range"] == "0 to 7"
    assert found.tables.iloc[0].tolist() == ["laps", "1", "1.000 to 2.000", "-"]
    assert "There are no spikes (no units table)" in found.notes[0] and not found.following
    taken = []
    monkeypatch.setattr(nwb, "MOST", 800)
    monkeypatch.setattr(nwb, "PIECE", 100)
    monkeypatch.setattr(nwb, "spread", lambda values: taken.append(values.size) or "-")
    inspect_file(unitless)
    assert max(taken) == 800  # of 24,000 numbers


def test_what_is_none_of_these_is_refused(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("x")
    refuses(r"a.txt: found a '.txt' file, wanted .nwb, .npz", inspect_file, tmp_path / "a.txt")
    refuses("a folder with 0 NWB files .none.; wanted one file", inspect_file, tmp_path)
    refuses("no such file", inspect_file, tmp_path / "none.nwb")
    (tmp_path / "config.yaml").write_text("x: 1")
    refuses("the folder of a run; `neuroblend report", inspect_file, tmp_path)
