"""A student's latents as behavior was last seen with them: how they lie, and what they say of it.

Shape legend: ``B`` trials, ``T`` bins, ``D`` behavior channels, ``H`` features of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError
from neuroblend.evaluation.readout import FAMILIES, FEATURES, Decoder, best_of, read_out

if TYPE_CHECKING:
    from neuroblend.deploy.student import TrainedStudent


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


def known_latents(student: TrainedStudent) -> KnownLatents | None:
    """Return what is known of a student's latents, found from its task where it has one.

    Behavior is read out of them as it is in a run, whatever the student's own read-out is of: rates
    are of neurons that another day does not have.

    Returns:
        ``None`` for an arm without latents, and for one without its task (as from a file) that
        carries none.
    """
    if student.latents is not None or student.layer is None or student.task is None:
        return student.latents
    trials, split, n_seen = student.task.trials, student.task.split, student.spec.t_in
    if trials.behavior is None:
        return None
    signals, behavior = {}, {}
    for part in ("train", "valid"):
        found = student.signals(student.task.batch(part), ())
        if FEATURES not in found:  # a decoder of behavior
            return None
        signals[part], behavior[part] = found[FEATURES], trials.behavior[split.trials(part)]
    seen = signals["train"][:, :n_seen].reshape(-1, signals["train"].shape[2]).astype(np.float64)
    seen = seen[np.isfinite(seen).all(axis=1)]
    covariance = np.atleast_2d(np.cov(seen.T))
    if student.readout[0] == FEATURES:
        return KnownLatents(seen.mean(axis=0), covariance, student.decoder, student.readout[1])
    signals["test"], behavior["test"] = signals["valid"], behavior["valid"]
    best = best_of(
        read_out(signals, behavior, family, student.spec.bin_s, FEATURES) for family in FAMILIES
    )
    return KnownLatents(seen.mean(axis=0), covariance, best.decoder, best.family)


def latents_wanted(student: TrainedStudent) -> KnownLatents:
    """Return what is known of a student's latents.

    Raises:
        InputError: Nothing is, or the student has none.
    """
    found = known_latents(student)
    if found is not None:
        return found
    if student.layer is None or student.network is None:
        raise InputError(
            f"adapt: {student.arm} has no latents that another day's neurons could be led to; "
            "wanted a student or baseline of a run"
        )
    raise InputError(
        f"adapt: {student.arm} comes without statistics of its latents and a read-out of them "
        "(direct has none, nor has a file of an earlier neuroblend); export a student or the "
        "baseline of its run again"
    )
