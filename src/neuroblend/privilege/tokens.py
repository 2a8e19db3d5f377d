"""Behavior as bins of its own, one before each bin of spikes.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons (``N_in`` seen).
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from neuroblend.privilege.read_in import ReadIn
from neuroblend.privilege.roles import on_input
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec


class Tokens(nn.Module):
    """Feed the network a bin of behavior and a bin of spikes by turns, and keep the latter's rates.

    A transformer so has a token of behavior beside each of spikes, and a recurrent network is told
    behavior before the spikes of the same bin. The network is built for twice as many bins of half
    the width, so that what it can reach in seconds stays the same. Behavior is mapped linearly to
    the width of spikes.

    A teacher of this kind does not start as the network without behavior. A network that treats
    each bin alone cannot use it.

    Args:
        spec: Sizes of the student's task.

    Attributes:
        spec: What the teacher's network is built for.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.read_in = ReadIn(spec, spec.n_in)
        n_more = spec.t_out - spec.t_in
        n_both = 2 * spec.t_in
        self.spec = replace(spec, t_in=n_both, t_out=n_both + n_more, bin_s=spec.bin_s / 2)

    def forward(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        both = torch.stack([self.read_in(batch), batch.spikes], dim=2).flatten(1, 2)
        present = batch.present
        if present is not None:
            present = present.repeat_interleave(2, dim=1)
        return self.of_spikes(on_input(net, both, present))

    def of_spikes(self, given: Tensor) -> Tensor:
        """Return the bins of spikes, and forward bins, of what the network or a layer gives.

        Args:
            given: (B, 2 T_in + forward bins, ...), or without forward bins.
        """
        n_more = self.spec.t_out - self.spec.t_in
        n_both = given.shape[1] - (0 if given.shape[1] == self.spec.t_in else n_more)
        return torch.cat([given[:, 1:n_both:2], given[:, n_both:]], dim=1)
