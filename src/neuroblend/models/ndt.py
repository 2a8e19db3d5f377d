"""Neural Data Transformer (Ye & Pandarinath, Neurons, Behavior, Data analysis, and Theory, 2021).

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``W`` width.

A transformer encoder over time bins, trained by masked modelling: each bin's counts are one token,
positions are learned or sinusoidal, layers are pre-norm with T-Fixup scaling, attention may be
limited to a window of bins before and after, and the output is the log of expected counts
(Poisson). Held-out neurons are further outputs; forward bins are tokens without counts.

Differences from the paper and its code (snel-repo/neural-data-transformers): tokens are embedded
linearly into ``width`` rather than having one feature a neuron, which the code offers as an option,
so that cost and capacity do not follow the number of neurons; the embedding is not multiplied by
the square root of the width; the read-out's bias starts at each neuron's mean log rate; attention
weights have no dropout. All layers have their own initial weights (the code copies one layer's),
learned positions start at a fiftieth of a standard normal (there, at one), and sinusoidal ones
count from 0 (there, from 1). Spans, random counts and kept counts under the mask are settings of
the training (``training.mask``); random counts are the
neuron's own at another time (there, uniform up to the largest). Rotary positions (Su et al. 2021)
are ours: bins then know how far apart they are and not when in a trial, so that trials may be
longer than those of training, and a causal network can be called bin by bin, with as many bins of
the past as attention looks back. Not offered: a table of embeddings
for counts, which the published settings for area2_bump use, post-norm layers, a classifier of
counts in the place of the Poisson loss, and rates that are not logs.
"""

import math

import torch
from torch import Tensor, nn

from neuroblend.errors import InputError, nearest
from neuroblend.models.parts.attention import EncoderLayer, rounded
from neuroblend.models.parts.dropout import Dropout
from neuroblend.models.parts.past import Past
from neuroblend.models.parts.positions import sinusoids
from neuroblend.models.parts.streams import State
from neuroblend.models.parts.window import Window, check_length
from neuroblend.task.spec import TaskSpec

PRESETS = {
    "mc_maze": {  # snel-repo/neural-data-transformers, configs/mc_maze.yaml
        "model": {"n_layers": 4, "width": None, "n_heads": 2, "feedforward": 128},
        "training": {
            "batch_size": 64,
            "weight_decay": 5e-5,
            # updates 8,000 to 12,000 of 50,501
            "mask": {"kind": "bins", "ratio": 0.25, "ramp": (0.16, 0.24)},
        },
    },
}
"""As published; what was searched there (dropout, context, learning rate) is ours."""

POSITIONS = ("learned", "sinusoidal", "rotary")


