"""Vectors that describe a neuron's activity without a learned model: baselines to classify from.

Shape legend: ``T`` frames, ``N`` neurons, ``F`` features, ``n`` cells. ``activity`` is (T, N)
activity/frame in any unit, ``frame_s`` the seconds from one frame to the next. All vectors are
finite, for silent and constant neurons too, and none depends on the unit of activity.

"PCA of activity" can mean two things. Loadings on the components of one session's activity
(:func:`activity_components`) say who goes with whom in that session; another session has other
components in another order, so that they can be compared within one session alone. Across sessions
we take what can be compared (:func:`activity_profile`): power in fixed bands of frequency, the
distribution of standardised activity, how much of a neuron's variance the session's leading
components explain, which no sign and no rotation among them changes, and how its correlations with
the other neurons are distributed. Principal components of these
profiles over cells (:func:`principal_components`), fitted on cells that are not tested, are the
baseline. What is computed within a session takes all its neurons and no labels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import welch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float64]

LAGS_S = (0.23, 0.47, 0.93, 1.87)  # 1, 2, 4 and 8 frames of Bugeon et al. (2022)
QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
FLAT = 1e-6  # fraction of a neuron's largest value under which its spread is rounding
SMALLEST = 1e-3  # fraction of the median neuron's mean or spread that counts as none
BANDS_HZ = np.geomspace(0.02, 2.0, 21)
SEGMENT_S = 60.0  # of the power spectrum
BINS = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of standardised activity
EXPLAINED_BY = (1, 2, 4, 8, 16, 32)  # numbers of leading components
COMPANY = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)  # quantiles of correlations with other neurons


def hand_features(activity: NDArray[np.floating], frame_s: float) -> tuple[Floats, tuple[str, ...]]:
    """Return (N, F) features of each neuron, and their (F,) names.

    Mean and standard deviation are logs, in units of the session's median neuron, so that sessions
    of different gain can be compared; ``log1p`` of the coefficient of variation and ``arcsinh`` of
    skewness keep neurons that are nearly silent within bounds. Quantiles are of standardised
    activity. The population is the mean of the other neurons' standardised activity.
    Autocorrelations are at fixed lags in seconds, at least one frame.
    """
    x = np.asarray(activity, dtype=np.float64)
    z = standardised(x)
    mean, spread = x.mean(axis=0), x.std(axis=0) * z.any(axis=0)
    others = z.sum(axis=1, keepdims=True) - z  # all neurons but the one itself
    smallest = SMALLEST * _typical(np.abs(mean))
    columns = {
        "log_mean": _log_relative(mean),
        "log_std": _log_relative(spread),
        "log1p_variation": np.log1p(spread / np.maximum(np.abs(mean), smallest)),
        "arcsinh_skewness": np.arcsinh((z**3).mean(axis=0)),
        "fraction_of_zeros": (x == 0).mean(axis=0),
        "population_correlation": _correlation(z, others),
        "population_change_correlation": _correlation(z[1:], np.diff(others, axis=0)),
    }
    for lag_s in LAGS_S:
        lag = max(1, round(lag_s / frame_s))
        columns[f"autocorrelation_{lag_s:g}s"] = _correlation(z[lag:], z[:-lag])
    quantiles = np.quantile(z, QUANTILES, axis=0)
    columns |= {f"quantile_{q:g}": row for q, row in zip(QUANTILES, quantiles, strict=True)}
    return np.stack(list(columns.values()), axis=1), tuple(columns)


def activity_components(activity: NDArray[np.floating], n: int = 32) -> Floats:
    """Return (N, n) correlations of each neuron with the components of one session's activity.

    The components are those of standardised activity, largest first, each of the sign that most of
    the neurons' loadings have; components beyond the session's rank are zero. Not comparable with
    those of another session.
    """
    z = standardised(np.asarray(activity, dtype=np.float64))
    variance, axes = np.linalg.eigh(z.T @ z / len(z))
    variance, axes = variance[::-1][:n], axes[:, ::-1][:, :n]
    loadings = axes * np.sqrt(np.maximum(variance, 0.0))
    loadings *= np.where(loadings.sum(axis=0) < 0, -1.0, 1.0)
    return np.pad(loadings, ((0, 0), (0, n - loadings.shape[1])))


def activity_profile(activity: NDArray[np.floating], frame_s: float) -> Floats:
    """Return (N, F) descriptions of each neuron that sessions have in common.

    Log power density of standardised activity in bands from 0.02 to 2 Hz (bands above half the
    frame rate are the same for all), square roots of the fractions of frames in which it lies in
    fixed bins, quantiles of its correlations with each other neuron, of activity and of changes
    from frame to frame, and the fraction of variance that the first 1, 2, 4, ... 32 components of
    the session's activity explain.
    """
    z = standardised(np.asarray(activity, dtype=np.float64))
    length = min(len(z), max(8, round(SEGMENT_S / frame_s)))
    frequency, power = welch(z, fs=1 / frame_s, nperseg=length, axis=0)
    step = frequency[1] - frequency[0]
    total = np.cumsum(power, axis=0) * step
    edges = np.stack([np.interp(BANDS_HZ, frequency + step / 2, row) for row in total.T])
    density = np.diff(edges, axis=1) / np.diff(BANDS_HZ)
    which = np.searchsorted(BINS, z, side="right")
    fractions = np.stack([(which == k).mean(axis=0) for k in range(len(BINS) + 1)], axis=1)
    explained = np.cumsum(activity_components(activity, max(EXPLAINED_BY)) ** 2, axis=1)
    log_density = np.log(np.maximum(density, 0.0) + SMALLEST)
    return np.hstack(
        [
            log_density,
            np.sqrt(fractions),
            _company(z),
            _company(np.diff(z, axis=0)),
            explained[:, np.array(EXPLAINED_BY) - 1],
        ]
    )


def _company(x: Floats) -> Floats:
    """Return (N, Q) quantiles of each neuron's correlations with the others; 0 without any."""
    z = standardised(x)
    correlations = z.T @ z / len(z)
    n = len(correlations)
    if n < 2:
        return np.zeros((n, len(COMPANY)))
    others = correlations[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    return np.quantile(others, COMPANY, axis=1).T


def principal_components(
    vectors: NDArray[np.floating], fitted: NDArray[np.bool_], n: int = 32
) -> Floats:
    """Return (n_cells, k) scores of cells on ``n`` components of standardised (n_cells, F) vectors.

    They are fewer where there are fewer features or fitted cells. Means, scales and components are
    fitted on the cells that ``fitted``, (n_cells,), names: none to be tested.
    """
    scaler = StandardScaler().fit(vectors[fitted])
    known = scaler.transform(vectors[fitted])
    pca = PCA(min(n, *known.shape), svd_solver="full").fit(known)
    return pca.transform(scaler.transform(vectors))


def mean_by_cell(
    vectors: Sequence[NDArray[np.floating]], neuron_ids: Sequence[NDArray[np.str_]]
) -> tuple[Floats, NDArray[np.str_]]:
    """Return (n, F) means of each cell's vectors over the sessions it is in, and (n,) sorted ids.

    From (N, F) vectors and (N,) ids of each session.
    """
    stacked = np.concatenate(vectors).astype(np.float64)
    ids, which, n_sessions = np.unique(
        np.concatenate(neuron_ids), return_inverse=True, return_counts=True
    )
    total = np.zeros((ids.size, stacked.shape[1]))
    np.add.at(total, which, stacked)
    return total / n_sessions[:, None], ids


def standardised(x: Floats) -> Floats:
    """Return (T, N) activity of mean 0 and variance 1; 0 throughout for one that is constant."""
    centred = x - x.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > FLAT * np.abs(x).max(axis=0)
    return np.where(varies, centred / np.where(varies, spread, 1.0), 0.0)


def _correlation(a: Floats, b: Floats) -> Floats:
    """Return (N,) correlations of the columns; 0 where one is constant or there are no rows."""
    if len(a) < 2:
        return np.zeros(a.shape[1])
    return (standardised(a) * standardised(b)).mean(axis=0)


def _typical(values: Floats) -> float:
    """Return the median of those of (N,) values that are above zero; 1 where none is."""
    return float(np.median(values[values > 0])) if (values > 0).any() else 1.0


def _log_relative(values: Floats) -> Floats:
    """Return (N,) logs of values over their typical one, bounded below."""
    return np.log(np.maximum(values / _typical(values), SMALLEST))
