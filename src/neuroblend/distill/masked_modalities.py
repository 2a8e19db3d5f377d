"""One network for spikes and behavior, either hidden at random (NEDS; Zhang et al., ICML 2025).

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons (``N_in`` of them seen), ``D`` behavior
features.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neuroblend.distill.behavior_loss import behavior_loss
from neuroblend.distill.objective import output_of
from neuroblend.distill.pair import Pair
from neuroblend.distill.reduce import mean_over, scored_entries

HIDDEN = 0.5  # fraction of trials whose spikes are hidden when behavior is seen


class MaskedModalities(nn.Module):
    """The student's network on behavior (spikes hidden in half of the trials), and behind it.

    A second pass through the same network sees behavior, mapped linearly onto the inputs of
    spikes, and predicts spikes (encoding); the first pass, which sees spikes alone, is read out
    for behavior (decoding). At inference the network sees spikes alone; the map is thrown away
    with the objective, and no teacher takes part.

    Differences from the paper: modalities are added at the input of any network, where there each
    is a token of a transformer; and these losses weigh a tenth of the student's own where nothing
    else is said (at its full weight, co-bps was .074 where the baseline's was .102).

    Args:
        layer: The student's layer whose features are read out for behavior.
    """

    wants_teacher = False

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layers: Sequence[tuple[str, str | None]] = ((layer, None),)
        self.read_in: nn.Module = nn.Identity()
        self.readout: nn.Module = nn.Identity()

    def prepare(self, pair: Pair) -> None:
        """Make read-in and read-out, for the sizes found in ``pair``."""
        batch = pair.batch
        if batch.behavior is None or batch.target is None:
            raise ValueError("masked modalities need behavior and targets")
        n_behavior = batch.behavior.values.shape[2]
        self.read_in = nn.Linear(n_behavior, batch.spikes.shape[2])
        self.readout = nn.Linear(pair.student.features[self.layers[0][0]].shape[2], n_behavior)

    def forward(self, pair: Pair) -> Tensor:
        """Return the encoding loss in the task's unit plus the decoding error over chance's."""
        batch, features = pair.batch, pair.student.features[self.layers[0][0]]
        assert batch.behavior is not None and batch.target is not None and pair.model is not None
        values = batch.behavior.values
        n_seen = batch.spikes.shape[1]
        shown = (torch.rand(batch.n_trials, 1, 1, device=values.device) >= HIDDEN).to(values.dtype)
        both = batch.spikes * shown + self.read_in(values[:, :n_seen])
        log_rates = output_of(pair.model, batch._replace(spikes=both)).log_rates.float()
        nll = log_rates.exp() - batch.target * log_rates
        encoding = mean_over(nll, scored_entries(batch)) / pair.counts_per_entry
        return encoding + behavior_loss(self.readout(features), batch.behavior)
