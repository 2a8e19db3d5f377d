"""Scores of predicted classes as pure array functions, from counts that a bootstrap can weigh.

Shape legend: ``m`` tested cells, ``C`` classes, ``R`` repeats of the prediction, ``B`` bootstrap
replicates. ``truth`` is (m,) the index of each cell's class, ``probability`` (R, m, C) what is
predicted, of any scale, and ``weights`` (B, m) how often each replicate draws each cell. ``None``
is every cell once, and every score then has shape (1,). Of classes that are equally probable the
first counts as the likelier one.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.evaluation.metrics import mean_of_known

Floats = NDArray[np.float64]


def scores(
    truth: NDArray[np.integer],
    probability: NDArray[np.floating],
    classes: Sequence[str] | NDArray[np.str_],
    weights: Floats | None = None,
) -> dict[str, Floats]:
    """Return scores by name, each (B,), means over repeats.

    ``top1`` and ``top2`` are fractions of cells whose class is the likeliest, or one of the
    likeliest two. ``recall/<class>`` is the fraction of a class's cells that are found, NaN in a
    replicate that draws none. ``balanced_accuracy`` and ``macro_f1`` are means of recall and F1
    over the classes of which the replicate draws a cell. (scikit-learn has macro-F1 include classes
    that are predicted and have no cell, as zeros; the number of classes would then depend on the
    predictions.) ``classes`` are (C,) names.
    """
    w = np.ones((1, truth.size)) if weights is None else np.asarray(weights, dtype=np.float64)
    n = w.sum(axis=1)
    counts = _counts(truth, probability, w)
    hits = np.diagonal(counts, axis1=2, axis2=3)  # (B, R, C)
    true, predicted = counts.sum(axis=3), counts.sum(axis=2)
    likeliest = np.argsort(-probability, axis=2, kind="stable")[:, :, :2]
    in_two = (likeliest == truth[None, :, None]).any(axis=2).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = (hits / np.where(true > 0, true, np.nan)).mean(axis=1)
        f1 = np.where(true > 0, 2 * hits / (true + predicted), np.nan)
        top1 = hits.sum(axis=2).mean(axis=1) / np.where(n > 0, n, np.nan)
        top2 = (w @ in_two) / np.where(n > 0, n, np.nan)
    f1_of_repeats = [mean_of_known(f1[:, r]) for r in range(f1.shape[1])]
    return {
        "top1": top1,
        "top2": top2,
        "macro_f1": np.mean(f1_of_repeats, axis=0),
        "balanced_accuracy": mean_of_known(recall),
        **{f"recall/{name}": recall[:, c] for c, name in enumerate(classes)},
    }


def confusion(truth: NDArray[np.integer], probability: NDArray[np.floating]) -> Floats:
    """Return (C, C) cells of a true class (row) that are called each class, means over repeats."""
    return _counts(truth, probability, np.ones((1, truth.size)))[0].mean(axis=0)


def majority_rate(labels: ArrayLike) -> float:
    """Return the fraction of the most common of (n,) labels, or of class indices."""
    counts = np.unique(np.asarray(labels), return_counts=True)[1]
    return float(counts.max() / counts.sum())


def _counts(
    truth: NDArray[np.integer], probability: NDArray[np.floating], weights: Floats
) -> Floats:
    """Return (B, R, C, C) weighed counts of true class (row) and predicted class (column)."""
    n_repeats, n_cells, n_classes = probability.shape
    entry = truth * n_classes + probability.argmax(axis=2)  # (R, m), of equals the first
    one_hot = np.zeros((n_cells, n_repeats, n_classes**2))
    one_hot[np.arange(n_cells)[:, None], np.arange(n_repeats), entry.T] = 1
    counts = weights @ one_hot.reshape(n_cells, -1)
    return counts.reshape(len(weights), n_repeats, n_classes, n_classes)
