"""The tasks of several sessions as one, whose batches are each of one session.

Shape legend: ``S`` sessions, ``B`` trials, ``N`` neurons of a session, ``W`` width of a core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from neuroblend.behavior.encoding import BehaviorEncoding
from neuroblend.behavior.kind import Encoding
from neuroblend.data.session_split import SessionsSplit
from neuroblend.data.sessions import index_of
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec
from neuroblend.task.task import Task

WIDEST = 64  # of a core, where its width is not given


class Part(Protocol):
    """What is learned of one session: its task, or one made of it."""

    @property
    def n_train(self) -> int:
        """Number of training trials."""
        ...

    def example(self) -> Batch:
        """Return the training trials as one batch."""
        ...

    def train_batches(self, size: int, seed: int, device: torch.device) -> Any:
        """Return the training trials in batches."""
        ...

    def valid_batches(self) -> list[Batch]:
        """Return the validation trials, in a list."""
        ...


@dataclass(frozen=True, eq=False)
class SessionsTask:
    """Sessions under one split.

    Attributes:
        tasks: S tasks, each of a session alone.
        split: Who trains, validates and tests in each.
        spec: Sizes of a core, of which neurons are the W inputs and outputs.
        parts: S tasks as they are trained on.
        learned: Places of the sessions that are trained on.
    """

    tasks: tuple[Task, ...]
    split: SessionsSplit
    spec: TaskSpec
    parts: tuple[Part, ...]
    learned: tuple[int, ...]

    @classmethod
    def of(
        cls, tasks: Sequence[Task], split: SessionsSplit, width: int | None = None
    ) -> SessionsTask:
        """Join the tasks of sessions.

        Continuous channels are standardised in each session; of all others, what their error is
        measured in comes from the sessions that are learned from, together.

        Args:
            tasks: S tasks, with the same bins and channels of behavior.
            split: Who trains, validates and tests in each.
            width: ``W``; as many as students see in the session of those learned from with most
                neurons, 64 at most, where ``None``.
        """
        alike = _same_units(tasks, split.learned)
        spec = core_spec([alike[s].spec for s in split.learned], width)
        return cls(alike, split, spec, alike, split.learned)

    def __repr__(self) -> str:
        return f"SessionsTask({', '.join(self.split.names)}: {self.n_train} training trials)"

    @property
    def scale(self) -> Encoding | None:
        """How behavior is encoded, as far as that is the same in each session."""
        return self.tasks[self.learned[0]].scale

    @property
    def n_train(self) -> int:
        """Number of training trials."""
        return sum(self.parts[s].n_train for s in self.learned)

    def index(self, name: str) -> int:
        """Return the place of a session.

        Raises:
            InputError: There is none of that name.
        """
        return index_of(name, self.split.names)

    def example(self) -> Batch:
        """Return the training trials of the session with most of them."""
        most = max(self.learned, key=lambda s: self.parts[s].n_train)
        return self.tagged(most, self.parts[most].example())

    def train_batches(self, size: int, seed: int, device: torch.device) -> SessionBatches:
        """Return the training trials in batches of one session each, sessions in a drawn order."""
        of_each = [
            self.parts[s].train_batches(size, mixed_seed(seed, 35, s), device) for s in self.learned
        ]
        return SessionBatches(of_each, [partial(self.tagged, s) for s in self.learned], seed)

    def valid_batches(self) -> list[Batch]:
        """Return the validation trials, a batch for each session."""
        return [
            self.tagged(s, batch) for s in self.learned for batch in self.parts[s].valid_batches()
        ]

    def tagged(self, session: int, batch: Batch) -> Batch:
        """Return a batch that knows its session, and trials numbered through all sessions."""
        before = sum(task.trials.n_trials for task in self.tasks[:session])
        trial = None if batch.trial is None else batch.trial + before
        return batch._replace(session=session, trial=trial)

    def mapped(self, change: Callable[[Task], Part]) -> SessionsTask:
        """Return the sessions, each trained on what ``change`` makes of its task."""
        return replace(self, parts=tuple(change(task) for task in self.tasks))

    def only(self, session: int) -> SessionsTask:
        """Return one session alone as what is learned."""
        return replace(self, parts=self.parts, learned=(session,))


class SessionBatches:
    """Batches of several sessions, mixed in an order that is drawn again for each epoch.

    Args:
        of_each: The batches of each session.
        tagged: Gives a batch its session, one for each.
        seed: Decides the order of sessions, together with the epoch.
    """

    def __init__(
        self, of_each: Sequence[Any], tagged: Sequence[Callable[[Batch], Batch]], seed: int
    ) -> None:
        self.of_each = of_each
        self.tagged = tagged
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return sum(map(len, self.of_each))

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(mixed_seed(self.seed, 34, self.epoch))
        left = np.repeat(np.arange(len(self.of_each)), [len(each) for each in self.of_each])
        for each in self.of_each:
            each.epoch = self.epoch
        going = [iter(each) for each in self.of_each]
        for i in rng.permutation(left):
            yield self.tagged[i](next(going[i]))


def core_spec(specs: Sequence[TaskSpec], width: int | None = None) -> TaskSpec:
    """Return the sizes of a core for S sessions: W neurons, each as fast as the mean of all.

    Args:
        specs: Of each session, with the same bins and behavior.
        width: ``W``; see :meth:`SessionsTask.of`.
    """
    first = specs[0]
    width = width or max(2, min(WIDEST, max(spec.n_in for spec in specs)))
    mean = float(np.log(np.mean([spec.mean_count for spec in specs])))
    return replace(
        first,
        n_in=width,
        n_out=width,
        log_rate=(mean,) * width,
        behavior_gaps=any(spec.behavior_gaps for spec in specs),
    )


def _same_units(tasks: Sequence[Task], learned: Sequence[int]) -> tuple[Task, ...]:
    """Return tasks whose behavior is encoded alike, continuous channels apart."""
    first = tasks[0].trials
    if first.behavior is None:
        return tuple(tasks)
    known = [tasks[s].trials.behavior for s in learned]
    train = [b[tasks[s].split.train] for s, b in zip(learned, known, strict=True) if b is not None]
    together = BehaviorEncoding.of(np.concatenate(train), first.channels)
    found = []
    for task in tasks:
        assert task.scale is not None
        groups = tuple(
            own if own.kind == "continuous" else common
            for own, common in zip(task.scale.groups, together.groups, strict=True)
        )
        found.append(replace(task, scale=BehaviorEncoding(groups)))
    return tuple(found)
