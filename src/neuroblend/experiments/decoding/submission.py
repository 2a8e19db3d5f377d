"""What a run on a dataset of the Neural Latents Benchmark '21 predicts, in the benchmark's layout.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons. Rates are counts/bin.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neuroblend.engine.folder import RunFolder
from neuroblend.engine.job import load_model
from neuroblend.errors import InputError
from neuroblend.evaluation.predict import in_recorded_order, rates_of
from neuroblend.experiments.decoding.apply import SELECTED, find_fit
from neuroblend.nlb.datasets import find_dataset
from neuroblend.nlb.files import check_predictions, read_nlb_h5
from neuroblend.nlb.scores import evaluate_nlb, parse_name
from neuroblend.nlb.session import load_session
from neuroblend.nlb.tensors import TensorMaker
from neuroblend.task.batch import Batch
from neuroblend.task.task import Task

UNIT_ID = "unit_id"  # of held-in, then held-out neurons; the benchmark's evaluator leaves it alone
LEAST_RATE = 1e-9  # counts/bin of a neuron that never fired where the run could see it

Groups = dict[str, dict[str, Any]]


def submission_of(
    run: str | Path | RunFolder,
    arm: str = SELECTED,
    seed: int | None = None,
    evaluated: str = "val",
) -> Groups:
    """Return the rates that a student of a run predicts for the benchmark.

    Args:
        run: A run that has ended, on a dataset of the benchmark; its files must still be there.
        arm: As for :func:`~neuroblend.experiments.decoding.apply.predict_run`.
        seed: As there.
        evaluated: Split of the trial table that is predicted, ``val`` or ``test``.

    Returns:
        One group, named as the benchmark does, of float32 arrays (B, T, N): ``train_rates_heldin``,
        ``train_rates_heldout`` of its training split, ``eval_rates_heldin``,
        ``eval_rates_heldout`` and the same two ``..._forward`` of the split ``evaluated``; and
        ``unit_id`` (N,), held-in units first.

    Raises:
        InputError: The run is not on such a dataset or not on all of its neurons, or its files are
            gone or have changed.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    fit = find_fit(folder, arm, seed)
    config = folder.config()
    if config.data.dataset is None:
        raise InputError(f"{folder.path}: not a run on a benchmark dataset (--dataset)")
    if config.data.units is not None or config.data.min_rate_hz:
        raise InputError(f"{folder.path}: the run left neurons out; a submission needs them all")
    task: Task = folder.task(fit)
    dataset = find_dataset(config.data.dataset)
    grid = load_session(config.data.source, dataset, behavior=False)
    maker = TensorMaker(grid, dataset, round(task.spec.bin_s * 1000))
    if grid.held_out.size != task.trials.n_source_neurons:
        raise InputError(f"{config.data.source}: has changed since the run {folder.path}")
    model = load_model(folder, fit, task)
    order = np.concatenate([np.flatnonzero(~grid.held_out), np.flatnonzero(grid.held_out)])
    group: dict[str, NDArray[Any]] = {UNIT_ID: grid.unit_id[order]}
    for part, given in (
        ("train", maker.train(behavior=False, forward=False)),
        ("eval", maker.eval(evaluated)),
    ):
        rates = _rates(model, task, given[f"{part}_spikes_heldin"], grid.held_out)
        t_in = task.spec.t_in
        for kind, neurons in (("heldin", ~grid.held_out), ("heldout", grid.held_out)):
            group[f"{part}_rates_{kind}"] = rates[:, :t_in, neurons]
            if part == "eval":
                group[f"eval_rates_{kind}_forward"] = rates[:, t_in:, neurons]
    return {maker.group: group}


def _rates(
    model: nn.Module, task: Task, spikes: NDArray[np.float32], held_out: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return (B, T, N) rates of all N neurons of a file from (B, T_in, N_in) of its held-in ones.

    Neurons that the run left out, because they never fired, get the smallest rate that counts.
    """
    place = np.full(held_out.size, -1)
    place[~held_out] = np.arange(int((~held_out).sum()))
    seen = spikes[:, :, place[task.trials.unit_index[~task.split.held_out]]]
    known = rates_of(model, Batch(torch.from_numpy(seen), None, None, None))
    rates = np.full((*known.shape[:2], held_out.size), LEAST_RATE, dtype=np.float32)
    rates[:, :, task.trials.unit_index] = in_recorded_order(known, task.split.order)
    return rates


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
        held_out = maker.grid.held_out
        order = np.concatenate([np.flatnonzero(~held_out), np.flatnonzero(held_out)])
        targets = maker.targets("train", evaluated)
        groups[maker.group] = targets | {UNIT_ID: maker.grid.unit_id[order]}
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
        _check_order(targets[name], group, name)
        rates = {key: value for key, value in group.items() if key != UNIT_ID}
        notes += check_predictions(targets[name], rates, name)
    return evaluate_nlb(targets, predictions), notes


def _check_order(targets: Mapping[str, Any], predictions: Mapping[str, Any], name: str) -> None:
    """Refuse predictions of other neurons, or in another order, where both have ids."""
    if UNIT_ID not in targets or UNIT_ID not in predictions:
        return
    wanted, found = (np.asarray(side[UNIT_ID]) for side in (targets, predictions))
    if not np.array_equal(wanted, found):
        why = "other units" if set(wanted.tolist()) != set(found.tolist()) else "another order"
        raise InputError(
            f"{name}: predictions are of {why} than the targets (unit_id begins {found[:4]}, "
            f"wanted {wanted[:4]})"
        )
