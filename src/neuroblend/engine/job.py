"""One fit of a run, from its folder to its folder: build, train, score."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroblend.config import TrainingSettings
from neuroblend.distill.objective import Objective
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
MEMBER = "member"  # and its number: folder of one of several models of a fit, while it is under way


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
    if not is_main(experiment.config.training.n_devices):
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
    for member in out.glob(f"{MEMBER}*"):
        shutil.rmtree(member)


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
    learn = _Learn(folder.of(fit), fit_seed(fit), experiment.config.training, progress)
    return experiment.trained(fit.arm, model, task, teacher, learn)


@dataclass(frozen=True)
class _Learn:
    """Trains what belongs to one fit; members that have ended are read from their folders."""

    out: Path
    seed: int
    settings: TrainingSettings
    progress: Progress

    def __call__(
        self, model: Any, part: Any, objective: Objective, member: int = 0, of: int = 1
    ) -> pd.DataFrame:
        out = self.out if of == 1 else self.out / f"{MEMBER}{member}"
        ended = out / "history.csv"
        if of > 1 and ended.is_file():
            load_weights(model, out / WEIGHTS)
            return pd.read_csv(ended, float_precision="round_trip")
        seed = self.seed if member == 0 else mixed_seed(self.seed, 8, member)
        out.mkdir(parents=True, exist_ok=True)
        history = train(
            model,
            part,
            objective,
            self.settings,
            seed,
            out,
            lambda done, most: self.progress(member * most + done, of * most),
            yardstick=objective.task_loss,
        )
        if of > 1 and is_main(self.settings.n_devices):
            save_weights(model, out / WEIGHTS)
            write_whole(ended, lambda file: history.to_csv(file, index=False))
        return history


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
