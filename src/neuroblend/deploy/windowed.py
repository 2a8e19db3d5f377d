"""A causal network without a state of its own, called on the bins that it can see.

Shape legend: ``B`` streams side by side, ``T`` bins, ``N`` neurons (``N_in`` of them seen).
"""

import torch
from torch import Tensor

from neuroblend.errors import InputError, blamed_on
from neuroblend.evaluation.reach import receptive_field
from neuroblend.models.parts.streams import State
from neuroblend.privilege.roles import Student
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

TOLERANCE = 1e-5  # of log rates, between a window and a whole trial


class Windowed:
    """Any causal network that looks back a bounded number of bins, as one that streams.

    Each step calls the network on as many bins as it sees, which costs so many times what a step
    with a state would.

    Args:
        student: The network, as a student calls it.
        spec: Sizes of its task.
        layer: Layer whose output is wanted.

    Attributes:
        student: As given.
        longest: None, since nothing ends with a trial.
        period: 1, since nothing depends on when in a trial a bin is.
        at: Which of the bins of the last call is the one asked for.

    Raises:
        InputError: The network looks ahead, or back without a bound that is within a trial; or what
            it says depends on when in a trial a bin is.
    """

    def __init__(self, student: Student, spec: TaskSpec, layer: str) -> None:
        self.student = student
        self.longest: int | None = None
        self.period = 1
        self.at = 0
        self.n_in = spec.n_in
        with blamed_on("stream: probed for what it looks at,"):
            found = receptive_field(student, spec.t_in, spec.n_in, [layer])
            if found.future != 0:
                raise InputError(
                    "stream: found a network that looks ahead, and a stream has no later bins; "
                    "wanted one that is trained with --causal"
                )
            if found.past is None:
                raise InputError(
                    "stream: found a network that looks back as far as a trial goes, wanted one "
                    "with methods begin and step, or that looks back a bounded number of bins"
                )
            self.n_bins = found.past + 1
            self._check(spec)

    def begin(self, n_streams: int) -> State:
        """Return the state before the first bin: no bins."""
        return (torch.zeros(n_streams, 0, self.n_in),)

    def step(self, spikes: Tensor, state: State) -> tuple[Tensor, State]:
        """Return (B, N) log expected counts/bin and the next state from (B, N_in) counts/bin."""
        seen = torch.cat([state[0], spikes[:, None]], dim=1)[:, -self.n_bins :]
        self.at = seen.shape[1] - 1
        return self.student(Batch(seen))[:, self.at], (seen,)

    @torch.no_grad()
    def _check(self, spec: TaskSpec) -> None:
        counts = torch.poisson(
            torch.full((1, spec.t_in, spec.n_in), 0.5), generator=torch.Generator().manual_seed(0)
        )
        whole, state = self.student(Batch(counts)), self.begin(1)
        for t in range(spec.t_in):
            log_rates, state = self.step(counts[:, t], state)
            if (log_rates - whole[:, t]).abs().max() > TOLERANCE:
                raise InputError(
                    "stream: found a network whose rates depend on when in a trial a bin is, "
                    "wanted one with methods begin and step, or without positions in a trial"
                )
