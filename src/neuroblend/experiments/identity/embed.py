"""Embeddings of cells fitted from scratch, the network frozen (Mi et al., NeurIPS 2023).

Shape legend: ``C`` cells, ``E`` features of an embedding, ``B`` windows, ``W`` frames, ``N``
neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroblend.experiments.identity.task import CellTask, FrameWindows
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch
from neuroblend.training.masking import EntryMask, TimeMask

MASK = EntryMask(0.25)
N_FOLDS = 5  # of the neurons of a batch, each predicted from the others
RIDGE = 0.01  # of each squared feature, against the error of a cell in units of its variance


def fresh_embeddings(
    model: Student | Teacher,
    task: CellTask,
    seed: int = 0,
    epochs: int = 30,
    lr: float = 3e-2,
    batch_size: int = 5,
    mask: EntryMask | TimeMask = MASK,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return (C, E) embeddings of all cells, those that were trained on too, from 0.

    All are fitted in the same way: each cell from a population that it is no part of, whether the
    network knew it or not. Else embeddings of cells that it knew would hold what tested ones cannot
    (their own frames in averages of the population), and classifiers would learn from embeddings
    of another kind than they are tested on. (In a session that has tested cells alone, these are
    the population, by fresh embeddings; there, that is a difference.) A student sees activity
    alone here too. The public code takes 100 epochs at 1e-3; from 0, with a rate that falls to 0,
    fewer do.

    Args:
        model: A trained :class:`~neuroblend.models.neuprint.NeuPRINT`.
        task: The cells, with all their frames.
        seed: Decides windows and hidden entries.
        epochs: Passes through all frames.
        lr: Of Adam; falls as a cosine.
        batch_size: FrameWindows at a time.
        mask: What is hidden and asked for.
        progress: Called with (epochs done, epochs).
    """
    device = next(model.parameters()).device
    known = model.net.get_submodule("embedding")
    assert isinstance(known, nn.Embedding)
    table = nn.Parameter(torch.zeros(known.weight.shape, device=device))
    lengths = [len(frames.activity) for frames in task.sessions]
    windows = FrameWindows(task.sessions, lengths, task.window, batch_size, seed, device)
    optimiser = torch.optim.Adam([table], lr=lr)
    n_steps = epochs * len(windows)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    reference = task.spec.reference.to(device)
    with called_with(model, table) as fresh:
        for epoch in range(epochs):
            windows.epoch = epoch
            for step, batch in enumerate(windows):
                masked = mask(batch, mixed_seed(seed, 32, epoch, step))
                assert batch.neurons is not None
                fresh.fold(reference[batch.neurons].cpu(), mixed_seed(seed, 33, epoch, step))
                optimiser.zero_grad()
                loss = _loss(model(masked), masked, table)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
            if progress is not None:
                progress(epoch + 1, epochs)
    return table.detach().cpu().numpy()


@contextmanager
def called_with(model: Student | Teacher, table: Tensor) -> Iterator[Fresh]:
    """Have ``model`` predict with embeddings from ``table``, (C, E), its network frozen."""
    net = model.net
    wanted = [weight.requires_grad for weight in net.parameters()]
    net.requires_grad_(False)
    model.eval()
    model.net = fresh = Fresh(net, table)
    try:
        yield fresh
    finally:
        model.net = net
        for weight, wants in zip(net.parameters(), wanted, strict=True):
            weight.requires_grad_(wants)


def _loss(predicted: Tensor, batch: Batch, table: Tensor) -> Tensor:
    """Return the sum over neurons of mean squared error and penalty."""
    assert batch.target is not None and batch.scored is not None and batch.neurons is not None
    squares = (predicted - batch.target).square() * batch.scored
    each = squares.sum(dim=(0, 1)) / batch.scored.sum(dim=(0, 1)).clamp_min(1)
    return each.sum() + RIDGE * table[batch.neurons].square().sum()


class Fresh(nn.Module):
    """A network called with embeddings from another table, for a fold of the neurons at a time."""

    def __init__(self, net: nn.Module, table: Tensor) -> None:
        super().__init__()
        self.net = net
        self._table = [table]
        self._folds: list[Tensor] = []

    def fold(self, reference: Tensor, seed: int) -> None:
        """Draw the folds of the next batch, each with as many of (N,) ``reference`` cells."""
        order = torch.randperm(len(reference), generator=torch.Generator().manual_seed(seed))
        order = order[reference[order].argsort(stable=True)]
        n_folds = min(N_FOLDS, len(order))
        self._folds = [order[k::n_folds] for k in range(n_folds)]

    def forward(self, activity: Tensor, neurons: Tensor, behavior: Tensor | None = None) -> Tensor:
        """Return (B, T, N) predicted activity, of each fold from the neurons that are not in it."""
        fresh = self._table[0][neurons]
        folds = [asked.to(activity.device) for asked in self._folds]
        parts = [self.net(activity, neurons, behavior, fresh=fresh, asked=asked) for asked in folds]
        return torch.cat(parts, dim=2)[:, :, torch.cat(folds).argsort()]
