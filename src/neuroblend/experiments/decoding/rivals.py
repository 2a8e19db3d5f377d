"""What a lab would use instead of a student: decoders of behavior that predict no rates.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``D`` channels.
"""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from neuroblend.deploy.direct import decoded_by
from neuroblend.evaluation.mixed import SEGMENTS
from neuroblend.experiments.decoding.settings import DIRECT, KALMAN, LOGISTIC
from neuroblend.models.references.kalman import Kalman, lagged_spikes
from neuroblend.models.references.wiener import smoothed_spikes
from neuroblend.task.batch import Batch
from neuroblend.task.task import Task

Signals = dict[str, NDArray[np.floating]]
COUNTS = "spikes"  # what smoothing by nothing is called


def rival_signals(
    arm: str, model: nn.Module | None, task: Task, batch: Batch, causal: bool = False
) -> Signals:
    """Return the (B, T, ...) signals that behavior is read out of for a rival, by name.

    Args:
        arm: ``wiener``, ``kalman``, ``logistic`` or ``direct``.
        model: The trained network of ``direct``.
        task: Whose training trials the Kalman filter is fitted to.
        batch: The trials to decode; of these, spikes and which bins are present.
        causal: Whether no signal may depend on later spikes.
    """
    if arm == DIRECT:
        assert model is not None
        return {"decoded": decoded_by(model, batch)}
    spikes = _seen(batch)
    if arm == KALMAN:
        return _by_kalman(task, spikes, causal)
    signals: Signals = dict(smoothed_spikes(spikes, task.spec, causal))
    return {COUNTS: signals[COUNTS]} if arm == LOGISTIC else signals


def segments_of(arm: str) -> tuple[int, ...]:
    """Return into how many parts a trial may be divided for what has one value a trial."""
    return (1,) if arm == LOGISTIC else SEGMENTS


def _seen(batch: Batch) -> NDArray[np.float64]:
    """Return (B, T_in, N) spikes, NaN after a trial's end."""
    spikes = batch.spikes.numpy().astype(np.float64)
    if batch.present is not None:
        spikes[~batch.present.numpy()[:, : spikes.shape[1]]] = np.nan
    return spikes


def _by_kalman(task: Task, spikes: NDArray[np.float64], causal: bool) -> Signals:
    """Return (B, T, D) behavior by filter and (unless causal) smoother, from spikes at few lags."""
    assert task.trials.behavior is not None
    spec, decoded = task.spec, {}
    behavior = task.trials.behavior[task.split.train, : spec.t_in]
    known = lagged_spikes(_seen(task.batch("train")), spec.bin_s)
    for (name, train), (_, given) in zip(known, lagged_spikes(spikes, spec.bin_s), strict=True):
        both = Kalman.fit(train, behavior).decode(given)
        for how, found in list(zip(("filter", "smoother"), both, strict=True))[: 2 - causal]:
            missing = spec.t_out - spec.t_in  # forward bins are as the last one that is seen
            padding = ((0, 0), (0, missing), (0, 0))
            decoded[f"{how}, {name}"] = np.pad(found, padding, mode="edge")
    return decoded
