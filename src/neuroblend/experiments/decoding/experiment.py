"""One fit of a run, from its folder to its folder: build, train, predict, score.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from neuroblend.config import RunConfig
from neuroblend.engine.folder import Fit, RunFolder
from neuroblend.evaluation.score import score_model, scores_on_test
from neuroblend.experiments.decoding.networks import (
    TEACHER,
    Arm,
    build_objective,
    build_reference,
    build_student,
    build_teacher,
    feature_layer,
)
from neuroblend.files import write_json, write_whole
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.seeds import mixed_seed
from neuroblend.task.task import Task
from neuroblend.training.checkpoint import load_weights, save_weights
from neuroblend.training.devices import is_main
from neuroblend.training.fit import fit as train


def run_fit_in(path: Path, fit: Fit, progress: Callable[[int, int], None]) -> None:
    """Run one fit of the run at ``path``; see :func:`run_fit`."""
    run_fit(RunFolder(path), fit, progress)


def run_fit(folder: RunFolder, fit: Fit, progress: Callable[[int, int], None]) -> None:
    """Train, score and store one arm of one seed and fold, or go on where that was interrupted.

    Where several processes train one model, each calls this and the first of them stores.

    Raises:
        InputError: Training fails, or the device is not to be had.
    """
    began, began_cpu = time.time(), time.process_time()
    config = folder.config()
    task = folder.task(fit.seed, fit.fold)
    out = folder.of(fit)
    out.mkdir(parents=True, exist_ok=True)
    model = build(fit, config, task)
    if fit.arm.is_reference:
        history = train(model, task)
    else:
        history = _trained(model, folder, fit, config, task, progress)
    if not is_main(config.training.devices):
        return
    scored, valid = score_model(model, task)
    save_weights(model, out / "model.safetensors")
    write_whole(out / "history.csv", lambda path: history.to_csv(path, index=False))
    scored.save(out / "test.h5")
    cost = {
        "epochs": len(history),
        "best_epoch": _best_epoch(history),
        "wall_s": round(time.time() - began, 1),
        "cpu_s": round(time.process_time() - began_cpu, 1),
    }
    write_json(
        out / "scores.json", {"test": scores_on_test([scored], task), "valid": valid, "cost": cost}
    )


def _trained(
    model: Student | Teacher,
    folder: RunFolder,
    fit: Fit,
    config: RunConfig,
    task: Task,
    progress: Callable[[int, int], None],
) -> pd.DataFrame:
    """Train ``model`` on what its arm is trained on and return its history."""
    teacher = load_teacher(folder, fit, config, task) if fit.arm.wants_teacher else None
    layer = feature_layer(config.model, model.net)
    objective = build_objective(config, fit.arm, task.spec, layer, teacher)
    return train(model, task, objective, config.training, fit_seed(fit), folder.of(fit), progress)


def build(fit: Fit, config: RunConfig, task: Task) -> Student | Teacher:
    """Build the network of an arm, with its initial weights."""
    if fit.arm.is_reference:
        return build_reference(fit.arm.name, task)
    make = build_teacher if fit.arm.name == TEACHER else build_student
    return make(config, task, fit_seed(fit))


def fit_seed(fit: Fit) -> int:
    """Return what decides initial weights, order, masks and dropout: the same for every arm."""
    return mixed_seed(fit.seed, 7, 0 if fit.fold is None else fit.fold)


def load_model(folder: RunFolder, fit: Fit, config: RunConfig, task: Task) -> Student | Teacher:
    """Return a trained model of a run.

    Raises:
        InputError: Its weights are missing or damaged.
    """
    model = build(fit, config, task)
    load_weights(model, folder.of(fit) / "model.safetensors")
    model.eval()
    return model


def load_teacher(folder: RunFolder, fit: Fit, config: RunConfig, task: Task) -> Teacher:
    """Return the trained teacher of a student's seed and fold."""
    teacher = load_model(folder, Fit(Arm(TEACHER), fit.seed, fit.fold), config, task)
    assert isinstance(teacher, Teacher)
    return teacher.freeze()


def _best_epoch(history: pd.DataFrame) -> int:
    if history.empty:
        return 0
    return int(history["epoch"].to_numpy()[np.nanargmin(history["valid"].to_numpy())])
