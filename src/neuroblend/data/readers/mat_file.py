"""MATLAB files of both formats -> plain values: arrays, strings, lists (cells), dicts (structs).

Arrays have MATLAB's axes in MATLAB's order, whichever format they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from neuroblend.data.words import text_of
from neuroblend.errors import InputError, nearest

NUMBERS = ("double", "single", "logical", "int8", "int16", "int32", "int64")
NUMBERS += ("uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True)
class Unreadable:
    """What MATLAB alone can read.

    Attributes:
        kind: Such as ``"table"``.
    """

    kind: str


def load_mat(path: str | Path) -> dict[str, Any]:
    """Return the variables of a ``.mat`` file by name.

    Numbers are arrays, text is a string (a list of rows if there are several), cell arrays and
    struct arrays are lists in column order, a struct is a dict.

    Raises:
        InputError: There is no such file, or it is no MATLAB file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if h5py.is_hdf5(path):
        try:
            with h5py.File(path, "r") as file:
                return {key: _of_h5(item, file) for key, item in file.items() if key[0] != "#"}
        except (OSError, KeyError) as error:
            raise InputError(f"{path}: truncated or damaged ({error})") from None
    try:
        stored = loadmat(path, chars_as_strings=True, mat_dtype=False)
    except Exception as error:  # scipy raises whatever it ran into
        raise InputError(f"{path}: truncated or not a MATLAB file ({error})") from None
    return {key: _of_v5(value) for key, value in stored.items() if not key.startswith("__")}


def find(values: Mapping[str, Any], where: str) -> Any:
    """Return what lies at ``"data.units.times"``; of a struct array, a list of one for each.

    Raises:
        InputError: It is not there, or MATLAB alone can read it.
    """
    found: Any = values
    walked: list[str] = []
    for key in where.split("."):
        many = found if isinstance(found, list) else [found]
        if not all(isinstance(item, Mapping) for item in many) or not many:
            raise InputError(f"'{where}': {'.'.join(walked)} is no struct, so it has no '{key}'")
        if absent := [item for item in many if key not in item]:
            raise InputError(f"'{where}': no '{key}'; {nearest(key, absent[0])}")
        found = [item[key] for item in many] if isinstance(found, list) else found[key]
        walked.append(key)
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, Unreadable):
            raise InputError(
                f"'{where}' is a MATLAB {item.kind}, which MATLAB alone can read; save plain "
                "arrays, cells and structs (table2struct, struct, cellstr)"
            )
    return found


def _of_v5(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if type(value).__name__ == "MatlabOpaque":
        stored = value.ravel()[0]
        return Unreadable(text_of(stored[2]) if len(stored) > 2 else "object")
    if type(value).__name__ in ("MatlabObject", "MatlabFunction"):
        return Unreadable("object" if type(value).__name__ == "MatlabObject" else "function")
    if value.dtype.names:
        items = [
            {name: _of_v5(item[name]) for name in value.dtype.names}
            for item in value.ravel(order="F")
        ]
        return items[0] if len(items) == 1 else items
    if value.dtype.kind == "O":
        return [_of_v5(item) for item in value.ravel(order="F")]
    if value.dtype.kind in "US":
        rows = [str(row) for row in value.ravel()]
        return rows[0] if len(rows) == 1 else rows or ""
    return value


def _of_h5(item: Any, file: h5py.File) -> Any:
    kind = _kind(item)
    if "MATLAB_object_decode" in item.attrs or "MATLAB_sparse" in item.attrs:
        return Unreadable("sparse array" if "MATLAB_sparse" in item.attrs else kind or "object")
    if isinstance(item, h5py.Group):
        fields = {key: _of_h5(part, file) for key, part in item.items()}
        # the fields of a struct array are arrays of references, and no cells
        if fields and all(_is_references(part) and not _kind(part) for part in item.values()):
            n = len(next(iter(fields.values())))
            return [{key: values[i] for key, values in fields.items()} for i in range(n)]
        return fields
    if _is_references(item):
        return [_of_h5(file[reference], file) for reference in item[()].ravel()]
    if item.attrs.get("MATLAB_empty", 0):
        return [] if kind == "cell" else "" if kind == "char" else np.empty((0, 0))
    values: NDArray[Any] = np.asarray(item[()]).T
    if kind == "char":
        rows = ["".join(map(chr, row)) for row in np.atleast_2d(values)]
        return rows[0] if len(rows) == 1 else rows
    if kind and kind not in NUMBERS:
        return Unreadable(kind)
    return values.astype(bool) if kind == "logical" else values


def _kind(item: Any) -> str:
    return text_of(item.attrs.get("MATLAB_class", b""))


def _is_references(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and item.dtype == h5py.ref_dtype
