"""What an array file holds: trials, raw arrays of a recording, or anything else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroblend.data.arrays import load_arrays, may_be_behavior, read_arrays
from neuroblend.data.channel import channel_of
from neuroblend.data.raw import SPIKES, read_raw
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError, some
from neuroblend.inspect.contents import (
    SHOWN,
    Contents,
    command,
    missing,
    of_channel,
    quartiles,
    spread,
)
from neuroblend.inspect.recording import inspect_recording

CHANNEL_COLUMNS = ["signal", "kind", "unit", "values", "one a", "missing"]


def inspect_arrays(path: str | Path) -> Contents:
    """Look into an ``.npz`` or ``.h5`` file.

    Raises:
        InputError: It cannot be read.
    """
    path = Path(path)
    arrays = load_arrays(path, groups=path.suffix.lower() != ".npz")
    why = ""
    try:
        if "spikes" in arrays:
            return inspect_trials(read_arrays(path), path, arrays)
        if SPIKES in arrays:
            return inspect_recording(read_raw(path), path)
    except InputError as error:  # what there is can be shown all the same
        why = str(error)
    wanted = "'spikes' (counts in trials) or 'spike_times' (seconds)"
    note = why or f"There is no key {wanted}, so nothing here is taken as spikes."
    keys = [("keys", str(len(arrays)))]
    return Contents(path.name, keys, [], tables=listed(arrays), notes=[note])


def inspect_trials(trials: Trials, path: Path, arrays: Mapping[str, Any]) -> Contents:
    """Look at trials, and at what beside them may be behavior.

    Args:
        trials: Of the file.
        path: The file.
        arrays: What it has by key.
    """
    start, end = trials.span_s
    units = [
        ("neurons", f"{trials.n_neurons} of {trials.n_source_neurons} in the file"),
        ("rates (Hz)", quartiles(trials.rate_hz)),
    ]
    if trials.region is not None:
        units.append(("regions", _counted(trials.region)))
    bins = f"{trials.n_bins} of {trials.bin_s * 1000:g} ms"
    if trials.lengths is not None:
        bins += f", {trials.lengths.min()} to {trials.lengths.max()} in a trial"
    lines = [
        ("trials", str(trials.n_trials)),
        ("bins", bins),
        ("window", f"{start:g} to {end:g} s from {trials.event or 'the start of a trial'}"),
    ]
    for key in ("split", "condition"):
        if (labels := getattr(trials, key)) is not None:
            lines.append((key, _counted(labels)))
    rows, others = _channels(trials), [] if trials.channels else may_be_behavior(arrays)
    rows += [row for key in others for row in _candidate(key, arrays[key])]
    names = [str(row[0]) for row in rows] if trials.channels else others
    behavior = [] if trials.channels or not names else ["--behavior", ",".join(names)]
    following = [command("run", path, *behavior)] if names else []
    notes = list(trials.notes)
    if not names:
        notes.append("There is no behavior: a run needs some, one value a bin or a trial.")
    signals = pd.DataFrame(rows, columns=CHANNEL_COLUMNS)
    return Contents(path.name, units, lines, signals=signals, notes=notes, following=following)


def _channels(trials: Trials) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for i, channel in enumerate(trials.channels):
        assert trials.behavior is not None
        values = trials.behavior[np.arange(trials.n_bins) < trials.bins_of()[:, None], i]
        if channel.per_trial:
            values = trials.behavior[:, 0, i]
        told = missing(int(np.isnan(values).sum()), values.size)
        every = "trial" if channel.per_trial else "bin"
        unit = channel.unit or "-"
        rows.append((channel.name, channel.kind, unit, of_channel(channel, values), every, told))
    return rows


def _candidate(key: str, values: Any) -> list[tuple[object, ...]]:
    """Return rows on an array that may be behavior, without taking it as that."""
    per_trial = np.ndim(values) == 1
    try:
        channel, numbers = channel_of(key, values, per_trial=per_trial)
    except InputError as error:
        return [(key, "none", "-", str(error).partition(": ")[2][:60], "-", "-")]
    told = missing(int(np.isnan(numbers).sum()), numbers.size)
    every = "trial" if per_trial else "bin"
    return [(key, channel.kind, "-", of_channel(channel, numbers), every, told)]


def listed(arrays: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row an array: key, type, shape, range or first values."""
    rows = []
    for key, value in arrays.items():
        array = np.asarray(value)
        is_number = array.dtype.kind in "buif" and array.size > 0
        shown = spread(array) if is_number else some(array.ravel()[:SHOWN].tolist(), SHOWN)
        rows.append((key, str(array.dtype), str(array.shape), shown))
    return pd.DataFrame(rows, columns=["key", "type", "shape", "values"])


def _counted(labels: Any) -> str:
    counts = pd.Series(labels).value_counts()
    return some([f"{n} {name}" for name, n in counts.items()], SHOWN)
