"""Continuous behavior: its scale in training trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neuroblend.behavior.kind import Behavior
from neuroblend.data.split import Part
from neuroblend.errors import InputError

FEWEST_TRIALS = 2  # trials with samples that a channel needs in each part of a split


FLAT = 1e-6  # spread relative to size under which float32 samples are constant


@dataclass(frozen=True, eq=False)
class BehaviorScale:
    """Mean and standard deviation of each behavior channel in training trials.

    Attributes:
        mean: (D,) in the recording's units.
        std: (D,) in the recording's units.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(
        cls, behavior: NDArray[np.float32], names: Sequence[str], part: Part = "train"
    ) -> BehaviorScale:
        """Measure the scale of (B, T, D) samples of the trials of ``part``, NaN where missing.

        Raises:
            InputError: A channel has no samples or is constant there.
        """
        scale = []
        for i, name in enumerate(names):
            present = ~np.isnan(behavior[:, :, i])
            known = behavior[:, :, i][present].astype(np.float64)
            n_trials = int(present.any(axis=1).sum())
            if n_trials < FEWEST_TRIALS or known.std() <= FLAT * np.abs(known).max():
                found = f"has samples in {n_trials}"
                if n_trials >= FEWEST_TRIALS:
                    found = f"is {known[0]:g} in every bin"
                raise InputError(
                    f"behavior channel '{name}' {found} of the {part} trials of a split; leave it "
                    "out with --behavior, or draw other splits with --seed"
                )
            scale.append((known.mean(), known.std()))
        return cls(*np.array(scale).T)

    def encode(self, behavior: NDArray[np.float32]) -> Behavior:
        """Return (B, T, D) samples as tensors with training mean 0 and variance 1."""
        present = ~np.isnan(behavior)
        values = np.where(present, (behavior - self.mean) / self.std, 0.0)
        return Behavior(torch.from_numpy(values.astype(np.float32)), torch.from_numpy(present))
