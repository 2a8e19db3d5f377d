"""Input changed at random, so that a network of few trials does not learn them by heart.

Spikes are not moved in time: what a mask is to hide would then show in the bins around.

Shape legend: ``B`` trials, ``T_in`` seen bins, ``N_in`` seen neurons.
"""

from typing import Protocol

import torch

from neuroblend.config import Augment
from neuroblend.errors import InputError
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch


class HasExample(Protocol):
    """What is trained on, as far as it is looked at here."""

    def example(self) -> Batch:
        """Return training trials."""
        ...


def augmented(batch: Batch, settings: Augment, seed: int) -> Batch:
    """Return the batch with (B, T_in, N_in) spikes thinned, and neurons dropped, as asked.

    Thinned counts of a Poisson process are those of one of a lower rate; scaled up, means stay as
    they were. Targets and what is scored stay as they are. The same seed changes the same.
    """
    spikes = batch.spikes
    generator = torch.Generator().manual_seed(mixed_seed(seed, 2))
    if settings.thin < 1:
        counts = spikes.cpu()  # generators of other devices draw other numbers
        kept = torch.binomial(counts, torch.full_like(counts, settings.thin), generator=generator)
        spikes = kept.to(spikes) / settings.thin
    if settings.neurons > 0:
        drawn = torch.rand(len(spikes), 1, spikes.shape[2], generator=generator)
        kept = (drawn >= settings.neurons).to(spikes)
        spikes = spikes * kept / (1 - settings.neurons)
    return batch if spikes is batch.spikes else batch._replace(spikes=spikes)


def check_counts(settings: Augment, task: HasExample) -> None:
    """Refuse to thin what is no counts.

    Raises:
        InputError: Some value of the input is no whole number.
    """
    if settings.thin < 1:
        spikes = task.example().spikes
        odd = spikes[(spikes != spikes.round()) | (spikes < 0)]
        if odd.numel():
            raise InputError(
                f"training.augment.thin: found {float(odd[0]):g} in the input, wanted whole "
                "counts; training.augment.neurons works on any activity"
            )
