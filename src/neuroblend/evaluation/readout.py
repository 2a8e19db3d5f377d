"""Behavior read out of a signal (rates, or spikes): what is fitted, chosen, and how it is scored.

All of it is here, so that another kind of behavior, with a read-out and scores of its own, has one
place to join.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons (or other channels of a signal), ``D``
behavior channels, ``L`` lags, ``P`` features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.split import Part
from neuroblend.evaluation.metrics import ErrorSums

PENALTIES = np.logspace(-1, 4, 6)
WIDE_PENALTIES = np.logspace(0, 6, 13)  # of read-outs with lags, which have many more features
REACH_S = 0.42  # of history and of future, in seconds
MOST_LAGS = 13  # of a side; bins are averaged where the reach has more
MOST_FEATURES = 600  # signals are reduced to leading components until lags fit

SAME_BIN, HISTORY, BOTH_SIDES = "same bin", "history", "history and future"
FAMILIES = (SAME_BIN, HISTORY, BOTH_SIDES)
CAUSAL_FAMILIES = (SAME_BIN, HISTORY)
RATES, LOG_RATES, FEATURES = "rates", "log rates", "features"
"""Signals of a network that behavior is read out of."""
FURTHER = (LOG_RATES, FEATURES)  # which the benchmark does not have
NEVER_SILENT = 1e-6  # counts/bin below which a rate's logarithm is that of this


@dataclass(frozen=True, eq=False)
class Decoder:
    """A linear map from a signal around a bin to behavior in that bin.

    Bins before the first and after the last of a trial are those at its edge.

    Attributes:
        weights: (L, N, D) behavior units per unit of the signal.
        offset: (D,) behavior units.
        lags: (L,) bins, negative for the past; ``[0]`` for the bin alone.
    """

    weights: NDArray[np.float64]
    offset: NDArray[np.float64]
    lags: NDArray[np.int64]

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
        fit into ``MOST_FEATURES``, and lags of one block are averaged (see :func:`blocks_of`), so
        that a read-out of hundreds of neurons costs what one of a few does.
        """
        train = np.asarray(signal["train"], dtype=np.float64)
        flat = train[np.isfinite(train).all(axis=2)]  # without padding
        mean, scale = flat.mean(axis=0), flat.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        blocks = blocks_of(lags)
        n_components = min(train.shape[2], max(1, MOST_FEATURES // len(blocks)))
        scaled = (flat - mean) / scale
        _, vectors = np.linalg.eigh(scaled.T @ scaled)
        basis = vectors[:, ::-1][:, :n_components] / scale[:, None]
        features = {
            part: _lagged((_filled(values) - mean) @ basis, blocks)
            for part, values in signal.items()
            if part != "test"
        }
        n_channels = behavior["train"].shape[2]
        weights = np.zeros((len(lags), train.shape[2], n_channels))
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
            by_block = kept.reshape(len(blocks), n_components, -1)
            for block, of_block in zip(blocks, basis @ by_block, strict=True):
                for lag in block:
                    at = int(np.flatnonzero(lags == lag)[0])
                    weights[at][:, channels] = of_block / len(block)
            offset[channels] = y_mean - x_mean @ kept
        offset -= np.einsum("n,lnd->d", mean, weights)
        return cls(weights, offset, lags)

    def __repr__(self) -> str:
        _, n_from, n_to = self.weights.shape
        bins = "the same bin" if self.lags.size == 1 else f"bins {self.lags[0]} to {self.lags[-1]}"
        return f"Decoder({n_to} channels of behavior from a signal of {n_from}, {bins})"

    def __call__(self, signal: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (B, T, D) behavior in the recording's units from (B, T, N) of the signal."""
        if self.lags.tolist() == [0]:
            decoded: NDArray[np.float64] = signal @ self.weights[0] + self.offset
            return decoded
        filled = _filled(signal)
        decoded = sum(
            (_shifted(filled, lag) @ w for lag, w in zip(self.lags, self.weights, strict=True)),
            start=np.zeros((*signal.shape[:2], self.offset.size)),
        )
        return np.where(np.isnan(signal).any(axis=2, keepdims=True), np.nan, decoded + self.offset)


def log_of(rates: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the natural logarithm of (B, T, N) expected counts/bin, NaN where they are."""
    return np.log(np.maximum(rates, NEVER_SILENT))


def lags_of(family: str, bin_s: float, n_bins: int) -> NDArray[np.int64]:
    """Return the lags, in bins, of a family of read-outs for trials of ``n_bins``."""
    reach = max(1, min(round(REACH_S / bin_s), n_bins // 2))
    return np.arange(
        0 if family == SAME_BIN else -reach, (reach if family == BOTH_SIDES else 0) + 1
    )


def blocks_of(lags: NDArray[np.int64]) -> list[list[int]]:
    """Return lags in blocks of neighbours, the present alone, at most ``MOST_LAGS`` a side."""
    past, future = lags[lags < 0], lags[lags > 0]
    sides = [np.array_split(side, min(MOST_LAGS, side.size) or 1) for side in (past, future)]
    return [b.tolist() for b in (*sides[0], lags[lags == 0], *sides[1]) if b.size]


@dataclass(frozen=True, eq=False)
class ReadOut:
    """Behavior decoded from a signal.

    Attributes:
        signal: Name of the signal.
        family: One of ``FAMILIES``.
        decoder: From the signal to behavior.
        decoded: (B, T, D) behavior of the test trials, in the recording's units.
        test: What its scores on test trials are made of; see :func:`behavior_scores`.
        valid_r2: R² on validation trials, mean over channels.
    """

    signal: str
    family: str
    decoder: Decoder
    decoded: NDArray[np.float64]
    test: ErrorSums
    valid_r2: float


def read_out(
    signal: Mapping[Part, NDArray[np.floating]],
    behavior: Mapping[Part, NDArray[np.floating]],
    family: str = SAME_BIN,
    bin_s: float = 0.02,
    name: str = RATES,
) -> ReadOut:
    """Fit a decoder on training trials and score it on the others.

    Args:
        signal: (B, T, N) of the trials of each part, such as rates in counts/bin.
        behavior: (B, T, D) in the recording's units, NaN where missing, of the same trials.
        family: Which bins a decoder sees: the same, its history too, or its future as well.
        bin_s: Width of a bin in seconds.
        name: What the signal is called.
    """
    if family == SAME_BIN and name not in FURTHER:  # as the benchmark has it
        decoder = Decoder.fit(signal["train"], behavior["train"])
    else:
        seen = np.isfinite(signal["train"]).all(axis=2)
        lags = lags_of(family, bin_s, int(seen.sum(axis=1).max()))
        decoder = Decoder.fit_lagged(signal, behavior, lags)
    decoded = decoder(signal["test"])
    valid = ErrorSums.of(decoder(signal["valid"]), behavior["valid"])
    mean = float(behavior_scores(valid, ())["behavior_r2"][0])
    return ReadOut(name, family, decoder, decoded, ErrorSums.of(decoded, behavior["test"]), mean)


def best_of(found: Iterable[ReadOut]) -> ReadOut:
    """Return the read-out that decodes validation trials best, the first of equals."""
    return max(found, key=lambda each: each.valid_r2)


def behavior_scores(
    sums: ErrorSums,
    channels: tuple[str, ...],
    weights: NDArray[np.float64] | None = None,
    name: str = "behavior_r2",
) -> dict[str, NDArray[np.float64]]:
    """Return (R,) R², the mean over channels and that of each, in R weighted sums over trials."""
    per_channel = sums.r2(weights)
    each = {f"{name}/{channel}": per_channel[:, i] for i, channel in enumerate(channels)}
    return {name: per_channel.mean(axis=1), **each}


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


def _filled(signal: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (B, T, N) with bins after the end of a shorter trial, NaN, as its last one."""
    filled = np.asarray(signal, dtype=np.float64)
    absent: NDArray[np.bool_] = np.asarray(np.isnan(filled).any(axis=2))
    if not absent.any():
        return filled
    last = np.maximum((~absent).sum(axis=1) - 1, 0)
    at_end = filled[np.arange(len(filled)), last][:, None]
    return np.where(absent[:, :, None], at_end, filled)


def _shifted(signal: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """Return (B, T, N) at ``lag`` bins from each bin, the edge beyond a trial's edges."""
    n_bins = signal.shape[1]
    return signal[:, np.clip(np.arange(n_bins) + lag, 0, n_bins - 1)]


def _lagged(signal: NDArray[np.float64], blocks: list[list[int]]) -> NDArray[np.float64]:
    """Return (B, T, P) means of the signal over each block of lags, side by side."""
    means = [sum(_shifted(signal, lag) for lag in block) / len(block) for block in blocks]
    return np.concatenate(means, axis=2)
