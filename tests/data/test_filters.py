import h5py
import pytest
from conftest import refuses

from neuroblend.data.hdf5 import check_file


def test_compression_that_hdf5_does_not_know_is_named(tmp_path) -> None:
    path = tmp_path / "zstd.h5"
    if h5py.h5z.filter_avail(32015):
        pytest.skip("a plugin for Zstandard is installed")
    with h5py.File(path, "w") as file:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((4,))
        made.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((8,))
        h5py.h5d.create(file.id, b"spikes", h5py.h5t.NATIVE_INT32, space, made)
    refuses("'spikes' is compressed by .* .Zstandard.*pip install hdf5plugin", check_file, path)


def test_other_files_need_nothing(tmp_path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file.create_dataset("x", data=[1, 2], compression="gzip")
    check_file(tmp_path / "plain.h5")
    (tmp_path / "none.h5").write_bytes(b"no")
    check_file(tmp_path / "none.h5")
