"""Intervals from what was tested and how often a network was trained, paired between arms.

A score varies with the trials that are drawn, and with the fit: split, held-out neurons, initial
weights. The bootstrap shows the first. A replicate draws trials of the recording with replacement,
once for all fits and arms, since a trial that several seeds tested is one trial. The scatter of
fits shows both, and what two fits share, because they test the same trials, is the covariance of
their replicates. The interval of a mean of fits has the squares of the two half-widths added up
(Howe 1974), each with the t quantile of its own degrees of freedom:

    t² · covariance + t² · variance between fits / fits

Adding the variance between fits to that of the bootstrap instead would count trials twice, and
subtracting what trials explain of it leaves, of few fits, zero too often.

Trials that follow one another may be alike, windows of a continuous recording above all. Every
other replicate therefore draws runs of an eighth of the recording. Where these scatter clearly more
than those that draw trials one by one, they are used, with the degrees of freedom of eight
observations (few long blocks: Kiefer and Vogelsang 2005, Ibragimov and Mueller 2010).

Shape legend: ``R`` replicates, ``B`` trials of the recording, ``F`` fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

N_REPLICATES = 1000
N_PSTH_REPLICATES = 200  # its cost grows with trials, bins and neurons, so it makes do with fewer
N_BLOCKS = 8  # runs of trials in a recording, where trials that follow one another are alike
ALIKE = 1.25  # variance with runs over that with trials, from which on they count as alike

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Draws:
    """The replicates' draws of trials.

    Attributes:
        trials: (R, B) how often each trial is drawn: one by one in even replicates, in runs in odd
            ones.
        has_order: Whether there are runs; else all are drawn one by one.
    """

    trials: Floats
    has_order: bool

    @classmethod
    def of(
        cls,
        n_trials: int,
        has_order: bool = True,
        n_replicates: int = N_REPLICATES,
        stream: int = 0,
    ) -> Draws:
        """Draw; the same sizes always give the same draws.

        Args:
            n_trials: What there is to draw from.
            has_order: Whether trials are in the order of recording.
            n_replicates: How often.
            stream: Another number draws others, as for another recording of as many trials.
        """
        more = [stream] if stream else []
        rng = np.random.default_rng([n_trials, 5, *more])
        trials = rng.multinomial(n_trials, np.full(n_trials, 1 / n_trials), size=n_replicates)
        length = -(-n_trials // N_BLOCKS)
        has_order = has_order and length > 1
        if has_order:
            trials[1::2] = _runs(n_trials, length, len(trials[1::2]), more)
        return cls(trials.astype(np.float64), has_order)

    def interval(
        self,
        score: float,
        per_fit: NDArray[np.float64],
        replicates: Floats,
        n_tested: int,
        shared: float = 0.0,
    ) -> list[float]:
        """Return the 95 % interval around a score that is a mean over fits, or of one fit.

        With one fit it is about the trials alone: how much fits differ cannot be seen. With several
        it is never narrower than a standard error over trials to either side.

        Args:
            score: The score, or a difference of scores.
            per_fit: (F,) of each fit.
            replicates: (R', F) the same in the first replicates. Where they are NaN, all of them or
                in all but a few draws, there is no score and the interval is NaN.
            n_tested: Trials that a fit tests.
            shared: Variance that fits have in common, and their scatter does not show, over that
                of one fit's own. Folds train on mostly the same trials, and Nadeau and Bengio
                (2003) have test over training trials for it, times the number of folds.
        """
        known: NDArray[np.bool_] = np.asarray(np.isfinite(replicates).all(axis=1))
        if known[::2].sum() < 2 or known[1::2].sum() < 2 or not np.isfinite(per_fit).all():
            return [math.nan, math.nan]
        step = 2 if self.has_order else 1
        n_drawn = max(n_tested, 2)
        covariance = _covariance(replicates[::step][known[::step]], n_drawn)
        if self.has_order:
            n_runs = min(N_BLOCKS, n_drawn)
            in_runs = _covariance(replicates[1::2][known[1::2]], n_runs)
            if in_runs.mean() > ALIKE * covariance.mean():
                covariance, n_drawn = in_runs, n_runs
        n_fits = len(per_fit)
        if n_fits == 1:
            half = _quantile(n_drawn - 1) * math.sqrt(covariance[0, 0])
            return [score - half, score + half]
        own = float(np.trace(covariance)) / n_fits
        common = max((float(covariance.sum()) / n_fits - own) / (n_fits - 1), 0.0)
        by_trials = max(own - common, 0.0) / n_fits
        scatter = float(per_fit.var(ddof=1)) / n_fits
        scatter += shared * max(scatter - by_trials, 0.0)
        half = math.sqrt(
            _quantile(n_drawn - 1) ** 2 * common
            + max(_quantile(n_fits - 1) ** 2 * scatter, by_trials)
        )
        return [score - half, score + half]


def pseudo_values(whole: Floats, without: Floats) -> Floats:
    """Return (..., F) what each fold adds to a score (the jackknife's pseudo-values; Tukey 1958).

    Args:
        whole: (...) the score of all folds together.
        without: (..., F) the score of all folds but each.
    """
    n_folds = without.shape[-1]
    values: Floats = n_folds * whole[..., None] - (n_folds - 1) * without
    return values


def _runs(n_trials: int, length: int, n_replicates: int, more: list[int]) -> NDArray[np.int64]:
    """Return (R, B) how often each trial is drawn in runs, the last trial followed by the first."""
    rng = np.random.default_rng([n_trials, 6, *more])
    n_runs = -(-n_trials // length)
    starts = rng.integers(0, n_trials, (n_replicates, n_runs, 1))
    drawn = ((starts + np.arange(length)) % n_trials).reshape(n_replicates, -1)[:, :n_trials]
    row = n_trials * np.arange(n_replicates)[:, None]
    counts = np.bincount((drawn + row).ravel(), minlength=n_replicates * n_trials)
    return counts.reshape(n_replicates, n_trials)


def _covariance(replicates: Floats, n_drawn: int) -> Floats:
    """Return (F, F) covariance of what ``n_drawn`` independent draws give."""
    return np.atleast_2d(np.cov(replicates.T)) * (n_drawn / (n_drawn - 1))


def _quantile(df: int) -> float:
    """Return the 97.5 % quantile of Student's t."""
    return float(stdtrit(df, 0.975))
