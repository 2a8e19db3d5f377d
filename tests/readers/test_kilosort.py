"""Folders of phy and Kilosort."""

import numpy as np
import pytest
from conftest import refuses
from numpy.testing import assert_allclose

import neuroblend as nb
from neuroblend.experiments.decoding.load import prepared
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.readers.kilosort import is_kilosort, read_kilosort, read_params

RNG = np.random.default_rng(0)
RATE = 30000.0
TRAINS = {2: 90, 5: 60, 6: 120, 11: 40}
PARAMS = f"""dat_path = r'C:\\data\\raw.bin'
n_channels_dat = 385
dtype = 'int16'
offset = 0
sample_rate = {RATE}
hp_filtered = False
"""
GROUPS = "cluster_id\tgroup\n2\tgood\n5\tmua\n6\tgood\n11\tnoise\n"


@pytest.fixture
def folder(tmp_path):
    """A folder of four units, as Kilosort writes it: (n, 1) spike times, sorted in time."""
    owners = np.repeat(list(TRAINS), list(TRAINS.values()))
    samples = RNG.integers(0, int(20 * RATE), owners.size)
    order = np.argsort(samples, kind="stable")
    np.save(tmp_path / "spike_times.npy", samples[order][:, None].astype(np.uint64))
    np.save(tmp_path / "spike_clusters.npy", owners[order].astype(np.int32))
    (tmp_path / "params.py").write_text(PARAMS)
    return tmp_path


def test_units_are_those_that_are_good(folder) -> None:
    (folder / "cluster_group.tsv").write_text(GROUPS)
    (folder / "cluster_info.tsv").write_text(
        "cluster_id\tch\tdepth\tgroup\n2\t3\t40.0\tgood\n5\t3\t60.0\tmua\n6\t9\t80.0\tgood\n"
    )
    recording = read_kilosort(folder)
    assert recording.units["id"].tolist() == [2, 6]
    assert recording.units["depth"].tolist() == [40.0, 80.0]
    samples = np.load(folder / "spike_times.npy").ravel()
    owners = np.load(folder / "spike_clusters.npy")
    for unit, times in zip((2, 6), recording.spike_times, strict=True):
        assert_allclose(times, samples[owners == unit] / RATE)
    (note,) = recording.notes
    assert note == "2 of 4 units taken, good (of 2 good, 1 mua, 1 noise)."
    both = read_kilosort(folder, groups=("good", "mua"))
    assert both.units["quality"].tolist() == ["good", "mua", "good"]
    refuses("no unit is 'goood': did you mean 'good'", read_kilosort, folder, ["goood"])


def test_without_sorting_by_hand_labels_of_kilosort_hold(folder) -> None:
    (folder / "cluster_KSLabel.tsv").write_text(GROUPS.replace("group", "KSLabel"))
    assert read_kilosort(folder).units["id"].tolist() == [2, 6]
    # and by hand for one of them
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n6\tmua\n")
    assert read_kilosort(folder).units["id"].tolist() == [2]


def test_without_any_labels_all_are_taken(folder) -> None:
    (folder / "spike_clusters.npy").rename(folder / "spike_templates.npy")
    recording = read_kilosort(folder)
    assert recording.units["id"].tolist() == [2, 5, 6, 11]
    assert recording.notes == ("4 of 4 units taken, unsorted (of 4 unsorted).",)
    (folder / "cluster_group.tsv").write_text(GROUPS.replace("good", "mua"))
    assert read_kilosort(folder).units["id"].tolist() == [2, 5, 6]  # all but noise


def test_it_goes_on_to_trials(folder) -> None:
    clock = np.arange(0, 20, 0.01)
    wheel = nb.Signal.of(clock, np.sin(clock), ["wheel"])
    recording = read_kilosort(folder, signals={"wheel": wheel})
    trials = recording.windows(2.0, 0.1)
    assert (
        trials.n_neurons == 4 and trials.has_unit_ids and trials.unit_id.tolist() == [2, 5, 6, 11]
    )
    assert trials.behavior_names == ("wheel",)
    assert any("4 of 4 units taken" in note for note in trials.notes)


