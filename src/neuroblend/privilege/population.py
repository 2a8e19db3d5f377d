"""Behavior as a part of the population's state (the privileged channels of stock NeuPRINT).

Shape legend: ``B`` windows, ``T`` frames, ``N`` neurons, ``D`` behavior channels.
"""

import torch
from torch import Tensor, nn

from neuroblend.task.batch import Batch


def on_cells(net: nn.Module, batch: Batch) -> Tensor:
    """Call ``net`` on (B, T, N) activity and which cells the neurons are: a student's call."""
    return net(batch.spikes, batch.neurons)


class PopulationState:
    """Give the network behavior beside activity; where samples may be missing, it is given which.

    Args:
        n_behavior: Behavior channels.
        mark_gaps: Whether further channels mark missing samples, which are the channel's mean.
    """

    def __init__(self, n_behavior: int, mark_gaps: bool) -> None:
        self.mark_gaps = mark_gaps
        self.n_channels = n_behavior * (2 if mark_gaps else 1)
        """What the teacher's network is built for."""

    def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) predicted activity."""
        if batch.behavior is None:
            raise ValueError("a teacher was called on a batch without behavior")
        values, present, _ = batch.behavior
        if self.mark_gaps:
            values = torch.cat([values, present.to(values.dtype)], dim=2)
        return net(batch.spikes, batch.neurons, values)
