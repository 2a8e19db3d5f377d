"""Vectors of cells by contrast alone: a reference that models no dynamics and sees no behavior.

Shape legend: ``C`` cells, ``E`` features of an embedding, ``N`` neurons of a session.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.experiments.identity.task import CellTask, Frames
from neuroblend.models.nuclr import NuCLR
from neuroblend.seeds import mixed_seed

TEMPERATURE = 0.2
LEAVING = 0.3  # fraction of the population that is left out of a view
MOST_WINDOWS = 4  # encoded at a time


def contrastive_vectors(
    task: CellTask,
    seed: int = 0,
    steps: int = 300,
    lr: float = 3e-3,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return (C, E) vectors of all cells, means over windows and sessions.

    The encoder is trained on cells that are not tested, and these alone are the population that it
    is given afterwards too.

    Each step is on two windows of one session; ``lr``, of AdamW, falls as a cosine. The seed
    decides initial weights, windows and company. ``progress`` is called with (steps done, steps).

    Raises:
        InputError: No session has two cells to learn from.
    """
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 61))
        net = NuCLR()
    rng = np.random.default_rng(mixed_seed(seed, 62))
    known = [(frames, _known(task, frames)) for frames in task.sessions]
    sessions = [frames.of(columns) for frames, columns in known if columns.sum() > 1]
    if not sessions:
        raise InputError("contrastive: no session has two cells that are not tested, to learn from")
    optimiser = torch.optim.AdamW(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        frames = sessions[rng.integers(len(sessions))]
        starts = _apart(len(frames.activity), task.window, rng)
        loss = contrast(*(_view(net, frames, start, task.window, rng) for start in starts))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, steps)
    return _encoded(net.eval(), task)


def contrast(first: Tensor, second: Tensor) -> Tensor:
    """Return InfoNCE (van den Oord et al. 2018) between (N, E) views, in nats, both ways."""
    similarity = first @ second.T / TEMPERATURE
    same = torch.arange(len(first), device=first.device)
    return (
        nn.functional.cross_entropy(similarity, same)
        + nn.functional.cross_entropy(similarity.T, same)
    ) / 2


def _known(task: CellTask, frames: Frames) -> Tensor:
    return task.spec.reference[frames.neurons]


def _apart(n_frames: int, window: int, rng: np.random.Generator) -> tuple[int, int]:
    """Return where two windows begin that share no frame."""
    first, second = sorted(rng.integers(n_frames - 2 * window + 1, size=2).tolist())
    return first, second + window


def _view(net: NuCLR, frames: Frames, start: int, window: int, rng: np.random.Generator) -> Tensor:
    """Return (N, E) vectors of one window, in the company of a part of the population."""
    company = torch.from_numpy(rng.random(frames.activity.shape[1]) >= LEAVING)
    return net(frames.activity[None, start : start + window], company)[0]


def _encoded(net: NuCLR, task: CellTask) -> NDArray[np.float32]:
    total = torch.zeros(len(task.cells), net.n_embedding)
    n_windows = torch.zeros(len(task.cells))
    with torch.no_grad():
        for frames in task.sessions:
            company = _known(task, frames)
            if not company.any():  # a session of tested cells alone: all of them
                company = torch.ones_like(company)
            n = len(frames.activity) // task.window
            windows = frames.activity[: n * task.window].view(n, task.window, -1)
            for part in torch.tensor_split(windows, tuple(range(MOST_WINDOWS, n, MOST_WINDOWS))):
                total.index_add_(0, frames.neurons, net(part, company).sum(dim=0))
            n_windows[frames.neurons] += n
    return (total / n_windows.clamp_min(1)[:, None]).numpy()
