"""NWB files -> a file of trials: by a window of the user's own, or as the benchmark cuts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from neuroblend.data.nlb import BIN_WIDTHS_MS, check_bin_ms, find_dataset
from neuroblend.data.nlb_layout import save_tensors
from neuroblend.data.nlb_session import load_session, nwb_files
from neuroblend.data.nlb_tensors import TensorMaker
from neuroblend.data.nlb_trials import read_nlb
from neuroblend.data.nwb import read_nwb
from neuroblend.data.simulate.nlb import true_rates, truth_path
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError, nearest, some
from neuroblend.evaluation.nlb_files import write_nlb_h5

LAYOUTS = ("trials", "nlb", "targets")
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
    for column in (cut.align, *cut.condition, *([cut.until] if cut.until else [])):
        if column not in table:
            there = nearest(column, map(str, table))
            raise InputError(f"{path}: the trial table has no column '{column}': {there}")
    for column in (cut.align, cut.until or cut.align):
        if table[column].dtype.kind not in "fiu":
            raise InputError(f"{path}: column '{column}' holds no times")
    start, end = (edge / 1000 for edge in cut.window_ms)
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
        (start, end),
        cut.bin_ms / 1000,
        cut.behavior,
        cut.lag_ms / 1000,
        condition,
        None if split is None else split[table.index].to_numpy(dtype=str),
        None if cut.until is None else table[cut.until].to_numpy(dtype=float),
    )
    for note in notes:
        trials = trials.with_note(note)
    return trials


def prepare_dataset(
    files: Sequence[Path], name: str, bin_ms: float | None, layout: str, out: Path
) -> list[str]:
    """Cut the files of a benchmark dataset and write trials, tensors or targets.

    Returns:
        What a user should know, a line each.

    Raises:
        InputError: The files cannot be used; nothing is written then.
    """
    if layout not in LAYOUTS:
        raise InputError(f"--layout {layout}: {nearest(layout, LAYOUTS)}")
    dataset = find_dataset(name)
    width = check_bin_ms(bin_ms or BIN_WIDTHS_MS[0])
    source = list(files) if len(files) > 1 else files[0]
    if layout == "trials":
        truth = None
        if isinstance(source, Path) and source.is_file() and truth_path(source).is_file():
            truth = partial(true_rates, source)
        trials = read_nlb(source, dataset, width, truth)
        trials.save(out)
        n_forward = dataset.forward_ms // width
        return [
            *(f"note: {note}" for note in trials.notes),
            f"{out}: {trials!r}; the last {n_forward} bins are the forward period "
            f"(--forward-bins {n_forward})",
        ]
    maker = TensorMaker(load_session(source, dataset), dataset, width)
    if layout == "targets":
        targets = maker.targets()
        write_nlb_h5(out, {maker.group: targets})
        shown = targets
    else:
        targets = maker.targets(psth=False)
        kept = [key for key in targets if key.endswith("_forward") or key == "eval_behavior"]
        shown = maker.train() | maker.eval() | {key: targets[key] for key in kept}
        shown["bin_s"] = np.array(width / 1000)
        save_tensors(shown, out)
    shapes = ", ".join(f"{key} {np.shape(value)}" for key, value in shown.items())
    return [*(f"note: {note}" for note in maker.notes), f"{out}: {shapes}"]


def _check_apart(table: pd.DataFrame, path: Path, cut: Cut) -> None:
    at = table[cut.align].to_numpy(dtype=float)
    start, end = (edge / 1000 for edge in cut.window_ms)
    ends = at + end
    if cut.until is not None:
        ends = np.fmin(ends, table[cut.until].to_numpy(dtype=float))
    close = at[1:] + start < ends[:-1] - 1e-9
    if close.any():
        first = pd.Series(at)[np.flatnonzero(close)[0]]
        raise InputError(
            f"{path}: {int(close.sum())} trials overlap within {cut.window_ms} ms of "
            f"'{cut.align}' (the first at {first:.3f} s); choose a shorter --window, or --overlap"
        )
