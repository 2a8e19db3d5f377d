"""One fit's vectors, cell by cell, and what classifiers make of them.

Shape legend: ``C`` cells, ``F`` features, ``E`` features of an embedding, ``D`` behavior channels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from neuroblend.data.calcium.session import CalciumSession
from neuroblend.distill.objective import output_of
from neuroblend.experiments.identity.cells import Cells
from neuroblend.experiments.identity.classify import classify
from neuroblend.experiments.identity.contrast import contrastive_vectors
from neuroblend.experiments.identity.features import (
    activity_profile,
    hand_features,
    mean_by_cell,
    principal_components,
)
from neuroblend.experiments.identity.metrics import scores
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.experiments.identity.split import NeuronSplit
from neuroblend.experiments.identity.task import CellTask
from neuroblend.experiments.identity.tuning import ablation, tuning_of
from neuroblend.privilege.roles import Student, Teacher

LAYER = "state"  # what is distilled and read out: features of the population's state
N_COMPONENTS = 32  # of activity profiles


def measured(
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


def classified(
    vectors: NDArray[np.float32],
    cells: Cells,
    split: NeuronSplit,
    config: IdentityConfig,
    seed: int,
    out: Path,
) -> dict[str, Any]:
    """Classify cells by each kind of label; store predictions in ``out`` and return scores."""
    tested = split.is_tested(cells.names)
    test: dict[str, float] = {}
    valid: dict[str, float] = {}
    chosen: dict[str, list[str]] = {}
    repeats = 1 if config.data.animals else config.data.repeats
    for kind in cells.kinds:
        rows, labels = cells.labelled(kind)
        found = classify(vectors[rows], labels, tested[rows], seed, config.n_test_folds, repeats)
        found.save(out / f"{kind}.h5")
        each = scores(found.truth, found.probability, found.classes)
        test |= {cells.prefix(kind) + name: float(value[0]) for name, value in each.items()}
        valid[kind], chosen[kind] = found.valid, found.chosen
    known = {name: value for name, value in test.items() if np.isfinite(value)}
    return {"test": known, "valid": valid, "classifiers": chosen}


def ablated(
    vectors: NDArray[np.float32],
    cells: Cells,
    split: NeuronSplit,
    config: IdentityConfig,
    task: CellTask,
) -> dict[str, Any]:
    """Return macro-F1 of the deciding kind of label without what vectors share with behavior."""
    rows, labels = cells.labelled(cells.kinds[0])
    tested = split.is_tested(cells.names)[rows]
    tuning = tuning_of(task)[rows]
    names, n_folds = task.behavior_names, config.n_test_folds
    return ablation(vectors[rows], tuning, labels, tested, names, split.seed, n_folds)


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
