"""A student's network trained on behavior alone: what a decoder made for the purpose reaches.

Shape legend: ``B`` trials, ``T`` bins, ``D`` behavior channels.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroblend.distill.objective import HasOwnLosses, captured
from neuroblend.errors import InputError
from neuroblend.privilege.roles import on_input
from neuroblend.task.batch import Batch, Batches

DECODED = "decoded"  # the signal that behavior is read out of


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


def decoded_by(model: nn.Module, batch: Batch) -> NDArray[np.float32]:
    """Return (B, T, D) standardised behavior from spikes alone, NaN after a trial's end."""
    model.eval()
    with torch.no_grad():
        parts = [model(part).float().cpu().numpy() for part in Batches(batch, 256)]
    found: NDArray[np.float32] = np.concatenate(parts)
    if batch.present is not None:
        found[~batch.present.numpy()] = np.nan
    return found


def direct_signals(
    model: nn.Module,
) -> Callable[[Batch, Sequence[str]], dict[str, NDArray[np.floating]]]:
    """Return a function from a batch to what a direct decoder decodes.

    Returns:
        ``(batch, layers) -> signals``: ``decoded`` (B, T, D); there are no layers to look at.
    """

    def signals(batch: Batch, layers: Sequence[str]) -> dict[str, NDArray[np.floating]]:
        if layers:
            raise InputError(
                f"layers {', '.join(layers)}: a decoder of behavior has none to look at"
            )
        return {DECODED: decoded_by(model, batch)}

    return signals
