"""Sinusoidal positions, which models may add to the tokens of a transformer.

Shape legend: ``T`` bins or frames, ``W`` width.
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
