import h5py
import numpy as np
import pytest
from conftest import make_trials, refuses, write_arrays

from neuroblend.data.arrays import read_arrays, read_spikes
from neuroblend.data.tensor_files import KINDS, save_tensors
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError

SPIKES = np.random.default_rng(0).poisson(1.0, size=(6, 5, 4))
BEHAVIOR = np.random.default_rng(1).normal(size=(6, 5, 2)).astype(np.float32)


def write(path, **changes):
    """Spikes and the width of a bin, ``None`` to leave one out, and more."""
    arrays = {"spikes": SPIKES, "bin_s": 0.02} | changes
    return write_arrays(path, {key: value for key, value in arrays.items() if value is not None})


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_both_formats_give_the_same_trials(tmp_path, suffix) -> None:
    moving = {"behavior": BEHAVIOR, "behavior_names": np.array(["x", "y"])}
    path = tmp_path / f"mine{suffix}"
    write(path, **moving, condition=np.array(list("aabbcc")), extra=np.arange(3))
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
    path = write(tmp_path / f"a{suffix}", spike=SPIKES, spikes=None)
    refuses("no key 'spikes'; did you mean 'spike'", read_arrays, path)
    path = write(tmp_path / f"b{suffix}", bin_s=None)
    refuses("no key 'bin_s'", read_arrays, path)


def test_an_unknown_channel_names_the_nearest(tmp_path) -> None:
    path = write(tmp_path / "a.npz", behavior=BEHAVIOR, behavior_names=["vx", "vy"])
    refuses("no behavior channel 'vxx': did you mean 'vx'", read_arrays, path, ["vxx"])
    refuses("no key 'behavior'", read_arrays, write(tmp_path / "b.npz"), ["vx"])


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "a"], ["a"]])
def test_names_that_do_not_fit_the_channels_are_refused(tmp_path, names) -> None:
    path = write(tmp_path / "a.npz", behavior=BEHAVIOR, behavior_names=names)
    for chosen in (None, ["a"]):
        refuses("wanted 2 different names", read_arrays, path, chosen)


def test_names_as_bytes_are_names(tmp_path) -> None:
    names = np.array([b"vx", b"vy"])
    path = write(tmp_path / "a.npz", behavior=BEHAVIOR, behavior_names=names)
    assert read_arrays(path, ["vy"]).behavior_names == ("vy",)


def test_a_single_array_under_the_wrong_name_is_refused(tmp_path) -> None:
    np.save(tmp_path / "a.npy", SPIKES)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    refuses("one array without a name", read_arrays, tmp_path / "a.npz")


def test_a_channel_that_is_left_out_may_be_constant(tmp_path) -> None:
    path = write(tmp_path / "a.npz", behavior=BEHAVIOR * [1, 0])
    refuses("leave it out with --behavior behavior_0", read_arrays, path)
    assert read_arrays(path, ["behavior_0"]).behavior_names == ("behavior_0",)


def test_pickles_are_not_read(tmp_path) -> None:
    path = write(tmp_path / "a.npz", spikes=np.array([{"a": 1}], dtype=object))
    refuses("pickled", read_arrays, path)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_truncated_file_is_refused(tmp_path, suffix) -> None:
    path = write(tmp_path / f"a{suffix}")
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        refuses(r"truncated|damaged", read_arrays, path)


def test_other_files_are_refused(tmp_path) -> None:
    refuses("no such file", read_arrays, tmp_path / "none.npz")
    (tmp_path / "a.csv").write_text("1,2")
    refuses(r"found a '.csv' file, wanted one of .npz, .h5", read_arrays, tmp_path / "a.csv")


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
    assert again.unit_id.tolist() == [0, 1, 2]  # the arrays named none
    named = Trials.from_arrays(SPIKES, 0.02, behavior, ["x", "y"], unit_id=[*"abcd"])
    named.take_neurons([0, 2, 3]).save(tmp_path / "named.h5")
    again = read_arrays(tmp_path / "named.h5")
    assert again.unit_id.tolist() == ["a", "c", "d"] and again.has_unit_ids
    assert again.unit_index.tolist() == [0, 1, 2]


