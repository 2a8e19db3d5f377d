"""Trials as tensors: what models see and what losses compare with.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons (``N_in`` of them
seen), ``D`` behavior channels. Neurons stand held-in first, then held-out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuroblend.data.split import Part, Split
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError


class Behavior(NamedTuple):
    """Privileged signals.

    Attributes:
        values: (B, T, D) standardised with training statistics; 0 (the mean) where missing.
        present: (B, T, D) bool, False where a sample is missing.
    """

    values: Tensor
    present: Tensor


class Batch(NamedTuple):
    """Some trials.

    Attributes:
        spikes: (B, T_in, N_in) counts/bin of the held-in neurons: all that a student may see.
        behavior: Privileged signals; ``None`` for a student, by construction.
        target: (B, T, N) counts/bin to explain; ``None`` for a student.
        scored: (B, T, N) bool, the entries that enter a loss; ``None`` for a student.
        present: (B, T) bool, False for bins after the end of a shorter trial; ``None`` where all
            trials have all bins.
        trial: (B,) where each trial stands among those of its part; ``None`` for a student.
        neurons: (N_in,) which of a model's cells the neurons are, for models that know cells from
            several sessions; ``None`` for all others.
    """

    spikes: Tensor
    behavior: Behavior | None = None
    target: Tensor | None = None
    scored: Tensor | None = None
    present: Tensor | None = None
    trial: Tensor | None = None
    neurons: Tensor | None = None

    def public(self) -> Batch:
        """Return what a student may see: spikes, which bins and cells these are, nothing else."""
        return Batch(self.spikes, present=self.present, neurons=self.neurons)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with each of its tensors that have trials changed by ``change``."""
        behavior = None if self.behavior is None else Behavior(*map(change, self.behavior))
        rest = (self.target, self.scored, self.present, self.trial)
        changed = (None if part is None else change(part) for part in rest)
        return Batch(change(self.spikes), behavior, *changed)._replace(neurons=self.neurons)

    def take(self, index: Tensor | slice) -> Batch:
        """Return the trials ``index``."""
        return self.map(lambda part: part[index])

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on ``device``."""
        neurons = None if self.neurons is None else self.neurons.to(device)
        return self.map(lambda part: part.to(device))._replace(neurons=neurons)

    @property
    def n_trials(self) -> int:
        """Number of trials, ``B``."""
        return self.spikes.shape[0]


FEWEST_TRIALS = 2  # trials with samples that a channel needs in each part of a split
FLAT = 1e-6  # spread relative to size under which float32 samples are constant


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
        behavior_gaps: Whether behavior has missing samples.
    """

    n_in: int
    n_out: int
    t_in: int
    t_out: int
    behavior: tuple[str, ...]
    bin_s: float
    log_rate: tuple[float, ...]
    behavior_gaps: bool = False

    @property
    def n_behavior(self) -> int:
        """Number of behavior channels, ``D``."""
        return len(self.behavior)

    @property
    def mean_count(self) -> float:
        """Mean counts/bin over neurons in training trials."""
        return float(np.exp(self.log_rate).mean())

    def widened(self, n_features: int) -> TaskSpec:
        """Return the spec of a network that sees ``n_features`` more in each bin."""
        return replace(self, n_in=self.n_in + n_features)


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

    def standardise(self, behavior: NDArray[np.float32]) -> Behavior:
        """Return (B, T, D) samples as tensors with training mean 0 and variance 1."""
        present = ~np.isnan(behavior)
        values = np.where(present, (behavior - self.mean) / self.std, 0.0)
        return Behavior(torch.from_numpy(values.astype(np.float32)), torch.from_numpy(present))


@dataclass(frozen=True, eq=False)
class Task:
    """Trials under one split: the tensors that training and evaluation take.

    Attributes:
        trials: The recording.
        split: Who trains, validates and tests.
        spec: Sizes for a model's builder.
        scale: Scale of the behavior; ``None`` without behavior.
    """

    trials: Trials
    split: Split
    spec: TaskSpec
    scale: BehaviorScale | None

    @classmethod
    def of(cls, trials: Trials, split: Split) -> Task:
        """Derive sizes and scales from the training trials.

        Raises:
            InputError: A behavior channel cannot be standardised.
        """
        train = split.train
        scale = None
        gaps = False
        if trials.behavior is not None:
            names = trials.behavior_names
            for part in ("valid", "test"):  # a channel that is constant there cannot be scored
                BehaviorScale.of(trials.behavior[split.trials(part)], names, part)
            scale = BehaviorScale.of(trials.behavior[train], names)
            missing = np.isnan(trials.behavior)
            gaps = bool((missing if trials.present is None else missing[trials.present]).any())
        counts = trials.spikes[train][:, :, split.order]
        n_samples = int(trials.bins_of(train).sum())
        # half a spike more than was seen, so that a neuron silent in training has a finite rate
        log_rate = np.log((counts.sum(axis=(0, 1), dtype=np.float64) + 0.5) / n_samples)
        spec = TaskSpec(
            n_in=int((~split.held_out).sum()),
            n_out=trials.n_neurons,
            t_in=trials.n_bins - split.forward_bins,
            t_out=trials.n_bins,
            behavior=trials.behavior_names,
            bin_s=trials.bin_s,
            log_rate=tuple(log_rate.tolist()),
            behavior_gaps=gaps,
        )
        return cls(trials, split, spec, scale)

    @property
    def n_train(self) -> int:
        """Number of training trials."""
        return int(self.split.train.size)

    def example(self) -> Batch:
        """Return the training trials as one batch."""
        return self.batch("train")

    def train_batches(self, size: int, seed: int, device: torch.device) -> Batches:
        """Return the training trials in batches, on ``device``, in a new order each epoch."""
        return Batches(self.batch("train").to(device), size, seed)

    def valid_batches(self) -> list[Batch]:
        """Return the validation trials as one batch, in a list."""
        return [self.batch("valid")]

    def batch(self, part: Part) -> Batch:
        """Return the trials of ``part`` as one batch.

        Scored are the entries that no student sees: held-out neurons and forward bins.
        """
        return self.batch_of(self.split.trials(part))

    def batch_of(self, index: NDArray[np.int64]) -> Batch:
        """Return the trials ``index`` as one batch; see :meth:`batch`."""
        counts = self.trials.spikes[index][:, :, self.split.order].astype(np.float32)
        target = torch.from_numpy(counts)
        scored = torch.zeros(target.shape, dtype=torch.bool)
        scored[:, :, self.spec.n_in :] = True
        scored[:, self.spec.t_in :] = True
        behavior = None
        if self.scale is not None and self.trials.behavior is not None:
            behavior = self.scale.standardise(self.trials.behavior[index])
        spikes = target[:, : self.spec.t_in, : self.spec.n_in].contiguous()
        present = None
        if self.trials.present is not None:
            present = torch.from_numpy(self.trials.present[index])
            scored &= present[:, :, None]
        return Batch(spikes, behavior, target, scored, present, torch.arange(len(index)))


class Batches:
    """The trials of a batch in smaller ones, in an order drawn anew for each epoch.

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


def mixed_seed(*parts: Any) -> int:
    """Return one seed of several numbers, so that neighbours in any of them are unrelated."""
    return int(
        np.random.SeedSequence([int(part) for part in parts]).generate_state(1, np.uint64)[0]
    )
