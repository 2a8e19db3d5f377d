"""NWB files of one dataset of the Neural Latents Benchmark '21 -> one session on its clock."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neuroblend.data.nwb import HELD_OUT, nwb_files, read_nwb
from neuroblend.errors import InputError, nearest
from neuroblend.nlb.datasets import NLBDataset
from neuroblend.nlb.grid import Grid, join_sessions

SPLITS = ("train", "val", "test", "none")


def load_session(
    source: str | Path | Sequence[str | Path], dataset: NLBDataset, behavior: bool = True
) -> Grid:
    """Read a dataset's files and join them as the benchmark joins them.

    Args:
        source: A file, a folder of ``.nwb`` files, or several files; by name, in order.
        dataset: Which dataset.
        behavior: Whether to read the behavior series too.

    Raises:
        InputError: A file cannot be used, or lacks what the dataset needs.
    """
    series = [dataset.behavior] if behavior and isinstance(dataset.behavior, str) else []
    recordings = []
    for path in nwb_files(source):
        recording = read_nwb(path, series, need_signals=False)
        _check_tables(recording.trials, recording.units, dataset, path)
        of_test = (recording.trials["split"] == "test").all()
        if not of_test and not set(series) <= set(recording.signals):
            recording = read_nwb(path, series)  # which names what there is
        recordings.append(recording)
    return join_sessions(recordings)


def _check_tables(
    trials: pd.DataFrame, units: pd.DataFrame, dataset: NLBDataset, path: Path
) -> None:
    if trials.empty:
        raise InputError(f"{path}: no trials; {dataset.name} needs a trial table")
    of_test = "split" in trials and (trials["split"] == "test").all()
    wanted = ["start_time", "stop_time", "split", dataset.align] if of_test else dataset.columns
    for column in wanted:
        if column not in trials:
            raise InputError(
                f"{path}: the trial table lacks '{column}', which {dataset.name} needs: "
                f"{nearest(column, trials.columns)}"
            )
    unknown = sorted(set(map(str, trials["split"])) - set(SPLITS))
    if unknown:
        raise InputError(f"{path}: split '{unknown[0]}' of a trial, wanted one of {SPLITS}")
    if HELD_OUT not in units:
        raise InputError(
            f"{path}: the units table lacks '{HELD_OUT}', which tells who is held out: "
            f"{nearest(HELD_OUT, units.columns)}"
        )
    if not np.isfinite(trials[dataset.align].to_numpy(dtype=float)).any():
        raise InputError(f"{path}: no trial has a time in '{dataset.align}'")
