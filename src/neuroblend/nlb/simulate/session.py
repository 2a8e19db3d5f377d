"""What a simulated benchmark session is, and what all of its tasks need: blocks, noise, gradients.

Sessions run on a clock of whole milliseconds from 0. ``B`` trials, ``K`` latents.

A session is simulated by the function of its task, which takes the task's parameters, the ms by
which neural activity leads behavior, the split (B,) of the trials in order, a stream of what all
sessions of a seed share (``world``) and one of what is this session's own (``rng``).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neuroblend.nlb.arrays import Bools, Floats, Ints, Rng
from neuroblend.nlb.simulate.tables import Blocks

SHARED_TAU_MS = (300.0, 3000.0)


@dataclass(frozen=True)
class Session:
    """What a file is made of; times are whole milliseconds from the start of the session.

    Attributes:
        latents: (n_ms, K) float32.
        observed: (intervals, 2), half-open, ascending.
        trials: Columns of the trials table by name and in order, each of B rows; times in ms, NaN
            for none. Ragged columns are lists of arrays.
        signals: By name, (n_ms, channels), NaN where nothing was recorded.
    """

    latents: NDArray[np.float32]
    observed: Ints
    trials: dict[str, Any]
    signals: dict[str, Floats]


def log_normal(rng: Rng, median_and_log_sd: tuple[int, float], n: int) -> Ints:
    """Whole numbers (n,), lognormal up to 2.5 standard deviations."""
    median, log_sd = median_and_log_sd
    deviate = np.clip(rng.standard_normal(n), -2.5, 2.5)
    return np.rint(median * np.exp(log_sd * deviate)).astype(np.int64)


def laid_out(length: Ints, task: Blocks) -> tuple[Ints, Ints]:
    """Starts (B,) of trials of ``length`` (B,) ms, and what is observed of a session in blocks.

    Blocks have at least four trials each.
    """
    starts, observed = [], []
    begin = 0
    for block in np.array_split(length, np.clip(len(length) // 4, 1, task.n_blocks)):
        ends = begin + np.cumsum(block + task.between_ms)
        starts.append(ends - block)
        observed.append((begin, int(ends[-1]) + task.after_block_ms))
        begin = observed[-1][1] + task.gap_ms
    return np.concatenate(starts), np.array(observed)


def known_if(known: Bools, values: Ints | Floats) -> Floats:
    """Values where they are known, else NaN."""
    return np.where(known, values, np.nan)


def gradient(values: Floats, observed: Ints) -> Floats:
    """Central differences per second within each interval, NaN outside: like ``values``."""
    slope = np.full_like(values, np.nan)
    for start, stop in observed:
        slope[start:stop] = np.gradient(values[start:stop], 1e-3, axis=0)
    return slope


def blanked(signals: dict[str, Floats], observed: Ints) -> dict[str, Floats]:
    """Signals with NaN between the observed intervals."""
    for (_, stop), (start, _) in pairwise(observed):
        for values in signals.values():
            values[stop:start] = np.nan
    return signals


def slow_noise(rng: Rng, n_ms: int, n: int, tau_ms: float) -> Floats:
    """Smooth noise of unit variance: two leaky integrators in a row; (n_ms, n)."""
    decay = np.exp(-1 / tau_ms)
    gain = np.sqrt((1 - decay**2) ** 3 / (1 + decay**2))
    lead = int(10 * tau_ms)
    out = np.empty((n_ms, n))
    for column in range(n):
        noise = rng.standard_normal(lead + n_ms)
        out[:, column] = lfilter([gain], [1, -2 * decay, decay**2], noise)[lead:]
    return out


def shared_latents(rng: Rng, n_ms: int) -> Floats:
    """Fluctuations that say nothing of the task: (n_ms, 2)."""
    return np.column_stack([slow_noise(rng, n_ms, 1, tau)[:, 0] for tau in SHARED_TAU_MS])
