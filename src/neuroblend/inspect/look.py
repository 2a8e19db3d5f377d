"""Which kind of file it is, and what it holds."""

from __future__ import annotations

from pathlib import Path

from neuroblend.data.arrays import SUFFIXES
from neuroblend.errors import InputError, some
from neuroblend.inspect.arrays import inspect_arrays
from neuroblend.inspect.contents import Contents
from neuroblend.inspect.mat import inspect_mat
from neuroblend.inspect.nwb import inspect_nwb
from neuroblend.inspect.recording import inspect_recording
from neuroblend.readers.kilosort import is_kilosort, read_kilosort

# behavior is not in such a folder
JOINED = "neuroblend prepare {} behavior.npz --every 2 --bin-ms 20 --out trials.h5"


def inspect_file(path: str | Path) -> Contents:
    """Look into a file or folder of any kind that is read here.

    Raises:
        InputError: It is of no such kind, or cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return inspect_arrays(path)
    if suffix == ".mat":
        return inspect_mat(path)
    if path.is_file() and suffix != ".nwb":
        raise InputError(
            f"{path}: found a '{path.suffix}' file, wanted .nwb, .npz, .h5, .mat, or a folder of "
            "phy or Kilosort"
        )
    return inspect_nwb(path)


def _folder(path: Path) -> Contents:
    if is_kilosort(path):
        return inspect_recording(read_kilosort(path), path.resolve(), [JOINED.format(path)])
    files = sorted(path.glob("*.nwb"))
    if len(files) == 1:
        return inspect_nwb(files[0])
    if (path / "config.yaml").is_file():
        raise InputError(f"{path}: the folder of a run; `neuroblend report {path}` shows it")
    there = [file.name for file in files] or ["none"]
    raise InputError(
        f"{path}: a folder with {len(files)} NWB files ({some(there, 3)}); wanted one file, or a "
        "folder of phy or Kilosort (with spike_times.npy)"
    )
