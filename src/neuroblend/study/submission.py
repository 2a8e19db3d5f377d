"""What a run on a dataset of the Neural Latents Benchmark '21 predicts, in the benchmark's layout.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons. Rates are counts/bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.nlb import find_dataset, load_session
from neuroblend.data.nlb_tensors import TensorMaker
from neuroblend.errors import InputError
from neuroblend.evaluation.nlb import evaluate_nlb, parse_name
from neuroblend.evaluation.nlb_files import check_predictions, read_nlb_h5
from neuroblend.evaluation.predict import predict
from neuroblend.study.apply import SELECTED, find_fit
from neuroblend.study.folder import RunFolder
from neuroblend.study.job import load_model

LEAST_RATE = 1e-9  # counts/bin of a neuron that never fired where the run could see it

Groups = dict[str, dict[str, Any]]


def submission_of(
    run: str | Path | RunFolder, arm: str = SELECTED, seed: int | None = None
) -> Groups:
    """Return the rates that a student of a run predicts for the benchmark.

    Args:
        run: A run that has ended, on a dataset of the benchmark; its files must still be there.
        arm: As for :func:`~neuroblend.study.apply.predict_run`.
        seed: As there.

    Returns:
        One group, named as the benchmark does, of float32 arrays (B, T, N): ``train_rates_heldin``,
        ``train_rates_heldout`` of its training split, ``eval_rates_heldin``,
        ``eval_rates_heldout`` and the same two ``..._forward`` of its validation split.

    Raises:
        InputError: The run is not on such a dataset or not on all of its neurons, or its files are
            gone or have changed.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    config = folder.config()
    if config.data.dataset is None:
        raise InputError(f"{folder.path}: not a run on a benchmark dataset (--dataset)")
    if config.data.units is not None or config.data.min_rate_hz:
        raise InputError(f"{folder.path}: the run left neurons out; a submission needs them all")
    fit = find_fit(folder, arm, seed)
    task = folder.task(fit.seed, fit.fold)
    trials = task.trials
    dataset = find_dataset(config.data.dataset)
    grid = load_session(config.data.source, dataset, behavior=False)
    maker = TensorMaker(grid, dataset, round(trials.bin_s * 1000))
    if grid.held_out.size != trials.n_source_neurons or trials.n_trials != sum(
        maker.rows(split).size for split in ("train", "val")
    ):
        raise InputError(f"{config.data.source}: has changed since the run {folder.path}")
    model = load_model(folder, fit, config, task)
    rates = np.full((trials.n_trials, trials.n_bins, grid.held_out.size), LEAST_RATE, np.float32)
    rates[:, :, trials.unit_id] = predict(model, task, np.arange(trials.n_trials))
    assert trials.split is not None
    of_eval = trials.split == "test"
    t_in = task.spec.t_in
    group: dict[str, NDArray[np.float32]] = {}
    for kind, neurons in (("heldin", ~grid.held_out), ("heldout", grid.held_out)):
        group[f"train_rates_{kind}"] = rates[~of_eval][:, :t_in, neurons]
        group[f"eval_rates_{kind}"] = rates[of_eval][:, :t_in, neurons]
        group[f"eval_rates_{kind}_forward"] = rates[of_eval][:, t_in:, neurons]
    return {maker.group: group}


def targets_for(source: str | Path, names: list[str], evaluated: str = "val") -> Groups:
    """Return what predictions for the groups ``names`` are scored against.

    Args:
        source: A file of targets (``.h5``), or NWB files of the one dataset that is predicted.
        names: Groups of the predictions, such as ``mc_maze_small_20``.
        evaluated: Split of the trial table that was predicted.

    Raises:
        InputError: They cannot be read, or a group is not the benchmark's.
    """
    path = Path(source)
    if path.suffix in (".h5", ".hdf5"):
        return read_nlb_h5(path)
    groups: Groups = {}
    datasets = {parse_name(name)[0] for name in names}
    if len(datasets) > 1:
        raise InputError(
            f"{path}: predictions are of {', '.join(sorted(datasets))}; NWB files are of one "
            "dataset: write targets with `neuroblend prepare --layout targets`"
        )
    for name in names:
        dataset, bin_ms = parse_name(name)
        declared = find_dataset(dataset)
        maker = TensorMaker(load_session(path, declared), declared, bin_ms)
        groups[maker.group] = maker.targets("train", evaluated)
    return groups


def scored_submission(
    predictions: Groups, targets: Mapping[str, Mapping[str, Any]]
) -> tuple[list[dict[str, dict[str, float]]], list[str]]:
    """Check and score predictions.

    Returns:
        The benchmark's own result structure, and what a user should know.

    Raises:
        InputError: A group has no targets, or predictions cannot be scored.
    """
    notes = []
    for name, group in predictions.items():
        if name not in targets:
            raise InputError(f"predictions of {name}: targets have {', '.join(targets) or 'none'}")
        notes += check_predictions(targets[name], group, name)
    return evaluate_nlb(targets, predictions), notes
