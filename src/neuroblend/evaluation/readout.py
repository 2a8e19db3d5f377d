"""Behavior from rates, by a ridge regression that is fitted to training trials alone.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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
