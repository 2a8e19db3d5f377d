"""A student's network trained on behavior alone: what a decoder made for the purpose reaches.

Shape legend: ``B`` trials, ``T`` bins, ``D`` behavior channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroblend.distill.objective import HasOwnLosses, captured
from neuroblend.privilege.roles import on_input
from neuroblend.task.batch import Batch, Batches
from neuroblend.task.task import Task


class DirectDecoder(nn.Module):
    """A network with a linear read-out of behavior at the layer that distillation looks at.

    Args:
        net: Any network for spikes; its own read-out of rates takes no part.
        layer: The layer, (B, T, feature).
        n_behavior: ``D``.
        example: Two trials, from which the layer's width is found.
    """

    predicts_spikes = False

    def __init__(self, net: nn.Module, layer: str, n_behavior: int, example: Batch) -> None:
        super().__init__()
        self.net = net
        self.layer = layer
        net.eval()
        with torch.no_grad(), captured(self, [layer]) as features:
            on_input(net, example.spikes, example.present)
        self.readout = nn.Linear(features[layer].shape[2], n_behavior)

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        """Return (B, T, D) standardised behavior; bins that are not seen are as the last one."""
        with captured(self, [self.layer]) as features:
            log_rates = on_input(self.net, spikes, present)
        decoded: Tensor = self.readout(features[self.layer])
        missing = log_rates.shape[1] - decoded.shape[1]
        if missing:
            decoded = torch.cat([decoded, decoded[:, -1:].expand(-1, missing, -1)], dim=1)
        return decoded

    def own_losses(self, progress: float) -> Mapping[str, Tensor]:
        """Return what the network brings, such as divergences."""
        return self.net.own_losses(progress) if isinstance(self.net, HasOwnLosses) else {}


@dataclass(frozen=True)
class BehaviorTask:
    """A task whose target is behavior: what :class:`DirectDecoder` is trained on.

    Attributes:
        task: The task of the other arms: the same trials and split.
    """

    task: Task

    @property
    def n_train(self) -> int:
        """Number of training trials."""
        return self.task.n_train

    def example(self) -> Batch:
        """Return the training trials as one batch."""
        return _of_behavior(self.task.example())

    def train_batches(self, size: int, seed: int, device: torch.device) -> Batches:
        """Return the training trials in batches, in the order that other arms see them in."""
        return Batches(self.example().to(device), size, seed)

    def valid_batches(self) -> list[Batch]:
        """Return the validation trials, in a list."""
        return [_of_behavior(batch) for batch in self.task.valid_batches()]


def decoded_by(model: nn.Module, batch: Batch) -> NDArray[np.float32]:
    """Return (B, T, D) standardised behavior from spikes alone, NaN after a trial's end."""
    model.eval()
    with torch.no_grad():
        parts = [model(part).float().cpu().numpy() for part in Batches(batch, 256)]
    found: NDArray[np.float32] = np.concatenate(parts)
    if batch.present is not None:
        found[~batch.present.numpy()] = np.nan
    return found


def _of_behavior(batch: Batch) -> Batch:
    assert batch.behavior is not None
    values, known = batch.behavior
    scored = known if batch.present is None else known & batch.present[:, :, None]
    return batch._replace(target=values, scored=scored)
