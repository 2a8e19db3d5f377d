"""Discrete channels: a feature for each category, one where it is that one."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from neuroblend.behavior.kind import Group


def measured(known: NDArray[np.float64], start: int, per_trial: bool, n_categories: int) -> Group:
    """Return the group of a channel from its (n,) known training samples.

    Chance is the entropy of how often each category is there.
    """
    share = np.bincount(known.astype(int), minlength=n_categories) / known.size
    return Group(
        "discrete", start, start + n_categories, per_trial, chance=float(entr(share).sum())
    )


def encoded(values: NDArray[np.float64], group: Group) -> NDArray[np.float64]:
    """Return (..., K) of (...) numbers of categories."""
    return (values[..., None] == np.arange(group.stop - group.start)).astype(np.float64)
