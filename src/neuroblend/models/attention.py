"""What the transformer models share: a pre-norm layer over bins, and who may attend to whom.

Shape legend: ``B`` trials, ``T`` bins, ``W`` width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuroblend.data.batch import TaskSpec
from neuroblend.errors import InputError
from neuroblend.models.dropout import Dropout


class EncoderLayer(nn.Module):
    """Pre-norm attention and perceptron, each added to its input, with T-Fixup scaled weights.

    Args:
        width: Features of a token, ``W``.
        n_heads: Attention heads; divides ``width``.
        feedforward: Hidden units of the perceptron.
        dropout: In each branch; attention weights have none.
        n_layers: Layers of the whole encoder, which the scaling of Huang et al. (2020) takes.
    """

    def __init__(
        self, width: int, n_heads: int, feedforward: int, dropout: float, n_layers: int
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.perceptron = Perceptron(width, feedforward, dropout, n_layers)
        self.drop = Dropout(dropout)
        scale = fixup_scale(n_layers)
        with torch.no_grad():
            nn.init.xavier_uniform_(self.project.weight, gain=scale)
            nn.init.zeros_(self.project.bias)
            nn.init.xavier_uniform_(self.qkv.weight)
            self.qkv.weight[2 * width :] *= scale * 2**0.5
            nn.init.zeros_(self.qkv.bias)

    def forward(self, tokens: Tensor, allowed: Tensor | None) -> Tensor:
        """Return (B, T, W) tokens from (B, T, W) ones.

        ``allowed`` broadcasts to (B, heads, T, T), True where bin i (row) may attend to bin j.
        """
        n_trials, n_bins, width = tokens.shape
        qkv = self.qkv(self.norm_attention(tokens))
        # unbound before they are transposed, which saves a copy on the way back
        parts = qkv.view(n_trials, n_bins, 3, self.n_heads, -1).unbind(dim=2)
        q, k, v = (part.transpose(1, 2) for part in parts)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        mixed = mixed.transpose(1, 2).reshape(n_trials, n_bins, width)
        return self.perceptron(tokens + self.drop(self.project(mixed)))


class Perceptron(nn.Module):
    """Pre-norm perceptron, added to its input; see :class:`EncoderLayer`."""

    def __init__(self, width: int, feedforward: int, dropout: float, n_layers: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, feedforward)
        self.contract = nn.Linear(feedforward, width)
        self.drop = Dropout(dropout)
        with torch.no_grad():
            for linear in (self.expand, self.contract):
                nn.init.xavier_uniform_(linear.weight, gain=fixup_scale(n_layers))
                nn.init.zeros_(linear.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, T, W) tokens from (B, T, W) ones."""
        # dropout before the rectifier drops the same, and one tensor less is kept for going back
        hidden = nn.functional.relu(self.drop(self.expand(self.norm(tokens))))
        return tokens + self.drop(self.contract(hidden))


def fixup_scale(n_layers: int) -> float:
    """Return the factor of initial weights of an encoder (Huang et al. 2020, T-Fixup)."""
    return 0.67 * n_layers**-0.25


def window_of(
    name: str, spec: TaskSpec, forward_s: float | None, backward_s: float | None
) -> Tensor | None:
    """Return the :func:`context_window` of a task, for reaches in seconds, ``None`` for all bins.

    Raises:
        InputError: A reach is negative; ``name`` is the model's.
    """
    reaches = []
    for side, seconds in (("forward", forward_s), ("backward", backward_s)):
        if seconds is not None and seconds < 0:
            raise InputError(f"{name}: context_{side}_s {seconds} is negative; null stands for all")
        # at least one bin where it is not 0
        reaches.append(seconds and max(1, round(seconds / spec.bin_s)))
    forward, backward = (None if reach is None else int(reach) for reach in reaches)
    return context_window(spec.t_out, forward, backward, spec.t_out - spec.t_in)


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


def within_trials(window: Tensor | None, present: Tensor | None, n_bins: int) -> Tensor | None:
    """Return what broadcasts to (B, heads, T, T): ``window``, without bins that are padding.

    A bin may always attend to itself, so that padding has something to attend to.

    Args:
        window: Who may attend to whom in the longest of trials; ``None`` for all.
        present: (B, T) bool, False for padding; ``None`` where there is none.
        n_bins: ``T`` of these trials.
    """
    window = None if window is None else window[:n_bins, :n_bins]
    if present is None:
        return window
    allowed = present[:, None, None, :]
    if window is not None:
        allowed = allowed & window
    return allowed | torch.eye(n_bins, dtype=torch.bool, device=present.device)


def rounded(n: int, step: int) -> int:
    """Return the least multiple of ``step`` that is not below ``n``."""
    return -(-n // step) * step
