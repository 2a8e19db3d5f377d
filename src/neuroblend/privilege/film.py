"""Behavior as a scale and a shift of a teacher's input (FiLM; Perez et al., AAAI 2018).

Shape legend: ``B`` trials, ``T_in`` seen bins, ``N_in`` seen neurons.
"""

from torch import Tensor, nn

from neuroblend.privilege.read_in import ReadIn, within_trials
from neuroblend.privilege.roles import on_input
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

WIDTH = 64  # hidden units between behavior and scales


class Film(nn.Module):
    """Feed the network spikes that behavior of the same bin has scaled and shifted.

    ``spikes * (1 + scale) + shift``, both of a perceptron of one hidden layer on behavior. Its last
    layer starts at 0, so that the teacher starts as the network without behavior. Difference from
    the paper: there, features inside the network are modulated; here its input is, so that any
    network will do.

    Args:
        spec: Sizes of the student's task.

    Attributes:
        spec: What the teacher's network is built for: the same.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        self.read_in = ReadIn(spec, WIDTH)
        self.act = nn.GELU()
        self.to_both = starting_at_zero(nn.Linear(WIDTH, 2 * spec.n_in))
        self.spec = spec

    def forward(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        scale, shift = self.to_both(self.act(self.read_in(batch))).chunk(2, dim=2)
        changed = within_trials(batch.spikes * (1 + scale) + shift, batch.present)
        return on_input(net, changed, batch.present)


def starting_at_zero(linear: nn.Linear) -> nn.Linear:
    """Return a linear map whose weights are 0, so that what it adds is nothing at first."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
