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
from neuroblend.evaluation.glm import Fitted, fit_channel, refit_channel
from neuroblend.evaluation.lagged import Lagged, segment_means
from neuroblend.evaluation.link import Link

Floats = NDArray[np.float64]
Signal = Mapping[Part, NDArray[np.floating]]

SEGMENTS = (1, 4)  # equal parts of a trial, of whose means a value of the trial is read out
MOST_BIN_FEATURES = 100  # of read-outs that are fitted step by step
MOST_TRIAL_FEATURES = 300
FITTED: tuple[Part, ...] = ("train", "valid")  # parts that read-outs are fitted to, in the end


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
    ) -> tuple[OfTrials, OfTrials] | None:
        """Fit to the mean of the signal over a trial, or to means over a few parts of it.

        Which, and each channel's penalty, are chosen on validation trials. Means are standardised
        and reduced to leading principal components, all of them where trials are few, so that
        nothing but the penalty keeps weights small.

        Returns:
            Read-outs of training trials, and of training and validation trials alike chosen: labels
            of trials are few. ``None`` where no channel has one value a trial.
        """
        own = [d for d, channel in enumerate(channels) if channel.per_trial]
        if not own:
            return None
        once = {part: values[:, 0].astype(np.float64) for part, values in behavior.items()}
        train, valid = once["train"], once["valid"]
        best = -np.inf
        for n in segments:
            means = {p: segment_means(signal[p], n).reshape(len(signal[p]), -1) for p in FITTED}
            centre, basis = _leading(means["train"])
            x, x_valid = ((means[part] - centre) @ basis for part in FITTED)
            fitted = [fit_channel(channels[d], x, train[:, d], x_valid, valid[:, d]) for d in own]
            skill = float(np.mean([each.skill for each in fitted]))
            if skill > best:
                best, chosen, n_segments = skill, fitted, n
                of_train = cls._of(fitted, centre, basis, n)
                both = np.concatenate([means[part] for part in FITTED])
        centre, basis = _leading(both)
        x, y = (both - centre) @ basis, np.concatenate([train, valid])
        again = [
            refit_channel(channels[d], x, y[:, d], each.step)
            for d, each in zip(own, chosen, strict=True)
        ]
        return of_train, cls._of(again, centre, basis, n_segments)

    @classmethod
    def _of(cls, fitted: Sequence[Fitted], centre: Floats, basis: Floats, n: int) -> OfTrials:
        """Return the read-out of means over ``n`` segments, given one of their components."""
        links, slope, offset = _side_by_side(fitted)
        weights = basis @ slope
        offset = offset - centre @ weights
        return cls(weights.reshape(n, -1, len(offset)), offset, links)


def _leading(means: Floats) -> tuple[Floats, Floats]:
    """Return the centre of (B, F) means, and (F, P) directions of leading standardised ones."""
    centre, scale = means.mean(axis=0), means.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    _, _, directions = np.linalg.svd((means - centre) / scale, full_matrices=False)
    return centre, directions[:MOST_TRIAL_FEATURES].T / scale[:, None]


