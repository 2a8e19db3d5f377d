"""Scores of angles, categories and events, from sums over trials; see :mod:`metrics`.

Shape legend: ``B`` trials, ``T`` bins, ``D`` channels of one kind, ``K`` categories (the most that
a channel has), ``H`` bins of a histogram, ``R`` bootstrap replicates. ``weights`` is (R, B).
Samples whose true value is NaN take no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, xlogy

Floats = NDArray[np.float64]

N_RANKS = 200  # bins of a histogram of decision values
SMALLEST_COUNT = 1e-9  # expected in a bin, for one of 0


@dataclass(frozen=True, eq=False)
class CircularSums:
    """What scores of angles are made of.

    Attributes:
        n: (B, D) samples.
        cosine: (B, D) sum of the cosines of true angles.
        sine: (B, D) sum of their sines.
        apart: (B, D) sum of one minus the cosine of the error.
        error: (B, D) sum of absolute errors in radians.
    """

    n: Floats
    cosine: Floats
    sine: Floats
    apart: Floats
    error: Floats

    @classmethod
    def of(cls, decoded: NDArray[np.floating], true: NDArray[np.floating]) -> CircularSums:
        """Sum over the bins of (B, T, D) angles in radians."""
        known = ~np.isnan(true)
        angle = np.where(known, true, 0.0).astype(np.float64)
        off = np.where(known, decoded - angle, 0.0)
        off = np.abs(np.arctan2(np.sin(off), np.cos(off)))
        return cls(
            known.sum(1, dtype=np.float64),
            np.where(known, np.cos(angle), 0.0).sum(1),
            np.where(known, np.sin(angle), 0.0).sum(1),
            (1 - np.cos(off)).sum(1),
            off.sum(1),
        )

    def skill(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) ``1 - mean(1 - cos error) / (1 - R)``.

        ``R`` is the resultant length of the true angles, so that their mean direction scores 0.
        """
        w = _weights(weights, len(self.n))
        with np.errstate(invalid="ignore", divide="ignore"):
            n = w @ self.n
            spread = n - np.hypot(w @ self.cosine, w @ self.sine)
            skill: Floats = 1 - (w @ self.apart) / np.where(spread > 1e-9 * n, spread, np.nan)
        return skill

    def degrees(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) mean absolute errors in degrees; 90 where directions are uniform."""
        w = _weights(weights, len(self.n))
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = np.degrees((w @ self.error) / (w @ self.n))
        return found


@dataclass(frozen=True, eq=False)
class DiscreteSums:
    """What scores of categories are made of.

    Attributes:
        confusion: (B, D, K, K) samples by true category and the one that was decoded.
        log_likelihood: (B, D) of the true category in nats.
        ranks: (B, D, 2, H) samples of each of two categories by the rank, among all that were
            tested, of the odds of the second; all 0 for a channel with more categories.
    """

    confusion: Floats
    log_likelihood: Floats
    ranks: Floats

    @classmethod
    def of(
        cls,
        decoded: NDArray[np.floating],
        log_probabilities: list[Floats],
        true: NDArray[np.floating],
    ) -> DiscreteSums:
        """Sum over bins.

        Args:
            decoded: (B, T, D) numbers of categories.
            log_probabilities: D of them, (B, T, K of that channel).
            true: (B, T, D) numbers of categories.
        """
        n_trials, _, n_channels = true.shape
        most = max(log.shape[2] for log in log_probabilities)
        confusion = np.zeros((n_trials, n_channels, most, most))
        likelihood = np.zeros((n_trials, n_channels))
        ranks = np.zeros((n_trials, n_channels, 2, N_RANKS))
        for d, log in enumerate(log_probabilities):
            b, t = np.nonzero(~np.isnan(true[:, :, d]))
            truth, found = true[b, t, d].astype(int), decoded[b, t, d].astype(int)
            confusion[:, d] = _counted((b, truth, found), (n_trials, most, most))
            likelihood[:, d] = np.bincount(b, log[b, t, truth], minlength=n_trials)
            if log.shape[2] == 2:
                rank = _rank(log[b, t, 1] - log[b, t, 0])
                ranks[:, d] = _counted((b, truth, rank), (n_trials, 2, N_RANKS))
        return cls(confusion, likelihood, ranks)

    def balanced_accuracy(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) mean over the categories that were tested of how many were recognised."""
        confusion = self._confusion(weights)
        n = confusion.sum(axis=3)
        recall = np.diagonal(confusion, axis1=2, axis2=3) / np.where(n > 0, n, 1.0)
        found: Floats = recall.sum(axis=2) / _nan_for_0((n > 0).sum(axis=2))
        return found

    def chance(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) balanced accuracy of guesses: one over the categories that were tested."""
        found: Floats = 1 / _nan_for_0((self._confusion(weights).sum(axis=3) > 0).sum(axis=2))
        return found

    def balanced_skill(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) balanced accuracy, 0 at chance and 1 where all is right."""
        chance = self.chance(weights)
        found: Floats = (self.balanced_accuracy(weights) - chance) / _nan_for_0(1 - chance)
        return found

    def gain(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) bits a sample above always giving each category its share of samples."""
        found: Floats = self._gain(weights)[0] / np.log(2)
        return found

    def gain_fraction(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) the same, over the entropy of those shares."""
        gain, entropy = self._gain(weights)
        found: Floats = gain / _nan_for_0(entropy)
        return found

    def auc(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) areas under the ROC curve, ties counting half.

        NaN for a channel with more than two categories, or where one was not tested. Ranks are
        fractions of what one fit tested, so that folds, which differ in calibration and size, are
        not mixed up.
        """
        w = _weights(weights, len(self.ranks))
        shape = self.ranks.shape[1:]
        first, second = np.moveaxis((w @ self._flat(self.ranks)).reshape(-1, *shape), 2, 0)
        below = first.cumsum(axis=2) - first / 2
        pairs = first.sum(axis=2) * second.sum(axis=2)
        found: Floats = (second * below).sum(axis=2) / _nan_for_0(pairs)
        return found

    def _gain(self, weights: Floats | None) -> tuple[Floats, Floats]:
        """Return (R, D) nats a sample gained, and of entropy."""
        w = _weights(weights, len(self.log_likelihood))
        n = self._confusion(weights).sum(axis=3)
        total = _nan_for_0(n.sum(axis=2))
        entropy = entr(n / total[:, :, None]).sum(axis=2)
        return entropy + (w @ self.log_likelihood) / total, entropy

    def _confusion(self, weights: Floats | None) -> Floats:
        w = _weights(weights, len(self.confusion))
        return (w @ self._flat(self.confusion)).reshape(-1, *self.confusion.shape[1:])

    @staticmethod
    def _flat(values: Floats) -> Floats:
        return values.reshape(len(values), -1)


@dataclass(frozen=True, eq=False)
class EventSums:
    """What scores of events are made of.

    Attributes:
        log_likelihood: (B, D) Poisson, in nats, without the factorials.
        counts: (B, D) events.
        n: (B, D) bins.
        saturated: (B, D) the log-likelihood of rates that are the counts.
    """

    log_likelihood: Floats
    counts: Floats
    n: Floats
    saturated: Floats

    @classmethod
    def of(cls, expected: NDArray[np.floating], true: NDArray[np.floating]) -> EventSums:
        """Sum over the bins of (B, T, D) expected and true counts."""
        known = ~np.isnan(true)
        counts = np.where(known, true, 0.0).astype(np.float64)
        rate = np.maximum(np.where(known, expected, 1.0), SMALLEST_COUNT)
        of_rate = np.where(known, xlogy(counts, rate) - rate, 0.0)
        return cls(
            of_rate.sum(1),
            counts.sum(1),
            known.sum(1, dtype=np.float64),
            (xlogy(counts, counts) - counts).sum(1),
        )

    def bits(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) bits an event above a rate that is the mean; NaN without events."""
        w = _weights(weights, len(self.n))
        found: Floats = self._gain(w)[0] / _nan_for_0(w @ self.counts) / np.log(2)
        return found

    def deviance_explained(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) fraction of the Poisson deviance from the mean that is explained."""
        gain, most = self._gain(_weights(weights, len(self.n)))
        found: Floats = gain / _nan_for_0(most)
        return found

    def _gain(self, w: Floats) -> tuple[Floats, Floats]:
        """Return (R, D) nats above the mean rate, and what rates as counts would gain."""
        counts, n = w @ self.counts, _nan_for_0(w @ self.n)
        null = xlogy(counts, counts / n) - counts
        return w @ self.log_likelihood - null, w @ self.saturated - null


def _counted(index: tuple[NDArray[np.int64], ...], shape: tuple[int, ...]) -> Floats:
    """Return how often each place of an array of ``shape`` is among (n,) indices."""
    flat = np.ravel_multi_index(index, shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


def _rank(odds: Floats) -> NDArray[np.int64]:
    """Return in which of ``N_RANKS`` equal parts each value's middle rank lies, of all values.

    Equal values share a part, and those that tell nothing, being all equal, the middle one, so
    that fits which tested different numbers of samples can be counted together. Up to ``N_RANKS``
    values, different ones have different parts.
    """
    ranked = np.sort(odds)
    below, up_to = (np.searchsorted(ranked, odds, side) for side in ("left", "right"))
    return np.asarray((below + up_to) * N_RANKS // (2 * max(len(odds), 1)), dtype=np.int64)


def _nan_for_0(values: NDArray[np.number]) -> Floats:
    return np.where(values > 0, values, np.nan)


def _weights(weights: Floats | None, n_trials: int) -> Floats:
    return np.ones((1, n_trials)) if weights is None else weights
