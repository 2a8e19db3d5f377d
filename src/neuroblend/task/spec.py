"""The sizes of a task."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class TaskSpec:
    """The sizes of a task, derived from data; what a model's builder is given.

    Attributes:
        n_in: Features that the network sees in a bin (for a student, held-in neurons).
        n_out: Neurons that it predicts, held-in and held-out.
        t_in: Bins that it sees.
        t_out: Bins that it predicts, forward bins included.
        behavior: Names of the behavior channels.
        bin_s: Width of a bin in seconds.
        log_rate: (n_out,) log of each neuron's mean counts/bin in training trials, where a read-out
            may start.
        behavior_gaps: Whether behavior has missing samples in trials that have some.
        n_encoded: Features that behavior is encoded as in a bin; one a channel where ``None``.
    """

    n_in: int
    n_out: int
    t_in: int
    t_out: int
    behavior: tuple[str, ...]
    bin_s: float
    log_rate: tuple[float, ...] = field(repr=False)
    behavior_gaps: bool = False
    n_encoded: int | None = None

    @property
    def n_behavior(self) -> int:
        """Number of features that behavior is encoded as in a bin, ``D``."""
        return len(self.behavior) if self.n_encoded is None else self.n_encoded

    @property
    def mean_count(self) -> float:
        """Mean counts/bin over neurons in training trials."""
        return float(np.exp(self.log_rate).mean())

    def widened(self, n_features: int) -> TaskSpec:
        """Return the spec of a network that sees ``n_features`` more in each bin."""
        return replace(self, n_in=self.n_in + n_features)
