"""Behavior read out of rates: what is fitted on training trials, and how it is scored.

All of it is here, so that another kind of behavior, with a read-out and scores of its own, has one
place to join.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroblend.data.split import Part
from neuroblend.evaluation.metrics import ErrorSums

PENALTIES = np.logspace(-1, 4, 6)


@dataclass(frozen=True, eq=False)
class Decoder:
    """A linear map from rates to behavior.

    Attributes:
        weights: (N, D) behavior units per count/bin.
        offset: (D,) behavior units.
    """

    weights: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def fit(cls, rates: NDArray[np.floating], behavior: NDArray[np.floating]) -> Decoder:
        """Regress (B, T, D) behavior, NaN where missing, on (B, T, N) rates of training trials.

        Rates are standardised; the penalty of each set of channels with the same samples is chosen
        by cross-validation over trials, five-fold where there are as many.
        """
        n_channels = behavior.shape[2]
        weights = np.zeros((rates.shape[2], n_channels))
        offset = np.zeros(n_channels)
        known = ~np.isnan(behavior)
        _, group = np.unique(known.reshape(-1, n_channels), axis=1, return_inverse=True)
        trial = np.repeat(np.arange(len(rates)), rates.shape[1])
        for g in np.unique(group):
            channels = np.flatnonzero(group == g)
            rows = known[:, :, channels[0]].ravel()
            x = rates.reshape(-1, rates.shape[2])[rows].astype(np.float64)
            y = behavior.reshape(-1, n_channels)[rows][:, channels].astype(np.float64)
            spread = y.std(axis=0)
            search = GridSearchCV(
                make_pipeline(StandardScaler(), Ridge()),
                {"ridge__alpha": PENALTIES},
                cv=GroupKFold(min(5, len(np.unique(trial[rows])))),
            )
            search.fit(x, y / spread, groups=trial[rows])
            scaler, ridge = search.best_estimator_[0], search.best_estimator_[1]
            slope = np.atleast_2d(ridge.coef_).T * spread / scaler.scale_[:, None]
            weights[:, channels] = slope
            offset[channels] = ridge.intercept_ * spread - scaler.mean_ @ slope
        return cls(weights, offset)

    def __call__(self, rates: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (B, T, D) behavior in the recording's units from (B, T, N) counts/bin."""
        decoded: NDArray[np.float64] = rates @ self.weights + self.offset
        return decoded


@dataclass(frozen=True, eq=False)
class ReadOut:
    """Behavior decoded from a model's rates.

    Attributes:
        decoder: From rates to behavior.
        decoded: (B, T, D) behavior of the test trials, in the recording's units.
        test: What its scores on test trials are made of; see :func:`behavior_scores`.
        valid: Its scores on validation trials, by name.
    """

    decoder: Decoder
    decoded: NDArray[np.float64]
    test: ErrorSums
    valid: dict[str, float]


def read_out(
    rates: Mapping[Part, NDArray[np.floating]], behavior: Mapping[Part, NDArray[np.floating]]
) -> ReadOut:
    """Fit a decoder on training trials and score it on the others.

    Args:
        rates: (B, T, N) counts/bin of the trials of each part.
        behavior: (B, T, D) in the recording's units, NaN where missing, of the same trials.
    """
    decoder = Decoder.fit(rates["train"], behavior["train"])
    decoded = decoder(rates["test"])
    valid = ErrorSums.of(decoder(rates["valid"]), behavior["valid"])
    mean = float(behavior_scores(valid, ())["behavior_r2"][0])
    return ReadOut(decoder, decoded, ErrorSums.of(decoded, behavior["test"]), {"behavior_r2": mean})


def behavior_scores(
    sums: ErrorSums, channels: tuple[str, ...], weights: NDArray[np.float64] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return (R,) R², the mean over channels and that of each, in R weighted sums over trials."""
    per_channel = sums.r2(weights)
    each = {f"behavior_r2/{name}": per_channel[:, i] for i, name in enumerate(channels)}
    return {"behavior_r2": per_channel.mean(axis=1), **each}
