"""Read-outs of behavior of any mix of kinds: those of bins, and those of whole trials.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons (or other channels of a signal), ``D``
behavior channels, ``S`` segments of a trial, ``F`` features, ``P`` outputs a bin, ``Q`` a trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import Channel
from neuroblend.data.split import Part
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.glm import Fitted, fit_channel
from neuroblend.evaluation.lagged import Lagged, segment_means
from neuroblend.evaluation.link import Link

Floats = NDArray[np.float64]
Signal = Mapping[Part, NDArray[np.floating]]

SEGMENTS = (1, 4)  # equal parts of a trial, of whose means a value of the trial is read out
MOST_BIN_FEATURES = 100  # of read-outs that are fitted step by step
MOST_TRIAL_FEATURES = 300


@dataclass(frozen=True, eq=False)
class OfTrials:
    """A read-out of the channels with one value a trial.

    Attributes:
        weights: (S, N, Q) on means over segments.
        offset: (Q,).
        links: Of these channels, in their order.
    """

    weights: Floats
    offset: Floats
    links: tuple[Link, ...]

    @classmethod
    def fit(
        cls,
        signal: Signal,
        behavior: Signal,
        channels: Sequence[Channel],
        segments: Sequence[int] = SEGMENTS,
    ) -> OfTrials | None:
        """Fit to the mean of the signal over a trial, or to means over a few parts of it.

        Which, and each channel's penalty, are chosen on validation trials. Means are standardised
        and reduced to leading principal components, all of them where trials are few, so that
        nothing but the penalty keeps weights small.

        Returns:
            ``None`` where no channel has one value a trial.
        """
        own = [d for d, channel in enumerate(channels) if channel.per_trial]
        if not own:
            return None
        found = [_of_segments(signal, behavior, channels, own, n) for n in segments]
        return max(found, key=_skill)[0]


def _skill(found: tuple[OfTrials, float]) -> float:
    return found[1]


def _of_segments(
    signal: Signal,
    behavior: Signal,
    channels: Sequence[Channel],
    own: list[int],
    n_segments: int,
) -> tuple[OfTrials, float]:
    means = {
        part: segment_means(signal[part], n_segments).reshape(len(signal[part]), -1)
        for part in ("train", "valid")
    }
    centre, scale = means["train"].mean(axis=0), means["train"].std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    scaled = {part: (x - centre) / scale for part, x in means.items()}
    _, _, directions = np.linalg.svd(scaled["train"], full_matrices=False)
    basis = directions[:MOST_TRIAL_FEATURES].T
    x, x_valid = (scaled[part] @ basis for part in ("train", "valid"))
    fitted = [
        fit_channel(
            channels[d],
            x,
            behavior["train"][:, 0, d].astype(np.float64),
            x_valid,
            behavior["valid"][:, 0, d].astype(np.float64),
        )
        for d in own
    ]
    links, slope, offset = _side_by_side(fitted)
    weights = basis @ slope / scale[:, None]
    offset = offset - centre @ weights
    of_trials = OfTrials(weights.reshape(n_segments, -1, len(offset)), offset, links)
    return of_trials, float(np.mean([each.skill for each in fitted]))


def fit_mixed(
    signal: Signal,
    behavior: Signal,
    channels: Sequence[Channel],
    lags: NDArray[np.int64],
    as_benchmark: bool,
    of_trials: OfTrials | None,
) -> Decoder:
    """Return a read-out of all channels, each by its kind.

    Continuous channels of bins are decoded as they are where there are no others. The others are
    read out of leading principal components of the same lagged features, which is less to fit.

    Args:
        signal: (B, T, N) of the trials of each part.
        behavior: (B, T, D) of the same.
        channels: D of them.
        lags: (L,) bins that a read-out of a bin sees.
        as_benchmark: Whether continuous channels are read out of the same bin as in the benchmark.
        of_trials: The read-out of channels with one value a trial.
    """
    n_from = signal["train"].shape[2]
    of_bins = [d for d, channel in enumerate(channels) if not channel.per_trial]
    plain = [d for d in of_bins if channels[d].kind == "continuous"]
    others = [d for d in of_bins if d not in plain]
    links: dict[int, Link] = {}
    weights, offset = [np.zeros((len(lags), n_from, 0))], [np.zeros(0)]
    reduced = None if as_benchmark and not others else Lagged.of(signal, lags) if of_bins else None
    if plain:
        target = {part: values[:, :, plain] for part, values in behavior.items()}
        if as_benchmark or reduced is None:
            decoder = Decoder.fit(signal["train"], target["train"])
        else:
            decoder = Decoder.of_lagged(reduced, target)
        weights.append(decoder.weights)
        offset.append(decoder.offset)
        links |= {d: Link(channels[d], i, i + 1) for i, d in enumerate(plain)}
    if others and reduced is not None:
        fitted, basis = _fitted_bins(reduced, behavior, channels, others)
        own, slope, constant = _side_by_side(fitted)
        of_signal = reduced.of_signal(basis @ slope)
        weights.append(of_signal)
        offset.append(constant - np.einsum("n,lnp->p", reduced.mean, of_signal))
        n = len(plain)
        links |= {
            d: replace(link, start=link.start + n, stop=link.stop + n)
            for d, link in zip(others, own, strict=True)
        }
    if of_trials is not None:
        once = [d for d, channel in enumerate(channels) if channel.per_trial]
        links |= dict(zip(once, of_trials.links, strict=True))
    return Decoder(
        np.concatenate(weights, axis=2),
        np.concatenate(offset),
        lags,
        tuple(links[d] for d in range(len(channels))),
        None if of_trials is None else of_trials.weights,
        None if of_trials is None else of_trials.offset,
    )


def _fitted_bins(
    reduced: Lagged, behavior: Signal, channels: Sequence[Channel], which: list[int]
) -> tuple[list[Fitted], Floats]:
    """Return a read-out of each channel from (F,) leading components of features, and these."""
    n_features = reduced.features["train"].shape[2]
    flat = {part: x.reshape(-1, n_features) for part, x in reduced.features.items()}
    centred = flat["train"] - flat["train"].mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, ::-1][:, :MOST_BIN_FEATURES]
    x, x_valid = flat["train"] @ basis, flat["valid"] @ basis
    fitted = [
        fit_channel(
            channels[d],
            x,
            behavior["train"][:, :, d].ravel().astype(np.float64),
            x_valid,
            behavior["valid"][:, :, d].ravel().astype(np.float64),
        )
        for d in which
    ]
    return fitted, basis


def _side_by_side(fitted: Sequence[Fitted]) -> tuple[tuple[Link, ...], Floats, Floats]:
    """Return links with outputs one after the other, and (F, P) weights and (P,) offset."""
    links, at = [], 0
    for each in fitted:
        links.append(replace(each.link, start=at, stop=at + each.link.stop))
        at += each.link.stop
    weights = np.concatenate([each.weights for each in fitted], axis=1)
    return tuple(links), weights, np.concatenate([each.offset for each in fitted])
