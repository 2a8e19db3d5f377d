"""What a MATLAB file holds, with the mapping beside it or without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroblend.data.trials import Trials
from neuroblend.inspect.arrays import inspect_trials
from neuroblend.inspect.contents import Contents
from neuroblend.inspect.recording import inspect_recording
from neuroblend.readers.mat import read_mat
from neuroblend.readers.mat_file import Unreadable, load_mat


def inspect_mat(path: str | Path) -> Contents:
    """Look into a ``.mat`` file: what its mapping makes of it, else its variables.

    Raises:
        InputError: It cannot be read, or the mapping beside it does not fit.
    """
    path = Path(path)
    mapping = path.with_suffix(".yaml")
    if not mapping.is_file():
        rows = list(_variables(load_mat(path)))
        table = pd.DataFrame(rows, columns=["key", "type", "shape", "values"])
        return Contents(
            path.name, [("variables", str(len(rows)))], [], tables=table,
            notes=[
                f"Write {mapping}, which says where spikes are, such as 'spike_times: units.times' "
                "or 'spikes: binned' (docs/data.md), and inspect it again."
            ],
        )  # fmt: skip
    read = read_mat(path)
    if isinstance(read, Trials):
        return inspect_trials(read, path, {})
    return inspect_recording(read, path)


def _variables(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, ...]]:
    """Yield one row a variable, those within structs too: where it is, type, shape, values."""
    for key, value in values.items():
        where = f"{prefix}{key}"
        first = value[0] if isinstance(value, list) and value else None
        if isinstance(value, Mapping):
            yield from _variables(value, f"{where}.")
        elif isinstance(first, Mapping):
            yield where, "struct array", f"{len(value)}", ", ".join(map(str, first))
        elif isinstance(value, list):
            is_text = isinstance(first, str)
            kind, shown = ("text", str(first)[:20]) if is_text else ("arrays", "-")
            yield where, f"cell of {kind}", f"{len(value)}", shown
        elif isinstance(value, Unreadable):
            yield where, value.kind, "-", "MATLAB alone can read it"
        elif isinstance(value, str):
            yield where, "text", "1", value[:20]
        else:
            array = np.asarray(value)
            known = array[np.isfinite(array)] if array.dtype.kind == "f" else array.ravel()
            span = f"{known.min():.4g} to {known.max():.4g}" if known.size else "-"
            yield where, str(array.dtype), str(array.shape), span
