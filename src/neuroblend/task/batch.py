"""Some trials as tensors, and how they are divided into smaller batches.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons (``N_in`` of them
seen), ``D`` behavior channels. Neurons are ordered held-in first, then held-out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from neuroblend.behavior.kind import Behavior
from neuroblend.seeds import mixed_seed


class Batch(NamedTuple):
    """Some trials.

    Attributes:
        spikes: (B, T_in, N_in) counts/bin of the held-in neurons: all that a student may see.
        behavior: Privileged signals; ``None`` for a student, by construction.
        target: (B, T, N) counts/bin to explain; ``None`` for a student.
        scored: (B, T, N) bool, the entries that enter a loss; ``None`` for a student.
        present: (B, T) bool, False for bins after the end of a shorter trial; ``None`` where all
            trials have all bins.
        trial: (B,) index of each trial in the recording; ``None`` for a student.
        neurons: (N_in,) which of a model's cells the neurons are, for models that know cells from
            several sessions; ``None`` for all others.
        session: Which of a network's sessions the trials are of; ``None`` where it has one.
    """

    spikes: Tensor
    behavior: Behavior | None = None
    target: Tensor | None = None
    scored: Tensor | None = None
    present: Tensor | None = None
    trial: Tensor | None = None
    neurons: Tensor | None = None
    session: int | None = None

    def __repr__(self) -> str:
        shapes = {
            name: part if isinstance(part, int) else tuple(_tensor_of(part).shape)
            for name, part in zip(self._fields, self, strict=True)
            if part is not None
        }
        return f"Batch({', '.join(f'{name} {shape}' for name, shape in shapes.items())})"

    def public(self) -> Batch:
        """Return what a student may see: spikes, which bins and cells these are, nothing else."""
        return Batch(self.spikes, present=self.present, neurons=self.neurons, session=self.session)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with each of its tensors that have trials changed by ``change``."""
        behavior = None if self.behavior is None else self.behavior.map(change)
        target, scored, present, trial = (
            None if part is None else change(part)
            for part in (self.target, self.scored, self.present, self.trial)
        )
        return self._replace(
            spikes=change(self.spikes),
            behavior=behavior,
            target=target,
            scored=scored,
            present=present,
            trial=trial,
        )

    def take(self, index: Tensor | slice) -> Batch:
        """Return the trials ``index``."""
        return self.map(lambda part: part[index])

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on ``device``."""
        neurons = None if self.neurons is None else self.neurons.to(device)
        return self.map(lambda part: part.to(device))._replace(neurons=neurons)

    @property
    def paired(self) -> Tensor | None:
        """(B,) bool, False for a trial without any behavior; ``None`` where none is."""
        if self.behavior is None:
            return None
        known = self.behavior.present.any(dim=2)
        if self.present is not None:
            known = known & self.present[:, : known.shape[1]]
        found = known.any(dim=1)
        return None if bool(found.all()) else found

    def with_behavior(self) -> Batch:
        """Return the trials that have some behavior."""
        return self if (paired := self.paired) is None else self.take(paired)

    @property
    def n_trials(self) -> int:
        """Number of trials, ``B``."""
        return self.spikes.shape[0]


def _tensor_of(part: Tensor | Behavior) -> Tensor:
    return part.values if isinstance(part, Behavior) else part


class Batches:
    """The trials of a batch in smaller ones, in an order drawn again for each epoch.

    Args:
        whole: All trials.
        size: Trials in a batch; a rest smaller than half of it joins the batch before.
        seed: Decides the order, together with the epoch; ``None`` keeps the trials' own order.
    """

    def __init__(self, whole: Batch, size: int, seed: int | None = None) -> None:
        self.whole = whole
        self.size = min(size, whole.n_trials)
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return n_batches(self.whole.n_trials, self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.arange(self.whole.n_trials)
        if self.seed is not None:
            generator = torch.Generator().manual_seed(mixed_seed(self.seed, self.epoch))
            order = torch.randperm(self.whole.n_trials, generator=generator)
        for index in torch.tensor_split(order, len(self)):
            yield self.whole.take(index)


def n_batches(n_trials: int, size: int) -> int:
    """Return how many batches of about ``size`` trials there are."""
    n_whole, rest = divmod(n_trials, min(size, n_trials))
    return n_whole + (rest * 2 >= min(size, n_trials))
