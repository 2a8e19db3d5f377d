"""Behavior as further input features of a teacher (the fusion of Guo et al., ICLR 2025)."""

import torch
from torch import Tensor, nn

from neuroblend.privilege.roles import on_input
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec


class Concat:
    """Feed the network spikes and behavior side by side in each seen bin.

    Where behavior has gaps, a missing sample is the channel's mean and further features mark it.

    Args:
        spec: Sizes of the student's task.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.t_in = spec.t_in
        self.mark_gaps = spec.behavior_gaps
        self.spec = spec.widened(spec.n_behavior * (2 if spec.behavior_gaps else 1))
        """What the teacher's network is built for."""

    def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        if batch.behavior is None:
            raise ValueError("a teacher was called on a batch without behavior")
        features = [batch.spikes, batch.behavior.values[:, : self.t_in]]
        if self.mark_gaps:
            features.append(batch.behavior.present[:, : self.t_in].to(batch.spikes.dtype))
        return on_input(net, torch.cat(features, dim=2), batch.present)
