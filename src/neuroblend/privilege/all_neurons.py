"""Held-out neurons as further input of a teacher: more neural evidence than its student has.

Shape legend: ``B`` trials, ``T_in`` seen bins, ``N`` neurons (``N_in`` of them held in).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec


class AllNeurons(nn.Module):
    """A fusion that is given the spikes of every neuron in the seen bins.

    The teacher is trained on batches of :func:`with_all_neurons`, in which only what a mask hides
    and forward bins are asked for. Where it teaches, the mask is the student's: bins that hide all
    held-in neurons hide the held-out ones too, and where single entries are hidden, held-out
    neurons are shown, as held-in ones are at inference.

    Args:
        spec: Sizes of the student's task.
        fusion: Makes the fusion, with an attribute ``spec``.

    Attributes:
        spec: What the teacher's network is built for.
    """

    def __init__(self, spec: TaskSpec, fusion: Callable[[TaskSpec], Any]) -> None:
        super().__init__()
        self.fusion = fusion(replace(spec, n_in=spec.n_out))
        self.spec: TaskSpec = self.fusion.spec

    def forward(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        return self.fusion(net, with_held_out(batch))


def with_held_out(batch: Batch) -> Batch:
    """Return a batch whose (B, T_in, N) spikes are of held-out neurons too, hidden with the others.

    One that has them already stays as it is.
    """
    assert batch.target is not None and batch.scored is not None
    n_bins, n_given = batch.spikes.shape[1:]
    if n_given == batch.target.shape[2]:
        return batch
    hidden = batch.scored[:, :n_bins, :n_given].all(dim=2, keepdim=True)
    held_out = batch.target[:, :n_bins, n_given:].masked_fill(hidden, 0.0)
    return batch._replace(spikes=torch.cat([batch.spikes, held_out], dim=2))


def with_all_neurons(batch: Batch) -> Batch:
    """Return a batch whose (B, T_in, N) spikes are of all neurons; scored are forward bins alone.

    Held-out neurons are seen, so that nothing of them is asked for but what a mask hides.
    """
    assert batch.target is not None and batch.scored is not None
    n_bins = batch.spikes.shape[1]
    scored = batch.scored.clone()
    scored[:, :n_bins] = False
    return batch._replace(spikes=batch.target[:, :n_bins].contiguous(), scored=scored)
