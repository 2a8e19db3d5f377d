"""What a distillation loss is given, and what it must be.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``H`` features of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from neuroblend.distill.reduce import bins, mean_over
from neuroblend.task.batch import Batch

Normalisation = Literal["element", "released"]
"""``"element"``: a mean over elements, so that alpha means the same on every dataset.
``"released"``: the form of the code that Guo et al. (ICLR 2025) published."""


@dataclass(frozen=True)
class Output:
    """What a network gave for a batch.

    Attributes:
        log_rates: (B, T, N) log expected counts/bin.
        features: (B, T, H) output of each layer that was asked for, by its name.
    """

    log_rates: Tensor
    features: Mapping[str, Tensor]

    def map(self, change: Callable[[Tensor], Tensor]) -> Output:
        """Return the output with each tensor changed by ``change``."""
        features = {name: change(value) for name, value in self.features.items()}
        return Output(change(self.log_rates), features)

    def take(self, index: Tensor) -> Output:
        """Return what was given for the trials ``index``; features of no trial stay as they are."""
        features = {k: v[index] if v.ndim > 2 else v for k, v in self.features.items()}
        return Output(self.log_rates[index], features)


@dataclass(frozen=True)
class Pair:
    """A student's and its teacher's output for the same masked batch.

    Attributes:
        batch: The trials of a batch that have behavior, which is included.
        student: Output of the student for these, with gradients.
        teacher: Output of the frozen teacher; ``None`` where no term wants one.
        model: What gave the student's output, for a term that asks it more.
        counts_per_entry: What the task's loss is divided by: the mean counts of an entry, or 1.
    """

    batch: Batch
    student: Output
    teacher: Output | None
    model: nn.Module | None = None
    counts_per_entry: float = 1.0

    @property
    def guide(self) -> Output:
        """The teacher's output, for a term that wants one."""
        if self.teacher is None:
            raise ValueError("a distillation loss was called without a teacher")
        return self.teacher


def squared_difference(pair: Pair) -> Tensor:
    """Return the mean squared difference of log rates, over all bins and neurons."""
    difference = pair.student.log_rates - pair.guide.log_rates
    return mean_over(difference.square(), bins(pair.batch.present))


@runtime_checkable
class Prepared(Protocol):
    """A term that makes weights of its own."""

    def prepare(self, pair: Pair) -> None:
        """Make them, for the sizes found in ``pair``."""
        ...


@runtime_checkable
class Fitted(Protocol):
    """A term that measures something of the teacher, before it is prepared."""

    def fit(self, batch: Batch, guide: Output) -> None:
        """Measure it on all training trials, unmasked, and what the teacher gives for them."""
        ...


@runtime_checkable
class DistillLoss(Protocol):
    """A term of the objective: a plain callable, O(1) in ``B``, ``T`` and ``N``.

    A term with weights of its own is an ``nn.Module`` with a method ``prepare(pair)``, which makes
    them from the first batch, before the optimiser exists; one that has to measure the teacher
    before that has a method ``fit(batch, guide)`` too.

    Attributes:
        layers: (student layer, teacher layer) pairs whose outputs it wants; the teacher's is
            ``None`` for a term that looks at the student alone.
        wants_teacher: Whether it compares with a teacher (and so shares 1 - alpha).
    """

    layers: Sequence[tuple[str, str | None]]
    wants_teacher: bool

    def __call__(self, pair: Pair) -> Tensor:
        """Return the loss, a scalar."""
        ...
