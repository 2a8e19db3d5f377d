"""Circular channels: an angle is a point on the circle, so that a full turn is none."""

import numpy as np
from numpy.typing import NDArray

from neuroblend.behavior.kind import Group
from neuroblend.data.channel import FULL_TURN

SMALLEST_CHANCE = 1e-6


def measured(known: NDArray[np.float64], start: int, per_trial: bool, period: float) -> Group:
    """Return the group of a channel, cosine and sine, from its (n,) known training samples.

    The best constant point lies at the mean of all, and its mean squared distance to them is one
    minus the squared length of that mean.
    """
    turn = np.exp(1j * known * FULL_TURN / period)
    chance = max(1 - abs(turn.mean()) ** 2, SMALLEST_CHANCE)
    return Group(
        "circular", start, start + 2, per_trial, spread=period / FULL_TURN, chance=float(chance)
    )


def encoded(values: NDArray[np.float64], group: Group) -> NDArray[np.float64]:
    """Return (..., 2) cosine and sine of (...) angles."""
    angle = values / group.spread
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
