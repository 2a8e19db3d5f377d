"""Neural Data Transformer (Ye & Pandarinath, Neurons, Behavior, Data analysis, and Theory, 2021).

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``W`` width.

A transformer encoder over time bins, trained by masked modelling: each bin's counts are one token,
positions are learnable, layers are pre-norm with T-Fixup scaling, attention may be limited to a
window of bins before and after, and the output is the log of expected counts (Poisson). Held-out
neurons are further outputs; forward bins are tokens without counts.

Differences from the paper and its code (snel-repo/neural-data-transformers): tokens are embedded
linearly into ``width`` rather than having one feature a neuron, which the code offers as an option,
so that cost and capacity do not follow the number of neurons; the embedding is not multiplied by
the square root of the width; the read-out's bias starts at each neuron's mean log rate; attention
weights have no dropout. All layers have their own initial weights (the code copies one layer's).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuroblend.data.batch import TaskSpec
from neuroblend.errors import InputError
from neuroblend.models.dropout import Dropout


class NDT(nn.Module):
    """Encoder over time bins.

    Args:
        spec: Sizes of the task.
        n_layers: Encoder layers.
        width: Features of a token, ``W``.
        n_heads: Attention heads; must divide ``width``.
        feedforward: Hidden units of each layer's perceptron.
        dropout: In each layer's branches.
        dropout_embedding: On embedded tokens.
        dropout_rates: On the features that the read-out takes.
        context_forward_s: How far ahead a bin may attend, in seconds; ``None`` for all bins, 0 for
            a causal model.
        context_backward_s: How far back a bin may attend, in seconds; ``None`` for all bins.

    Raises:
        InputError: ``width`` is not a multiple of ``n_heads``, or a number is out of range.
    """

    def __init__(
        self,
        spec: TaskSpec,
        n_layers: int = 2,
        width: int = 64,
        n_heads: int = 2,
        feedforward: int = 128,
        dropout: float = 0.3,
        dropout_embedding: float = 0.2,
        dropout_rates: float = 0.2,
        context_forward_s: float | None = 0.16,
        context_backward_s: float | None = 0.16,
    ) -> None:
        if min(n_layers, width, n_heads, feedforward) < 1 or width % n_heads:
            raise InputError(f"ndt: width {width} is not a positive multiple of n_heads {n_heads}")
        for name, reach in (("forward", context_forward_s), ("backward", context_backward_s)):
            if reach is not None and reach < 0:
                raise InputError(f"ndt: context_{name}_s {reach} is negative; null stands for all")
        super().__init__()
        self.n_forward = spec.t_out - spec.t_in
        self.embed = nn.Linear(spec.n_in, width)
        self.position = nn.Parameter(torch.randn(spec.t_out, width) * 0.02)
        self.drop_embedding = Dropout(dropout_embedding)
        self.layers = nn.ModuleList(
            _Layer(width, n_heads, feedforward, dropout, n_layers) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.drop_rates = Dropout(dropout_rates)
        self.readout = nn.Linear(width, spec.n_out)
        nn.init.uniform_(self.readout.weight, -0.1, 0.1)
        with torch.no_grad():
            self.readout.bias.copy_(torch.tensor(spec.log_rate))
        window = context_window(
            spec.t_out,
            _bins(context_forward_s, spec.bin_s),
            _bins(context_backward_s, spec.bin_s),
            self.n_forward,
        )
        self.register_buffer("window", window, persistent=False)
        self.window: Tensor | None

    def forward(self, spikes: Tensor) -> Tensor:
        """Return (B, T, N) log expected counts/bin from (B, T_in, N_in) counts/bin."""
        tokens = self.embed(spikes)
        if self.n_forward:
            tokens = nn.functional.pad(tokens, (0, 0, 0, self.n_forward))
        tokens = self.drop_embedding(tokens + self.position)
        for layer in self.layers:
            tokens = layer(tokens, self.window)
        return self.readout(self.drop_rates(self.norm(tokens)))


class _Layer(nn.Module):
    """Pre-norm attention and perceptron, each added to its input, with T-Fixup scaled weights."""

    def __init__(
        self, width: int, n_heads: int, feedforward: int, dropout: float, n_layers: int
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_perceptron = nn.LayerNorm(width)
        self.expand = nn.Linear(width, feedforward)
        self.contract = nn.Linear(feedforward, width)
        self.drop = Dropout(dropout)
        scale = 0.67 * n_layers**-0.25  # Huang et al. 2020, T-Fixup, for an encoder
        with torch.no_grad():
            for linear in (self.project, self.expand, self.contract):
                nn.init.xavier_uniform_(linear.weight, gain=scale)
                nn.init.zeros_(linear.bias)
            nn.init.xavier_uniform_(self.qkv.weight)
            self.qkv.weight[2 * width :] *= scale * 2**0.5
            nn.init.zeros_(self.qkv.bias)

    def forward(self, tokens: Tensor, window: Tensor | None) -> Tensor:
        n_trials, n_bins, width = tokens.shape
        qkv = self.qkv(self.norm_attention(tokens))
        q, k, v = qkv.view(n_trials, n_bins, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=window)
        mixed = mixed.transpose(1, 2).reshape(n_trials, n_bins, width)
        tokens = tokens + self.drop(self.project(mixed))
        hidden = nn.functional.relu(self.expand(self.norm_perceptron(tokens)))
        return tokens + self.drop(self.contract(self.drop(hidden)))


def _bins(seconds: float | None, bin_s: float) -> int | None:
    """Return a reach in bins, at least one where it is not 0."""
    if seconds is None:
        return None
    return max(1, round(seconds / bin_s)) if seconds > 0 else 0


def context_window(
    n_bins: int, forward: int | None, backward: int | None, n_unseen: int = 0
) -> Tensor | None:
    """Return (T, T) bool, True where bin i (row) may attend to bin j, or ``None`` for everywhere.

    The last ``n_unseen`` bins hold no counts; they may attend to every bin that does.

    >>> context_window(3, 0, 1).int().tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    if forward is None and backward is None:
        return None
    ahead = torch.arange(n_bins)[None, :] - torch.arange(n_bins)[:, None]
    allowed = torch.ones(n_bins, n_bins, dtype=torch.bool)
    if forward is not None:
        allowed &= ahead <= forward
    if backward is not None:
        allowed &= ahead >= -backward
    allowed[n_bins - n_unseen :, : n_bins - n_unseen] = True
    return allowed
