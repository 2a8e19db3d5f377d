"""Dropout (Srivastava et al. 2014) that draws one random byte an element.

``nn.Dropout`` draws a double for each element on a CPU, which there takes a good part of a training
step of a small transformer (``benchmarks/training.py``). The probability is rounded to the nearest
1/256, and kept elements are scaled by exactly what that leaves, so that expectations stay the same.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from neuroblend.errors import InputError


class Dropout(nn.Module):
    """Set elements to zero in training, at random, and scale up the rest.

    Args:
        probability: Of an element to be set to zero.

    Raises:
        InputError: ``probability`` is not in [0, 1).
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise InputError(f"dropout: found {probability:g}, wanted 0 up to, but not, 1")
        self.threshold = min(round(probability * 256), 255)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with elements set to zero; in eval mode, ``x`` itself."""
        if not self.training or self.threshold == 0:
            return x
        return _Dropped.apply(x, self.threshold)  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        """Return the probability, for printing."""
        return f"probability={self.threshold / 256:g}"


class _Dropped(torch.autograd.Function):
    """Keeps one byte an element for the backward pass, where a product would keep a float."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int) -> Tensor:
        ctx.keep = random_bytes(x.numel(), x.device).view(x.shape).ge_(threshold)
        ctx.scale = 256 / (256 - threshold)
        return ctx.keep.to(x.dtype).mul_(ctx.scale).mul_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.keep.to(gradient.dtype).mul_(ctx.scale).mul_(gradient), None


def random_bytes(n: int, device: torch.device) -> Tensor:
    """Return (n,) uniform uint8, eight drawn at a time where whole words can be drawn."""
    if device.type == "mps":
        return torch.randint(256, (n,), dtype=torch.uint8, device=device)
    words = torch.empty((n + 7) // 8, dtype=torch.int64, device=device)
    return words.random_(-(2**63), None).view(torch.uint8)[:n]
