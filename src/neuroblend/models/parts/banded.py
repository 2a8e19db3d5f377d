"""Attention within a window, computed for the pairs of bins that may attend to one another.

Shape legend: ``B`` trials, ``T`` bins, ``H`` heads, ``F`` features of a head, ``R`` rows and ``C``
columns of a block.

A mask alone saves nothing: with the published context of 4 bins ahead and 8 back, nine in ten of
the products of a trial of 140 bins are made to be thrown away. Here each block of rows looks at
the columns that it may attend to. What that saves on a CPU is a row of
``benchmarks/step_time.py``.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neuroblend.models.parts.window import Block


def banded_attention(qkv: Tensor, blocks: Sequence[Block]) -> Tensor:
    """Return (B, T, H, F) values as attention mixes them; the same numbers as with a mask.

    Args:
        qkv: (B, T, 3, H, F) queries, keys and values.
        blocks: Parts of the window; their rows make up all bins.
    """
    n_trials, _, _, n_heads, _ = qkv.shape
    parts = qkv.permute(2, 0, 3, 1, 4).flatten(1, 2)  # (3, B H, T, F), one copy for all blocks
    if torch.is_grad_enabled() and qkv.requires_grad:
        mixed: Tensor = _Banded.apply(parts, blocks, n_heads)[0]  # type: ignore[no-untyped-call]
    else:
        mixed = _attend(parts, blocks, n_heads)[0]
    return mixed.view(n_trials, n_heads, *mixed.shape[1:]).transpose(1, 2)


class _Banded(torch.autograd.Function):
    """With a way back that adds gradients of blocks up in place; slices would each make zeros."""

    generate_vmap_rule = True

    @staticmethod
    def forward(parts: Tensor, blocks: Sequence[Block], n_heads: int) -> tuple[Tensor, ...]:
        return _attend(parts, blocks, n_heads)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        parts, ctx.blocks, _ = inputs
        weights = output[1:]
        ctx.mark_non_differentiable(*weights)
        ctx.set_materialize_grads(False)  # else zeros are made for each of the weights
        ctx.save_for_backward(parts, *weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor, None, None]:
        parts, *weights = ctx.saved_tensors
        query, key, value = parts.unbind()
        scale = query.shape[-1] ** -0.5
        to_parts = torch.zeros_like(parts)
        to_query, to_key, to_value = to_parts.unbind()
        for (rows, columns, _), weight in zip(ctx.blocks, weights, strict=True):
            given = gradient[:, rows]
            to_value[:, columns] += weight.transpose(1, 2) @ given
            to_weight = given @ value[:, columns].transpose(1, 2)
            # the gradient of a softmax: what a weight gains, less what all of its row gain
            to_score = torch._softmax_backward_data(to_weight, weight, 2, weight.dtype)
            to_query[:, rows] = (to_score @ key[:, columns]).mul_(scale)
            to_key[:, columns] += (to_score.transpose(1, 2) @ query[:, rows]).mul_(scale)
        return to_parts, None, None


def _attend(parts: Tensor, blocks: Sequence[Block], n_heads: int) -> tuple[Tensor, ...]:
    """Return (B H, T, F) mixed values, and the (B H, R, C) weights of each block.

    Args:
        parts: (3, B H, T, F) queries, keys and values.
        blocks: Parts of the window; their rows make up all bins.
        n_heads: ``H``.
    """
    query, key, value = parts.unbind()
    scale = query.shape[-1] ** -0.5
    # the precision of sums; double stays what it is
    exact = torch.promote_types(query.dtype, torch.float32)
    mixed, weights = [], []
    for rows, columns, barred in blocks:
        scores = (query[:, rows] @ key[:, columns].transpose(1, 2)).to(exact).mul_(scale)
        scores.view(-1, n_heads, *scores.shape[1:]).add_(barred)
        weight = scores.softmax(dim=2).to(value.dtype)
        mixed.append(weight @ value[:, columns])
        weights.append(weight)
    return torch.cat(mixed, dim=1), *weights
