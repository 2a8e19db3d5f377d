"""One fit of a run, from its folder to its folder: build, train, score."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroblend.engine.arm import Fit
from neuroblend.engine.experiment import Progress, Scene
from neuroblend.engine.folder import RunFolder
from neuroblend.files import write_json, write_whole
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.seeds import mixed_seed
from neuroblend.training.checkpoint import load_weights, save_weights
from neuroblend.training.devices import is_main
from neuroblend.training.train import FitsItself, train

WEIGHTS = "model.safetensors"


def run_fit(path: Path, fit: Fit, progress: Progress) -> None:
    """Train, score and store one arm of one split, or go on where that was interrupted.

    Where several processes train one model, each calls this and the first of them stores.

    Raises:
        InputError: Training fails, or the device is not to be had.
    """
    began, began_cpu = time.time(), time.process_time()
    folder = RunFolder(path)
    experiment, out = folder.experiment, folder.of(fit)
    data, split = folder.data(), folder.split(fit)
    out.mkdir(parents=True, exist_ok=True)
    task = experiment.task(data, split)
    model = experiment.build(fit.arm, task, fit_seed(fit))
    history = pd.DataFrame(columns=["epoch", "lr", "loss", "valid"])
    if model is not None:
        history = _trained(model, folder, fit, task, progress)
    if not is_main(experiment.config.training.devices):
        return
    if model is not None:
        save_weights(model, out / WEIGHTS)
    write_whole(out / "history.csv", lambda file: history.to_csv(file, index=False))
    scene = Scene(fit, data, split, task, fit_seed(fit), out, progress)
    stored = experiment.score(scene, model)
    stored["cost"] = {
        "epochs": len(history),
        "best_epoch": _best_epoch(history),
        "wall_s": round(time.time() - began, 1),
        "cpu_s": round(time.process_time() - began_cpu, 1),
    }
    write_json(out / "scores.json", stored)  # last: it marks a fit that has ended


def _trained(
    model: Student | Teacher, folder: RunFolder, fit: Fit, task: Any, progress: Progress
) -> pd.DataFrame:
    """Train ``model`` on what its arm is trained on and return its history."""
    experiment = folder.experiment
    if isinstance(model.net, FitsItself):
        return train(model, task)
    teacher = None
    if fit.arm.teacher is not None:
        found = load_model(folder, folder.find(fit.arm.teacher, fit.seed, fit.fold), task)
        assert isinstance(found, Teacher)
        teacher = found.freeze()
    objective = experiment.objective(fit.arm, model, task, teacher)
    part, settings = experiment.trains_on(fit.arm, task), experiment.config.training
    seed, out, yardstick = fit_seed(fit), folder.of(fit), objective.task_loss
    return train(model, part, objective, settings, seed, out, progress, yardstick=yardstick)


def fit_seed(fit: Fit) -> int:
    """Return what decides initial weights, order, masks and dropout: the same for every arm."""
    return mixed_seed(fit.seed, 7, 0 if fit.fold is None else fit.fold)


def load_model(folder: RunFolder, fit: Fit, task: Any) -> Student | Teacher:
    """Return a trained model of a run.

    Raises:
        InputError: Its weights are missing or damaged.
    """
    model = folder.experiment.build(fit.arm, task, fit_seed(fit))
    assert model is not None
    load_weights(model, folder.of(fit) / WEIGHTS)
    model.eval()
    return model


def _best_epoch(history: pd.DataFrame) -> int:
    if history.empty:
        return 0
    return int(history["epoch"].to_numpy()[np.nanargmin(history["valid"].to_numpy())])
