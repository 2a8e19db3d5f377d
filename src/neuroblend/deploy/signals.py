"""What a network gives that behavior may be read out of.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``C`` channels of a signal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neuroblend.distill.objective import output_of
from neuroblend.errors import InputError, nearest
from neuroblend.evaluation.readout import FEATURES, LOG_RATES, RATES, log_of
from neuroblend.task.batch import Batch, Batches

AT_ONCE = 256  # trials
LAYER = "layer "  # before names of further layers


@dataclass(frozen=True, eq=False)
class StudentSignals:
    """What a student gives: called with a batch, and names of further layers that are wanted.

    Returns ``rates`` (B, T, N) in counts/bin, neurons as recorded, and their ``log rates``;
    ``features`` (B, T, C); and those of further layers by ``LAYER`` and their name. NaN where no
    bin is present. Bins that a network predicts but has no features of have those of the last bin.

    Attributes:
        model: A student in its role.
        layer: Name of the layer that is distilled and read out.
        held_out: (N,) bool of the neurons as recorded, which the network gives last.
    """

    model: nn.Module
    layer: str
    held_out: NDArray[np.bool_]

    def __call__(self, batch: Batch, layers: Sequence[str]) -> dict[str, NDArray[np.floating]]:
        """Return the signals of a batch.

        Raises:
            InputError: There is no such layer, or it gives no (trial, bin, feature) tensor.
        """
        model = self.model
        _check_layers(model, layers)
        names = {FEATURES: self.layer} | {LAYER + name: name for name in layers}
        was_training = model.training
        model.eval()
        with torch.no_grad():
            given = [output_of(model, p, list(names.values())) for p in Batches(batch, AT_ONCE)]
        model.train(was_training)
        place = np.argsort(np.argsort(self.held_out, kind="stable"))
        rates = np.concatenate([o.log_rates.exp().float().cpu().numpy() for o in given])
        rates = rates[:, :, place]
        found: dict[str, NDArray[np.floating]] = {RATES: rates, LOG_RATES: log_of(rates)}
        for name, of in names.items():
            values = np.concatenate([o.features[of].float().cpu().numpy() for o in given])
            if values.ndim != 3 or values.shape[1] > rates.shape[1]:
                raise InputError(
                    f"layer '{of}': gives shape {values.shape}, wanted (trial, bin, feature)"
                )
            missing = rates.shape[1] - values.shape[1]
            found[name] = np.pad(values, ((0, 0), (0, missing), (0, 0)), mode="edge")
        if batch.present is not None:
            gone = ~batch.present.numpy()
            for values in found.values():
                values[gone] = np.nan
        return found


def _check_layers(model: nn.Module, layers: Sequence[str]) -> None:
    net = model.net
    assert isinstance(net, nn.Module)
    known = [name for name, _ in net.named_modules() if name]
    for name in layers:
        if name.partition(":")[0] not in known:
            raise InputError(f"no layer '{name}': {nearest(name, known)}")
