"""From a file of a continuous recording to trials, by a user's own window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from neuroblend.data.arrays import SUFFIXES
from neuroblend.data.cut import TRIALS, Cut, rows_of, table_of
from neuroblend.data.measured import START, STOP
from neuroblend.data.nwb import nwb_files, read_nwb
from neuroblend.data.raw import read_behavior, read_raw
from neuroblend.data.recording import Recording
from neuroblend.data.track import track_of
from neuroblend.data.trials import Trials
from neuroblend.data.where import rows_where
from neuroblend.errors import InputError, nearest, some
from neuroblend.files import errors_of
from neuroblend.readers.kilosort import EVERY, is_kilosort, read_kilosort
from neuroblend.readers.mat import read_mat

WRITTEN = (".h5", ".hdf5")
MAT = ".mat"


def prepare_recording(files: Sequence[Path], cut: Cut, out: Path) -> list[str]:
    """Cut one recording into trials and write them.

    Returns:
        What a user should know, a line each.

    Raises:
        InputError: The file or the window cannot be used; nothing is written then.
    """
    check_out(out)
    sorted_here = [path for path in files if is_kilosort(path)]
    if len(files) == 2 and len(sorted_here) == 1:  # spikes in a folder, behavior in a file
        (behavior,) = (path for path in files if path not in sorted_here)
        trials = cut_trials(sorted_here[0], cut, behavior)
        return _written(trials, out)
    many = list(files) if len(sorted_here) == len(files) else []
    many = many or nwb_files(list(files) if len(files) > 1 else files[0])
    if len(many) > 1:
        raise InputError(
            f"{len(many)} files: each is a session of its own clock and units; prepare them one by "
            "one (--dataset joins the files of a benchmark dataset)"
        )
    return _written(cut_trials(many[0], cut), out)


def _written(trials: Trials, out: Path) -> list[str]:
    trials.save(out)
    return [*(f"note: {note}" for note in trials.notes), f"{out}: {trials!r}"]


def check_out(out: Path) -> None:
    """Refuse to write trials under a name that says they are something else.

    Raises:
        InputError: It does not end as HDF5 files do.
    """
    if out.suffix.lower() not in WRITTEN:
        raise InputError(
            f"--out {out}: trials are written as HDF5, wanted a name that ends in .h5, such as "
            f"{out.with_suffix('.h5').name}"
        )


def cut_trials(path: Path, cut: Cut, behavior_of: Path | None = None) -> Trials:
    """Return the trials of one file (NWB, raw arrays, MATLAB) or folder of phy or Kilosort.

    Held-out units are those of a column ``heldout``, the split that of a column ``split`` (trials
    of other splits than train, val and test are left out).

    Args:
        path: The file or folder.
        cut: How trials are cut.
        behavior_of: File of raw arrays that holds what a folder of spikes does not.

    Raises:
        InputError: The file or the window cannot be used.
    """
    with errors_of(path):
        recording, added = _derived(_read(path, cut, behavior_of), cut)
        behavior = (*cut.behavior, *added)
        if cut.every_s is not None:
            return _side_by_side(recording, cut, cut.every_s, behavior)
        rows = rows_of(recording, cut)
        assert cut.window_ms is not None
        trials = recording.align(
            rows.events,
            (cut.window_ms[0] / 1000, cut.window_ms[1] / 1000),
            cut.bin_ms / 1000,
            behavior,
            cut.lag_ms / 1000,
            rows.condition,
            rows.split,
            None if cut.until is None else rows.table[cut.until].to_numpy(dtype=float),
            event=rows.column,
            kinds=cut.kinds,
            rows=rows.table,
        )
        return trials.with_note(*rows.notes)


def _read(path: Path, cut: Cut, behavior_of: Path | None) -> Recording:
    wanted = (*cut.behavior, *cut.linearise, *cut.direction)
    if is_kilosort(path) or path.suffix.lower() in (*SUFFIXES, MAT):
        recording = _of_other(path, cut, behavior_of)
        for name in (*cut.linearise, *cut.direction):
            if name not in recording.signals:
                raise InputError(f"no signal '{name}': {nearest(name, recording.signals)}")
        return recording
    events = () if cut.align is None else (cut.align,)
    return read_nwb(path, wanted, where=cut.where, optional=events)


def _of_other(path: Path, cut: Cut, behavior_of: Path | None) -> Recording:
    """Read raw arrays, a folder of phy or Kilosort, or a ``.mat`` file with its mapping."""
    if path.suffix.lower() in SUFFIXES:
        return read_raw(path, cut.where)
    if is_kilosort(path):
        signals, tables, notes = ({}, {}, []) if behavior_of is None else read_behavior(behavior_of)
        recording = read_kilosort(path, EVERY if cut.where else None, signals=signals)
        notes = [*recording.notes, *notes]
        recording = replace(recording, tables=tables, notes=tuple(notes))
    else:
        read = read_mat(path)
        if isinstance(read, Trials):
            raise InputError("holds trials already: give the file to neuroblend run")
        recording = read
    if cut.where is None:
        return recording
    return recording.take_units(*rows_where(recording.units, cut.where, "units"))


def _derived(recording: Recording, cut: Cut) -> tuple[Recording, list[str]]:
    """Return the recording with places and directions along a track, and what they are called."""
    signals, added, notes = dict(recording.signals), [], list(recording.notes)
    tracks = {n: track_of(signals[n], n) for n in dict.fromkeys((*cut.linearise, *cut.direction))}
    for name in cut.linearise:
        added.append(f"{name}_linear")
        signals[added[-1]] = tracks[name].linear
        notes.append(tracks[name].notes[0])
    for name in cut.direction:
        added.append(f"{name}_direction")
        signals[added[-1]] = tracks[name].direction
        notes.append(tracks[name].notes[1])
    return replace(recording, signals=signals, notes=tuple(notes)), added


def _side_by_side(
    recording: Recording, cut: Cut, every_s: float, behavior: Sequence[str]
) -> Trials:
    """Return windows side by side, those within the intervals of a table if one is given."""
    for name, given in (("--until", cut.until), ("--condition", cut.condition or None)):
        if given is not None:
            raise InputError(f"{name}: is of trials, and --every cuts windows side by side")
    for name in behavior:
        if name in recording.trials and name not in recording.signals:
            raise InputError(
                f"--behavior {name}: is a column of trials, and --every cuts windows side by side; "
                f"--behavior {TRIALS}.{name} takes it as a state that lasts as long as a trial"
            )
    within, notes = None, []
    if cut.intervals is not None or cut.trials_where is not None:
        table = table_of(recording, cut.intervals)
        if not {START, STOP} <= set(table):
            raise InputError(
                f"--intervals {cut.intervals or TRIALS}: wanted a table with {START} and {STOP}, "
                f"found {some(table)}"
            )
        if cut.trials_where is not None:
            chosen = rows_where(table, cut.trials_where, "trials", "--trials-where")
            table = table[chosen.keep]
            notes.append(chosen.note)
        within = table[[START, STOP]].to_numpy(dtype=np.float64)
    if not recording.trials.empty:
        tables: dict[str, pd.DataFrame] = {TRIALS: recording.trials, **recording.tables}
        recording = replace(recording, tables=tables)
    trials = recording.windows(
        every_s, cut.bin_ms / 1000, behavior, cut.lag_ms / 1000, kinds=cut.kinds, within=within
    )
    return trials.with_note(*notes)
