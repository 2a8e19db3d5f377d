"""Transfer and marginalise (TRAM; Collier et al., ICML 2022): a second head that sees behavior.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior features.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neuroblend.distill.pair import Pair
from neuroblend.distill.reduce import bins, mean_over, scored_entries

WIDTH = 64  # hidden units of the head


class TwoHeads(nn.Module):
    """Poisson loss of rates that a second head predicts from the student's features and behavior.

    What behavior explains of the spikes, that head can explain by behavior, so that the shared
    trunk need not fit it as noise. The head is thrown away with the objective; no teacher takes
    part.

    Difference from the paper: there, the head without privileged information sends no gradient
    into the trunk; here it does, since it is the student's own read-out. This loss weighs a tenth
    of the student's own where nothing else is said.

    Args:
        layer: The student's layer whose features both heads read.
    """

    wants_teacher = False

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layers: Sequence[tuple[str, str | None]] = ((layer, None),)
        self.head: nn.Module = nn.Identity()

    def prepare(self, pair: Pair) -> None:
        """Make the head, for the sizes found in ``pair``."""
        features, behavior, target, _ = self._given(pair)
        n_in, n_out = features.shape[2] + behavior.shape[2], target.shape[2]
        readout = nn.Linear(WIDTH, n_out)
        mean = mean_over(target, bins(pair.batch.present)).clamp_min(1e-3)
        nn.init.constant_(readout.bias, math.log(float(mean)))
        self.head = nn.Sequential(nn.Linear(n_in, WIDTH), nn.GELU(), readout)

    def forward(self, pair: Pair) -> Tensor:
        """Return the loss in the task's unit, nats/spike."""
        features, behavior, target, scored = self._given(pair)
        log_rates = self.head(torch.cat([features, behavior], dim=2)).float()
        return mean_over(log_rates.exp() - target * log_rates, scored) / pair.counts_per_entry

    def _given(self, pair: Pair) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        features = pair.student.features[self.layers[0][0]]
        batch, n_bins = pair.batch, features.shape[1]
        if batch.behavior is None or batch.target is None:
            raise ValueError("two heads need behavior and targets")
        where = scored_entries(batch)
        scored = None if where is None else where[:, :n_bins]
        return features, batch.behavior.values[:, :n_bins], batch.target[:, :n_bins], scored
