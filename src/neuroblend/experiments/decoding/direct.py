"""The task of a network that is trained on behavior alone.

Shape legend: ``B`` trials, ``T`` bins, ``D`` behavior channels.
"""

from dataclasses import dataclass

import torch

from neuroblend.task.batch import Batch, Batches
from neuroblend.task.task import Task


@dataclass(frozen=True)
class BehaviorTask:
    """A task whose target is behavior: what the arm ``direct`` is trained on.

    Of the training trials, it has those with behavior.

    Attributes:
        task: The task of the other arms: the same trials and split.
    """

    task: Task

    @property
    def n_train(self) -> int:
        """Number of training trials."""
        return self.example().n_trials

    def example(self) -> Batch:
        """Return the training trials as one batch."""
        return _of_behavior(self.task.example().with_behavior())

    def train_batches(self, size: int, seed: int, device: torch.device) -> Batches:
        """Return the training trials in batches, in the order that other arms see them in."""
        return Batches(self.example().to(device), size, seed)

    def valid_batches(self) -> list[Batch]:
        """Return the validation trials, in a list."""
        return [_of_behavior(batch) for batch in self.task.valid_batches()]


def _of_behavior(batch: Batch) -> Batch:
    assert batch.behavior is not None
    values, known, _ = batch.behavior
    scored = known if batch.present is None else known & batch.present[:, :, None]
    return batch._replace(target=values, scored=scored)
