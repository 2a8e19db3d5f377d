"""Bins of spikes that attend to bins of behavior (after Vaswani et al. 2017).

Shape legend: ``B`` trials, ``T_in`` seen bins, ``N_in`` seen neurons, ``H`` heads, ``F`` features
of a head.
"""

import math

import torch
from torch import Tensor, nn

from neuroblend.privilege.film import starting_at_zero
from neuroblend.privilege.read_in import ReadIn, within_trials
from neuroblend.privilege.roles import on_input
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

HEADS, WIDTH = 4, 64
NEAREST_S, FARTHEST_S = 0.02, 0.5  # distance at which the heads' weights first fall by e


class CrossAttention(nn.Module):
    """Feed the network spikes to which each bin has added what it found in behavior of any bin.

    Queries are made of spikes, keys and values of behavior. In place of positions, each head has
    a bias that falls linearly with the distance between two bins (ALiBi; Press et al., ICLR 2022),
    at a learned rate of its own for behavior before and after; so it works at any length, and
    starts by looking nearby. What is added starts at 0, so that the teacher starts as the network
    without behavior.

    Args:
        spec: Sizes of the student's task.

    Attributes:
        spec: What the teacher's network is built for: the same.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.read_in = ReadIn(spec, WIDTH)
        self.act = nn.GELU()
        self.query = nn.Linear(spec.n_in, WIDTH)
        self.key_value = nn.Linear(WIDTH, 2 * WIDTH)
        self.to_input = starting_at_zero(nn.Linear(WIDTH, spec.n_in))
        reach = torch.logspace(math.log10(NEAREST_S), math.log10(FARTHEST_S), HEADS)
        rate = (spec.bin_s / reach).log()
        self.log_rate = nn.Parameter(torch.stack([rate, rate]))  # before, after
        self.spec = spec

    def forward(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        behavior = self.act(self.read_in(batch))
        key, value = (_by_head(x) for x in self.key_value(behavior).chunk(2, dim=2))
        bias = self._bias(behavior.shape[1])
        if batch.present is not None:
            there = batch.present[:, None, None, : behavior.shape[1]]
            bias = bias.masked_fill(~there, -math.inf)
        found = nn.functional.scaled_dot_product_attention(
            _by_head(self.query(batch.spikes)), key, value, bias.to(key.dtype)
        )
        added = within_trials(self.to_input(found.transpose(1, 2).flatten(2)), batch.present)
        return on_input(net, batch.spikes + added, batch.present)

    def _bias(self, n_bins: int) -> Tensor:
        """Return (1, H, T_in, T_in), of the bin of spikes and that of behavior."""
        at = torch.arange(n_bins, device=self.log_rate.device, dtype=self.log_rate.dtype)
        ago = at[:, None] - at
        before, after = self.log_rate.exp()[:, :, None, None]
        return -(before * ago.clamp_min(0) + after * (-ago).clamp_min(0))[None]


def _by_head(x: Tensor) -> Tensor:
    """Return (B, H, T_in, F) of (B, T_in, H * F)."""
    return x.reshape(*x.shape[:2], HEADS, WIDTH // HEADS).transpose(1, 2)
