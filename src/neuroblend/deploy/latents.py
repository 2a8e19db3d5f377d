"""A student's latents where behavior was known: how they lay, and what they say of it.

Shape legend: ``B`` trials, ``T`` bins, ``D`` behavior channels, ``H`` features of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.split import Part
from neuroblend.deploy.windows import SignalsOf
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.readout import FAMILIES, FEATURES, best_of, read_outs
from neuroblend.task.task import Task


@dataclass(frozen=True, eq=False)
class KnownLatents:
    """Latents of the trials that a student was trained on, all spikes shown.

    Attributes:
        mean: (H,) over trials and bins.
        covariance: (H, H) over trials and bins.
        decoder: From latents to behavior, in its units.
        family: Which bins the decoder sees.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    decoder: Decoder
    family: str


def latents_of(
    task: Task, signals_of: SignalsOf, chosen: tuple[Decoder, str] | None
) -> KnownLatents | None:
    """Return how a network's latents lie in training trials, and a read-out of behavior from them.

    Args:
        task: The trials that it was trained on.
        signals_of: Gives (B, T, C) signals of a batch by name.
        chosen: A read-out of latents and its family, if there is one; else one is fitted as in a
            run, since rates are of neurons that another day does not have.

    Returns:
        ``None`` where there are no latents (as of a decoder of behavior) or no behavior.
    """
    if task.trials.behavior is None:
        return None
    signals: dict[Part, NDArray[np.floating]] = {}
    behavior: dict[Part, NDArray[np.floating]] = {}
    parts: tuple[Part, ...] = ("train", "valid")
    for part in parts:
        found = signals_of(task.batch(part))
        if FEATURES not in found:
            return None
        signals[part] = found[FEATURES]
        behavior[part] = task.trials.behavior[task.split.trials(part)]
    flat = signals["train"][:, : task.spec.t_in].reshape(-1, signals["train"].shape[2])
    flat = flat[np.isfinite(flat).all(axis=1)].astype(np.float64)  # without padding
    if chosen is None:
        signals["test"], behavior["test"] = signals["valid"], behavior["valid"]
        bin_s = task.spec.bin_s
        channels = task.trials.channels
        best = best_of(read_outs(signals, behavior, FAMILIES, bin_s, FEATURES, channels))
        chosen = best.decoder, best.family
    return KnownLatents(flat.mean(axis=0), np.atleast_2d(np.cov(flat.T)), *chosen)
