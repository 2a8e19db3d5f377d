"""Continuous channels: standardised, so that each weighs as much as another."""

import numpy as np
from numpy.typing import NDArray

from neuroblend.behavior.kind import Group

FLAT = 1e-6  # spread relative to size under which float32 samples are constant


def measured(known: NDArray[np.float64], start: int, per_trial: bool) -> Group:
    """Return the group of a channel, one feature, from its (n,) known training samples."""
    return Group("continuous", start, start + 1, per_trial, float(known.mean()), float(known.std()))


def is_constant(known: NDArray[np.float64]) -> bool:
    """Whether (n,) samples do not vary by more than rounding."""
    return bool(known.std() <= FLAT * np.abs(known).max())


def encoded(values: NDArray[np.float64], group: Group) -> NDArray[np.float64]:
    """Return (..., 1) features of (...) values: training mean 0 and variance 1."""
    return ((values - group.mean) / group.spread)[..., None]
