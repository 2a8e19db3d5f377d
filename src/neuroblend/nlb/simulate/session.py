"""What a simulated benchmark session is, and what all of its tasks need: blocks, noise, gradients.

Sessions run on a clock of whole milliseconds from 0. ``B`` trials, ``K`` latents.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

SHARED_TAU_MS = (300.0, 3000.0)
BLOCK_MARGIN_MS = 400  # observed beyond the end of the last trial of a block


@dataclass(frozen=True)
class Session:
    """What a file is made of; times are whole milliseconds from the start of the session.

    Attributes:
        latents: (n_ms, K) float32.
        observed: (intervals, 2), half-open, ascending.
        trials: Columns of the trials table by name, each of B rows; times in ms, NaN for none.
            Ragged columns are lists of arrays.
        signals: By name, (n_ms, channels), NaN where nothing was recorded.
    """

    latents: NDArray[np.float32]
    observed: Whole
    trials: dict[str, Any]
    signals: dict[str, Array]

    @property
    def n_ms(self) -> int:
        """Length of the session in ms."""
        return len(self.latents)


def block_count(most: int, n_trials: int) -> int:
    """Continuous stretches of a session: at least four trials each."""
    return int(np.clip(n_trials // 4, 1, most))


def log_normal(rng: np.random.Generator, median_and_log_sd: tuple[int, float], n: int) -> Whole:
    """Whole numbers (n,), lognormal up to 2.5 standard deviations."""
    median, log_sd = median_and_log_sd
    deviate = np.clip(rng.standard_normal(n), -2.5, 2.5)
    return np.rint(median * np.exp(log_sd * deviate)).astype(np.int64)


def laid_out(length: Whole, between_ms: int, n_blocks: int, gap_ms: int) -> tuple[Whole, Whole]:
    """Starts (B,) of trials of ``length`` (B,) ms, and what is observed of a session in blocks."""
    starts, observed = [], []
    begin = 0
    for block in np.array_split(length, block_count(n_blocks, len(length))):
        ends = begin + np.cumsum(block + between_ms)
        starts.append(ends - block)
        observed.append((begin, int(ends[-1]) + BLOCK_MARGIN_MS))
        begin = observed[-1][1] + gap_ms
    return np.concatenate(starts), np.array(observed)


def gradient(values: Array, observed: Whole) -> Array:
    """Central differences per second within each interval, NaN outside: like ``values``."""
    slope = np.full_like(values, np.nan)
    for start, stop in observed:
        slope[start:stop] = np.gradient(values[start:stop], 1e-3, axis=0)
    return slope


def blanked(signals: dict[str, Array], observed: Whole) -> dict[str, Array]:
    """Signals with NaN between the observed intervals."""
    for (_, stop), (start, _) in pairwise(observed):
        for values in signals.values():
            values[stop:start] = np.nan
    return signals


def slow_noise(rng: np.random.Generator, n_ms: int, n: int, tau_ms: float) -> Array:
    """Smooth noise of unit variance: two leaky integrators in a row; (n_ms, n)."""
    decay = np.exp(-1 / tau_ms)
    gain = np.sqrt((1 - decay**2) ** 3 / (1 + decay**2))
    lead = int(10 * tau_ms)
    out = np.empty((n_ms, n))
    for column in range(n):
        noise = rng.standard_normal(lead + n_ms)
        out[:, column] = lfilter([gain], [1, -2 * decay, decay**2], noise)[lead:]
    return out


def shared_latents(rng: np.random.Generator, n_ms: int) -> Array:
    """Fluctuations that say nothing of the task: (n_ms, 2)."""
    return np.column_stack([slow_noise(rng, n_ms, 1, tau)[:, 0] for tau in SHARED_TAU_MS])
