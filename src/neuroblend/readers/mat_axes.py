"""The axes of binned spikes in a MATLAB file: as its mapping has them, or as sizes tell them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neuroblend.data.axes import AXES, Clue, fitting
from neuroblend.errors import InputError, some
from neuroblend.readers.mat_file import find

OF_EACH = {
    "trial": ("condition", "split", "lengths"),
    "neuron": ("region", "unit_id", "held_out"),
}  # keys with one value each


def axes_of(
    values: Mapping[str, Any], given: Mapping[str, Any], spikes: Any
) -> tuple[tuple[str, ...], list[str]]:
    """Return the axes of spikes, and a note where the mapping does not say them.

    Args:
        values: The variables of the file.
        given: The mapping.
        spikes: An array, or a list of one array a trial.

    Raises:
        InputError: The mapping does not say them, and sizes leave more than one order, or none.
    """
    if "axes" in given:
        axes = given["axes"]
        if not isinstance(axes, (list, tuple)):
            raise InputError(f"axes: found {axes!r}, wanted a list such as [neuron, bin, trial]")
        return tuple(map(str, axes)), []
    shapes = _shapes(spikes)
    wanted = AXES[1:] if isinstance(spikes, list) else AXES
    found = f"{len(shapes)} arrays, of {shapes[0]}" if isinstance(spikes, list) else f"{shapes[0]}"
    if len(set(map(len, shapes))) > 1 or len(shapes[0]) != len(wanted):
        raise InputError(f"spikes: found shape {found}, wanted axes {', '.join(wanted)}")
    clues = list(_clues(values, given, wanted))
    orders = fitting(shapes, clues)
    if len(orders) == 1:
        why = ", ".join(clue.what for clue in clues) or "lengths of trials"
        told = ", ".join(orders[0])
        return orders[0], [f"No axes are given: [{told}] is the one order that fits {why}."]
    fit = f"sizes leave {some([_listed(order) for order in orders])}" if orders else "none fits"
    raise InputError(
        f"spikes: found shape {found} and no axes in the mapping; wanted such as 'axes: "
        f"{_listed(wanted[::-1])}', in the order of MATLAB's size ({fit})"
    )


def lines_of(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the lines of a part of the mapping, by name.

    Raises:
        InputError: It has no lines.
    """
    lines = given.get(key) or {}
    if not isinstance(lines, Mapping):
        raise InputError(f"mapping: {key}: found {lines!r}, wanted {{name: where it is}}")
    return {str(label): line for label, line in lines.items()}


def plain(found: Any) -> Any:
    """Return a cell of text as an array."""
    if isinstance(found, list) and found and all(isinstance(item, str) for item in found):
        return np.array(found)
    return found


def _listed(axes: tuple[str, ...]) -> str:
    return f"[{', '.join(axes)}]"


def _shapes(found: Any) -> list[tuple[int, ...]]:
    return [np.shape(item) for item in found] if isinstance(found, list) else [np.shape(found)]


def _clues(
    values: Mapping[str, Any], given: Mapping[str, Any], wanted: tuple[str, ...]
) -> Iterator[Clue]:
    """Yield what lists and behavior say of sizes, where a mapping leads to them."""
    for axis in wanted:
        for key in OF_EACH.get(axis, ()):
            if key in given:
                found = find(values, given[key])
                n = len(found) if isinstance(found, list) else np.size(found)
                yield Clue(key, [(n,)], (axis,))
    for label, where in lines_of(given, "behavior").items():
        entry = where if isinstance(where, Mapping) else {"values": where}
        found = plain(find(values, entry.get("values")))
        shapes = _shapes(found)
        if not shapes or isinstance(found, str):
            continue
        is_cell = isinstance(found, list)
        axes: tuple[str, ...] | None
        if is_cell and all(np.size(item) == 1 for item in found):
            shapes, axes = [(len(found),)], ("trial",)
        elif not is_cell and np.size(found) == max(shapes[0], default=0):
            shapes, axes = [(np.size(found),)], ("trial",)  # one value a trial
        elif "axes" in entry:
            axes = tuple(map(str, entry["axes"]))
            axes = tuple(axis for axis in axes if axis in wanted or axis == "channel")
        else:
            axes = None
        if axes != ("trial",) or "trial" in wanted:
            yield Clue(f"'{label}'", shapes, axes)
