"""Signals around a bin, or over a trial, as the features of a read-out.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons (or other channels of a signal), ``L`` lags,
``S`` segments of a trial, ``P`` features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.split import Part

Floats = NDArray[np.float64]

MOST_LAGS = 13  # of a side; bins are averaged where the reach has more
MOST_FEATURES = 600  # signals are reduced to leading components until lags fit


@dataclass(frozen=True, eq=False)
class Lagged:
    """Leading principal components of a signal at several lags, and the way back to the signal.

    Attributes:
        lags: (L,) bins.
        blocks: Lags that are averaged.
        mean: (N,) of the signal in training trials.
        basis: (N, C) from the centred signal to its components.
        features: (B, T, len(blocks) * C) of the trials of each part but ``test``.
    """

    lags: NDArray[np.int64]
    blocks: list[list[int]]
    mean: Floats
    basis: Floats
    features: dict[Part, Floats]

    @classmethod
    def of(cls, signal: Mapping[Part, NDArray[np.floating]], lags: NDArray[np.int64]) -> Lagged:
        """Measure (B, T, N) signals of training trials, and reduce those of the others alike."""
        train = np.asarray(signal["train"], dtype=np.float64)
        flat = train[np.isfinite(train).all(axis=2)]  # without padding
        mean, scale = flat.mean(axis=0), flat.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        blocks = blocks_of(lags)
        n_components = min(train.shape[2], max(1, MOST_FEATURES // len(blocks)))
        scaled = (flat - mean) / scale
        _, vectors = np.linalg.eigh(scaled.T @ scaled)
        basis = vectors[:, ::-1][:, :n_components] / scale[:, None]
        features: dict[Part, Floats] = {
            part: _lagged((filled(values) - mean) @ basis, blocks)
            for part, values in signal.items()
            if part != "test"
        }
        return cls(lags, blocks, mean, basis, features)

    def of_signal(self, slope: Floats) -> Floats:
        """Return (L, N, P) weights on the signal for (len(blocks) * C, P) weights on features."""
        by_block = slope.reshape(len(self.blocks), self.basis.shape[1], -1)
        weights = np.zeros((len(self.lags), self.basis.shape[0], by_block.shape[2]))
        for block, of_block in zip(self.blocks, self.basis @ by_block, strict=True):
            for lag in block:
                at = int(np.flatnonzero(self.lags == lag)[0])
                weights[at] = of_block / len(block)
        return weights


def blocks_of(lags: NDArray[np.int64]) -> list[list[int]]:
    """Return lags in blocks of neighbours, the present alone, at most ``MOST_LAGS`` a side."""
    past, future = lags[lags < 0], lags[lags > 0]
    sides = [np.array_split(side, min(MOST_LAGS, side.size) or 1) for side in (past, future)]
    return [b.tolist() for b in (*sides[0], lags[lags == 0], *sides[1]) if b.size]


def filled(signal: NDArray[np.floating]) -> Floats:
    """Return (B, T, N) with bins after the end of a shorter trial, NaN, as its last one."""
    given = np.asarray(signal, dtype=np.float64)
    absent: NDArray[np.bool_] = np.asarray(np.isnan(given).any(axis=2))
    if not absent.any():
        return given
    last = np.maximum((~absent).sum(axis=1) - 1, 0)
    at_end = given[np.arange(len(given)), last][:, None]
    return np.where(absent[:, :, None], at_end, given)


def shifted(signal: Floats, lag: int) -> Floats:
    """Return (B, T, N) at ``lag`` bins from each bin, the edge beyond a trial's edges."""
    n_bins = signal.shape[1]
    return signal[:, np.clip(np.arange(n_bins) + lag, 0, n_bins - 1)]


def segment_means(signal: NDArray[np.floating], n_segments: int) -> Floats:
    """Return (B, S, N) means over equal parts of each trial's bins, those after its end left out.

    Of a trial of fewer bins than segments, neighbours share a bin.
    """
    given = np.asarray(signal, dtype=np.float64)
    lengths = (~np.isnan(given).any(axis=2)).sum(axis=1)
    means = np.full((len(given), n_segments, given.shape[2]), np.nan)
    for length in np.unique(lengths[lengths > 0]):
        edges = np.arange(n_segments + 1) * length // n_segments
        which = lengths == length
        for i in range(n_segments):
            begin = min(edges[i], length - 1)
            end = max(edges[i + 1], begin + 1)
            means[which, i] = given[which, begin:end].mean(axis=1)
    return means


def _lagged(signal: Floats, blocks: list[list[int]]) -> Floats:
    """Return (B, T, P) means of the signal over each block of lags, side by side."""
    means = [sum(shifted(signal, lag) for lag in block) / len(block) for block in blocks]
    return np.concatenate(means, axis=2)