def test_a_run_says_that_behavior_is_missing(folder) -> None:
    refuses("has spikes and no behavior; join both in Python", prepared, str(folder), RunConfig())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import os", r"line 7 wants to run code \(import os\), and nothing here is run"),
        ("x = open('/tmp/x', 'w')", r"line 7 wants to run code \(x = open"),
        ("sample_rate = __import__('os').getpid()", r"line 7 wants to run code"),
        ("dat_path = some_name", r"line 7 wants to run code"),
        ("print('hello')", r"line 7 wants to run code"),
        ("for", "not Python"),
        ("x = {[]: 1}", r"line 7 wants to run code \(x = {\[\]: 1}\)"),
        ("x = " + "-" * 5000 + "1", "not Python"),
        ("x = y.z = 1", "line 7 wants to run code"),
        ("sample_rate = -5", r"found sample_rate = -5, wanted sample_rate in samples/s"),
        ("sample_rate = '30k'", r"found sample_rate = '30k'"),
    ],
)
def test_params_are_never_run(folder, line, message) -> None:
    (folder / "params.py").write_text(PARAMS + line + "\n")
    refuses(f"params.py: {message}", read_kilosort, folder)


def test_params_are_read_as_phy_writes_them(folder) -> None:
    params = read_params(folder / "params.py")
    assert params["sample_rate"] == RATE and params["dat_path"] == r"C:\data\raw.bin"
    (folder / "params.py").write_text("'''of phy'''\ndat_path = ['a.bin', 'b.bin']\n")
    refuses("found dat_path, wanted sample_rate", read_kilosort, folder)
    (folder / "params.py").write_text("rate = sample_rate = 30000\n")
    assert read_params(folder / "params.py") == {"rate": 30000, "sample_rate": 30000}
    (folder / "params.py").unlink()
    refuses("params.py: no such file; give sample_rate", read_kilosort, folder)
    assert read_kilosort(folder, sample_rate=RATE).span[1] < 20
    for rate in (0, "30k", float("nan")):
        refuses("found sample_rate = .*, wanted sample_rate", read_kilosort, folder, None, rate)


def test_files_that_do_not_fit_are_refused(folder, tmp_path_factory) -> None:
    owners, times = (np.load(folder / f"spike_{name}.npy") for name in ("clusters", "times"))
    np.save(folder / "spike_clusters.npy", owners[1:])
    refuses("spike_times.npy has 310 spikes, spike_clusters.npy 309", read_kilosort, folder)
    for owner in (2.5, np.nan):
        np.save(folder / "spike_clusters.npy", np.where(owners == 2, owner, owners))
        refuses("spike_clusters.npy: found .*, wanted whole numbers", read_kilosort, folder)
    np.save(folder / "spike_clusters.npy", owners)
    refuses("no groups are asked for, of 4 unsorted", read_kilosort, folder, ())
    np.save(folder / "spike_times.npy", times / RATE)
    refuses("wanted whole samples .these may be seconds", read_kilosort, folder)
    (folder / "spike_times.npy").write_bytes(b"\x93NUMPY")
    refuses("spike_times.npy: truncated", read_kilosort, folder)
    np.save(folder / "spike_times.npy", np.array([{"a": 1}], dtype=object))
    refuses("spike_times.npy: truncated or not", read_kilosort, folder)  # a pickle
    np.save(folder / "spike_times.npy", times)
    (folder / "cluster_group.tsv").write_text("id_of_cluster\tgroup\n2\tgood\n")
    refuses("cluster_group.tsv: found columns id_of_cluster, group, wanted", read_kilosort, folder)
    (folder / "cluster_group.tsv").write_bytes(b"cluster_id\tgroup\n2\t\xe9\n")
    refuses("cluster_group.tsv: cannot be read", read_kilosort, folder)
    empty = tmp_path_factory.mktemp("empty")
    assert not is_kilosort(empty)
    refuses("no spike_times.npy; found no .npy file", read_kilosort, empty)
    refuses("no such folder", read_kilosort, empty / "gone")


@pytest.mark.parametrize("separator", [",", "\t"])
def test_tables_of_old_phy_end_in_csv(folder, separator) -> None:
    text = f"cluster_id{separator}area\n2{separator}1.5\n5{separator}2.5\n"
    (folder / "cluster_area.csv").write_text(text)
    units = read_kilosort(folder, "all").units
    assert units["area"].tolist()[:2] == [1.5, 2.5] and "region" not in units
    (folder / "cluster_area.csv").write_text("number\n2\n")
    refuses("cluster_area.csv: found columns number, wanted cluster_id", read_kilosort, folder)
