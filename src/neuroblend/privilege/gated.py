"""Behavior added to a teacher's input, as far as a gate lets it (after Arevalo et al. 2017).

Shape legend: ``B`` trials, ``T_in`` seen bins, ``N_in`` seen neurons.
"""

import torch
from torch import Tensor, nn

from neuroblend.privilege.film import starting_at_zero
from neuroblend.privilege.read_in import ReadIn, within_trials
from neuroblend.privilege.roles import on_input
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

WIDTH = 64  # features that behavior is read in as


class Gated(nn.Module):
    """Feed the network spikes to which behavior of the same bin is added through a gate.

    ``spikes + sigmoid(gate(spikes, behavior)) * value(behavior)``. What is added starts at 0, so
    that the teacher starts as the network without behavior. Difference from the gated multimodal
    unit (Arevalo et al. 2017, arXiv 1702.01992): there a gate weighs one modality against the
    other; here spikes always pass.

    Args:
        spec: Sizes of the student's task.

    Attributes:
        spec: What the teacher's network is built for: the same.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.read_in = ReadIn(spec, WIDTH)
        self.act = nn.GELU()
        self.gate = nn.Linear(spec.n_in + WIDTH, spec.n_in)
        self.value = starting_at_zero(nn.Linear(WIDTH, spec.n_in))
        self.spec = spec

    def forward(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        behavior = self.act(self.read_in(batch))
        gate = self.gate(torch.cat([batch.spikes, behavior], dim=2)).sigmoid()
        added = within_trials(gate * self.value(behavior), batch.present)
        return on_input(net, batch.spikes + added, batch.present)
