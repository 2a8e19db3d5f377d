"""Embeddings of cells fitted afresh, the network frozen (Mi et al., NeurIPS 2023).

Shape legend: ``C`` cells, ``E`` features of an embedding, ``B`` windows, ``W`` frames, ``N``
neurons.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroblend.data.batch import Batch, mixed_seed
from neuroblend.identity.task import CellTask, Windows
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.training.masking import EntryMask

MASK = EntryMask(0.25)
RIDGE = 0.01  # of each squared feature, against the error of a cell in units of its variance


def fresh_embeddings(
    model: Student | Teacher,
    task: CellTask,
    seed: int = 0,
    epochs: int = 30,
    lr: float = 3e-2,
    batch_size: int = 5,
    mask: EntryMask = MASK,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return (C, E) embeddings of all cells, those that were trained on too, from 0.

    All are fitted in the same way, so that no classifier can tell which of them the network knew. A
    student sees activity alone here too. The public code takes 100 epochs at 1e-3; from 0, with a
    rate that falls to 0, fewer do.

    Args:
        model: A trained model of :class:`~neuroblend.models.neuprint.NeuPRINT`.
        task: The cells, with all their frames.
        seed: Decides windows and hidden entries.
        epochs: Passes through all frames.
        lr: Of Adam; falls as a cosine.
        batch_size: Windows at a time.
        mask: What is hidden and asked for.
        progress: Called with (epochs done, epochs).
    """
    device = next(model.parameters()).device
    net = model.net
    wanted = [weight.requires_grad for weight in net.parameters()]
    net.requires_grad_(False)
    model.eval()
    known = net.get_submodule("embedding")
    assert isinstance(known, nn.Embedding)
    table = nn.Parameter(torch.zeros(known.weight.shape, device=device))
    lengths = [len(frames.activity) for frames in task.sessions]
    windows = Windows(task.sessions, lengths, task.window, batch_size, seed, device)
    optimiser = torch.optim.Adam([table], lr=lr)
    n_steps = epochs * len(windows)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    fresh = _Fresh(net, table)
    model.net = fresh
    try:
        for epoch in range(epochs):
            windows.epoch = epoch
            for step, batch in enumerate(windows):
                masked = mask(batch, mixed_seed(seed, 32, epoch, step))
                optimiser.zero_grad()
                loss = _loss(model(masked), masked, table)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
            if progress is not None:
                progress(epoch + 1, epochs)
    finally:
        model.net = net
        for weight, wants in zip(net.parameters(), wanted, strict=True):
            weight.requires_grad_(wants)
    return table.detach().cpu().numpy()


def _loss(predicted: Tensor, batch: Batch, table: Tensor) -> Tensor:
    """Return the sum over neurons of mean squared error and penalty."""
    assert batch.target is not None and batch.scored is not None and batch.neurons is not None
    squares = (predicted - batch.target).square() * batch.scored
    each = squares.sum(dim=(0, 1)) / batch.scored.sum(dim=(0, 1)).clamp_min(1)
    return each.sum() + RIDGE * table[batch.neurons].square().sum()


class _Fresh(nn.Module):
    """A network called with embeddings of its cells from another table."""

    def __init__(self, net: nn.Module, table: Tensor) -> None:
        super().__init__()
        self.net = net
        self._table = [table]

    def forward(self, activity: Tensor, neurons: Tensor, behavior: Tensor | None = None) -> Tensor:
        fresh = self._table[0][neurons]
        predicted: Tensor = self.net(activity, neurons, behavior, fresh=fresh)
        return predicted
