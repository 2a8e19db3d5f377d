"""Events: how many there are in each bin."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from neuroblend.behavior.kind import Group


def measured(known: NDArray[np.float64], start: int, per_trial: bool) -> Group:
    """Return the group of a channel, one feature, from its (n,) known training counts.

    Chance is half the mean Poisson deviance from the mean count.
    """
    mean = float(known.mean())
    chance = float((xlogy(known, known / mean) - known + mean).mean())
    return Group("events", start, start + 1, per_trial, mean, float(known.std()), chance)


def encoded(values: NDArray[np.float64], group: Group) -> NDArray[np.float64]:
    """Return (..., 1) features of (...) counts: training mean 0 and variance 1."""
    return ((values - group.mean) / group.spread)[..., None]
