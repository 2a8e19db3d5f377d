"""Velocity decoding as the Neural Latents Benchmark '21 scores it: a grid search over ridges.

The choice and the score are those of scikit-learn's ``GridSearchCV`` of ``Ridge``, which the
benchmark's evaluator (nlb_tools 0.0.4; Pei, Ye et al. 2021) fits 46 times a decoder.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels, ``M`` decode masks,
``S`` samples (bins of all trials, one after the other), ``A`` ridge penalties. Rates are in
counts/bin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError
from neuroblend.nlb.arrays import Bools, Floats

PENALTIES = np.logspace(-4, 0, 9)
N_FOLDS = 5


def velocity_r2(
    train_rates: NDArray[np.floating],
    train_behavior: NDArray[np.floating],
    eval_rates: NDArray[np.floating],
    eval_behavior: NDArray[np.floating],
    train_mask: NDArray[Any] | None = None,
    eval_mask: NDArray[Any] | None = None,
) -> float:
    """Return the R² of behavior that is decoded from rates by ridge regression.

    Pei, Ye et al. 2021. The penalty is the one of nine with the best mean R² over five contiguous
    folds of the training samples, the smallest among equals, as scikit-learn's ``GridSearchCV`` of
    ``Ridge`` chooses it; R² is the mean over channels and then over masks. Unlike there, each fold
    is summed up once, and all nine fits of a fold come from one eigendecomposition.

    Args:
        train_rates: (B, T, N) counts/bin.
        train_behavior: (B, T, D); bins with NaN are left out.
        eval_rates: (B', T, N) counts/bin.
        eval_behavior: (B', T, D); bins with NaN are left out.
        train_mask: (B, M) which trials each of M decoders is fitted to; all to one if ``None``.
        eval_mask: (B', M) which trials each of them is scored on.

    Raises:
        InputError: A decoder has fewer than five samples to fit or two to be scored on, or a rate
            in a bin with behavior is not finite.
    """
    train_masks = _masks(train_mask, len(train_behavior))
    eval_masks = _masks(eval_mask, len(eval_behavior))
    if len(train_masks) != len(eval_masks):
        raise InputError(
            f"decode masks: found {len(train_masks)} for training and {len(eval_masks)} for "
            "evaluation, wanted as many"
        )
    if np.shape(train_rates)[2] != np.shape(eval_rates)[2]:
        raise InputError(
            f"rates: found {np.shape(train_rates)[2]} neurons in training and "
            f"{np.shape(eval_rates)[2]} in evaluation, wanted as many"
        )
    scores = []
    for train, evaluated in zip(train_masks, eval_masks, strict=True):
        ridge = _chosen_ridge(*_samples(train_rates, train_behavior, train, N_FOLDS))
        scores.append(ridge.r2(*_samples(eval_rates, eval_behavior, evaluated, 2))[0])
    return float(np.mean(scores))


def _masks(mask: NDArray[Any] | None, n_trials: int) -> Bools:
    """Return (M, B) which trials belong to each decoder."""
    if mask is None:
        return np.ones((1, n_trials), bool)
    if np.ndim(mask) != 2 or len(mask) != n_trials:
        raise InputError(
            f"decode masks: found shape {np.shape(mask)}, wanted a row for each of the {n_trials} "
            "trials of behavior"
        )
    return np.asarray(mask, dtype=bool).T


def _samples(
    rates: NDArray[np.floating], behavior: NDArray[np.floating], trials: Bools, fewest: int
) -> tuple[Floats, Floats]:
    """Return (S, N) rates and (S, D) behavior of the bins of ``trials`` in which it is known."""
    if np.shape(rates)[:2] != np.shape(behavior)[:2]:
        raise InputError(
            f"rates: found shape {np.shape(rates)}, wanted the trials and bins of behavior, "
            f"{np.shape(behavior)}"
        )
    x, y = (np.asarray(a)[() if trials.all() else trials] for a in (rates, behavior))
    x = np.asarray(x, dtype=np.float64).reshape(-1, x.shape[-1])
    y = np.asarray(y, dtype=np.float64).reshape(-1, y.shape[-1])
    known = ~np.isnan(y).any(axis=1)
    if not known.all():
        x, y = x[known], y[known]
    if len(x) < fewest:
        raise InputError(f"behavior: known in {len(x)} bins of a decode mask, wanted {fewest}")
    if not np.isfinite(x).all():
        raise InputError(f"rates: {(~np.isfinite(x)).sum()} are NaN or infinite where behavior is")
    return x, y


@dataclass(frozen=True, eq=False)
class _Ridge:
    """Ridge regressions that differ in their penalty.

    Attributes:
        slopes: (N, A, D) behavior units per count/bin.
        offsets: (A, D) behavior units.
    """

    slopes: Floats
    offsets: Floats

    def r2(self, x: Floats, y: Floats) -> Floats:
        """Return (A,) R² of (S, D) behavior from (S, N) rates, mean over channels."""
        n_neurons, n_penalties, n_channels = self.slopes.shape
        decoded = x @ self.slopes.reshape(n_neurons, -1) + self.offsets.ravel()
        true = np.tile(y, n_penalties)
        return multi_r2(true, decoded).reshape(n_penalties, n_channels).mean(axis=1)


@dataclass(frozen=True, eq=False)
class _Moments:
    """What a regression needs of S samples: their number, sums and sums of products."""

    n: int
    x: Floats  # (N,)
    y: Floats  # (D,)
    xx: Floats  # (N, N)
    xy: Floats  # (N, D)

    @classmethod
    def of(cls, x: Floats, y: Floats) -> _Moments:
        return cls(len(x), x.sum(0), y.sum(0), x.T @ x, x.T @ y)

    def plus(self, other: _Moments, sign: int = 1) -> _Moments:
        return _Moments(
            self.n + sign * other.n,
            self.x + sign * other.x,
            self.y + sign * other.y,
            self.xx + sign * other.xx,
            self.xy + sign * other.xy,
        )

    def ridge(self, penalties: Floats) -> _Ridge:
        """Fit one regression a penalty; the offset is not penalised."""
        mean_x, mean_y = self.x / self.n, self.y / self.n
        gram = self.xx - self.n * np.outer(mean_x, mean_x)
        values, vectors = np.linalg.eigh(gram)
        turned = vectors.T @ (self.xy - self.n * np.outer(mean_x, mean_y))
        shrunk = turned[:, None] / (values.clip(min=0)[:, None, None] + penalties[:, None])
        slopes = np.einsum("nk,kad->nad", vectors, shrunk, optimize=True)
        return _Ridge(slopes, mean_y - np.einsum("n,nad->ad", mean_x, slopes))


def _chosen_ridge(x: Floats, y: Floats) -> _Ridge:
    """Fit (S, D) behavior to (S, N) rates with the penalty that five contiguous folds choose."""
    centre_x, centre_y = x.mean(axis=0), y.mean(axis=0)  # products of centred values lose no digits
    folds = list(
        zip(*(np.array_split(a, N_FOLDS) for a in (x - centre_x, y - centre_y)), strict=True)
    )
    parts = [_Moments.of(*fold) for fold in folds]
    whole = reduce(_Moments.plus, parts)
    r2 = [
        whole.plus(part, -1).ridge(PENALTIES).r2(*fold)
        for fold, part in zip(folds, parts, strict=True)
    ]
    best = int(np.argmax(np.mean(r2, axis=0)))
    chosen = whole.ridge(PENALTIES[[best]])
    shift = centre_y - np.einsum("n,nad->ad", centre_x, chosen.slopes)
    return _Ridge(chosen.slopes, chosen.offsets + shift)


def multi_r2(true: Floats, predicted: Floats) -> Floats:
    """Return (D,) R² of (S, D) values: of a constant 1 where it is met and else 0, as sklearn's."""
    errors = ((true - predicted) ** 2).sum(axis=0)
    spread = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    if len(true) < 2:
        return np.full(errors.shape, np.nan)
    varies = spread != 0
    of_constant = np.where(errors == 0, 1.0, 0.0)
    return np.where(varies, 1 - errors / np.where(varies, spread, 1), of_constant)
