"""A task whose behavior belongs to other trials: what distillation gains without behavior."""

from dataclasses import dataclass

import numpy as np
import torch

from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch, Batches
from neuroblend.task.task import Task


@dataclass(frozen=True)
class ShuffledTask:
    """A task with behavior permuted over the trials of each part; spikes stay where they are.

    Trials without behavior stay without.

    Attributes:
        task: The task of the other arms: the same trials and split.
        seed: Of the permutation.
    """

    task: Task
    seed: int

    @property
    def n_train(self) -> int:
        """Number of training trials."""
        return self.task.n_train

    def example(self) -> Batch:
        """Return the training trials as one batch."""
        return self._permuted(self.task.example())

    def train_batches(self, size: int, seed: int, device: torch.device) -> Batches:
        """Return the training trials in batches, in the order that other arms see them in."""
        return Batches(self.example().to(device), size, seed)

    def valid_batches(self) -> list[Batch]:
        """Return the validation trials, in a list."""
        return [self._permuted(batch) for batch in self.task.valid_batches()]

    def _permuted(self, batch: Batch) -> Batch:
        assert batch.behavior is not None
        order = np.arange(batch.n_trials)
        have = order if (paired := batch.paired) is None else order[paired.numpy()]
        order[have] = np.random.default_rng(mixed_seed(self.seed, 31)).permutation(have)
        return batch._replace(behavior=batch.behavior.map(lambda part: part[order]))
