"""Behavior weakened on its way to a teacher, so that students can follow it.

A more predictive teacher may make a worse student, as its targets vary more with what the student
cannot see (Yang et al., NeurIPS 2022).

Shape legend: ``B`` trials, ``T`` bins, ``D`` behavior features.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from neuroblend.behavior.kind import Behavior
from neuroblend.errors import InputError
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec


class Dose(nn.Module):
    """A fusion that is given less of behavior: late, noisy, now and then none, or reduced.

    What is hidden is missing to the fusion, which marks it as it marks gaps of a recording.

    Args:
        spec: Sizes of the student's task.
        fusion: Makes the fusion, with an attribute ``spec``, such as
            :class:`~neuroblend.privilege.concat.Concat`.
        dropout: Probability, in training, that a trial shows no behavior.
        noise: Standard deviation of Gaussian noise, in units of a feature's (1 in training trials).
            A trial always has the same noise, so that averaging over epochs does not undo it.
        lag_s: Behavior comes so many seconds late; the bins before the first sample have none.
        bottleneck: Number of learned linear features that behavior is reduced to.
        seed: Of the noise.

    Attributes:
        spec: What the teacher's network is built for.

    Raises:
        InputError: The lag is shorter than half a bin or longer than a trial, or the bottleneck is
            wider than behavior.
    """

    def __init__(
        self,
        spec: TaskSpec,
        fusion: Callable[[TaskSpec], Any],
        dropout: float = 0.0,
        noise: float = 0.0,
        lag_s: float = 0.0,
        bottleneck: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.dropout, self.noise, self.seed = dropout, noise, seed
        self.lag = round(lag_s / spec.bin_s)
        if lag_s and not 0 < self.lag < spec.t_in:
            raise InputError(
                f"teacher.behavior_lag_s: found {lag_s:g}, which is {self.lag} bins; wanted "
                f"{spec.bin_s:g} (one bin) to {(spec.t_in - 1) * spec.bin_s:g}"
            )
        if bottleneck is not None and not 1 <= bottleneck <= spec.n_behavior:
            raise InputError(
                f"teacher.bottleneck: found {bottleneck}, wanted 1 to the {spec.n_behavior} "
                "features that behavior has"
            )
        self.read_in = None
        if bottleneck is not None:
            self.read_in = nn.Linear(spec.n_behavior, bottleneck, bias=False)
        hides = dropout > 0 or self.lag > 0
        shown = replace(
            spec,
            behavior_gaps=spec.behavior_gaps or hides,
            n_encoded=spec.n_encoded if bottleneck is None else bottleneck,
        )
        self.fusion = fusion(shown)
        self.spec: TaskSpec = self.fusion.spec

    def forward(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        return self.fusion(net, batch._replace(behavior=self.shown(batch)))

    def shown(self, batch: Batch) -> Behavior:
        """Return what the fusion is given of the behavior of ``batch``, (B, T, D or bottleneck)."""
        if batch.behavior is None:
            raise ValueError("a teacher was called on a batch without behavior")
        values, known, _ = batch.behavior
        if self.lag:
            n_bins = values.shape[1]
            values, known = (
                nn.functional.pad(part, (0, 0, self.lag, 0))[:, :n_bins] for part in (values, known)
            )
        if self.noise:
            values = (values + self.noise * self._noise(batch, values)).where(known, 0.0)
        if self.dropout and self.training:
            has = torch.rand(batch.n_trials, 1, 1, device=values.device) >= self.dropout
            values, known = values.where(has, 0.0), known & has
        if self.read_in is not None:
            values = self.read_in(values)
            known = known.any(dim=2, keepdim=True).expand(values.shape)
        return Behavior(values, known)

    def _noise(self, batch: Batch, values: Tensor) -> Tensor:
        """Return (B, T, D) standard normal numbers that depend on seed and trial alone."""
        if batch.trial is None:
            raise ValueError("noise on behavior wants batches that know their trials")
        drawn = [
            torch.randn(
                values.shape[1:],
                generator=torch.Generator().manual_seed(mixed_seed(self.seed, trial)),
            )
            for trial in batch.trial.tolist()
        ]
        return torch.stack(drawn).to(values)
