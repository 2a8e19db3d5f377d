"""Behavior of any mix of kinds, encoded for a teacher.

Shape legend: ``B`` trials, ``T`` bins, ``D`` channels, ``P`` features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neuroblend.behavior import circular, continuous, discrete, events
from neuroblend.behavior.kind import Behavior, Group
from neuroblend.data.channel import Channel
from neuroblend.data.split import Part
from neuroblend.errors import InputError

FEWEST_TRIALS = 2  # trials with samples that a channel needs in each part of a split


@dataclass(frozen=True)
class BehaviorEncoding:
    """How each channel becomes features, measured on training trials.

    A continuous channel is standardised, a circular one is its cosine and sine, a discrete one has
    a feature for each category, and counts of events are standardised.

    Attributes:
        groups: D groups of features, a channel each.
    """

    groups: tuple[Group, ...]

    @classmethod
    def of(
        cls, behavior: NDArray[np.float32], channels: Sequence[Channel], part: Part = "train"
    ) -> BehaviorEncoding:
        """Measure (B, T, D) samples of the trials of ``part``, NaN where missing.

        Raises:
            InputError: A channel has no samples or is constant there.
        """
        groups: list[Group] = []
        for i, channel in enumerate(channels):
            samples = behavior[:, :1, i] if channel.per_trial else behavior[:, :, i]
            present = ~np.isnan(samples)
            known = samples[present].astype(np.float64)
            n_trials = int(present.any(axis=1).sum())
            if n_trials < FEWEST_TRIALS or continuous.is_constant(known):
                _refuse(channel, known, n_trials, part)
            groups.append(_measured(channel, known, groups[-1].stop if groups else 0))
        return cls(tuple(groups))

    def encode(self, behavior: NDArray[np.float32]) -> Behavior:
        """Return (B, T, D) samples, NaN where missing, as (B, T, P) tensors."""
        columns, present = [], []
        for i, group in enumerate(self.groups):
            values = behavior[:, :, i].astype(np.float64)
            known = ~np.isnan(values)
            features = _encoded(values, group)
            columns.append(np.where(known[:, :, None], features, 0.0))
            present.append(np.repeat(known[:, :, None], features.shape[2], axis=2))
        plain = all(group.kind == "continuous" and not group.per_trial for group in self.groups)
        return Behavior(
            torch.from_numpy(np.concatenate(columns, axis=2).astype(np.float32)),
            torch.from_numpy(np.concatenate(present, axis=2)),
            () if plain else self.groups,
        )


def _measured(channel: Channel, known: NDArray[np.float64], start: int) -> Group:
    match channel.kind:
        case "continuous":
            return continuous.measured(known, start, channel.per_trial)
        case "circular":
            return circular.measured(known, start, channel.per_trial, channel.period)
        case "discrete":
            return discrete.measured(known, start, channel.per_trial, len(channel.categories))
        case "events":
            return events.measured(known, start, channel.per_trial)


def _encoded(values: NDArray[np.float64], group: Group) -> NDArray[np.float64]:
    match group.kind:
        case "continuous":
            return continuous.encoded(values, group)
        case "circular":
            return circular.encoded(values, group)
        case "discrete":
            return discrete.encoded(values, group)
        case "events":
            return events.encoded(values, group)


def _refuse(channel: Channel, known: NDArray[np.float64], n_trials: int, part: Part) -> None:
    found = f"has samples in {n_trials}"
    if n_trials >= FEWEST_TRIALS:
        value = f"{known[0]:g}"
        if channel.kind == "discrete":
            value = channel.categories[int(known[0])]
        found = f"is {value} in every {'trial' if channel.per_trial else 'bin'}"
    raise InputError(
        f"behavior channel '{channel.name}' {found} of the {part} trials of a split; leave it "
        "out with --behavior, or draw other splits with --seed"
    )
