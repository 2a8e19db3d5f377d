"""What the transformer models share: a pre-norm layer over bins, attention and a perceptron.

Shape legend: ``B`` trials, ``T`` bins, ``W`` width.
"""

import torch
from torch import Tensor, nn

from neuroblend.models.parts.banded import banded_attention
from neuroblend.models.parts.dropout import Dropout
from neuroblend.models.parts.past import Recent
from neuroblend.models.parts.positions import rotated
from neuroblend.models.parts.window import Reach

LEAST_ROWS = 2048  # of scores in a batch, for blocks to be worth their calls


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

    def forward(self, tokens: Tensor, reach: Reach | Recent) -> Tensor:
        """Return (B, T, W) tokens from (B, T, W) ones; ``reach`` says who may attend to whom.

        With the recent past of a stream, of its next bin alone.
        """
        qkv = self.qkv(self.norm_attention(tokens)).unflatten(2, (3, self.n_heads, -1))
        mixed = reach.attended(qkv) if isinstance(reach, Recent) else attended(qkv, reach)
        mixed = mixed.flatten(2)
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


def attended(qkv: Tensor, reach: Reach) -> Tensor:
    """Return (B, T, heads, F) values as attention mixes them.

    Args:
        qkv: (B, T, 3, heads, F) queries, keys and values.
        reach: Who may attend to whom.
    """
    n_trials, n_bins, _, n_heads, _ = qkv.shape
    if reach.turns is not None:
        turned = rotated(qkv[:, :, :2].transpose(1, 3), reach.turns).transpose(1, 3)
        qkv = torch.cat([turned, qkv[:, :, 2:]], dim=2)
    is_long = n_trials * n_heads * n_bins >= LEAST_ROWS
    if reach.blocks and (is_long or reach.allowed is None):
        return banded_attention(qkv, reach.blocks)
    # unbound before they are transposed, which saves a copy on the way back
    q, k, v = (part.transpose(1, 2) for part in qkv.unbind(dim=2))
    mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=reach.allowed)
    return mixed.transpose(1, 2)


def fixup_scale(n_layers: int) -> float:
    """Return the factor of initial weights of an encoder (Huang et al. 2020, T-Fixup)."""
    return 0.67 * n_layers**-0.25


def rounded(n: int, step: int) -> int:
    """Return the least multiple of ``step`` that is not below ``n``."""
    return -(-n // step) * step
