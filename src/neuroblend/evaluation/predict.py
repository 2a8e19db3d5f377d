"""Rates from a trained model.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
    was_training = model.training
    model.eval()
    with torch.no_grad():
        parts = [model(part).exp().float().cpu().numpy() for part in Batches(batch, 256)]
    model.train(was_training)
    rates: NDArray[np.float32] = np.concatenate(parts)
    return rates
