"""Masked modelling: hide some of the input and ask for it (Ye & Pandarinath 2021).

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons (``N_in`` seen).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neuroblend.config import MASKS, HideBins, HideEntries, TrainingSettings
from neuroblend.errors import InputError, nearest
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch


@dataclass(frozen=True)
class TimeMask:
    """Set whole bins of the seen spikes to zero and add them to what is scored.

    In a batch that expands, each drawn bin hides a span of bins around it, and as many fewer are
    drawn, so that the expected fraction of hidden bins stays below ``ratio`` and close to it.

    Attributes:
        ratio: Fraction of bins to hide.
        max_span: Longest span, in bins; drawn uniformly from 1 up for each batch that expands.
        expand_probability: Probability that a batch expands.
        ramp: Fractions of training between which that probability rises from 0 to 1 instead, as in
            the authors' code.
        random: Fraction of hidden entries that show a count of the same neuron, of another bin and
            trial, rather than 0.
        kept: Fraction of hidden entries that show what they are.
        asks: Whether what is hidden is asked for; not where the target is no spikes.
    """

    ratio: float = 0.25
    max_span: int = 5
    expand_probability: float = 0.5
    ramp: tuple[float, float] | None = None
    random: float = 0.0
    kept: float = 0.0
    asks: bool = True

    def at(self, progress: float) -> TimeMask:
        """Return the mask of a time in training, ``progress`` from 0 to 1."""
        if self.ramp is None:
            return self
        first, last = self.ramp
        reached = (progress - first) / (last - first) if last > first else float(progress >= first)
        return replace(self, expand_probability=min(max(reached, 0.0), 1.0), ramp=None)

    def __call__(self, batch: Batch, seed: int) -> Batch:
        """Return the batch with bins hidden; the same seed hides the same bins.

        Scored are the hidden bins of held-in neurons, beside what was scored before.
        """
        hidden = self.draw(batch.n_trials, batch.spikes.shape[1], seed).to(batch.spikes.device)
        if batch.present is not None:
            hidden = hidden & batch.present
        masked = _hide(batch, hidden[:, :, None], 1.0, self.asks)
        if not self.random and not self.kept:
            return masked
        shown = self._shown(batch, seed)
        return masked._replace(spikes=masked.spikes.where(~hidden[:, :, None], shown))

    def _shown(self, batch: Batch, seed: int) -> Tensor:
        """Return (B, T_in, N_in) what hidden entries show in the place of 0."""
        spikes = batch.spikes
        generator = torch.Generator().manual_seed(mixed_seed(seed, 1))
        draw = torch.rand(spikes.shape, generator=generator).to(spikes.device)
        rows = spikes.flatten(0, 1) if batch.present is None else spikes[batch.present]
        row = torch.randint(len(rows), spikes.shape, generator=generator).to(spikes.device)
        other = rows.gather(0, row.flatten(0, 1)).view(spikes.shape)
        if batch.present is not None:
            other = other.where(batch.present[:, :, None], 0.0)
        return torch.where(draw < self.random, other, spikes.where(draw >= 1 - self.kept, 0.0))

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
        ratio: Fraction of entries to hide.
        asks: Whether what is hidden is asked for; not where the target is no spikes.
    """

    ratio: float = 0.25
    asks: bool = True

    def at(self, progress: float) -> EntryMask:
        """Return the mask of a time in training: the same at all times."""
        return self

    def __call__(self, batch: Batch, seed: int) -> Batch:
        """Return the batch with entries hidden; the same seed hides the same entries."""
        generator = torch.Generator().manual_seed(seed)
        hidden = torch.rand(batch.spikes.shape, generator=generator) < self.ratio
        hidden = hidden.to(batch.spikes.device)
        if batch.present is not None:
            hidden = hidden & batch.present[:, :, None]
        return _hide(batch, hidden, 1 / (1 - self.ratio), self.asks)


def mask_for(settings: TrainingSettings, net: object) -> TimeMask | EntryMask:
    """Return the mask of the settings, else that which the network's ``default_mask`` names.

    Where a network says ``predicts_spikes = False``, what is hidden is not asked for.

    Raises:
        InputError: The network names no mask that there is.
    """
    mask = settings.mask
    if mask is None:
        name = getattr(net, "default_mask", "bins")
        if name not in MASKS:
            raise InputError(f"default_mask: no mask {name!r}: {nearest(str(name), MASKS)}")
        mask = HideEntries() if name == "entries" else HideBins()
    asks = getattr(net, "predicts_spikes", True)
    if isinstance(mask, HideEntries):
        return EntryMask(mask.ratio, asks)
    return TimeMask(
        mask.ratio, mask.span, ramp=mask.ramp, random=mask.random, kept=mask.kept, asks=asks
    )


def _hide(batch: Batch, hidden: torch.Tensor, scale: float, asks: bool) -> Batch:
    """Return the batch without what ``hidden``, (B, T_in, N_in) or (B, T_in, 1), says, scored."""
    scored = batch.scored
    if asks:
        assert scored is not None
        scored = scored.clone()
        n_bins, n_in = batch.spikes.shape[1:]
        scored[:, :n_bins, :n_in] |= hidden
    spikes = batch.spikes.masked_fill(hidden, 0.0)
    return batch._replace(spikes=spikes if scale == 1 else spikes * scale, scored=scored)
