"""Rates and features from a trained model.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``H`` features of a layer.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neuroblend.distill.objective import output_of
from neuroblend.distill.pair import Output
from neuroblend.task.batch import Batch, Batches
from neuroblend.task.task import Task


def predict(model: nn.Module, task: Task, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (B, T, N) expected counts/bin of the trials ``index``, neurons as recorded.

    A student is given spikes alone; a teacher is given behavior too.
    """
    return in_recorded_order(rates_of(model, task.batch_of(index)), task.split.order)


def in_recorded_order(rates: NDArray[np.float32], order: NDArray[np.int64]) -> NDArray[np.float32]:
    """Undo the models' order of neurons (held-in, then held-out) in (B, T, N) rates."""
    return rates[:, :, np.argsort(order)]


def rates_of(model: nn.Module, batch: Batch) -> NDArray[np.float32]:
    """Return (B, T, N) expected counts/bin in the models' order of neurons."""
    return _rates(_outputs(model, batch))


def rates_and_features(
    model: nn.Module, batch: Batch, layer: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return :func:`rates_of` and what ``layer`` gives, (B, T, H).

    Bins that a network predicts but has no features of, forward bins, have those of the last bin.

    Raises:
        InputError: There is no such layer.
    """
    outputs = _outputs(model, batch, layer)
    rates = _rates(outputs)
    features = np.concatenate([each.features[layer].float().cpu().numpy() for each in outputs])
    missing = rates.shape[1] - features.shape[1]
    return rates, np.pad(features, ((0, 0), (0, missing), (0, 0)), mode="edge")


def _outputs(model: nn.Module, batch: Batch, *layers: str) -> list[Output]:
    was_training = model.training
    model.eval()
    with torch.no_grad():
        outputs = [output_of(model, part, layers) for part in Batches(batch, 256)]
    model.train(was_training)
    return outputs


def _rates(outputs: list[Output]) -> NDArray[np.float32]:
    rates: NDArray[np.float32] = np.concatenate(
        [each.log_rates.exp().float().cpu().numpy() for each in outputs]
    )
    return rates
