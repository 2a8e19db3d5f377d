import h5py
import numpy as np
import pytest
from conftest import make_trials

from neuroblend.data.arrays import read_arrays, read_spikes
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError

SPIKES = np.random.default_rng(0).poisson(1.0, size=(6, 5, 4))
BEHAVIOR = np.random.default_rng(1).normal(size=(6, 5, 2)).astype(np.float32)


def write(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return path
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            array = np.asarray(value)
            file[key] = array.astype(object) if array.dtype.kind == "U" else array
    return path


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_both_formats_give_the_same_trials(tmp_path, suffix) -> None:
    path = write(
        tmp_path / f"mine{suffix}",
        spikes=SPIKES,
        bin_s=0.02,
        behavior=BEHAVIOR,
        behavior_names=np.array(["x", "y"]),
        condition=np.array(list("aabbcc")),
        extra=np.arange(3),
    )
    trials = read_arrays(path, behavior=["y"])
    assert trials.name == "mine"
    np.testing.assert_array_equal(trials.spikes, SPIKES)
    np.testing.assert_array_equal(trials.behavior, BEHAVIOR[:, :, 1:])
    assert trials.behavior_names == ("y",)
    assert trials.condition.tolist() == list("aabbcc")
    assert "extra" in trials.notes[-1]
    counts, lengths = read_spikes(path)
    np.testing.assert_array_equal(counts, SPIKES)
    assert lengths is None


def test_saved_trials_are_an_array_file_too(tmp_path) -> None:
    trials = make_trials(condition=np.arange(40) % 2)
    trials.save(tmp_path / "t.h5")
    again = read_arrays(tmp_path / "t.h5")
    np.testing.assert_array_equal(again.spikes, trials.spikes)
    assert again.notes == ()


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_missing_key_names_the_nearest(tmp_path, suffix) -> None:
    path = write(tmp_path / f"a{suffix}", spike=SPIKES, bin_s=0.02)
    with pytest.raises(InputError, match="no key 'spikes'; did you mean 'spike'"):
        read_arrays(path)
    path = write(tmp_path / f"b{suffix}", spikes=SPIKES)
    with pytest.raises(InputError, match="no key 'bin_s'"):
        read_arrays(path)


def test_an_unknown_channel_names_the_nearest(tmp_path) -> None:
    path = write(
        tmp_path / "a.npz",
        spikes=SPIKES,
        bin_s=0.02,
        behavior=BEHAVIOR,
        behavior_names=["vx", "vy"],
    )
    with pytest.raises(InputError, match="no behavior channel 'vxx': did you mean 'vx'"):
        read_arrays(path, ["vxx"])
    path = write(tmp_path / "b.npz", spikes=SPIKES, bin_s=0.02)
    with pytest.raises(InputError, match="no key 'behavior'"):
        read_arrays(path, ["vx"])


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "a"], ["a"]])
def test_names_that_do_not_fit_the_channels_are_refused(tmp_path, names) -> None:
    path = write(
        tmp_path / "a.npz", spikes=SPIKES, bin_s=0.02, behavior=BEHAVIOR, behavior_names=names
    )
    for chosen in (None, ["a"]):
        with pytest.raises(InputError, match="wanted 2 different names"):
            read_arrays(path, chosen)


def test_names_as_bytes_are_names(tmp_path) -> None:
    path = write(
        tmp_path / "a.npz",
        spikes=SPIKES,
        bin_s=0.02,
        behavior=BEHAVIOR,
        behavior_names=np.array([b"vx", b"vy"]),
    )
    assert read_arrays(path, ["vy"]).behavior_names == ("vy",)


def test_a_single_array_under_the_wrong_name_is_refused(tmp_path) -> None:
    np.save(tmp_path / "a.npy", SPIKES)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(InputError, match="one array without a name"):
        read_arrays(tmp_path / "a.npz")


def test_a_channel_that_is_left_out_may_be_constant(tmp_path) -> None:
    behavior = BEHAVIOR * [1, 0]
    path = write(tmp_path / "a.npz", spikes=SPIKES, bin_s=0.02, behavior=behavior)
    with pytest.raises(InputError, match="leave it out with --behavior behavior_0"):
        read_arrays(path)
    assert read_arrays(path, ["behavior_0"]).behavior_names == ("behavior_0",)


def test_pickles_are_not_read(tmp_path) -> None:
    path = write(tmp_path / "a.npz", spikes=np.array([{"a": 1}], dtype=object), bin_s=0.02)
    with pytest.raises(InputError, match="pickled"):
        read_arrays(path)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_truncated_file_is_refused(tmp_path, suffix) -> None:
    path = write(tmp_path / f"a{suffix}", spikes=SPIKES, bin_s=0.02)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match=r"truncated|damaged"):
            read_arrays(path)


def test_other_files_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_arrays(tmp_path / "none.npz")
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(InputError, match=r"found a '.csv' file, wanted one of .npz, .h5"):
        read_arrays(tmp_path / "a.csv")


def test_the_real_recording_reads(shared_data) -> None:
    trials = read_arrays(shared_data / "ibl_wheel.npz")
    assert (trials.n_trials, trials.n_bins, trials.n_source_neurons) == (367, 50, 449)
    assert trials.behavior_names == ("wheel_speed", "motion_energy", "pupil_diameter", "paw_speed")
    assert trials.bin_s == 0.02


def test_a_file_that_trials_wrote_keeps_its_notes(tmp_path) -> None:
    behavior = BEHAVIOR.copy()
    behavior[0, 0] = np.nan
    trials = Trials.from_arrays(SPIKES, 0.02, behavior, ["x", "y"]).with_note("2 trials dropped.")
    trials.take_neurons([0, 2, 3], "1 neuron left out.").save(tmp_path / "mine.h5")
    again = read_arrays(tmp_path / "mine.h5", ["y"])
    assert [note for note in again.notes if not note.startswith("behavior")] == [
        "2 trials dropped.",
        "1 neuron left out.",
    ]
    assert [note[:12] for note in again.notes if note.startswith("behavior")] == ["behavior 'y'"]
    assert again.unit_id.tolist() == [0, 1, 2]


def test_trials_of_different_length_are_read_from_a_file(tmp_path) -> None:
    lengths = np.array([SPIKES.shape[1], *[2] * (len(SPIKES) - 1)])
    padded = SPIKES.astype(float)
    padded[1:, 2:] = np.nan
    np.savez(tmp_path / "a.npz", spikes=padded, bin_s=0.02, lengths=lengths)
    trials = read_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(trials.lengths, lengths)
    assert not trials.spikes[1:, 2:].any()
    counts, found = read_spikes(tmp_path / "a.npz")
    np.testing.assert_array_equal(found, lengths)
    np.testing.assert_array_equal(counts, np.nan_to_num(padded))


@pytest.mark.parametrize(
    "arrays", [{"spikes": SPIKES, "bin_s": 20.0}, {"spikes": SPIKES - 5.0, "bin_s": 0.02}, {}]
)
def test_an_error_begins_with_its_file_once(tmp_path, arrays) -> None:
    path = write(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError) as error:
        read_arrays(path)
    assert str(error.value).startswith(f"{path}: ")
    assert str(error.value).count(str(path)) == 1
