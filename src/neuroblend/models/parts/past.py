"""The last bins' keys and values, to which the next bin of a stream attends.

Shape legend: ``B`` streams side by side, ``C`` bins of the past that are kept, ``H`` heads, ``F``
features of a head, ``T`` bins of a trial.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.models.parts.positions import rotated, rotations
from neuroblend.models.parts.streams import State
from neuroblend.models.parts.window import Reach, Window


class Recent:
    """Keys and values of one attention layer.

    Keys are kept unturned, and turned by how far back they are: no position grows with the stream,
    so that its numbers are as exact after a week as at the start.

    Args:
        kept: (B, 2, H, C, F) keys and values, oldest first; replaced at each call.
        barred: (B, 1, C + 1) 0 for bins that there have been, this one included, else minus
            infinity.
        turns: (C + 1, 2, F / 2) rotary positions of these bins; ``None`` without.
    """

    def __init__(self, kept: Tensor, barred: Tensor, turns: Tensor | None) -> None:
        self.kept = kept
        self.barred = barred
        self.turns = turns

    def attended(self, qkv: Tensor) -> Tensor:
        """Return (B, 1, H, F) values as attention mixes them, from (B, 1, 3, H, F) of this bin."""
        query, own = qkv[:, 0, 0], qkv[:, 0, 1:]
        known = torch.cat([self.kept, own[:, :, :, None]], dim=3)
        self.kept = known[:, :, :, 1:]
        keys, values = known.unbind(dim=1)
        if self.turns is not None:
            keys = rotated(keys, self.turns)
        scores = (keys @ query[..., None])[..., 0] * query.shape[2] ** -0.5
        weights = (scores + self.barred).softmax(dim=2)
        return (weights[:, :, None] @ values).transpose(1, 2)


class Past(nn.Module):
    """What a transformer keeps of a stream, as many bins as its window looks back; no weights.

    Where it has rotary positions, also these, of a trial and of the past that is kept.

    Args:
        name: The model's, for errors.
        window: Of its attention.
        n_heads: ``H``.
        width: ``H F``.
        rotary: Whether positions are rotary.

    Raises:
        InputError: They are, and ``F`` is odd.
    """

    barred: Tensor
    turns: Tensor | None

    def __init__(
        self, name: str, window: Window, n_heads: int, width: int, rotary: bool = True
    ) -> None:
        super().__init__()
        self.n_features = width // n_heads
        if rotary and self.n_features % 2:
            raise InputError(
                f"{name}: found width {width} in {n_heads} heads, wanted an even number of "
                "features a head, which rotary positions turn in pairs"
            )
        self.name = name
        self.n_heads = n_heads
        self.ahead, self.back = window.ahead, window.back
        turns = None
        if rotary:
            turns = rotations(torch.arange(-(self.back or 0), 1), self.n_features).float()
        self.register_buffer("turns", turns, persistent=False)
        self.register_buffer("barred", torch.full((self.back or 0,), -torch.inf), persistent=False)

    def turned(self, reach: Reach, n_bins: int) -> Reach:
        """Return who may attend to whom in trials of ``n_bins``, with the bins' positions."""
        at = torch.arange(n_bins, device=self.barred.device)
        return reach._replace(turns=rotations(at, self.n_features))

    def empty(self, n_streams: int, n_layers: int) -> State:
        """Return the state before the first bin: what is barred, then each layer's past.

        Raises:
            InputError: The window looks ahead, or back without end.
        """
        if self.ahead != 0:
            raise InputError(
                f"{self.name}: as built, it looks ahead, and a stream has no later bins; train it "
                "with --causal"
            )
        if self.back is None:
            raise InputError(
                f"{self.name}: found context_backward_s null, wanted seconds: a stream that "
                "attends to all of its past would grow without end"
            )
        barred = self.barred.expand(n_streams, -1)
        kept = barred.new_zeros(n_streams, 2, self.n_heads, self.back, self.n_features)
        return (barred, *(kept.clone() for _ in range(n_layers)))

    def recent(self, state: Sequence[Tensor]) -> list[Recent]:
        """Return each layer's past, for the next bin."""
        here = state[0].new_zeros(state[0].shape[0], 1)
        barred = torch.cat([state[0], here], dim=1)[:, None]
        return [Recent(kept, barred, self.turns) for kept in state[1:]]

    @staticmethod
    def state(recent: Sequence[Recent]) -> State:
        """Return the state after layers were called with ``recent``."""
        return (recent[0].barred[:, 0, 1:], *(each.kept for each in recent))
