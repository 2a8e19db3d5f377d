"""One fit of an experiment on identity, from its folder to its folder.

Shape legend: ``C`` cells, ``E`` features of an embedding, ``D`` behavior channels.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from neuroblend.config import IdentityConfig
from neuroblend.data.calcium.session import CalciumSession
from neuroblend.distill.objective import Objective, output_of, squared_error
from neuroblend.distill.pair import DistillLoss
from neuroblend.engine.folder import Fit
from neuroblend.errors import InputError, nearest
from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER, Arm
from neuroblend.experiments.identity.cells import WITHOUT_EMBEDDING, Cells, IdentityFolder
from neuroblend.experiments.identity.classify import classify
from neuroblend.experiments.identity.contrast import contrastive_vectors
from neuroblend.experiments.identity.embed import fresh_embeddings
from neuroblend.experiments.identity.features import (
    activity_profile,
    hand_features,
    mean_by_cell,
    principal_components,
)
from neuroblend.experiments.identity.metrics import scores
from neuroblend.experiments.identity.task import CellTask
from neuroblend.experiments.identity.tuning import told_without, tuning_of
from neuroblend.files import write_json, write_whole
from neuroblend.models.neuprint import DYNAMICS, NeuPRINT
from neuroblend.privilege.population import PopulationState, on_cells
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import CELL_STRATEGIES, find_strategies, load
from neuroblend.seeds import mixed_seed
from neuroblend.training.checkpoint import load_weights, save_weights
from neuroblend.training.devices import as_device, own_device
from neuroblend.training.fit import fit as train
from neuroblend.training.masking import mask_for

LAYER = "state"  # what is distilled and read out: features of the population's state
N_COMPONENTS = 32  # of activity profiles
PUBLISHED = {"n_pooled": 0, "context_frames": 0}  # the population's state as in the public code
SEES_BEHAVIOR = (TEACHER, "stock")


def run_identity_fit(path: Path, fit: Fit, progress: Callable[[int, int], None]) -> None:
    """Train a network (where the arm has one), describe all cells, tell them apart, and store.

    Raises:
        InputError: Training fails.
    """
    began, began_cpu = time.time(), time.process_time()
    folder = IdentityFolder(path)
    config, cells, out = folder.config(), folder.cells(), folder.of(fit)
    out.mkdir(parents=True, exist_ok=True)
    sessions = folder.sessions()
    task = CellTask.of(sessions, folder.split(fit).tested, config.data.window)
    seed = mixed_seed(fit.seed, 7, 0 if fit.fold is None else fit.fold)
    stored: dict[str, Any] = {}
    history = pd.DataFrame(columns=["epoch", "lr", "loss", "valid"])
    if fit.arm.name in WITHOUT_EMBEDDING:
        vectors = _measured(fit.arm.name, sessions, task, seed, progress)
    else:
        model = build_identity(config, fit.arm, task, seed)
        history = _trained(model, folder, fit, task, config, seed, progress)
        save_weights(model, out / "model.safetensors")
        stored["state_r2"] = state_r2(model, task)
        model.to(own_device(as_device(config.training.accelerator)))
        embedding = config.embedding
        mask = mask_for(config.training, model.net)
        vectors = fresh_embeddings(model, task, seed, embedding.epochs, embedding.lr, mask=mask)
    stored["told_without"] = _told_without(vectors, cells, folder, fit, task, config)
    write_whole(out / "history.csv", lambda file: history.to_csv(file, index=False))
    write_whole(out / "vectors.h5", lambda file: _save_vectors(file, vectors))
    stored |= _classified(vectors, cells, folder, fit, config, seed)
    stored["cost"] = {
        "epochs": len(history),
        "best_epoch": 0
        if history.empty
        else int(history["epoch"].to_numpy()[np.nanargmin(history["valid"].to_numpy())]),
        "wall_s": round(time.time() - began, 1),
        "cpu_s": round(time.process_time() - began_cpu, 1),
    }
    write_json(out / "scores.json", stored)


def build_identity(
    config: IdentityConfig, arm: Arm, task: CellTask, seed: int
) -> Student | Teacher:
    """Build the network of an arm; its initial weights depend on the seed and its sizes alone.

    Raises:
        InputError: A setting is unknown or out of range.
    """
    settings = {"dynamics": config.model.dynamics} | config.model.settings
    if arm.name in ("stock", "moments"):
        settings |= PUBLISHED
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 22 if arm.name in SEES_BEHAVIOR else 21))
        if arm.name not in SEES_BEHAVIOR:
            return Student(NeuPRINT(task.spec, **settings), on_cells)
        fusion = PopulationState(len(task.behavior_names), task.gaps)
        spec = replace(task.spec, n_behavior=fusion.n_channels)
        return Teacher(NeuPRINT(spec, **settings), fusion)


def _trained(
    model: Student | Teacher,
    folder: IdentityFolder,
    fit: Fit,
    task: CellTask,
    config: IdentityConfig,
    seed: int,
    progress: Callable[[int, int], None],
) -> pd.DataFrame:
    """Train ``model`` on what its arm is trained on and return its history."""
    teacher = None
    if fit.arm.wants_teacher:
        of = Fit(Arm(TEACHER), fit.seed, fit.fold)
        built = build_identity(config, of.arm, task, seed)
        assert isinstance(built, Teacher)
        load_weights(built, folder.of(of) / "model.safetensors")
        teacher = built.freeze()
    given: dict[str, Any] = {"layer": LAYER, "layers": [(LAYER, LAYER)], "normalisation": "element"}
    terms: dict[str, DistillLoss] = {}
    known = find_strategies("+".join(fit.arm.terms), CELL_STRATEGIES) if fit.arm.terms else {}
    for name, strategy in known.items():
        terms[name] = load(strategy.target)(**{key: given[key] for key in strategy.takes})
    weights = {MULTITASK: config.distill.multitask_weight} if MULTITASK in terms else None
    objective = Objective(terms, teacher, config.distill.alpha, weights, task_loss=squared_error)
    return train(
        model, task, objective, config.training, seed, folder.of(fit), progress,
        yardstick=squared_error,
    )  # fmt: skip


def _measured(
    name: str,
    sessions: list[CalciumSession],
    task: CellTask,
    seed: int,
    progress: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Return (C, F) numbers that describe each cell without embeddings."""
    if name == "contrastive":
        return contrastive_vectors(task, seed, progress=progress)
    if name == "hand_features":
        each = [hand_features(session.activity, session.frame_s)[0] for session in sessions]
    else:
        each = [activity_profile(session.activity, session.frame_s) for session in sessions]
    means, names = mean_by_cell(each, [session.neuron_id for session in sessions])
    assert tuple(names) == task.cells
    if name == "activity_profile":
        means = principal_components(means, task.spec.reference.numpy(), N_COMPONENTS)
    return means.astype(np.float32)


