"""Which behavior cells are classified by: what embeddings hold of it, taken out again.

Shape legend: ``C`` cells, ``E`` features of an embedding, ``D`` behavior channels, ``T`` frames,
``N`` neurons.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.experiments.identity.classify import CANDIDATES, Maker, classify
from neuroblend.experiments.identity.metrics import scores
from neuroblend.experiments.identity.task import CellTask, Frames

LINEAR: Mapping[str, Maker] = {"logistic(C=0.03)": CANDIDATES["logistic(C=0.03)"]}


def tuning_of(task: CellTask) -> NDArray[np.float64]:
    """Return (C, D) correlations of each cell's activity with behavior, the mean over sessions.

    Sessions in which the cell or the channel does not vary take no part; a cell that has no others
    gets the mean of all cells, and 0 where there is none.
    """
    total = np.zeros((len(task.cells), len(task.behavior_names)))
    n_sessions = np.zeros(total.shape)
    for frames in task.sessions:
        neurons, found = frames.neurons.numpy(), _correlations(frames)
        total[neurons] += np.nan_to_num(found)
        n_sessions[neurons] += ~np.isnan(found)
    known = n_sessions > 0
    tuning = total / np.maximum(n_sessions, 1)
    mean = tuning.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, tuning, mean)


def _correlations(frames: Frames) -> NDArray[np.float64]:
    """Return (N, D) correlations of one session over frames whose behavior is known, else NaN."""
    assert frames.behavior is not None and frames.present is not None
    activity, values = frames.activity.double().numpy(), frames.behavior.double().numpy()
    present = frames.present.numpy()
    found = np.full((activity.shape[1], values.shape[1]), np.nan)
    for i in range(values.shape[1]):
        x, y = activity[present[:, i]], values[present[:, i], i]
        if len(y) > 1:
            x, y = x - x.mean(axis=0), y - y.mean()
            size = np.sqrt(np.square(x).sum(axis=0) * np.square(y).sum())
            varies = size > 1e-9 * len(y)
            np.divide(y @ x, size, out=found[:, i], where=varies)
    return found


def ablation(
    vectors: NDArray[np.floating],
    tuning: NDArray[np.float64],
    labels: NDArray[np.str_],
    tested: NDArray[np.bool_],
    names: tuple[str, ...],
    seed: int,
    n_folds: int,
) -> dict[str, Any]:
    """Return how well a linear classifier does with and without what is shared with behavior.

    What embeddings share with a channel is their linear regression on the tuning to it, over all
    of these cells and blind to their labels. ``vectors`` are (n, E) embeddings of the labelled
    cells, ``tuning`` (n, D) that of each, as :func:`tuning_of` gives it, and ``names`` (D,) the
    channels; the others are those of
    :func:`~neuroblend.experiments.identity.classify.classify`.

    Returns:
        Macro-F1: ``full``, ``without_all`` channels, and ``without`` each.
    """

    def reached(left: NDArray[np.floating]) -> float:
        found = classify(left, labels, tested, seed, n_folds, 1, LINEAR)
        return float(scores(found.truth, found.probability, found.classes)["macro_f1"][0])

    return {
        "full": reached(vectors),
        "without_all": reached(residual(vectors, tuning)),
        "without": {
            name: reached(residual(vectors, tuning[:, [i]])) for i, name in enumerate(names)
        },
    }


def residual(vectors: NDArray[np.floating], known: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (n, E) vectors less their linear regression on (n, K) ``known`` numbers."""
    design = np.column_stack([np.ones(len(known)), known])
    weights, *_ = np.linalg.lstsq(design, vectors, rcond=None)
    return vectors - design @ weights
