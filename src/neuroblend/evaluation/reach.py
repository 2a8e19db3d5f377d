"""How far a network looks, found by changing single bins of what it is given.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuroblend.distill.objective import captured
from neuroblend.errors import InputError
from neuroblend.privilege.roles import Student
from neuroblend.task.batch import Batch

N_AT_ONCE = 32  # trials of a probe, each with another bin changed
MEAN = 0.5  # counts/bin of what a network is probed with
ADDED = 3.0  # counts by which a bin is changed
SEED = 0


class ReceptiveField(NamedTuple):
    """How many bins away a spike may be that changes what a network says of a bin.

    Attributes:
        past: Bins back; ``None`` for as many as there were, so that it may be any number.
        future: Bins ahead, 0 for a causal network; ``None`` likewise.
    """

    past: int | None
    future: int | None


def receptive_field(
    model: nn.Module,
    n_bins: int,
    n_neurons: int,
    layers: Sequence[str] = (),
    n_probed: int | None = None,
    tolerance: float = 0.0,
) -> ReceptiveField:
    """Return how far back and ahead a network looks, whatever it is made of.

    One bin of random counts is changed at a time, and outputs are compared bit by bit, between
    calls of the same shape, in evaluation mode. What is found is of these weights and to the
    precision of single floats: a recurrent network forgets, if only by rounding.

    Args:
        model: A student, or a network called with (B, T, N) counts/bin alone; it is left as it was.
        n_bins: ``T`` of the probe: the farthest that can be seen.
        n_neurons: ``N`` that the network sees.
        layers: Layers, (B, T, feature), whose outputs count as well as the log rates.
        n_probed: How many bins are changed, the first and the last among them; all where ``None``.
        tolerance: Largest difference that counts as none; recurrent networks forget down to
            rounding, which may then go on for ever.

    Raises:
        InputError: The network gives other numbers at each call, or there is no such layer.
    """
    student = model if isinstance(model, Student) else Student(model, lambda net, b: net(b.spikes))
    device = next((p.device for p in (*model.parameters(), *model.buffers())), torch.device("cpu"))

    def outputs(spikes: Tensor) -> list[Tensor]:
        with captured(student, layers) as features:
            log_rates = student(Batch(spikes.to(device)))
        return [log_rates, *features.values()]

    was_training = model.training
    model.eval()
    try:
        return probed(outputs, n_bins, n_neurons, n_probed, tolerance)
    finally:
        model.train(was_training)


@torch.no_grad()
def probed(
    outputs: Callable[[Tensor], Sequence[Tensor]],
    n_bins: int,
    n_neurons: int,
    n_probed: int | None = None,
    tolerance: float = 0.0,
) -> ReceptiveField:
    """Return how far anything looks that is called with (B, T, N) counts/bin.

    Args:
        outputs: Gives (B, T, ...) tensors, the same for the same counts.
        n_bins: As for :func:`receptive_field`, like the rest.
        n_neurons: As there.
        n_probed: As there.
        tolerance: As there.

    Raises:
        InputError: It gives other numbers at each call.
    """
    generator = torch.Generator().manual_seed(SEED)
    counts = torch.poisson(torch.full((n_bins, n_neurons), MEAN), generator=generator)
    n = n_bins if n_probed is None else min(n_probed, n_bins)
    changed_bins = torch.linspace(0, n_bins - 1, n).round().long()
    past, future = 0, 0
    for bins in [changed_bins[i : i + N_AT_ONCE] for i in range(0, n, N_AT_ONCE)]:
        given = counts.expand(len(bins), -1, -1).clone()
        before = list(outputs(given))
        if not all(map(torch.equal, before, outputs(given))):
            raise InputError(
                "model: gives other numbers at each call in evaluation mode, so that what it looks "
                "at cannot be told; wanted the same"
            )
        given[torch.arange(len(bins)), bins] += ADDED
        for was, now in zip(before, outputs(given), strict=True):
            differs = was != now if tolerance == 0 else (was - now).abs() > tolerance
            changed = differs.flatten(2).any(dim=2)[:, :n_bins].cpu()
            trial, at = changed.nonzero(as_tuple=True)
            lag = at - bins[trial]
            past = max([past, *lag.tolist()])
            future = max([future, *(-lag).tolist()])
    edge = n_bins - 1
    return ReceptiveField(
        None if past >= edge > 0 else past, None if future >= edge > 0 else future
    )
