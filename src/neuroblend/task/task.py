"""Trials as tensors: what models see and what losses compare with.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons (``N_in`` of them
seen), ``D`` behavior channels. Neurons are ordered held-in first, then held-out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neuroblend.behavior.encoding import BehaviorEncoding
from neuroblend.behavior.kind import Encoding
from neuroblend.data.split import Part, Split
from neuroblend.data.trials import Trials
from neuroblend.task.batch import Batch, Batches
from neuroblend.task.spec import TaskSpec


@dataclass(frozen=True, eq=False)
class Task:
    """Trials under one split: the tensors that training and evaluation take.

    Attributes:
        trials: The recording.
        split: Who trains, validates and tests.
        spec: Sizes for a model's builder.
        scale: How behavior is encoded; ``None`` without behavior.
    """

    trials: Trials
    split: Split
    spec: TaskSpec
    scale: Encoding | None

    @classmethod
    def of(cls, trials: Trials, split: Split, encoding: type[Encoding] = BehaviorEncoding) -> Task:
        """Derive sizes and scales from the training trials.

        Args:
            trials: The recording.
            split: Who trains, validates and tests.
            encoding: How behavior reaches a teacher.

        Raises:
            InputError: A behavior channel cannot be standardised.
        """
        train = split.train
        scale = n_encoded = None
        gaps = False
        if trials.behavior is not None:
            channels = trials.channels
            for part in ("valid", "test"):  # a channel that is constant there cannot be scored
                if split.trials(part).size:
                    encoding.of(trials.behavior[split.trials(part)], channels, part)
            scale = encoding.of(trials.behavior[train], channels)
            n_encoded = scale.encode(trials.behavior[:1]).values.shape[2]
            missing = np.isnan(trials.behavior)
            if trials.present is not None:
                missing &= trials.present[:, :, None]
            # no teacher is asked about a trial without any behavior
            gaps = bool(missing[trials.paired].any())
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
            n_encoded=n_encoded,
        )
        return cls(trials, split, spec, scale)

    def __repr__(self) -> str:
        return f"Task({self.trials!r}, {self.split!r})"

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
            behavior = self.scale.encode(self.trials.behavior[index])
        spikes = target[:, : self.spec.t_in, : self.spec.n_in].contiguous()
        present = None
        if self.trials.present is not None:
            present = torch.from_numpy(self.trials.present[index])
            scored &= present[:, :, None]
        return Batch(spikes, behavior, target, scored, present, torch.tensor(index))
