"""One fit's vectors, cell by cell, and what classifiers make of them.

Shape legend: ``C`` cells, ``F`` features, ``E`` features of an embedding, ``D`` behavior channels.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from neuroblend.data.calcium.session import CalciumSession
from neuroblend.distill.objective import output_of
from neuroblend.engine.experiment import Scene
from neuroblend.experiments.identity.cells import Cells
from neuroblend.experiments.identity.classify import classify
from neuroblend.experiments.identity.contrast import contrastive_vectors
from neuroblend.experiments.identity.features import (
    activity_profile,
    hand_features,
    mean_by_cell,
    principal_components,
)
from neuroblend.experiments.identity.references import CONTRASTIVE
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.experiments.identity.task import CellTask
from neuroblend.experiments.identity.tuning import ablation, tuning_of
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.task.batch import Batch

EMBEDDING, PROFILE, BOTH = "embedding", "profile", "both"  # what a classifier may take
LAYER = "state"  # what is distilled and read out: features of the population's state
N_COMPONENTS = 32  # of activity profiles


def measured(scene: Scene, sessions: list[CalciumSession]) -> NDArray[np.float32]:
    """Return (C, F) numbers that describe each cell without embeddings."""
    name, task = scene.fit.arm.name, scene.task
    if name == CONTRASTIVE:
        return contrastive_vectors(task, scene.seed, progress=scene.progress)
    if name == "activity_profile":
        return profiles(task, sessions)
    each = [hand_features(session.activity, session.frame_s)[0] for session in sessions]
    means, names = mean_by_cell(each, [session.neuron_id for session in sessions])
    assert tuple(names) == task.cells
    return means.astype(np.float32)


def profiles(task: CellTask, sessions: list[CalciumSession]) -> NDArray[np.float32]:
    """Return (C, F) principal components of activity profiles, fitted on cells not tested."""
    for session in sessions:
        if session not in _PROFILES:  # a worker runs many fits on the same sessions
            _PROFILES[session] = activity_profile(session.activity, session.frame_s)
    each = [_PROFILES[session] for session in sessions]
    means, names = mean_by_cell(each, [session.neuron_id for session in sessions])
    assert tuple(names) == task.cells
    fitted = task.spec.reference.numpy()
    return principal_components(means, fitted, N_COMPONENTS).astype(np.float32)


_PROFILES: WeakKeyDictionary[CalciumSession, NDArray[np.float64]] = WeakKeyDictionary()


def descriptions(
    embeddings: NDArray[np.float32], profile: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Return what classifiers of a network's cells choose from: the same for every network."""
    both = np.hstack([embeddings, profile])
    return {EMBEDDING: embeddings, PROFILE: profile, BOTH: both}


def classified(
    described: Mapping[str, NDArray[np.float32]], scene: Scene, config: IdentityConfig
) -> dict[str, Any]:
    """Classify cells by each kind of label; store predictions of the fit and return its scores.

    Among those that validate is the standard error of a validation score, as of a fraction of
    cells.
    """
    cells: Cells = scene.data
    tested = scene.split.is_tested(cells.names)
    test: dict[str, float] = {}
    valid: dict[str, float] = {}
    chosen: dict[str, list[str]] = {}
    repeats = 1 if config.data.animals else config.data.repeats
    for kind in cells.kinds:
        rows, labels = cells.labelled(kind)
        folds = config.n_test_folds
        given = {name: vectors[rows] for name, vectors in described.items()}
        found = classify(given, labels, tested[rows], scene.seed, folds, repeats)
        found.save(scene.out / f"{kind}.h5")
        each = found.scores()
        test |= {cells.prefix(kind) + name: float(value[0]) for name, value in each.items()}
        valid[kind], chosen[kind] = found.valid, found.chosen
        n_known = max(int((~tested[rows]).sum()), 1)
        valid[f"{kind}/error"] = float(np.sqrt(found.valid * (1 - found.valid) / n_known))
    known = {name: value for name, value in test.items() if np.isfinite(value)}
    return {"test": known, "valid": valid, "classifiers": chosen}


def ablated(vectors: NDArray[np.float32], scene: Scene, config: IdentityConfig) -> dict[str, Any]:
    """Return macro-F1 of the deciding kind of label without what vectors share with behavior."""
    cells, split, names = scene.data, scene.split, scene.task.behavior_names
    rows, labels = cells.labelled(cells.kinds[0])
    tested, tuning = split.is_tested(cells.names)[rows], tuning_of(scene.task)[rows]
    return ablation(vectors[rows], tuning, labels, tested, names, split.seed, config.n_test_folds)


def state_r2(model: Student | Teacher, task: CellTask) -> dict[str, float]:
    """Return how well each behavior channel can be read from the state of the population.

    A ridge regression on training frames, scored (R², pooled over sessions) on validation frames.
    A teacher is shown the behavior, so that its own is a reference and not a feat.
    """
    if not task.behavior_names:
        return {}
    device = torch.device("cpu")
    model.eval().to(device)
    x, y, known = _states(model, task.train_batches(4, 0, device))
    x_valid, y_valid, known_valid = _states(model, task.valid_batches())
    found = {}
    for i, name in enumerate(task.behavior_names):
        use, judged = known[:, i], known_valid[:, i]
        truth = y_valid[judged, i]
        if use.sum() > 1 and judged.sum() > 1 and truth.std() > 0:
            error = truth - Ridge(1.0).fit(x[use], y[use, i]).predict(x_valid[judged])
            found[name] = float(1 - np.square(error).sum() / np.square(truth - truth.mean()).sum())
    return found


@torch.no_grad()
def _states(model: Student | Teacher, batches: Iterable[Batch]) -> list[NDArray[Any]]:
    """Return the population's state, behavior and whether that is known, a row a frame."""
    rows = []
    for batch in batches:
        assert batch.behavior is not None
        state = output_of(model, batch, [LAYER]).features[LAYER]
        each = (state, batch.behavior.values, batch.behavior.present)
        rows.append([part.flatten(0, 1) for part in each])
    return [torch.cat(parts).numpy() for parts in zip(*rows, strict=True)]
