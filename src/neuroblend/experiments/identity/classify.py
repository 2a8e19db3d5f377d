"""Classifiers of cells by their vectors, chosen without a look at tested cells.

Shape legend: ``n`` labelled cells, ``m`` tested ones of them, ``F`` features, ``C`` classes, ``R``
repeats.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroblend.errors import InputError
from neuroblend.experiments.identity.metrics import scores
from neuroblend.files import write_whole

N_INNER_FOLDS = 3
PRIOR_WEIGHT = 1e-5  # of class frequencies in a prediction: enough to order classes that tie

Maker = Callable[[int, int], Any]  # from the number of cells to learn from and a seed


def _knn(k: int, n_learning: int, seed: int) -> Any:
    return KNeighborsClassifier(n_neighbors=min(k, n_learning), weights="distance")


def _logistic(c: float, n_learning: int, seed: int) -> Any:
    return LogisticRegression(C=c, max_iter=200)


def _mlp(n_learning: int, seed: int) -> Any:
    return MLPClassifier((64,), alpha=1.0, max_iter=200, random_state=seed)


CANDIDATES: dict[str, Maker] = {  # of equals the first is chosen
    **{f"logistic(C={c:g})": partial(_logistic, c) for c in (0.003, 0.03, 0.3, 3.0)},
    **{f"kNN(k={k})": partial(_knn, k) for k in (15, 5)},
    "MLP(alpha=1)": _mlp,
}


@dataclass(frozen=True, eq=False)
class Classified:
    """What classifiers predict for tested cells: all that scores need.

    Attributes:
        classes: (C,) names, sorted.
        index: (m,) which of the given cells were tested, ascending.
        truth: (m,) index of each one's class.
        probability: (R, m, C) float32, predicted; each cell once a repeat.
        chosen: Names of the classifiers, one a repeat, or one a repeat and fold where the choice
            had to be made in each fold.
        valid: Mean validation score of the chosen, that is of top-1 and macro-F1.
    """

    classes: NDArray[np.str_]
    index: NDArray[np.int64]
    truth: NDArray[np.int64]
    probability: NDArray[np.float32]
    chosen: list[str]
    valid: float

    def save(self, path: str | Path) -> None:
        """Write an HDF5 file that appears whole or not at all."""

        def write(partial_path: Path) -> None:
            with h5py.File(partial_path, "w") as file:
                for name in ("index", "truth", "probability", "chosen"):
                    file[name] = getattr(self, name)
                file["classes"] = self.classes.tolist()
                file.attrs["valid"] = self.valid

        write_whole(path, write)

    @classmethod
    def load(cls, path: str | Path) -> Classified:
        """Return what :meth:`save` wrote.

        Raises:
            InputError: The file is missing, damaged, or of another kind.
        """
        try:
            with h5py.File(path, "r") as file:
                return cls(
                    classes=file["classes"].asstr()[:].astype(np.str_),
                    index=file["index"][:],
                    truth=file["truth"][:],
                    probability=file["probability"][:],
                    chosen=file["chosen"].asstr()[:].tolist(),
                    valid=float(file.attrs["valid"]),
                )
        except (OSError, KeyError) as error:
            raise InputError(f"{path}: cannot be read as predicted classes ({error})") from None


def classify(
    vectors: NDArray[np.floating],
    labels: NDArray[np.str_],
    tested: NDArray[np.bool_],
    seed: int,
    n_folds: int = 5,
    n_repeats: int = 2,
    candidates: Mapping[str, Maker] | None = None,
) -> Classified:
    """Predict the class of each tested cell ``n_repeats`` times; the same seed, the same result.

    In each repeat, tested cells are dealt into folds, stratified by class, and a fold is predicted
    from all cells that are not in it. The classifier is chosen by stratified cross-validation among
    the cells to learn from, on the mean of top-1 and macro-F1: once a repeat, among cells that are
    not tested, where these hold every class; in each fold where they do not.

    Args:
        vectors: (n, F) description of each labelled cell, one row a cell.
        labels: (n,) class of each.
        tested: (n,) which to predict.
        seed: Any non-negative integer.
        n_folds: Folds of tested cells; fewer where no class has as many tested cells. With one,
            tested cells are predicted from the others alone.
        n_repeats: How often folds are drawn.
        candidates: What is chosen from; ``CANDIDATES`` where ``None``.

    Raises:
        InputError: Vectors are not finite, no cell is tested, or those to learn from are of fewer
            than two classes.
    """
    candidates = candidates or CANDIDATES
    every: NDArray[np.float64] = np.asarray(vectors, dtype=np.float64)
    classes, truth = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    index, untested = np.flatnonzero(tested), np.flatnonzero(~np.asarray(tested))
    n_bad = truth.size - int(np.isfinite(every).all(axis=1).sum())
    if n_bad:
        raise InputError(
            f"vectors: not finite for {n_bad} of {truth.size} cells, wanted finite numbers"
        )
    _check_classes(classes[truth])
    if not index.size:
        raise InputError(f"tested cells: found none among {truth.size} labelled cells, wanted some")
    n_folds = min(n_folds, int(np.bincount(truth[index]).max()))
    probability = np.zeros((n_repeats, index.size, classes.size), dtype=np.float32)
    choices: list[tuple[str, float]] = []
    for repeat in range(n_repeats):
        rng = np.random.default_rng([seed, 41, repeat])
        fold = _deal(truth[index], n_folds, rng)
        once = np.unique(truth[untested]).size == classes.size
        if once:
            choices.append(_choose(candidates, every[untested], truth[untested], classes, rng))
        for k in range(n_folds):
            learning = np.concatenate([untested, index[fold != k]])
            x, y = every[learning], truth[learning]
            if not once:
                _check_classes(classes[y])
                choices.append(_choose(candidates, x, y, classes, rng))
            state, make = int(rng.integers(2**31)), candidates[choices[-1][0]]
            asked = every[index[fold == k]]
            probability[repeat, fold == k] = _predict(make, x, y, asked, classes.size, state)
    chosen, valid = zip(*choices, strict=True)
    return Classified(
        classes, index, truth[index], probability, list(chosen), float(np.mean(valid))
    )


def _check_classes(labels: NDArray[np.str_]) -> None:
    names, counts = np.unique(labels, return_counts=True)
    if names.size < 2:
        found = f"{counts[0]} of {names[0]} alone" if names.size else "none"
        raise InputError(f"cells to learn from: found {found}, wanted 2 or more classes")


def _deal(truth: NDArray[np.int64], n_folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (n,) folds, each with the same number of every class, give or take one."""
    order = rng.permutation(truth.size)
    order = order[np.argsort(truth[order], kind="stable")]
    fold = np.empty(truth.size, dtype=np.int64)
    fold[order] = np.arange(truth.size) % n_folds
    return fold


