"""What behavior is to a model: values, and which of them are there."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neuroblend.data.split import Part


class Behavior(NamedTuple):
    """Privileged signals.

    Attributes:
        values: (B, T, D) encoded for a teacher; 0 where missing.
        present: (B, T, D) bool, False where a sample is missing.
    """

    values: Tensor
    present: Tensor


class Encoding(Protocol):
    """How a kind of behavior reaches a teacher, measured on training trials."""

    @classmethod
    def of(cls, behavior: NDArray[np.float32], names: Sequence[str], part: Part = "train") -> Self:
        """Measure what encoding needs, on the trials of ``part``; refuse what cannot be encoded."""
        ...

    def encode(self, behavior: NDArray[np.float32]) -> Behavior:
        """Return (B, T, D) samples, NaN where missing, as tensors."""
        ...
