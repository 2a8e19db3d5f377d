"""A read-out of behavior as a value: a linear map from a signal, and a link for each channel.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons (or other channels of a signal), ``D``
behavior channels, ``L`` lags, ``S`` segments of a trial, ``P`` outputs a bin, ``Q`` a trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.split import Part
from neuroblend.evaluation.lagged import Lagged, filled, segment_means, shifted
from neuroblend.evaluation.link import Link, links_from_json, links_to_json
from neuroblend.evaluation.metrics import ErrorSums

Floats = NDArray[np.float64]

PENALTIES = np.logspace(-1, 4, 6)
WIDE_PENALTIES = np.logspace(0, 6, 13)  # of read-outs with lags, which have many more features


@dataclass(frozen=True, eq=False)
class Decoder:
    """A linear map from a signal around a bin to behavior in that bin, and what it stands for.

    Bins before the first and after the last of a trial are those at its edge.

    Attributes:
        weights: (L, N, P) outputs per unit of the signal.
        offset: (P,) outputs.
        lags: (L,) bins, negative for the past; ``[0]`` for the bin alone.
        links: D of them, from outputs to behavior; empty where outputs are behavior, ``P = D``.
        trial_weights: (S, N, Q) for channels with one value a trial: from means of the signal over
            equal parts of a trial; ``None`` where there are none.
        trial_offset: (Q,) likewise.
    """

    weights: Floats
    offset: Floats
    lags: NDArray[np.int64]
    links: tuple[Link, ...] = ()
    trial_weights: Floats | None = None
    trial_offset: Floats | None = None

    @classmethod
    def fit(cls, rates: NDArray[np.floating], behavior: NDArray[np.floating]) -> Decoder:
        """Regress (B, T, D) behavior, NaN where missing, on (B, T, N) rates of the same bin.

        Rates are standardised; the penalty of each set of channels with the same samples is chosen
        by cross-validation over trials, five-fold where there are as many.
        """
        # heavy, and of no use to a student that is read from a file
        from sklearn.linear_model import Ridge  # noqa: PLC0415
        from sklearn.model_selection import GridSearchCV, GroupKFold  # noqa: PLC0415
        from sklearn.pipeline import make_pipeline  # noqa: PLC0415
        from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

        n_channels = behavior.shape[2]
        weights = np.zeros((rates.shape[2], n_channels))
        offset = np.zeros(n_channels)
        trial = np.repeat(np.arange(len(rates)), rates.shape[1])
        for channels, rows in _alike(behavior):
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
        return cls(weights[None], offset, np.zeros(1, dtype=np.int64))

    @classmethod
    def fit_lagged(
        cls,
        signal: Mapping[Part, NDArray[np.floating]],
        behavior: Mapping[Part, NDArray[np.floating]],
        lags: NDArray[np.int64],
    ) -> Decoder:
        """Regress behavior on a signal at ``lags``, the penalty chosen on validation trials.

        The signal is standardised, reduced to as many leading principal components as let all lags
        fit into ``MOST_FEATURES``, and lags of one block are averaged (see
        :class:`~neuroblend.evaluation.lagged.Lagged`), so that a read-out of hundreds of neurons
        costs what one of a few does.
        """
        return cls.of_lagged(Lagged.of(signal, lags), behavior)

    @classmethod
    def of_lagged(cls, reduced: Lagged, behavior: Mapping[Part, NDArray[np.floating]]) -> Decoder:
        """Regress behavior on features: :meth:`fit_lagged`."""
        features = reduced.features
        n_channels = behavior["train"].shape[2]
        weights = np.zeros((len(reduced.lags), len(reduced.mean), n_channels))
        offset = np.zeros(n_channels)
        for channels, rows in _alike(behavior["train"]):
            x = features["train"].reshape(rows.size, -1)[rows]
            y = behavior["train"].reshape(rows.size, -1)[rows][:, channels].astype(np.float64)
            x_mean, y_mean, spread = x.mean(axis=0), y.mean(axis=0), y.std(axis=0)
            x -= x_mean
            values, vectors = np.linalg.eigh(x.T @ x)  # of one array, which takes half the products
            target = vectors.T @ (x.T @ ((y - y_mean) / spread))
            x_valid = features["valid"] - x_mean
            best = -np.inf
            for penalty in WIDE_PENALTIES:
                slope = vectors @ (target / (values + penalty)[:, None])
                decoded = x_valid @ slope * spread + y_mean
                sums = ErrorSums.of(decoded, behavior["valid"][:, :, channels])
                score = float(np.nanmean(sums.r2()[0]))
                if score > best:
                    best, kept = score, slope * spread
            weights[:, :, channels] = reduced.of_signal(kept)
            offset[channels] = y_mean - x_mean @ kept
        offset -= np.einsum("n,lnd->d", reduced.mean, weights)
        return cls(weights, offset, reduced.lags)

    @property
    def n_channels(self) -> int:
        """Number of channels of behavior, ``D``."""
        return len(self.links) or self.offset.size

    def __repr__(self) -> str:
        _, n_from, n_to = self.weights.shape
        bins = "the same bin" if self.lags.size == 1 else f"bins {self.lags[0]} to {self.lags[-1]}"
        if self.links:
            n_to = len(self.links)
            bins = "the whole trial" if all(k.channel.per_trial for k in self.links) else bins
        return f"Decoder({n_to} channels of behavior from a signal of {n_from}, {bins})"

    def __call__(self, signal: NDArray[np.floating]) -> Floats:
        """Return (B, T, D) behavior in the recording's units from (B, T, N) of the signal.

        A discrete channel has the number of its category, events have how many to expect in a bin,
        and what has one value a trial has it in each of its bins.
        """
        if not self.links:
            return self._linear(signal)
        outputs = self._outputs(signal)
        columns = [link.values(outputs[link.channel.per_trial]) for link in self.links]
        return np.stack(columns, axis=2)

    def log_probabilities(self, signal: NDArray[np.floating]) -> dict[str, Floats]:
        """Return (B, T, K) logarithms of probabilities of the categories, by discrete channel."""
        discrete = [link for link in self.links if link.channel.kind == "discrete"]
        outputs = self._outputs(signal) if discrete else ()
        return {
            link.channel.name: link.log_probabilities(outputs[link.channel.per_trial])
            for link in discrete
        }

    def probabilities(self, signal: NDArray[np.floating]) -> dict[str, Floats]:
        """Return (B, T, K) probabilities of the categories of each discrete channel, by name."""
        return {name: np.exp(log) for name, log in self.log_probabilities(signal).items()}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays, which any file can hold; see :meth:`from_arrays`."""
        arrays: dict[str, NDArray[Any]] = {
            "weights": self.weights,
            "offset": self.offset,
            "lags": self.lags,
        }
        if self.links:
            text = links_to_json(self.links).encode()
            arrays["links"] = np.frombuffer(text, dtype=np.uint8).copy()
        if self.trial_weights is not None and self.trial_offset is not None:
            arrays |= {"trial_weights": self.trial_weights, "trial_offset": self.trial_offset}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Decoder:
        """Return the decoder that :meth:`to_arrays` was called of."""
        found = cls(arrays["weights"], arrays["offset"], arrays["lags"])
        if "links" not in arrays:
            return found
        links = links_from_json(np.asarray(arrays["links"]).tobytes().decode())
        return replace(
            found,
            links=links,
            trial_weights=arrays.get("trial_weights"),
            trial_offset=arrays.get("trial_offset"),
        )

    def _outputs(self, signal: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Return (B, T, P) outputs of bins, and (B, T, Q) of trials, the same in each bin."""
        of_bins = self._linear(signal)
        of_trials = np.zeros((*signal.shape[:2], 0))
        if self.trial_weights is not None and self.trial_offset is not None:
            means = segment_means(signal, len(self.trial_weights))
            once = np.einsum("bsn,snq->bq", means, self.trial_weights) + self.trial_offset
            here = ~np.isnan(signal).any(axis=2)
            of_trials = np.where(here[:, :, None], once[:, None], np.nan)
        return of_bins, of_trials

    def _linear(self, signal: NDArray[np.floating]) -> Floats:
        if self.lags.tolist() == [0]:
            decoded: Floats = signal @ self.weights[0] + self.offset
            return decoded
        given = filled(signal)
        decoded = sum(
            (shifted(given, lag) @ w for lag, w in zip(self.lags, self.weights, strict=True)),
            start=np.zeros((*signal.shape[:2], self.offset.size)),
        )
        return np.where(np.isnan(signal).any(axis=2, keepdims=True), np.nan, decoded + self.offset)


def _alike(behavior: NDArray[np.floating]) -> Iterable[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Return channels that have the same samples, and (B * T,) whether each bin has them."""
    known: NDArray[np.bool_] = np.isfinite(behavior).reshape(-1, behavior.shape[2])
    if known.all():
        yield np.arange(behavior.shape[2]), known[:, 0]
        return
    _, group = np.unique(known, axis=1, return_inverse=True)
    for g in np.unique(group):
        channels = np.flatnonzero(group == g)
        yield channels, known[:, channels[0]]