def _choose(
    candidates: Mapping[str, Maker],
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    classes: NDArray[np.str_],
    rng: np.random.Generator,
) -> tuple[str, float]:
    """Return the candidate that does best in cross-validation among (n, F) cells, and its score."""
    fold = _deal(y, max(2, min(N_INNER_FOLDS, int(np.bincount(y).max()))), rng)
    state = int(rng.integers(2**31))
    best, best_score = "", -np.inf
    for name, make in candidates.items():
        probability = np.zeros((1, y.size, classes.size))
        for k in range(fold.max() + 1):
            held, rest = fold == k, fold != k
            probability[0, held] = _predict(make, x[rest], y[rest], x[held], classes.size, state)
        reached = scores(y, probability, classes)
        score = float(reached["top1"][0] + reached["macro_f1"][0]) / 2
        if score > best_score:
            best, best_score = name, score
    return best, best_score


def _predict(
    make: Maker,
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    asked: NDArray[np.float64],
    n_classes: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return (k, C) probabilities of (k, F) cells, learned from (n, F) cells of (n,) classes."""
    prior = np.bincount(y, minlength=n_classes) / y.size
    probability = np.tile(prior, (len(asked), 1))
    if prior.max() == 1:  # one class to learn from: nothing to fit
        return probability
    model = make_pipeline(StandardScaler(), make(y.size, seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    predicted = model.predict_proba(asked)
    probability *= PRIOR_WEIGHT
    probability[:, model.classes_] += (1 - PRIOR_WEIGHT) * predicted
    return probability
