"""What behavior is to a model: values, and which of them are there."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Behavior(NamedTuple):
    """Privileged signals.

    Attributes:
        values: (B, T, D) standardised with training statistics; 0 (the mean) where missing.
        present: (B, T, D) bool, False where a sample is missing.
    """

    values: Tensor
    present: Tensor
