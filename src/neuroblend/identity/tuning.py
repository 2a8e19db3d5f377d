"""How strongly the activity that a network predicts for a cell follows each channel of behavior.

Shape legend: ``C`` cells, ``E`` features of an embedding, ``D`` behavior channels, ``T`` frames,
``N`` neurons.

One number a cell and channel: all that the network says of the cell in terms of that channel alone.
How well classes are told from it shows which behavior they are told by.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from neuroblend.identity.classify import CANDIDATES, classify
from neuroblend.identity.embed import called_with
from neuroblend.identity.metrics import scores
from neuroblend.identity.task import CellTask, Frames
from neuroblend.privilege.roles import Student, Teacher

FEW = {name: make for name, make in CANDIDATES.items() if name == "kNN(k=15)"}
N_SHUFFLES = 50


def channel_tuning(
    model: Student | Teacher, task: CellTask, vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (C, D) correlations of predicted activity with behavior, the mean over sessions.

    A student predicts from activity alone; behavior is looked at afterwards. 0 where a prediction
    or a channel does not vary.

    Args:
        model: A trained model.
        task: The cells, with all their frames.
        vectors: (C, E) embeddings of all cells.
    """
    total = np.zeros((len(task.cells), len(task.behavior_names)))
    n_sessions = np.zeros(len(task.cells))
    device = next(model.parameters()).device
    with torch.no_grad(), called_with(model, torch.from_numpy(vectors).to(device)) as fresh:
        for frames in task.sessions:
            neurons = frames.neurons.numpy()
            fresh.fold(len(neurons), 0)
            total[neurons] += _correlations(model, frames, task.window, device)
            n_sessions[neurons] += 1
    return (total / np.maximum(n_sessions, 1)[:, None]).astype(np.float32)


def _correlations(
    model: Student | Teacher, frames: Frames, window: int, device: torch.device
) -> NDArray[np.float64]:
    """Return (N, D) correlations of one session, over as many frames as whole windows hold."""
    assert frames.behavior is not None and frames.present is not None
    starts = window * torch.arange(len(frames.activity) // window)
    batch = frames.windows(starts, window).to(device)
    predicted = model(batch).flatten(0, 1).double().cpu().numpy()
    values = frames.behavior[: len(predicted)].double().numpy()
    present = frames.present[: len(predicted)].numpy()
    found = np.zeros((predicted.shape[1], values.shape[1]))
    for i in range(values.shape[1]):
        x, y = predicted[present[:, i]], values[present[:, i], i]
        if len(y) < 2:
            continue
        x, y = x - x.mean(axis=0), y - y.mean()
        size = np.sqrt(np.square(x).sum(axis=0) * np.square(y).sum())
        found[:, i] = np.divide(y @ x, size, out=np.zeros(len(size)), where=size > 1e-9 * len(y))
    return found


def told_by(
    tuning: NDArray[np.float32], labels: NDArray[np.str_], tested: NDArray[np.bool_], seed: int
) -> tuple[float, float]:
    """Return the macro-F1 of telling classes by one channel, and what shuffled labels give.

    Args:
        tuning: (n,) of each labelled cell, to that channel.
        labels: (n,) class of each.
        tested: (n,) which to predict.
        seed: Any non-negative integer.
    """
    found = classify(tuning[:, None], labels, tested, seed, n_repeats=1, candidates=FEW)
    reached = scores(found.truth, found.probability, found.classes)["macro_f1"][0]
    rng = np.random.default_rng([seed, 52])
    shuffled = [
        scores(rng.permutation(found.truth), found.probability, found.classes)["macro_f1"][0]
        for _ in range(N_SHUFFLES)
    ]
    return float(reached), float(np.mean(shuffled))
