"""Means over the entries that are there, the same on one process as on many.

Shape legend: ``B`` trials, ``T`` bins.
"""

import torch
from torch import Tensor

from neuroblend.distributed import share_of, summed_over_processes
from neuroblend.task.batch import Batch


def mean_over(values: Tensor, where: Tensor | None = None) -> Tensor:
    """Return the mean of ``values``, (B, T, ...), where ``where``, which broadcasts, is True.

    With several processes, the average over them is the mean over the whole batch.
    """
    if where is None:
        total, n = values.sum(), torch.tensor(float(values.numel()), device=values.device)
    else:
        kept = where.expand_as(values)
        # a product would make NaN of an infinite value that does not count
        total, n = values.where(kept, 0.0).sum(), kept.sum().to(torch.float32)
    return total / share_of(n).clamp_min(1e-8)


def variance_over(values: Tensor, where: Tensor | None = None) -> Tensor:
    """Return the mean over features of the variance over the bins of (B, T, H); no gradient."""
    with torch.no_grad():
        flat = values.reshape(-1, values.shape[2]) if where is None else values[where]
        flat = flat.float()
        n = summed_over_processes(flat.new_tensor(float(len(flat)))).clamp_min(1)
        mean = summed_over_processes(flat.sum(0)) / n
        return (summed_over_processes((flat - mean).square().sum(0)) / n).mean()


def scored_entries(batch: Batch) -> Tensor | None:
    """Return (B, T, N) which entries a loss may ask for; ``None`` for all."""
    return bins(batch.present) if batch.scored is None else batch.scored


def bins(present: Tensor | None) -> Tensor | None:
    """Return (B, T) as (B, T, 1), to go with what has a third axis."""
    return None if present is None else present[:, :, None]
