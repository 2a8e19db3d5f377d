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

_WHOLE = (f"{sign}int{n_bits}" for sign in ("", "u") for n_bits in (8, 16, 32, 64))
NUMBERS = ("double", "single", "logical", *_WHOLE)


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
        stored = loadmat(path, chars_as_strings=True, mat_dtype=True)  # logical stays so
    except Exception as error:  # scipy raises whatever it ran into
        raise InputError(f"{path}: truncated or not a MATLAB file ({error})") from None
    return {key: _of_v5(value) for key, value in stored.items() if not key.startswith("__")}


def find(values: Mapping[str, Any], where: Any) -> Any:
    """Return what lies at ``"data.units.times"``; of a struct array, a list of one for each.

    Raises:
        InputError: It is not there, or MATLAB alone can read it.
    """
    if not isinstance(where, str):
        raise InputError(f"mapping: found {where!r}, wanted where it is, such as units.times")
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
    kind = type(value).__name__
    if kind == "MatlabOpaque":
        stored = value.ravel()[0]
        return Unreadable(text_of(stored[2]) if len(stored) > 2 else "object")
    if kind in ("MatlabObject", "MatlabFunction"):
        return Unreadable(kind.removeprefix("Matlab").lower())
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "VOUS":
        return value
    if value.dtype.kind in "US":
        return _text([str(row) for row in value.ravel()])
    items = value.ravel(order="F")
    if value.dtype.names is None:
        return [_of_v5(item) for item in items]
    structs = [{name: _of_v5(item[name]) for name in value.dtype.names} for item in items]
    return structs[0] if len(structs) == 1 else structs


def _of_h5(item: Any, file: h5py.File) -> Any:
    kind = _kind(item)
    if "MATLAB_object_decode" in item.attrs or "MATLAB_sparse" in item.attrs:
        return Unreadable("sparse array" if "MATLAB_sparse" in item.attrs else kind or "object")
    if isinstance(item, h5py.Group):
        return _of_struct(item, file)
    if _is_references(item):
        return [_of_h5(file[reference], file) for reference in item[()].ravel()]
    if item.attrs.get("MATLAB_empty", 0):
        return {"cell": [], "char": ""}.get(kind, np.empty((0, 0)))
    return _of_array(np.asarray(item[()]).T, kind)


def _of_array(values: NDArray[Any], kind: str) -> Any:
    if kind == "char":
        return _text(["".join(map(chr, row)) for row in np.atleast_2d(values)])
    if kind and kind not in NUMBERS:
        return Unreadable(kind)
    return values.astype(bool) if kind == "logical" else values


def _of_struct(group: h5py.Group, file: h5py.File) -> Any:
    """Return a struct, or a list of those of a struct array."""
    fields = {key: _of_h5(part, file) for key, part in group.items()}
    # the fields of a struct array are arrays of references, and no cells
    if not fields or not all(_is_references(part) and not _kind(part) for part in group.values()):
        return fields
    n = len(next(iter(fields.values())))
    return [{key: values[i] for key, values in fields.items()} for i in range(n)]


def _text(rows: list[str]) -> str | list[str]:
    return rows[0] if len(rows) == 1 else rows or ""


def _kind(item: Any) -> str:
    return text_of(item.attrs.get("MATLAB_class", b""))


def _is_references(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and item.dtype == h5py.ref_dtype
