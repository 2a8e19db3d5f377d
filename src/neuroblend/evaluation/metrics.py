"""Scores as pure array functions, each from sums over trials so that a bootstrap costs one product.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels, ``C`` conditions,
``R`` bootstrap replicates. ``weights`` is (R, B): how often each replicate draws each trial;
``None`` means every trial once, and every score then has shape (1,).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Floats = NDArray[np.float64]

SMALLEST_RATE = 1e-9  # counts/bin used for a rate of 0, as in nlb_tools
PSTH_SMOOTHING_S = 0.05
FLAT = 1e-12  # fraction of the sum of squares under which a spread is rounding


@dataclass(frozen=True, eq=False)
class SpikeSums:
    """What bits per spike are made of.

    Attributes:
        log_likelihood: (B, N) Poisson log-likelihood of a trial in nats, without the factorials.
        counts: (B, N) spikes.
        n_bins: (B, N) bins that were scored.
    """

    log_likelihood: Floats
    counts: Floats
    n_bins: Floats

    @classmethod
    def of(cls, rates: NDArray[np.floating], spikes: NDArray[np.number]) -> SpikeSums:
        """Sum over the bins of (B, T, N) rates and spikes in counts/bin; NaN spikes are skipped."""
        counts = np.asarray(spikes, dtype=np.float64)
        known = ~np.isnan(counts)
        counts = np.where(known, counts, 0.0)
        expected = np.maximum(np.asarray(rates, dtype=np.float64), SMALLEST_RATE)
        log_likelihood = np.where(known, xlogy(counts, expected) - expected, 0.0)
        return cls(log_likelihood.sum(1), counts.sum(1), known.sum(1, dtype=np.float64))

    def bits_per_spike(self, weights: Floats | None = None) -> Floats:
        """Return (R,) bits/spike above a model that knows each neuron's mean in these trials.

        The gain in Poisson log-likelihood, over the number of spikes, base 2 (Pei et al. 2021);
        NaN where there are no spikes.
        """
        return self._bits(weights, keep_neurons=False)

    def bits_per_neuron(self) -> Floats:
        """Return (N,) bits/spike of each neuron alone; NaN for one without spikes."""
        return self._bits(None, keep_neurons=True)[0]

    def _bits(self, weights: Floats | None, keep_neurons: bool) -> Floats:
        w = _weights(weights, self.counts.shape[0])
        counts, n_bins = w @ self.counts, w @ self.n_bins
        with np.errstate(invalid="ignore", divide="ignore"):
            null = xlogy(counts, counts / n_bins) - counts
            gain = w @ self.log_likelihood - null
            if not keep_neurons:
                gain, counts = gain.sum(1), counts.sum(1)
            bits: Floats = gain / np.where(counts > 0, counts, np.nan) / np.log(2)
        return bits


@dataclass(frozen=True, eq=False)
class ErrorSums:
    """What a coefficient of determination is made of.

    Attributes:
        n: (B, D) samples.
        total: (B, D) sum of true values.
        squares: (B, D) sum of their squares.
        errors: (B, D) sum of squared errors.
    """

    n: Floats
    total: Floats
    squares: Floats
    errors: Floats

    @classmethod
    def of(cls, predicted: NDArray[np.floating], true: NDArray[np.floating]) -> ErrorSums:
        """Sum over the bins of (B, T, D) values; where the true one is NaN, it is skipped."""
        known = ~np.isnan(true)
        y = np.where(known, true, 0.0).astype(np.float64)
        error = np.where(known, predicted - np.asarray(true, dtype=np.float64), 0.0)
        return cls(known.sum(1, dtype=np.float64), y.sum(1), (y**2).sum(1), (error**2).sum(1))

    def r2(self, weights: Floats | None = None) -> Floats:
        """Return (R, D) coefficients of determination; NaN where true values do not vary."""
        w = _weights(weights, self.n.shape[0])
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = w @ self.squares - (w @ self.total) ** 2 / (w @ self.n)
            varies = spread > FLAT * (w @ self.squares)
            r2: Floats = 1 - (w @ self.errors) / np.where(varies, spread, np.nan)
        return r2


@dataclass(frozen=True, eq=False)
class PsthSums:
    """What the PSTH score is made of.

    Attributes:
        rates: (B, T, N) predicted counts/bin, NaN in padding.
        condition: (B,) index of each trial's condition.
        truth: (C, T, N) smoothed mean counts/bin of each condition, NaN where it has no trial.
    """

    rates: Floats
    condition: NDArray[np.int64]
    truth: Floats

    def r2(self, weights: Floats | None = None) -> Floats:
        """Return (R,) R² of condition means of the rates, mean over neurons (Pei et al. 2021).

        A condition of which a replicate draws no trial is left out of it.
        """
        w = _weights(weights, self.rates.shape[0])
        n_bins, n_neurons = self.truth.shape[1:]
        shape = (len(w), n_neurons)
        n, total, squares, errors = (np.zeros(shape) for _ in range(4))
        for c, truth in enumerate(self.truth):
            drawn = w[:, self.condition == c]
            rates = self.rates[self.condition == c]
            known = ~np.isnan(rates[:, :, 0]).any(axis=0)  # the same bins for all neurons
            n_drawn = np.repeat(drawn.sum(1, keepdims=True), n_bins, axis=1)
            if not known.all():
                n_drawn = drawn @ ~np.isnan(rates[:, :, 0])
                rates = np.nan_to_num(rates)
            seen = ((n_drawn > 0) & ~np.isnan(truth[:, 0]))[:, :, None]
            flat = rates.reshape(len(rates), n_bins * n_neurons)
            total_rate = (drawn @ flat).reshape(len(w), n_bins, n_neurons)
            error = total_rate / np.maximum(n_drawn, 1)[:, :, None] - np.nan_to_num(truth)
            expected = np.where(seen, np.nan_to_num(truth), 0.0)
            n += seen.sum(1)
            total += expected.sum(1)
            squares += (expected**2).sum(1)
            errors += np.where(seen, error**2, 0.0).sum(1)
        sums = ErrorSums(n, total, squares, errors)
        each = np.stack([sums.r2(row[None])[0] for row in np.eye(len(w))])
        return mean_of_known(each)


def mean_of_known(scores: Floats) -> Floats:
    """Return (R,) means over columns of (R, N) scores that are not NaN; NaN where none is."""
    known = ~np.isnan(scores)
    total = np.where(known, scores, 0.0).sum(axis=1)
    mean: Floats = total / np.where(known.any(axis=1), known.sum(axis=1), np.nan)
    return mean


def bits_per_spike(rates: NDArray[np.floating], spikes: NDArray[np.number]) -> float:
    """Return bits/spike of (B, T, N) rates and spikes in counts/bin; see :class:`SpikeSums`."""
    return float(SpikeSums.of(rates, spikes).bits_per_spike()[0])


def psths(
    spikes: NDArray[np.number], condition: NDArray[np.int64], n_conditions: int, bin_s: float
) -> Floats:
    """Return (C, T, N) mean counts/bin of each condition, smoothed by a Gaussian of 50 ms s.d.

    Padding, NaN in (B, T, N) spikes, takes no part; a bin in which a condition has no trial is NaN.
    """
    from scipy.ndimage import gaussian_filter1d  # noqa: PLC0415  # heavy, and of scores alone

    means = np.stack([mean_of_trials(spikes[condition == c]) for c in range(n_conditions)])
    for mean in means:
        n_known = int((~np.isnan(mean[:, 0])).sum())  # padding is at the end
        mean[:n_known] = gaussian_filter1d(mean[:n_known], PSTH_SMOOTHING_S / bin_s, axis=0)
    return means


def mean_of_trials(values: NDArray[np.number]) -> Floats:
    """Return (T, N) means over trials of (B, T, N) values, those that are NaN left out."""
    known = ~np.isnan(values)
    if known.all():
        return np.asarray(values.mean(axis=0, dtype=np.float64))
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    return total / np.where(known.any(axis=0), known.sum(axis=0), np.nan)


def _weights(weights: Floats | None, n_trials: int) -> Floats:
    return np.ones((1, n_trials)) if weights is None else weights