def _classified(
    vectors: NDArray[np.float32],
    cells: Cells,
    folder: IdentityFolder,
    fit: Fit,
    config: IdentityConfig,
    seed: int,
) -> dict[str, Any]:
    """Tell cells apart by each kind of label; store predictions and return scores."""
    tested = folder.split(fit).is_tested(cells.names)
    test: dict[str, float] = {}
    valid: dict[str, float] = {}
    chosen: dict[str, list[str]] = {}
    n_folds = n_test_folds(config)
    repeats = 1 if config.data.animals else config.data.repeats
    for kind in cells.kinds:
        rows, labels = cells.labelled(kind)
        found = classify(vectors[rows], labels, tested[rows], seed, n_folds, repeats)
        found.save(folder.of(fit) / f"{kind}.h5")
        prefix = prefix_of(kind, cells)
        each = scores(found.truth, found.probability, found.classes)
        test |= {prefix + name: float(value[0]) for name, value in each.items()}
        valid[kind], chosen[kind] = found.valid, found.chosen
    known = {name: value for name, value in test.items() if np.isfinite(value)}
    return {"test": known, "valid": valid, "classifiers": chosen}


def _told_without(
    vectors: NDArray[np.float32],
    cells: Cells,
    folder: IdentityFolder,
    fit: Fit,
    task: CellTask,
    config: IdentityConfig,
) -> dict[str, Any]:
    """Return how well the first kind of label is told without what tells of each channel."""
    rows, labels = cells.labelled(cells.kinds[0])
    tested = folder.split(fit).is_tested(cells.names)[rows]
    tuning = tuning_of(task)[rows]
    n_folds = n_test_folds(config)
    return told_without(
        vectors[rows], tuning, labels, tested, task.behavior_names, fit.seed, n_folds
    )


