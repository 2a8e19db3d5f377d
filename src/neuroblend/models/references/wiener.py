"""Spikes smoothed in a few ways, from which a Wiener filter decodes behavior without a network.

A Wiener filter (Wiener 1949; in motor decoding Carmena et al. 2003) is a ridge regression of
behavior on spikes at several lags. Lags and penalty are those of
:mod:`neuroblend.evaluation.readout`, which serve every arm; what is its own is the smoothing,
chosen with them on validation trials.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from neuroblend.task.spec import TaskSpec

WIDTHS = (0.0, 1.0, 2.0, 4.0)  # standard deviation of a Gaussian, in bins


def smoothed_spikes(
    spikes: NDArray[np.floating], spec: TaskSpec, causal: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Return (B, T, N) spikes smoothed by each of ``WIDTHS``, by name.

    Args:
        spikes: (B, T_in, N) counts/bin of the neurons that a student sees; NaN after a trial's end.
        spec: Sizes; of its ``T`` bins, those that are not seen are as the last one that is.
        causal: Whether the Gaussian is cut to its past half, the bin itself included.
    """
    here = np.isfinite(spikes).astype(np.float64)
    counts = np.where(here > 0, spikes, 0.0)
    signals, missing = {}, spec.t_out - counts.shape[1]
    for width in WIDTHS:
        smooth = counts
        if width:  # a mean over bins of the trial, however far it is padded
            over, n = (_gaussian(x, width, causal) for x in (counts, here))
            smooth = over / np.where(here > 0, n, 1.0)
        smooth = np.where(here > 0, smooth, np.nan)
        name = f"spikes smoothed by {width * spec.bin_s * 1000:g} ms" if width else "spikes"
        signals[name] = np.pad(smooth, ((0, 0), (0, missing), (0, 0)), mode="edge")
    return signals


def _gaussian(x: NDArray[np.float64], width: float, causal: bool) -> NDArray[np.float64]:
    """Return (B, T, N) weighted by a Gaussian of ``width`` bins, 0 beyond the edges of a trial."""
    if not causal:
        return gaussian_filter1d(x, width, axis=1, mode="constant")
    kernel = np.exp(-0.5 * (np.arange(int(4 * width + 0.5) + 1) / width) ** 2)
    return lfilter(kernel / kernel.sum(), [1.0], x, axis=1)
