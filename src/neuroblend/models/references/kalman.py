"""Kalman filter and smoother that decode behavior from spikes (Wu et al., Neural Computation 2006).

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels, ``K = 2 D`` states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

JITTER = 1e-6  # on covariances, against channels that are functions of each other
LAGS_S = (0.0, 0.06, 0.12)  # by which spikes may lead behavior, in seconds

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Kalman:
    """A linear Gaussian model whose state is behavior and its change from the bin before.

    In a run, behavior is read out of what this gives as it is of every arm's rates, by ridge
    regression, with history and future where that does better: no worse than the filter alone.

    Wu et al. have position, velocity and acceleration; here are whatever channels a recording has.
    The noise covariance of spikes is shrunk (Ledoit & Wolf 2004), since neurons can be many and
    trials few.

    Attributes:
        transition: (K, K) from a state to the next.
        noise: (K, K) covariance of its error.
        initial: (K, K) covariance of the first state.
        emission: (N, K) counts/bin per unit of the state.
        precision: (N, N) inverse covariance of the spikes' error.
        mean: (N,) counts/bin.
        centre: (D,) mean of behavior.
        scale: (D,) its standard deviation.
    """

    transition: Array
    noise: Array
    initial: Array
    emission: Array
    precision: Array
    mean: Array
    centre: Array
    scale: Array

    @classmethod
    def fit(cls, spikes: NDArray[np.floating], behavior: NDArray[np.floating]) -> Kalman:
        """Fit to (B, T, N) spikes and (B, T, D) behavior, NaN where either is missing."""
        centre = np.nanmean(behavior, axis=(0, 1))
        scale = np.nanstd(behavior, axis=(0, 1))
        standard = (behavior - centre) / np.where(scale > 0, scale, 1.0)
        change = np.diff(standard, axis=1, prepend=standard[:, :1])
        states = np.concatenate([standard, change], axis=2)
        before, after = states[:, :-1].reshape(-1, states.shape[2]), states[:, 1:]
        transition, errors = _regressed(before, after.reshape(before.shape))
        noise = np.cov(errors.T)
        flat = states.reshape(-1, states.shape[2])
        counts = spikes.reshape(-1, spikes.shape[2]).astype(np.float64)
        mean = np.nanmean(counts, axis=0)
        emission, errors = _regressed(flat, counts - mean)
        shrunk, _ = ledoit_wolf(errors, assume_centered=True)
        jitter = JITTER * np.eye(states.shape[2])
        known = flat[np.isfinite(flat).all(axis=1)]
        initial = known.T @ known / len(known)  # of any bin: windows do not begin at rest
        return cls(
            transition.T,
            np.atleast_2d(noise) + jitter,
            initial + jitter,
            emission.T,
            _inverse(shrunk + JITTER * np.eye(len(shrunk))),
            mean,
            centre,
            scale,
        )

    def decode(self, spikes: NDArray[np.floating]) -> tuple[Array, Array]:
        """Return (B, T, D) behavior by the filter, which looks back, and by the smoother.

        Args:
            spikes: (B, T, N) counts/bin, NaN after the end of a shorter trial.
        """
        n_channels = self.centre.size
        filtered, smoothed = (np.full((*spikes.shape[:2], n_channels), np.nan) for _ in range(2))
        lengths = np.isfinite(spikes).all(axis=2).sum(axis=1)
        for length in np.unique(lengths[lengths > 0]):  # gains depend on nothing else
            which = lengths == length
            forth, back = self._states(np.asarray(spikes[which, :length], dtype=np.float64))
            for found, states in ((filtered, forth), (smoothed, back)):
                found[which, :length] = states[:, :, :n_channels] * self.scale + self.centre
        return filtered, smoothed

    def _states(self, spikes: Array) -> tuple[Array, Array]:
        """Return (B, T, K) filtered and smoothed states (Rauch, Tung & Striebel 1965)."""
        evidence = (spikes - self.mean) @ (self.precision @ self.emission)
        information = self.emission.T @ self.precision @ self.emission
        state: Array = np.zeros((len(spikes), len(information)))
        spread: Array = self.initial
        filtered: list[Array] = []
        spreads: list[Array] = []
        ahead: list[tuple[Array, Array]] = []
        for t in range(spikes.shape[1]):
            if t:
                state = state @ self.transition.T
                spread = self.transition @ spread @ self.transition.T + self.noise
            ahead.append((state, spread))
            spread = _inverse(_inverse(spread) + information)
            state = state + (evidence[:, t] - state @ information) @ spread
            filtered.append(state)
            spreads.append(spread)
        smoothed = [filtered[-1]]
        for t in range(spikes.shape[1] - 2, -1, -1):
            predicted, spread = ahead[t + 1]
            gain = spreads[t] @ self.transition.T @ _inverse(spread)
            smoothed.append(filtered[t] + (smoothed[-1] - predicted) @ gain.T)
        forth: Array = np.stack(filtered, axis=1)
        back: Array = np.stack(smoothed[::-1], axis=1)
        return forth, back


def lagged_spikes(spikes: NDArray[np.floating], bin_s: float) -> Iterator[tuple[str, Array]]:
    """Return spikes of ``LAGS_S`` before each bin, by name; before a trial, those of its start."""
    counts = np.asarray(spikes, dtype=np.float64)
    for lag in dict.fromkeys(round(lag_s / bin_s) for lag_s in LAGS_S):
        past = np.clip(np.arange(counts.shape[1]) - lag, 0, None)
        yield (
            f"spikes {lag * bin_s * 1000:.0f} ms before",
            np.where(np.isnan(counts), np.nan, counts[:, past]),
        )


def _inverse(matrix: Array) -> Array:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _regressed(x: Array, y: Array) -> tuple[Array, Array]:
    """Return the slopes of ``y`` on ``x`` and the errors, over rows that have both."""
    known = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    x, y = x[known], y[known]
    slope = np.linalg.solve(x.T @ x + JITTER * len(x) * np.eye(x.shape[1]), x.T @ y)
    return slope, y - x @ slope
