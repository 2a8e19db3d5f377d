"""Processes that train one model together, each on its part of every batch.

Gradients are averaged over processes. What each computes must therefore be such that the average is
the gradient of the whole batch, however unequal the parts are.
"""

import torch
from torch import Tensor, distributed


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


def share_of(n: Tensor) -> Tensor:
    """Return the mean over processes of a count, by which each divides a sum over its part.

    The average over processes is then the mean over the whole batch.
    """
    return summed_over_processes(n) / n_processes()


def of_whole_batch(part: Tensor) -> Tensor:
    """Return what all processes hold of a batch, (B, ...), from (part of B, ...).

    A gradient flows into this process's part alone; see :func:`as_share`.
    """
    if n_processes() == 1:
        return part
    n_trials = torch.zeros(n_processes(), dtype=torch.long, device=part.device)
    rank = distributed.get_rank()
    n_trials[rank] = len(part)
    sizes = summed_over_processes(n_trials).tolist()
    padded = part.detach().new_zeros(max(sizes), *part.shape[1:])
    padded[: len(part)] = part.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    kept = [one[:n] for one, n in zip(parts, sizes, strict=True)]
    kept[rank] = part
    return torch.cat(kept)


def as_share(loss: Tensor) -> Tensor:
    """Return a loss of the whole batch with the gradient that an average over processes wants.

    Each process has the loss's gradient with respect to its own part alone, and their sum, not
    their average, is that of the whole.
    """
    return loss + (n_processes() - 1) * (loss - loss.detach())