def test_trials_of_different_length_are_read_from_a_file(tmp_path) -> None:
    lengths = np.array([SPIKES.shape[1], *[2] * (len(SPIKES) - 1)])
    padded = SPIKES.astype(float)
    padded[1:, 2:] = np.nan
    path = write(tmp_path / "a.npz", spikes=padded, lengths=lengths)
    trials = read_arrays(path)
    np.testing.assert_array_equal(trials.lengths, lengths)
    assert not trials.spikes[1:, 2:].any()
    counts, found = read_spikes(path)
    np.testing.assert_array_equal(found, lengths)
    np.testing.assert_array_equal(counts, np.nan_to_num(padded))


@pytest.mark.parametrize("wrong", [{"bin_s": 20.0}, {"spikes": SPIKES - 5.0}, {"spikes": None}])
def test_an_error_begins_with_its_file_once(tmp_path, wrong) -> None:
    path = write(tmp_path / "a.npz", **wrong)
    with pytest.raises(InputError) as error:
        read_arrays(path)
    assert str(error.value).startswith(f"{path}: ")
    assert str(error.value).count(str(path)) == 1


# the layout of the benchmark


def split_trials():
    split = np.array(["train"] * 20 + ["valid"] * 8 + ["test"] * 12)
    return make_trials(split=split, held_out=np.arange(10) % 4 == 1)


def write_tensors(trials, forward_bins, path) -> None:
    t_in = trials.n_bins - forward_bins
    tensors = {"bin_s": np.array(trials.bin_s)}
    for part, of_part in (("train", trials.split != "test"), ("eval", trials.split == "test")):
        for kind, neurons in zip(KINDS, (~trials.held_out, trials.held_out), strict=True):
            counts = trials.spikes[of_part][:, :, neurons].astype(np.float32)
            tensors[f"{part}_spikes_{kind}"] = counts[:, :t_in]
            if forward_bins:
                tensors[f"{part}_spikes_{kind}_forward"] = counts[:, t_in:]
        tensors[f"{part}_behavior"] = trials.behavior[of_part][:, :t_in]
    save_tensors(tensors, path)


@pytest.mark.parametrize("forward_bins", [0, 3])
def test_the_layout_reads_what_it_wrote(tmp_path, forward_bins) -> None:
    before = split_trials()
    write_tensors(before, forward_bins, tmp_path / "nlb.h5")
    with h5py.File(tmp_path / "nlb.h5") as file:
        assert file["train_spikes_heldin"].shape == (28, 12 - forward_bins, 7)
        assert file["eval_spikes_heldout"].shape == (12, 12 - forward_bins, 3)
        assert ("train_spikes_heldin_forward" in file) == bool(forward_bins)
    after = read_arrays(tmp_path / "nlb.h5")
    order = np.argsort(before.held_out, kind="stable")
    np.testing.assert_array_equal(after.spikes, before.spikes[:, :, order])
    assert after.held_out.tolist() == [False] * 7 + [True] * 3
    assert after.split.tolist() == ["train"] * 28 + ["test"] * 12
    seen = slice(0, 12 - forward_bins)
    np.testing.assert_array_equal(after.behavior[:, seen], before.behavior[:, seen])
    assert np.isnan(after.behavior[:, 12 - forward_bins :]).all()
    assert any("--forward-bins 3" in note for note in after.notes) == bool(forward_bins)


def test_files_that_do_not_tell_their_bins_need_to_be_told(tmp_path) -> None:
    rng = np.random.default_rng(0)
    counts = {
        f"{part}_spikes_{kind}": rng.poisson(1.0, (6, 5, n)).astype(np.float32)
        for part in ("train", "eval")
        for kind, n in (("heldin", 4), ("heldout", 2))
    }
    save_tensors(counts, tmp_path / "a.h5")
    refuses("no key 'bin_s'", read_arrays, tmp_path / "a.h5")
    read = read_arrays(tmp_path / "a.h5", bin_s=0.005)
    assert read.bin_s == 0.005
    assert read.spikes.shape == (12, 5, 6)
    counts["eval_spikes_heldout"] = counts["eval_spikes_heldout"][:, :4]
    save_tensors(counts, tmp_path / "b.h5")
    with pytest.raises(InputError, match=r"held-in \(6, 5, 4\) and held-out \(6, 4, 2\)"):
        read_arrays(tmp_path / "b.h5", bin_s=0.005)
    del counts["eval_spikes_heldout"]
    save_tensors(counts, tmp_path / "c.h5")
    read = read_arrays(tmp_path / "c.h5", bin_s=0.005)
    assert read.n_trials == 6
    assert any("no held-out spikes, so they were left out" in note for note in read.notes)