class NDT(nn.Module):
    """Encoder over time bins.

    Args:
        spec: Sizes of the task.
        n_layers: Encoder layers.
        width: Features of a token, ``W``; ``None`` for one a neuron, as in the paper, and as many
            more as make a round number.
        n_heads: Attention heads; must divide ``width``.
        feedforward: Hidden units of each layer's perceptron.
        dropout: In each layer's branches.
        dropout_embedding: On embedded tokens.
        dropout_rates: On the features that the read-out takes.
        context_forward_s: How far ahead a bin may attend, in seconds; ``None`` for all bins, 0 for
            a causal model.
        context_backward_s: How far back a bin may attend, in seconds; ``None`` for all bins.
        positions: ``"learned"``; ``"sinusoidal"`` (Vaswani et al. 2017), which has no weights; or
            ``"rotary"`` (Su et al. 2021), which has none either, and no longest trial.
        readout_hidden: Hidden units of a read-out of two layers (16 in the code, where it has
            more than one); ``None`` for a linear read-out.

    Raises:
        InputError: ``width`` is not a multiple of ``n_heads`` (with rotary positions, an even
            one), or a number is out of range.
    """

    def __init__(
        self,
        spec: TaskSpec,
        n_layers: int = 2,
        width: int | None = 64,
        n_heads: int = 2,
        feedforward: int = 128,
        dropout: float = 0.3,
        dropout_embedding: float = 0.2,
        dropout_rates: float = 0.2,
        context_forward_s: float | None = 0.16,
        context_backward_s: float | None = 0.16,
        positions: str = "learned",
        readout_hidden: int | None = None,
    ) -> None:
        if width is None:
            width = rounded(max(spec.n_in, spec.n_out), math.lcm(8, max(n_heads, 1)))
        if min(n_layers, n_heads, feedforward) < 1:
            raise InputError(
                f"ndt: found {n_layers} layers, {n_heads} heads and feedforward {feedforward}, "
                "wanted 1 or more of each"
            )
        if width < 1 or width % n_heads:
            raise InputError(f"ndt: width {width} is not a positive multiple of n_heads {n_heads}")
        if positions not in POSITIONS:
            raise InputError(f"ndt: no positions '{positions}': {nearest(positions, POSITIONS)}")
        if readout_hidden is not None and readout_hidden < 1:
            raise InputError(f"ndt: readout_hidden {readout_hidden}, wanted 1 or more, or null")
        super().__init__()
        self.n_forward = spec.t_out - spec.t_in
        self.embed = nn.Linear(spec.n_in, width)
        self.position: Tensor | None
        if positions == "rotary":
            self.position = None
        elif positions == "learned":
            self.position = nn.Parameter(torch.randn(spec.t_out, width) * 0.02)
        else:
            self.register_buffer("position", sinusoids(spec.t_out, width), persistent=False)
        self.drop_embedding = Dropout(dropout_embedding)
        self.layers = nn.ModuleList(
            EncoderLayer(width, n_heads, feedforward, dropout, n_layers) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.drop_rates = Dropout(dropout_rates)
        self.hidden: nn.Module = nn.Identity()
        if readout_hidden is not None:
            self.hidden = nn.Sequential(nn.Linear(width, readout_hidden), nn.ReLU())
        self.readout = nn.Linear(readout_hidden or width, spec.n_out)
        nn.init.uniform_(self.readout.weight, -0.1, 0.1)
        with torch.no_grad():
            self.readout.bias.copy_(torch.tensor(spec.log_rate))
        self.window = Window.of("ndt", spec, context_forward_s, context_backward_s)
        self.past = Past("ndt", self.window, n_heads, width, positions == "rotary")
        self.longest = None if positions == "rotary" else spec.t_out  # of a stream
        self.period = 1

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        """Return (B, T, N) log expected counts/bin from (B, T_in, N_in) counts/bin.

        ``present`` is (B, T) bool, False for padding; ``None`` where all trials have all bins.
        """
        tokens = self.embed(spikes)
        if self.n_forward:
            tokens = nn.functional.pad(tokens, (0, 0, 0, self.n_forward))
        n_bins = tokens.shape[1]
        reach = self.window(present, n_bins)
        if self.position is None:
            reach = self.past.turned(reach, n_bins)
        else:
            check_length("ndt", n_bins, len(self.position))
            tokens = tokens + self.position[:n_bins]
        tokens = self.drop_embedding(tokens)
        for layer in self.layers:
            tokens = layer(tokens, reach)
        return self.readout(self.hidden(self.drop_rates(self.norm(tokens))))

    def begin(self, n_streams: int) -> State:
        """Return the state before the first bin: what is barred, and each layer's past.

        Where positions are of a trial, first the bins of it that there have been.

        Raises:
            InputError: The network looks ahead, or back without end.
        """
        past = self.past.empty(n_streams, len(self.layers))
        return past if self.position is None else (past[0].new_zeros(n_streams), *past)

    def step(self, spikes: Tensor, state: State) -> tuple[Tensor, State]:
        """Return (B, N) log expected counts/bin and the next state from (B, N_in) counts/bin."""
        tokens, after = self.embed(spikes[:, None]), list[Tensor]()
        if self.position is not None:
            last = len(self.position) - 1
            tokens = tokens + self.position[state[0].clamp_max(last).long()][:, None]
            after, state = [state[0] + 1], state[1:]
        recent = self.past.recent(state)
        for layer, before in zip(self.layers, recent, strict=True):
            tokens = layer(tokens, before)
        log_rates = self.readout(self.hidden(self.drop_rates(self.norm(tokens))))
        return log_rates[:, 0], (*after, *self.past.state(recent))
