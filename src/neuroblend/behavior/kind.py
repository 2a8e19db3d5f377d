"""What behavior is to a model: values, which of them are there, and what they stand for."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neuroblend.data.channel import Channel, Kind
from neuroblend.data.split import Part


class Group(NamedTuple):
    """The features that one channel is encoded as, and what its error is measured in.

    Attributes:
        kind: Of the channel.
        start: First feature.
        stop: First feature after it.
        per_trial: Whether there is one value a trial, the same in each of its bins.
        mean: What a value of 0 stands for, in the channel's unit (events: counts/bin).
        spread: What a step of 1 stands for.
        chance: Loss per sample of training trials of the best guess that knows no spikes.
    """

    kind: Kind
    start: int
    stop: int
    per_trial: bool = False
    mean: float = 0.0
    spread: float = 1.0
    chance: float = 1.0


class Behavior(NamedTuple):
    """Privileged signals.

    Attributes:
        values: (B, T, P) encoded for a teacher; 0 where missing.
        present: (B, T, P) bool, False where a sample is missing.
        groups: Which features belong together; empty where each is a continuous channel.
    """

    values: Tensor
    present: Tensor
    groups: tuple[Group, ...] = ()

    def map(self, change: Callable[[Tensor], Tensor]) -> "Behavior":
        """Return behavior with both tensors changed by ``change``."""
        return Behavior(change(self.values), change(self.present), self.groups)


class Encoding(Protocol):
    """How behavior reaches a teacher, measured on training trials."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """A group of features for each channel; empty where each is a continuous channel."""
        ...

    @classmethod
    def of(
        cls, behavior: NDArray[np.float32], channels: Sequence[Channel], part: Part = "train"
    ) -> Self:
        """Measure what encoding needs, on the trials of ``part``; refuse what cannot be encoded."""
        ...

    def encode(self, behavior: NDArray[np.float32]) -> Behavior:
        """Return (B, T, D) samples, NaN where missing, as tensors."""
        ...
