"""From NWB files to trials, by a window of the user's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neuroblend.data.nwb import nwb_files, read_nwb
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError, nearest, some

SPLITS = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}


@dataclass(frozen=True)
class Cut:
    """How trials are cut from a recording.

    Attributes:
        align: Column of the trial table, in seconds.
        window_ms: Start and end of a trial around it.
        bin_ms: Width of a bin.
        lag_ms: How much later than spikes behavior is read.
        behavior: Time series to take along.
        condition: Columns whose values make up a condition.
        overlap: Whether trials may overlap.
        until: Column with the time at which a trial ends, where that is before the window does;
            trials then differ in length. ``None`` for windows of one length.
    """

    align: str
    window_ms: tuple[float, float]
    bin_ms: float
    lag_ms: float = 0.0
    behavior: tuple[str, ...] = ()
    condition: tuple[str, ...] = ()
    overlap: bool = False
    until: str | None = None


def prepare_nwb(files: Sequence[Path], cut: Cut, out: Path) -> list[str]:
    """Cut one NWB file into trials and write them.

    Returns:
        What a user should know, a line each.

    Raises:
        InputError: The file or the window cannot be used; nothing is written then.
    """
    many = nwb_files(list(files) if len(files) > 1 else files[0])
    if len(many) > 1:
        raise InputError(
            f"{len(many)} files: each is a session of its own clock and units; prepare them one by "
            "one (--dataset joins the files of a benchmark dataset)"
        )
    trials = cut_trials(many[0], cut)
    trials.save(out)
    return [*(f"note: {note}" for note in trials.notes), f"{out}: {trials!r}"]


def cut_trials(path: Path, cut: Cut) -> Trials:
    """Return the trials of one NWB file.

    Held-out units are those of a column ``heldout``, the split that of a column ``split`` (trials
    of other splits than train, val and test are left out).

    Raises:
        InputError: The file or the window cannot be used.
    """
    recording = read_nwb(path, cut.behavior)
    table = recording.trials
    if table.empty:
        raise InputError(f"{path}: no trials, so nothing to align to")
    times = [cut.align] if cut.until is None else [cut.align, cut.until]
    for column in (cut.align, *cut.condition, *times):
        if column not in table:
            there = nearest(column, map(str, table))
            raise InputError(f"{path}: the trial table has no column '{column}': {there}")
    for column in times:
        if table[column].dtype.kind not in "fiu":
            raise InputError(f"{path}: column '{column}' holds no times")
    notes = []
    keep = np.isfinite(table[cut.align].to_numpy(dtype=float))
    if not keep.all():
        notes.append(f"{int((~keep).sum())} of {keep.size} trials have no '{cut.align}': left out.")
    split = None
    if "split" in table:
        split = table["split"].map(SPLITS)
        unknown = split.isna().to_numpy() & keep
        if unknown.any():
            names = some(sorted(set(table["split"][unknown].astype(str))))
            notes.append(f"{int(unknown.sum())} trials of split {names}: left out.")
        keep &= ~unknown
    table = table[keep].sort_values(cut.align, kind="stable")
    if table.empty:
        raise InputError(f"{path}: no trial is left ({' '.join(notes)})")
    if not cut.overlap:
        _check_apart(table, path, cut)
    condition = None
    if cut.condition:
        condition = table[list(cut.condition)].astype(str).agg(", ".join, axis=1).to_numpy()
    trials = recording.align(
        table[cut.align].to_numpy(),
        (cut.window_ms[0] / 1000, cut.window_ms[1] / 1000),
        cut.bin_ms / 1000,
        cut.behavior,
        cut.lag_ms / 1000,
        condition,
        None if split is None else split[table.index].to_numpy(dtype=str),
        None if cut.until is None else table[cut.until].to_numpy(dtype=float),
        event=cut.align,
    )
    return trials.with_note(*notes)


def _check_apart(table: pd.DataFrame, path: Path, cut: Cut) -> None:
    at = table[cut.align].to_numpy(dtype=float)
    start, end = (edge / 1000 for edge in cut.window_ms)
    ends = at + end
    if cut.until is not None:
        ends = np.fmin(ends, table[cut.until].to_numpy(dtype=float))
    close = at[1:] + start < ends[:-1] - 1e-9
    if close.any():
        first = at[close.argmax()]
        raise InputError(
            f"{path}: {int(close.sum())} trials overlap within {cut.window_ms} ms of "
            f"'{cut.align}' (the first at {first:.3f} s); choose a shorter --window, or --overlap"
        )