def n_test_folds(config: IdentityConfig) -> int:
    """Return in how many folds tested cells are predicted; one where an animal is left out."""
    return 1 if config.data.animals else config.data.folds


def prefix_of(kind: str, cells: Cells) -> str:
    """Return what stands before metrics of a kind of label: nothing for the first kind."""
    return "" if kind == cells.kinds[0] else f"{kind}/"


def state_r2(model: Student | Teacher, task: CellTask) -> dict[str, float]:
    """Return how well each behavior channel can be read from the state of the population.

    A ridge regression on training frames, scored (R², pooled over sessions) on validation frames.
    A teacher is shown the behavior, so that its own is a reference and not a feat.
    """
    if not task.behavior_names:
        return {}
    model.eval()
    parts: dict[str, list[NDArray[np.float32]]] = {}
    device = torch.device("cpu")
    model.to(device)
    train_batches = list(task.train_batches(4, 0, device))
    with torch.no_grad():
        for part, batches in (("train", train_batches), ("valid", task.valid_batches())):
            states, values, known = [], [], []
            for batch in batches:
                assert batch.behavior is not None
                states.append(output_of(model, batch, [LAYER]).features[LAYER].flatten(0, 1))
                values.append(batch.behavior.values.flatten(0, 1))
                known.append(batch.behavior.present.flatten(0, 1))
            parts[part] = [torch.cat(each).numpy() for each in (states, values, known)]
    (x, y, there), (x_valid, y_valid, there_valid) = parts["train"], parts["valid"]
    found = {}
    for i, name in enumerate(task.behavior_names):
        use, judged = there[:, i].astype(bool), there_valid[:, i].astype(bool)
        truth = y_valid[judged, i]
        if use.sum() > 1 and judged.sum() > 1 and truth.std() > 0:
            error = truth - Ridge(1.0).fit(x[use], y[use, i]).predict(x_valid[judged])
            found[name] = float(1 - np.square(error).sum() / np.square(truth - truth.mean()).sum())
    return found


def check_identity(config: IdentityConfig, task: CellTask) -> None:
    """Build and call the networks once, so that bad settings are told before anything is written.

    Raises:
        InputError: A setting is unknown or out of range.
    """
    if "dynamics" in config.model.settings:
        raise InputError("model.settings.dynamics: give it as model.dynamics, or --dynamics")
    builders = (NeuPRINT, DYNAMICS.get(config.model.dynamics, NeuPRINT))
    taken = {name: None for builder in builders for name in inspect.signature(builder).parameters}
    known = [name for name in taken if name not in ("spec", "dynamics", "n_own", "settings")]
    for key in config.model.settings:
        if key not in known:
            raise InputError(f"neuprint has no setting '{key}': {nearest(key, known)}")
    for name in (TEACHER, BASELINE):
        try:
            model = build_identity(config, Arm(name), task, 0)
            mask_for(config.training, model.net)
            with torch.no_grad():
                model(task.example())
        except InputError:
            raise
        except (TypeError, ValueError, RuntimeError) as error:  # a setting of another type
            why = (str(error).splitlines() or [""])[0]
            raise InputError(f"neuprint: {type(error).__name__}: {why}") from error


def _save_vectors(file: Path, vectors: NDArray[np.float32]) -> None:
    with h5py.File(file, "w") as out:
        out["vectors"] = vectors
