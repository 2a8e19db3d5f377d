"""Means over the entries that are there, the same on one process as on many.

Shape legend: ``B`` trials, ``T`` bins.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def mean_over(values: Tensor, where: Tensor | None = None) -> Tensor:
    """Return the mean of ``values``, (B, T, ...), where ``where``, which broadcasts, is True.

    With data-parallel training, each process holds a part of a batch and gradients are averaged
    over processes. The sum is therefore divided by an equal share of the entries of all of them, so
    that the average is the gradient of the mean over the whole batch, however unequal the parts.
    """
    if where is None:
        total, n = values.sum(), torch.tensor(float(values.numel()), device=values.device)
    else:
        kept = where.expand_as(values)
        # a product would make NaN of an infinite value that does not count
        total, n = values.where(kept, 0.0).sum(), kept.sum().to(torch.float32)
    return total / (summed_over_processes(n) / n_processes()).clamp_min(1e-8)


def variance_over(values: Tensor, where: Tensor | None = None) -> Tensor:
    """Return the mean over features of the variance over the bins of (B, T, H); no gradient."""
    with torch.no_grad():
        flat = values.reshape(-1, values.shape[2]) if where is None else values[where]
        flat = flat.float()
        n = summed_over_processes(flat.new_tensor(float(len(flat)))).clamp_min(1)
        mean = summed_over_processes(flat.sum(0)) / n
        return (summed_over_processes((flat - mean).square().sum(0)) / n).mean()


def bins(present: Tensor | None) -> Tensor | None:
    """Return (B, T) as (B, T, 1), to stand beside what has a third axis."""
    return None if present is None else present[:, :, None]


def n_processes() -> int:
    """Number of processes that train together; 1 outside of such training."""
    together = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def summed_over_processes(value: Tensor) -> Tensor:
    """Return the sum of ``value`` over the processes that train together, without a gradient."""
    if n_processes() == 1:
        return value
    value = value.detach().clone()
    distributed.all_reduce(value)
    return value
