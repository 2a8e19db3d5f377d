"""What teachers train on: trials with behavior, all neurons, or what others leave to them."""

from dataclasses import dataclass

import numpy as np
import torch

from neuroblend.data.split import apart
from neuroblend.errors import InputError
from neuroblend.privilege.all_neurons import with_all_neurons
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch, Batches
from neuroblend.task.task import Task
from neuroblend.training.train import Trainable

FEWEST = 2  # training trials that each of several cross-fitted teachers leaves out


@dataclass(frozen=True, eq=False)
class TeacherTask:
    """A task as a teacher is given it: trials that have some behavior.

    Attributes:
        task: The task of the other arms, or one with other behavior.
        sees_all: Whether held-out neurons are seen too, and asked for where they are hidden alone.
        trials: (n,) indices, in the recording, of the training trials to train on; ``None`` for
            all.
    """

    task: Trainable
    sees_all: bool = False
    trials: torch.Tensor | None = None

    @property
    def n_train(self) -> int:
        """Number of training trials."""
        return self.example().n_trials

    def example(self) -> Batch:
        """Return the training trials as one batch."""
        batch = self._as_seen(self.task.example().with_behavior())
        if self.trials is None:
            return batch
        assert batch.trial is not None
        return batch.take(torch.isin(batch.trial, self.trials))

    def train_batches(self, size: int, seed: int, device: torch.device) -> Batches:
        """Return the training trials in batches, on ``device``, in a new order each epoch."""
        return Batches(self.example().to(device), size, seed)

    def valid_batches(self) -> list[Batch]:
        """Return the validation trials, in a list."""
        return [self._as_seen(batch.with_behavior()) for batch in self.task.valid_batches()]

    def _as_seen(self, batch: Batch) -> Batch:
        return with_all_neurons(batch) if self.sees_all else batch


def left_out_by(task: Task, n_teachers: int, in_blocks: bool) -> torch.Tensor:
    """Return (trials of the recording,) which of the teachers does not train on a trial.

    It is -1 for trials that none trains on. Training trials with behavior are dealt at random, or
    as runs of neighbours where these are alike.

    Raises:
        InputError: There are too few training trials.
    """
    train = task.split.train[task.trials.paired[task.split.train]]
    if train.size < FEWEST * n_teachers:
        raise InputError(
            f"teacher.cross_fitted: found {n_teachers} and {train.size} training trials "
            "with behavior, wanted 2 "
            f"to {train.size // FEWEST}"
        )
    order = train
    if not in_blocks:
        order = np.random.default_rng(mixed_seed(task.split.seed, 32)).permutation(train)
    left_out = torch.full((task.trials.n_trials,), -1, dtype=torch.int64)
    for i, part in enumerate(np.array_split(order, n_teachers)):
        left_out[torch.tensor(part)] = i
    return left_out


def taught_to(task: Task, left_out: torch.Tensor, member: int, in_blocks: bool) -> torch.Tensor:
    """Return (n,) training trials that one of several cross-fitted teachers trains on.

    Of windows of one recording, those beside a window that it leaves out are left out too: they are
    alike.
    """
    trials = torch.nonzero((left_out != member) & (left_out >= 0)).flatten()
    if not in_blocks:
        return trials
    numbers = task.trials.window_id
    place = np.arange(task.trials.n_trials) if numbers is None else numbers
    others = torch.nonzero(left_out == member).flatten()
    return torch.from_numpy(apart(trials.numpy(), others.numpy(), place))


def seed_of(seed: int, member: int) -> int:
    """Return the seed of one of several teachers; that of the first is the seed itself."""
    return seed if member == 0 else mixed_seed(seed, 33, member)
