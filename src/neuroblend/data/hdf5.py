"""Arrays of HDF5 files, and the reason where one cannot be read."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroblend.data.words import text_of
from neuroblend.errors import InputError

PLUGINS = {
    307: "bzip2",
    32000: "LZF",
    32001: "Blosc",
    32004: "LZ4",
    32008: "Bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32026: "Blosc2",
}  # filters that the package hdf5plugin brings, by their registered numbers


def read_dataset(dataset: h5py.Dataset, key: str) -> NDArray[Any] | Any:
    """Return a dataset's values, text as strings.

    Raises:
        InputError: A filter that it was compressed with is not installed, or text is not UTF-8.
        OSError: It is damaged.
    """
    check_filters(dataset, key)
    if h5py.check_string_dtype(dataset.dtype) is None:
        return dataset[()]
    try:
        return np.asarray(dataset.asstr()[()], dtype=str)
    except UnicodeDecodeError:
        for value in np.ravel(dataset[()]):
            text_of(value, key)  # tells which
        raise


def check_filters(dataset: h5py.Dataset, key: str) -> None:
    """Refuse a dataset whose compression needs a filter that is not there.

    Raises:
        InputError: The message names the package to install.
    """
    plan = dataset.id.get_create_plist()
    codes = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    if all(h5py.h5z.filter_avail(code) for code in codes):
        return
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")  # registers its filters
    for code in codes:
        if not h5py.h5z.filter_avail(code):
            name = PLUGINS.get(code, "unknown to us")
            raise InputError(
                f"'{key}' is compressed by the HDF5 filter {code} ({name}), which is not "
                "installed: `pip install hdf5plugin`, or save it with gzip"
            )


def check_file(path: str | Path) -> None:
    """Refuse a file with a dataset whose compression needs a filter that is not there.

    Raises:
        InputError: The message names the package to install.
    """

    def look(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            check_filters(item, name)

    with suppress(OSError), h5py.File(path, "r") as file:
        file.visititems(look)


def register_filters() -> None:
    """Make HDF5 know more filters, where the package that brings them is installed."""
    if importlib.util.find_spec("hdf5plugin") is not None:
        importlib.import_module("hdf5plugin")


def check_links(group: h5py.Group, prefix: str = "") -> None:
    """Refuse a group with a link that leads nowhere.

    Raises:
        InputError: The message names the link and what it points at.
    """
    for key in group:
        link = group.get(key, getlink=True)
        if isinstance(link, h5py.HardLink) or group.get(key) is not None:
            continue
        file = f"{link.filename}:" if isinstance(link, h5py.ExternalLink) else ""
        raise InputError(
            f"'{prefix}{key}' is a link to '{file}{link.path}', which is not there; mend the link "
            "or remove it"
        )
