"""Compression that HDF5 itself does not know."""

import importlib
import importlib.util
from pathlib import Path

import h5py

PLUGINS = "hdf5plugin"  # the package that brings the filters below
NAMES = {
    307: "bzip2", 32001: "Blosc", 32004: "LZ4", 32008: "Bitshuffle", 32013: "ZFP",
    32015: "Zstandard", 32017: "SZ", 32018: "FCIDECOMP", 32026: "Blosc2", 32028: "SPERR",
}  # fmt: skip


def register_filters() -> None:
    """Make HDF5 know more filters, where the package that brings them is installed."""
    if importlib.util.find_spec(PLUGINS) is not None:
        importlib.import_module(PLUGINS)


def missing_filter(path: str | Path) -> str:
    """Return what to say of a file whose compression is not known, or nothing."""
    found: list[str] = []

    def look(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        made = item.id.get_create_plist()
        for i in range(made.get_nfilters()):
            number = made.get_filter(i)[0]
            if not h5py.h5z.filter_avail(number):
                kind = NAMES.get(number, f"filter {number}")
                found.append(
                    f"'{name}' is compressed with {kind}, which HDF5 does not know by itself; "
                    f"pip install {PLUGINS}"
                )

    try:
        with h5py.File(path, "r") as file:
            file.visititems(look)
    except OSError:
        return ""
    return found[0] if found else ""
