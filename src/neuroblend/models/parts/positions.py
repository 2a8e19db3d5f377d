"""Positions of the tokens of a transformer: added to them, or turned into queries and keys.

Shape legend: ``T`` bins or frames, ``W`` width, ``F`` features of a head.
"""

import math

import torch
from torch import Tensor


def sinusoids(n_steps: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return (T, W) sinusoidal positions (Vaswani et al. 2017)."""
    even = torch.arange(0, width, 2, device=device)
    rate = torch.exp(even * (-math.log(10000.0) / max(width, 1)))
    angle = torch.arange(n_steps, device=device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :width]


def rotations(at: Tensor, n_features: int) -> Tensor:
    """Return (T, 2, F / 2) cosines and sines of rotary positions (Su et al. 2021, eq. 15).

    They are in double precision, so that far positions are as exact as near ones.

    Args:
        at: (T,) positions, in bins; whole numbers, below 0 too.
        n_features: ``F``, an even number.
    """
    even = torch.arange(0, n_features, 2, device=at.device, dtype=torch.float64)
    angle = at.to(torch.float64)[:, None] * 10000.0 ** (-even / n_features)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def rotated(x: Tensor, by: Tensor) -> Tensor:
    """Return (..., T, F) queries or keys turned by (T, 2, F / 2) :func:`rotations`.

    Products of two that are turned depend on how far apart their bins are, and on nothing else of
    where these are. Features are paired with those half of ``F`` further on, which differs from the
    paper, where neighbours are, by the order of rows of a weight alone.
    """
    cos, sin = by.to(torch.promote_types(x.dtype, torch.float32)).unbind(dim=1)
    first, second = x.chunk(2, dim=-1)
    both = [first * cos - second * sin, first * sin + second * cos]
    return torch.cat(both, dim=-1).to(x.dtype)
