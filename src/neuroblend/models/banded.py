"""Attention within a window, computed for the pairs of bins that may attend to one another.

Shape legend: ``B`` trials, ``T`` bins, ``H`` heads, ``F`` features of a head, ``R`` rows and ``C``
columns of a block.

A mask alone saves nothing: with the published context of 4 bins ahead and 8 back, nine in ten of
the products of a trial of 140 bins are made to be thrown away. Here each block of rows looks at
the columns that it may attend to. On a CPU a step of NDT at the size of MC_Maze takes 0.9 of its
time in single precision and 0.7 in bfloat16 (``benchmarks/step_time.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neuroblend.models.window import Block, Reach


def banded_attention(qkv: Tensor, reach: Reach) -> Tensor:
    """Return (B, T, H, F) values as attention mixes them; the same numbers as with a mask.

    Args:
        qkv: (B, T, 3, H, F) queries, keys and values.
        reach: Who may attend to whom, with blocks.
    """
    assert reach.allowed is not None
    n_trials, _, _, n_heads, _ = qkv.shape
    parts = qkv.permute(2, 0, 3, 1, 4).flatten(1, 2)  # (3, B H, T, F), one copy for all blocks
    allowed = reach.allowed
    if allowed.ndim == 4:  # (B, 1, T, T), each trial with its own padding
        allowed = allowed[:, 0].repeat_interleave(n_heads, dim=0)
    barred = torch.zeros(allowed.shape, device=qkv.device).masked_fill_(~allowed, -torch.inf)
    if torch.is_grad_enabled() and qkv.requires_grad:
        mixed: Tensor = _Banded.apply(parts, barred, reach.blocks)  # type: ignore[no-untyped-call]
    else:
        mixed = _attend(parts, barred, reach.blocks)[0]
    return mixed.view(n_trials, n_heads, *mixed.shape[1:]).transpose(1, 2)


class _Banded(torch.autograd.Function):
    """With a way back that adds gradients of blocks up in place; slices would each make zeros."""

    @staticmethod
    def forward(ctx: Any, parts: Tensor, barred: Tensor, blocks: Sequence[Block]) -> Tensor:
        mixed, weights = _attend(parts, barred, blocks)
        ctx.save_for_backward(parts, *weights)
        ctx.blocks = blocks
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        parts, *weights = ctx.saved_tensors
        query, key, value = parts
        scale = query.shape[2] ** -0.5
        to_parts = torch.zeros_like(parts)
        to_query, to_key, to_value = to_parts
        for (rows, columns), weight in zip(ctx.blocks, weights, strict=True):
            given = gradient[:, rows]
            to_value[:, columns] += weight.transpose(1, 2) @ given
            to_weight = given @ value[:, columns].transpose(1, 2)
            # the gradient of a softmax: what a weight gains, less what all of its row gain
            to_score = torch._softmax_backward_data(to_weight, weight, 2, weight.dtype)
            to_query[:, rows] = (to_score @ key[:, columns]).mul_(scale)
            to_key[:, columns] += (to_score.transpose(1, 2) @ query[:, rows]).mul_(scale)
        return to_parts, None, None


def _attend(parts: Tensor, barred: Tensor, blocks: Sequence[Block]) -> tuple[Tensor, list[Tensor]]:
    """Return (B H, T, F) mixed values, and the (B H, R, C) weights of each block.

    Args:
        parts: (3, B H, T, F) queries, keys and values.
        barred: (T, T) or (B H, T, T), 0 where bin i may attend to bin j, else minus infinity.
        blocks: Rows that make up all bins, with their columns.
    """
    query, key, value = parts
    scale = query.shape[2] ** -0.5
    mixed, weights = [], []
    for rows, columns in blocks:
        scores = (query[:, rows] @ key[:, columns].transpose(1, 2)).float()
        scores = scores.mul_(scale).add_(barred[..., rows, columns])
        weight = scores.softmax(dim=2).to(value.dtype)
        mixed.append(weight @ value[:, columns])
        weights.append(weight)
    return torch.cat(mixed, dim=1), weights
