"""Classifiers of cells by their vectors, chosen without a look at tested cells.

Where a cell is described in several ways, how it is described is chosen in the same way.

Shape legend: ``n`` labelled cells, ``m`` tested ones of them, ``F`` features, ``C`` classes, ``R``
repeats.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from neuroblend.files import new_h5, write_whole

N_INNER_FOLDS = 3
PRIOR_WEIGHT = 1e-5  # of class frequencies in a prediction: enough to order classes that tie

Maker = Callable[[int, int], Any]  # from the number of cells to learn from and a seed
Described = Mapping[str, NDArray[np.floating]]  # (n, F) descriptions of the same cells, by name
Choice = tuple[str, str]  # names of a description and of a classifier


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
COSTLY = {"MLP(alpha=1)"}  # tried on the description alone that does best without


@dataclass(frozen=True, eq=False)
class Classified:
    """What classifiers predict for tested cells: all that scores need.

    Attributes:
        classes: (C,) names, sorted.
        index: (m,) which of the given cells were tested, ascending.
        truth: (m,) index of each one's class.
        probability: (R, m, C) float32, predicted; each cell once a repeat.
        chosen: Names of the classifiers, one a repeat, or one a repeat and fold where the choice
            had to be made in each fold; with what they take, where there was a choice of that too.
        valid: Mean validation score of the chosen, that is of top-1 and macro-F1.
        alone: (R, m, C) float32, predicted from the first description alone; ``None`` where there
            is no other.
    """

    classes: NDArray[np.str_]
    index: NDArray[np.int64]
    truth: NDArray[np.int64]
    probability: NDArray[np.float32]
    chosen: list[str]
    valid: float
    alone: NDArray[np.float32] | None = None

    def scores(
        self, weights: NDArray[np.float64] | None = None, truth: NDArray[np.int64] | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """Return scores by name, as :func:`~neuroblend.experiments.identity.metrics.scores` does.

        ``embedding_f1`` is the macro-F1 of the first description alone, where there is another.
        ``truth`` is (m,) in the place of the true classes.
        """
        truth = self.truth if truth is None else truth
        found = scores(truth, self.probability, self.classes, weights)
        if self.alone is not None:
            found["embedding_f1"] = scores(truth, self.alone, self.classes, weights)["macro_f1"]
        return found

    @classmethod
    def joined(cls, parts: Sequence[Classified]) -> Classified:
        """Return the predictions of several folds of one arm and seed as one; all test others."""
        first = parts[0]
        alone = [part.alone for part in parts if part.alone is not None]
        return replace(
            first,
            index=np.concatenate([part.index for part in parts]),
            truth=np.concatenate([part.truth for part in parts]),
            probability=np.concatenate([part.probability for part in parts], axis=1),
            alone=np.concatenate(alone, axis=1) if len(alone) == len(parts) else None,
        )

    def save(self, path: str | Path) -> None:
        """Write an HDF5 file that appears whole or not at all."""

        def write(partial_path: Path) -> None:
            with new_h5(partial_path) as file:
                for name in ("index", "truth", "probability", "chosen", "alone"):
                    if getattr(self, name) is not None:
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
                    alone=file["alone"][:] if "alone" in file else None,
                )
        except (OSError, KeyError) as error:
            raise InputError(f"{path}: cannot be read as predicted classes ({error})") from None


def classify(
    vectors: NDArray[np.floating] | Described,
    labels: NDArray[np.str_],
    tested: NDArray[np.bool_],
    seed: int,
    n_folds: int = 5,
    n_repeats: int = 2,
    candidates: Mapping[str, Maker] | None = None,
) -> Classified:
    """Predict the class of each tested cell ``n_repeats`` times; the same seed, the same result.

    In each repeat, tested cells are dealt into folds, stratified by class, and a fold is predicted
    from all cells that are not in it. The classifier and, of several, the description that it takes
    are chosen by stratified cross-validation among the cells to learn from, on the mean of top-1
    and macro-F1: once a repeat, among cells that are not tested, where these hold every class; in
    each fold where they do not.

    Args:
        vectors: (n, F) description of each labelled cell, one row a cell; or several by name, of
            which the first is used alone too.
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
    described = vectors if isinstance(vectors, Mapping) else {"": vectors}
    every = {name: np.asarray(part, dtype=np.float64) for name, part in described.items()}
    first = next(iter(every))
    classes, truth = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    index, untested = np.flatnonzero(tested), np.flatnonzero(~np.asarray(tested))
    finite = np.all([np.isfinite(part).all(axis=1) for part in every.values()], axis=0)
    n_bad = truth.size - int(finite.sum())
    if n_bad:
        raise InputError(
            f"vectors: not finite for {n_bad} of {truth.size} cells, wanted finite numbers"
        )
    _check_classes(classes[truth])
    if not index.size:
        raise InputError(f"tested cells: found none among {truth.size} labelled cells, wanted some")
    n_folds = min(n_folds, int(np.bincount(truth[index]).max()))
    probability = np.zeros((n_repeats, index.size, classes.size), dtype=np.float32)
    alone = np.zeros_like(probability)
    choices: list[tuple[Choice, float]] = []
    validated: dict[Choice, float] = {}
    for repeat in range(n_repeats):
        rng = np.random.default_rng([seed, 41, repeat])
        fold = _deal(truth[index], n_folds, rng)
        once = np.unique(truth[untested]).size == classes.size
        if once:
            validated = _validated(candidates, every, untested, truth, classes, rng)
            choices.append(_best(validated))
        for k in range(n_folds):
            learning = np.concatenate([untested, index[fold != k]])
            if not once:
                _check_classes(classes[truth[learning]])
                validated = _validated(candidates, every, learning, truth, classes, rng)
                choices.append(_best(validated))
            state, asked = int(rng.integers(2**31)), index[fold == k]
            best, _ = choices[-1]
            own, _ = _best({key: v for key, v in validated.items() if key[0] == first})
            of_choice = {
                choice: _predict(
                    candidates[choice[1]],
                    every[choice[0]][learning],
                    truth[learning],
                    every[choice[0]][asked],
                    classes.size,
                    state,
                )
                for choice in {best, own}
            }
            probability[repeat, fold == k] = of_choice[best]
            alone[repeat, fold == k] = of_choice[own]
    chosen = [f"{make} of {part}" if len(every) > 1 else make for (part, make), _ in choices]
    return Classified(
        classes,
        index,
        truth[index],
        probability,
        chosen,
        float(np.mean([score for _, score in choices])),
        alone if len(every) > 1 else None,
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


def _best(validated: Mapping[Choice, float]) -> tuple[Choice, float]:
    """Return the choice that validates best, the first of equals, and its score."""
    best = max(validated, key=validated.__getitem__)
    return best, validated[best]


def _validated(
    candidates: Mapping[str, Maker],
    every: Mapping[str, NDArray[np.float64]],
    learning: NDArray[np.int64],
    truth: NDArray[np.int64],
    classes: NDArray[np.str_],
    rng: np.random.Generator,
) -> dict[Choice, float]:
    """Return what candidates reach on descriptions of the cells to learn from.

    Those that cost most are tried on one description, which does best by the others.
    """
    y = truth[learning]
    fold = _deal(y, max(2, min(N_INNER_FOLDS, int(np.bincount(y).max()))), rng)
    state = int(rng.integers(2**31))

    def reached(part: str, name: str) -> float:
        x, make = every[part][learning], candidates[name]
        probability = np.zeros((1, y.size, classes.size))
        for k in range(fold.max() + 1):
            held, rest = fold == k, fold != k
            probability[0, held] = _predict(make, x[rest], y[rest], x[held], classes.size, state)
        found = scores(y, probability, classes)
        return float(found["top1"][0] + found["macro_f1"][0]) / 2

    quick = [name for name in candidates if name not in COSTLY] or list(candidates)
    validated = {(part, name): reached(part, name) for part in every for name in quick}
    best, _ = _best(validated)
    costly = [name for name in candidates if name not in quick]
    return validated | {(best[0], name): reached(best[0], name) for name in costly}


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
