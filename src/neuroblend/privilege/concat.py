"""Behavior as further input features of a teacher (the fusion of Guo et al., ICLR 2025)."""

import torch
from torch import Tensor, nn

from neuroblend.privilege.read_in import ReadIn
from neuroblend.privilege.roles import on_input
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec


class Concat(nn.Module):
    """Feed the network spikes and behavior side by side in each seen bin.

    Args:
        spec: Sizes of the student's task.

    Attributes:
        spec: What the teacher's network is built for.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.read_in = ReadIn(spec)
        self.spec = spec.widened(spec.n_behavior)

    def forward(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        both = torch.cat([batch.spikes, self.read_in(batch)], dim=2)
        return on_input(net, both, batch.present)
