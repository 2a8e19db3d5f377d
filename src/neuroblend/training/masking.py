"""Masked modelling: hide some of the input and ask for it (Ye & Pandarinath 2021).

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons (``N_in`` seen).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neuroblend.data.batch import Batch


@dataclass(frozen=True)
class TimeMask:
    """Set whole bins of the seen spikes to zero and add them to what is scored.

    In a batch that expands, each drawn bin hides a span of bins around it, and as many fewer are
    drawn, so that the expected share of hidden bins stays below ``ratio`` and close to it.

    Attributes:
        ratio: Share of bins to hide.
        max_span: Longest span, in bins; drawn uniformly from 1 up for each batch that expands.
        expand_probability: Probability that a batch expands.
    """

    ratio: float = 0.25
    max_span: int = 5
    expand_probability: float = 0.5

    def __call__(self, batch: Batch, seed: int) -> Batch:
        """Return the batch with bins hidden; the same seed hides the same bins.

        Scored are the hidden bins of held-in neurons, beside what was scored before.
        """
        hidden = self.draw(batch.n_trials, batch.spikes.shape[1], seed).to(batch.spikes.device)
        if batch.present is not None:
            hidden = hidden & batch.present
        return _hide(batch, hidden[:, :, None], scale=1.0)

    def draw(self, n_trials: int, n_bins: int, seed: int) -> torch.Tensor:
        """Return (B, T_in) bool, True for a bin to hide; at least one in the batch."""
        generator = torch.Generator().manual_seed(seed)
        span = 1
        if self.max_span > 1 and torch.rand((), generator=generator) < self.expand_probability:
            span = int(torch.randint(1, self.max_span + 1, (), generator=generator))
        drawn = torch.rand(n_trials, n_bins, generator=generator) < self.ratio / span
        if span > 1:
            wide = drawn[:, None].float()
            wide = torch.nn.functional.max_pool1d(wide, span, stride=1, padding=span // 2)
            drawn = wide[:, 0, :n_bins] > 0
        if not drawn.any():
            drawn[0, int(torch.randint(n_bins, (), generator=generator))] = True
        return drawn


@dataclass(frozen=True)
class EntryMask:
    """Set single entries of the seen spikes to zero and add them to what is scored.

    Coordinated dropout (Keshtkaran & Pandarinath 2019): what is left is scaled up, so that sums
    over many entries stay the same, and no entry is explained by itself.

    Attributes:
        ratio: Share of entries to hide.
    """

    ratio: float = 0.25

    def __call__(self, batch: Batch, seed: int) -> Batch:
        """Return the batch with entries hidden; the same seed hides the same entries."""
        generator = torch.Generator().manual_seed(seed)
        hidden = torch.rand(batch.spikes.shape, generator=generator) < self.ratio
        hidden = hidden.to(batch.spikes.device)
        if batch.present is not None:
            hidden = hidden & batch.present[:, :, None]
        return _hide(batch, hidden, scale=1 / (1 - self.ratio))


def _hide(batch: Batch, hidden: torch.Tensor, scale: float) -> Batch:
    """Return the batch without what ``hidden``, (B, T_in, N_in) or (B, T_in, 1), says, scored."""
    assert batch.scored is not None
    scored = batch.scored.clone()
    n_bins, n_in = batch.spikes.shape[1:]
    scored[:, :n_bins, :n_in] |= hidden
    spikes = batch.spikes.masked_fill(hidden, 0.0)
    return batch._replace(spikes=spikes if scale == 1 else spikes * scale, scored=scored)
