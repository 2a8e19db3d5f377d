"""Intervals by a bootstrap over test trials nested in seeds, paired between arms.

A replicate draws trials of the recording with replacement, once for all seeds and arms: a trial
that several seeds tested is one trial, and counting it as several would make intervals too narrow.
Within each seed its own test trials carry those weights. Where there are several seeds, a replicate
draws seeds with replacement as well (the hierarchical bootstrap of Saravanan et al. 2020). A
difference between arms uses the same draws for both.

Shape legend: ``R`` replicates, ``B`` trials of the recording, ``S`` seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_REPLICATES = 1000
N_PSTH_REPLICATES = 200  # its cost grows with trials, bins and neurons, so it makes do with fewer


@dataclass(frozen=True, eq=False)
class Draws:
    """The replicates' draws.

    Attributes:
        trials: (R, B) how often each trial is drawn.
        seeds: (R, S) weight of each seed, summing to 1 in a replicate.
    """

    trials: NDArray[np.float64]
    seeds: NDArray[np.float64]

    @classmethod
    def of(cls, n_trials: int, n_seeds: int, n_replicates: int = N_REPLICATES) -> Draws:
        """Draw; the same sizes always give the same draws."""
        rng = np.random.default_rng([n_trials, 5])
        trials = rng.multinomial(n_trials, np.full(n_trials, 1 / n_trials), size=n_replicates)
        rng = np.random.default_rng([n_seeds, 6])
        seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_replicates)
        return cls(trials.astype(np.float64), seeds / n_seeds)

    def over_seeds(self, per_seed: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (R',) means over drawn seeds of (R', S) replicates, R' of the first draws."""
        means: NDArray[np.float64] = (per_seed * self.seeds[: len(per_seed)]).sum(axis=1)
        return means


def interval(replicates: NDArray[np.float64], score: float) -> list[float]:
    """Return the 95 % interval around ``score`` that the spread of its replicates gives.

    Replicates are shifted so that their mean is the score. A replicate holds fewer different trials
    than the recording, so that a score that is not linear in trials (PSTH R² above all, whose
    condition means are then noisier) is biased in it, by an amount that says nothing of the score.
    Replicates that are all NaN, of a score that does not exist, have an interval of NaN.
    """
    if np.isnan(replicates).all():
        return [math.nan, math.nan]
    centred = replicates - np.nanmean(replicates) + score
    low, high = np.nanpercentile(centred, [2.5, 97.5])
    return [float(low), float(high)]
