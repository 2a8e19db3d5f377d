import h5py
import numpy as np
import pytest
from conftest import make_trials

from neuroblend.data.arrays import read_arrays
from neuroblend.data.tensor_files import KINDS, save_tensors
from neuroblend.errors import InputError


def trials():
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
    before = trials()
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
    with pytest.raises(InputError, match="no key 'bin_s'"):
        read_arrays(tmp_path / "a.h5")
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
