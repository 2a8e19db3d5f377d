"""Behavior read out of a signal (rates, or spikes), and which of several read-outs is chosen.

What is fitted to which kind of behavior is in :mod:`neuroblend.evaluation.mixed`.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons (or other channels of a signal), ``D``
behavior channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import Channel
from neuroblend.data.split import Part
from neuroblend.evaluation.behavior_sums import BehaviorSums, is_plain
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.metrics import ErrorSums
from neuroblend.evaluation.mixed import SEGMENTS, OfTrials, fit_mixed

REACH_S = 0.42  # of history and of future, in seconds

SAME_BIN, HISTORY, BOTH_SIDES = "same bin", "history", "history and future"
WHOLE_TRIAL = "the trial"  # what is read out where all channels have one value a trial
FAMILIES = (SAME_BIN, HISTORY, BOTH_SIDES)
CAUSAL_FAMILIES = (SAME_BIN, HISTORY)
RATES, LOG_RATES, FEATURES = "rates", "log rates", "features"
"""Signals of a network that behavior is read out of."""
FURTHER = (LOG_RATES, FEATURES)  # which the benchmark does not have
NEVER_SILENT = 1e-6  # counts/bin below which a rate's logarithm is that of this


def log_of(rates: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the natural logarithm of (B, T, N) expected counts/bin, NaN where they are."""
    return np.log(np.maximum(rates, NEVER_SILENT))


def lags_of(family: str, bin_s: float, n_bins: int) -> NDArray[np.int64]:
    """Return the lags, in bins, of a family of read-outs for trials of ``n_bins``."""
    reach = max(1, min(round(REACH_S / bin_s), n_bins // 2))
    return np.arange(
        0 if family in (SAME_BIN, WHOLE_TRIAL) else -reach,
        (reach if family == BOTH_SIDES else 0) + 1,
    )


@dataclass(frozen=True, eq=False)
class ReadOut:
    """Behavior decoded from a signal.

    Attributes:
        signal: Name of the signal.
        family: One of ``FAMILIES``, or ``WHOLE_TRIAL``.
        decoder: From the signal to behavior.
        decoded: (B, T, D) behavior of the test trials, in the recording's units.
        test: What its scores on test trials are made of.
        valid_skill: On validation trials, of a decoder that was not fitted to them: mean over
            channels; of continuous ones, their R².
    """

    signal: str
    family: str
    decoder: Decoder
    decoded: NDArray[np.float64]
    test: BehaviorSums
    valid_skill: float


def read_out(
    signal: Mapping[Part, NDArray[np.floating]],
    behavior: Mapping[Part, NDArray[np.floating]],
    family: str = SAME_BIN,
    bin_s: float = 0.02,
    name: str = RATES,
    channels: Sequence[Channel] = (),
) -> ReadOut:
    """Fit a decoder on training trials and score it on the others.

    What has one value a trial, and categories, angles and events of bins are decoded, in the end,
    by a fit to training and validation trials together, with what the latter chose.

    Args:
        signal: (B, T, N) of the trials of each part, such as rates in counts/bin.
        behavior: (B, T, D) in the recording's units, NaN where missing, of the same trials.
        family: Which bins a decoder sees: the same, its history too, or its future as well.
        bin_s: Width of a bin in seconds.
        name: What the signal is called.
        channels: D of them; continuous ones where empty.
    """
    return read_outs(signal, behavior, (family,), bin_s, name, channels)[0]


def read_outs(
    signal: Mapping[Part, NDArray[np.floating]],
    behavior: Mapping[Part, NDArray[np.floating]],
    families: Sequence[str],
    bin_s: float = 0.02,
    name: str = RATES,
    channels: Sequence[Channel] = (),
    segments: Sequence[int] = SEGMENTS,
) -> list[ReadOut]:
    """Return :func:`read_out` of each family; one, where all channels have one value a trial.

    Args:
        signal: As there.
        behavior: As there.
        families: Of read-outs of bins.
        bin_s: As there.
        name: As there.
        channels: As there.
        segments: Into how many parts a trial may be divided for channels with one value a trial.
    """
    plain = is_plain(channels)
    of_trials = None if plain else OfTrials.fit(signal, behavior, channels, segments)
    if channels and all(channel.per_trial for channel in channels):
        families = (WHOLE_TRIAL,)
    found = []
    for family in families:
        as_benchmark = family == SAME_BIN and name not in FURTHER
        seen = np.isfinite(signal["train"]).all(axis=2)
        lags = lags_of(family, bin_s, int(seen.sum(axis=1).max()))
        if not plain:
            judged, decoder = fit_mixed(signal, behavior, channels, lags, as_benchmark, of_trials)
        elif as_benchmark:
            judged = decoder = Decoder.fit(signal["train"], behavior["train"])
        else:
            judged = decoder = Decoder.fit_lagged(signal, behavior, lags)
        valid, _ = BehaviorSums.of(judged, signal["valid"], behavior["valid"], channels)
        test, decoded = BehaviorSums.of(decoder, signal["test"], behavior["test"], channels)
        found.append(ReadOut(name, family, decoder, decoded, test, valid.valid_skill()))
    return found


def best_of(found: Iterable[ReadOut]) -> ReadOut:
    """Return the read-out that decodes validation trials best, the first of equals."""
    return max(found, key=lambda each: each.valid_skill)


def behavior_scores(
    sums: ErrorSums,
    channels: Sequence[str],
    weights: NDArray[np.float64] | None = None,
    name: str = "behavior_r2",
) -> dict[str, NDArray[np.float64]]:
    """Return (R,) R², the mean over channels and that of each, in R weighted sums over trials."""
    per_channel = sums.r2(weights)
    each = {f"{name}/{channel}": per_channel[:, i] for i, channel in enumerate(channels)}
    return {name: per_channel.mean(axis=1), **each}