def fit_mixed(
    signal: Signal,
    behavior: Signal,
    channels: Sequence[Channel],
    lags: NDArray[np.int64],
    as_benchmark: bool,
    of_trials: tuple[OfTrials, OfTrials] | None,
) -> tuple[Decoder, Decoder]:
    """Return read-outs of all channels, each by its kind.

    Continuous channels of bins are decoded as they are where there are no others. The others are
    read out of leading principal components of the same lagged features, which is less to fit.

    Args:
        signal: (B, T, N) of the trials of each part.
        behavior: (B, T, D) of the same.
        channels: D of them.
        lags: (L,) bins that a read-out of a bin sees.
        as_benchmark: Whether continuous channels are read out of the same bin as in the benchmark.
        of_trials: Those of channels with one value a trial.

    Returns:
        A read-out of training trials, which validation trials can judge, and the one to keep: all
        but continuous channels of bins are fitted again to training and validation trials together.
    """
    of_bins = [d for d, channel in enumerate(channels) if not channel.per_trial]
    plain = [d for d in of_bins if channels[d].kind == "continuous"]
    others = [d for d in of_bins if d not in plain]
    reduced = None if as_benchmark and not others else Lagged.of(signal, lags) if of_bins else None
    pieces: list[tuple[list[int], _Bins, _Bins]] = []
    if plain:
        target = {part: values[:, :, plain] for part, values in behavior.items()}
        if as_benchmark or reduced is None:
            decoder = Decoder.fit(signal["train"], target["train"])
        else:
            decoder = Decoder.of_lagged(reduced, target)
        same = tuple(Link(channels[d], i, i + 1) for i, d in enumerate(plain))
        piece = _Bins(decoder.weights, decoder.offset, same)
        pieces.append((plain, piece, piece))
    if others and reduced is not None:
        pieces.append((others, *_fitted_bins(reduced, behavior, channels, others)))
    once = [d for d, channel in enumerate(channels) if channel.per_trial]
    made = []
    for i in range(2):
        links: dict[int, Link] = {}
        weights, offset = [np.zeros((len(lags), signal["train"].shape[2], 0))], [np.zeros(0)]
        for which, *fitted in pieces:
            at = sum(each.size for each in offset)
            own = (_moved(link, at) for link in fitted[i].links)
            links |= dict(zip(which, own, strict=True))
            weights.append(fitted[i].weights)
            offset.append(fitted[i].offset)
        trial = None if of_trials is None else of_trials[i]
        if trial is not None:
            links |= dict(zip(once, trial.links, strict=True))
        made.append(
            Decoder(
                np.concatenate(weights, axis=2),
                np.concatenate(offset),
                lags,
                tuple(links[d] for d in range(len(channels))),
                None if trial is None else trial.weights,
                None if trial is None else trial.offset,
            )
        )
    return made[0], made[1]


@dataclass(frozen=True, eq=False)
class _Bins:
    """A read-out of some channels from a signal at lags.

    Attributes:
        weights: (L, N, P) on the signal.
        offset: (P,).
        links: Of these channels.
    """

    weights: Floats
    offset: Floats
    links: tuple[Link, ...]


def _fitted_bins(
    reduced: Lagged, behavior: Signal, channels: Sequence[Channel], which: list[int]
) -> tuple[_Bins, _Bins]:
    """Return read-outs from leading components of features: of training trials, and of both."""
    n_features = reduced.features["train"].shape[2]
    flat = {part: reduced.features[part].reshape(-1, n_features) for part in FITTED}
    y = {part: behavior[part].reshape(-1, len(channels)).astype(np.float64) for part in FITTED}
    centred = flat["train"] - flat["train"].mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, ::-1][:, :MOST_BIN_FEATURES]
    x, x_valid = (flat[part] @ basis for part in FITTED)
    first = [
        fit_channel(channels[d], x, y["train"][:, d], x_valid, y["valid"][:, d]) for d in which
    ]
    x = np.concatenate([x, x_valid])
    again = [
        refit_channel(channels[d], x, np.concatenate([y[part][:, d] for part in FITTED]), each.step)
        for d, each in zip(which, first, strict=True)
    ]

    def of(fitted: list[Fitted]) -> _Bins:
        links, slope, constant = _side_by_side(fitted)
        weights = reduced.of_signal(basis @ slope)
        return _Bins(weights, constant - np.einsum("n,lnp->p", reduced.mean, weights), links)

    return of(first), of(again)


def _side_by_side(fitted: Sequence[Fitted]) -> tuple[tuple[Link, ...], Floats, Floats]:
    """Return links with outputs one after the other, and (F, P) weights and (P,) offset."""
    links, at = [], 0
    for each in fitted:
        links.append(_moved(each.link, at))
        at = links[-1].stop
    weights = np.concatenate([each.weights for each in fitted], axis=1)
    return tuple(links), weights, np.concatenate([each.offset for each in fitted])


def _moved(link: Link, by: int) -> Link:
    return replace(link, start=link.start + by, stop=link.stop + by)
