"""Bidirectional gated recurrent network (Cho et al. 2014), the field's plain recurrent baseline.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``W`` width.
"""

import torch
from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.models.parts.dropout import Dropout
from neuroblend.models.parts.recurrent import states_of
from neuroblend.models.parts.streams import State
from neuroblend.task.spec import TaskSpec


class GRU(nn.Module):
    """Recurrent layers over bins, normalised, and a linear read-out of log rates.

    Args:
        spec: Sizes of the task.
        n_layers: Recurrent layers.
        width: Hidden units in each direction.
        dropout: On inputs, between layers and on the features that the read-out takes.
        bidirectional: Whether a bin's rate may depend on later bins. ``False`` makes a causal
            model, for use while a trial is still going on.

    Raises:
        InputError: A number is out of range.
    """

    def __init__(
        self,
        spec: TaskSpec,
        n_layers: int = 1,
        width: int = 64,
        dropout: float = 0.3,
        bidirectional: bool = True,
    ) -> None:
        if min(n_layers, width) < 1:
            raise InputError(f"gru: found {n_layers} layers of width {width}, wanted 1 or more")
        super().__init__()
        self.longest, self.period = None, 1  # of a stream
        self.n_forward = spec.t_out - spec.t_in
        self.drop = Dropout(dropout)
        between = dropout if n_layers > 1 else 0.0
        settings = {"batch_first": True, "dropout": between, "bidirectional": bidirectional}
        self.recurrent = nn.GRU(spec.n_in, width, n_layers, **settings)
        n_features = width * (1 + bidirectional)
        self.norm = nn.LayerNorm(n_features)
        self.readout = nn.Linear(n_features, spec.n_out)
        nn.init.uniform_(self.readout.weight, -0.1, 0.1)
        with torch.no_grad():
            self.readout.bias.copy_(torch.tensor(spec.log_rate))

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        """Return (B, T, N) log expected counts/bin from (B, T_in, N_in) counts/bin.

        ``present`` is (B, T) bool, False for padding; ``None`` where all trials have all bins.
        """
        if self.n_forward:
            spikes = nn.functional.pad(spikes, (0, 0, 0, self.n_forward))
        features, _ = states_of(self.recurrent, self.drop(spikes), present)
        return self.readout(self.drop(self.norm(features)))

    def begin(self, n_streams: int) -> State:
        """Return the state before the first bin, (B, layer, W); zeros, as before a trial.

        Raises:
            InputError: The network is bidirectional.
        """
        if self.recurrent.bidirectional:
            raise InputError(
                "gru: as built, it looks ahead, and a stream has no later bins; train it with "
                "--causal"
            )
        layers = (n_streams, self.recurrent.num_layers, self.recurrent.hidden_size)
        return (self.readout.weight.new_zeros(layers),)

    def step(self, spikes: Tensor, state: State) -> tuple[Tensor, State]:
        """Return (B, N) log expected counts/bin and the next state from (B, N_in) counts/bin."""
        features, last = self.recurrent(spikes[:, None], state[0].transpose(0, 1).contiguous())
        return self.readout(self.norm(features))[:, 0], (last.transpose(0, 1),)
