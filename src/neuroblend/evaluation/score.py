"""Scores of a model's rates, trial by trial.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from neuroblend.data.channel import Channel
from neuroblend.data.split import Part
from neuroblend.data.trials import Trials
from neuroblend.evaluation.behavior_sums import (
    R2,
    SKILL,
    BehaviorSums,
    deciding_score,
    is_plain,
)
from neuroblend.evaluation.bootstrap import N_PSTH_REPLICATES, Draws, pseudo_values
from neuroblend.evaluation.kind_sums import CircularSums, DiscreteSums, EventSums
from neuroblend.evaluation.metrics import (
    ErrorSums,
    PsthSums,
    SpikeSums,
    mean_of_known,
    mean_of_trials,
    psths,
)
from neuroblend.evaluation.mixed import SEGMENTS
from neuroblend.evaluation.predict import in_recorded_order, predict, rates_and_features
from neuroblend.evaluation.readout import (
    FAMILIES,
    FEATURES,
    FURTHER,
    LOG_RATES,
    RATES,
    SAME_BIN,
    behavior_scores,
    best_of,
    log_of,
    read_outs,
)
from neuroblend.evaluation.scored import Scored
from neuroblend.task.task import Task

Sums = TypeVar("Sums", SpikeSums, ErrorSums, CircularSums, DiscreteSums, EventSums)


PARTS: tuple[Part, ...] = ("train", "valid", "test")
N_SHOWN = 8  # neurons whose single-trial rates are kept for figures


def score_model(
    model: nn.Module, task: Task, layer: str | None = None, families: Sequence[str] = FAMILIES
) -> tuple[Scored, dict[str, float]]:
    """Score a model's rates, and behavior read out of them or of ``layer``: :func:`score_rates`.

    Args:
        model: A trained one.
        task: Its trials.
        layer: Which behavior may be read out of; of rates alone where ``None``.
        families: Of read-outs to choose from.

    Raises:
        InputError: There is no such layer.
    """
    index = np.arange(task.trials.n_trials)
    if layer is None:
        return score_rates(predict(model, task, index), task, families=families)
    rates, features = rates_and_features(model, task.batch_of(index), layer)
    return score_rates(in_recorded_order(rates, task.split.order), task, features, families)


def score_rates(
    all_rates: NDArray[np.float32],
    task: Task,
    features: NDArray[np.float32] | None = None,
    families: Sequence[str] = FAMILIES,
) -> tuple[Scored, dict[str, float]]:
    """Score rates on test trials and (for choosing between arms) on validation trials.

    Args:
        all_rates: (B, T, N) expected counts/bin of all trials of the task.
        task: Which of them train the decoder, validate and test.
        features: (B, T, H) of the same model, which behavior may be read out of instead.
        families: Of read-outs to choose from.

    Returns:
        Scores on test trials, trial by trial, and validation scores by name.
    """
    trials, split = task.trials, task.split
    signals = {RATES: all_rates, LOG_RATES: log_of(all_rates)}
    signals |= {} if features is None else {FEATURES: features}
    if trials.present is not None:
        here = trials.present[:, :, None]
        signals = {name: np.where(here, s, np.float32(np.nan)) for name, s in signals.items()}
    all_rates = signals[RATES]
    scored, valid = score_signals(signals, task, families)
    test, rates = split.test, all_rates[split.test]
    shown = shown_neurons(task)
    held_out, forward = spike_sums(rates, task, "test")
    psth, psth_r2 = _psth(rates, task)
    scored = replace(
        scored,
        held_out=held_out,
        forward=forward,
        truth=None if trials.rates is None else ErrorSums.of(rates, trials.rates[test]),
        psth_r2=psth_r2,
        shown=shown,
        rates=rates[:, :, shown],
        psth=None if psth is None else psth[:, :, shown].astype(np.float32),
    )
    held_out, forward = spike_sums(all_rates[split.valid], task, "valid")
    for name, sums in (("co_bps", held_out), ("fp_bps", forward)):
        if sums is not None:
            valid[name] = float(sums.bits_per_spike()[0])
    return scored, valid


def score_signals(
    signals: Mapping[str, NDArray[np.floating]],
    task: Task,
    families: Sequence[str] = FAMILIES,
    segments: Sequence[int] = SEGMENTS,
) -> tuple[Scored, dict[str, float]]:
    """Score the behavior that is decoded from the best of some signals, by validation trials.

    The score of the same bin alone leaves log rates and features out, as the benchmark does, and
    is of continuous channels.

    Args:
        signals: (B, T, N) each, of all trials of the task, by name: rates, features, or spikes
            smoothed in some ways.
        task: Which trials train, validate and test.
        families: Of read-outs to choose from, ``SAME_BIN`` among them.
        segments: Into how many parts a trial may be divided for channels with one value a trial.

    Returns:
        As :func:`score_rates`, without scores of rates.
    """
    trials, split = task.trials, task.split
    assert trials.behavior is not None
    behavior = {part: trials.behavior[split.trials(part)] for part in PARTS}
    found = [
        each
        for name, s in signals.items()
        for each in read_outs(
            {part: s[split.trials(part)] for part in PARTS},
            behavior,
            families,
            trials.bin_s,
            name,
            trials.channels,
            segments,
        )
    ]
    chosen = best_of(found)
    test, plain = chosen.test, is_plain(trials.channels)
    valid = {R2 if plain else SKILL: chosen.valid_skill}
    same = None
    if of_bins := _continuous_bins(trials.channels):
        best = best_of([f for f in found if f.family == SAME_BIN and f.signal not in FURTHER])
        assert best.test.continuous is not None
        same = best.test.continuous
        if not plain:
            same = ErrorSums.of(best.decoded[:, :, of_bins], behavior["test"][:, :, of_bins])
        valid = {"behavior_r2": best.valid_skill} | valid if plain else valid
    scored = Scored(
        trial=split.test,
        held_out=None,
        forward=None,
        behavior=same,
        chosen=test.continuous,
        truth=None,
        psth_r2=None,
        decoded=chosen.decoded.astype(np.float32),
        shown=None,
        rates=None,
        psth=None,
        decoder=chosen.decoder,
        readout=(chosen.signal, chosen.family),
        circular=test.circular,
        discrete=test.discrete,
        events=test.events,
    )
    return scored, valid


def _continuous_bins(channels: Sequence[Channel]) -> list[int]:
    """Return which channels are continuous, with a value in each bin."""
    return [i for i, c in enumerate(channels) if c.kind == "continuous" and not c.per_trial]


def spike_sums(
    rates: NDArray[np.float32], task: Task, part: Part
) -> tuple[SpikeSums | None, SpikeSums | None]:
    """Return sums for co-bps and fp-bps of (B, T, N) rates; ``None`` for what is not held out."""
    spikes = task.trials.counts_of(task.split.trials(part))
    unseen, t_in = task.split.held_out, task.spec.t_in
    held_out = forward = None
    if unseen.any():
        held_out = SpikeSums.of(rates[:, :t_in, unseen], spikes[:, :t_in, unseen])
    if t_in < task.spec.t_out:
        forward = SpikeSums.of(rates[:, t_in:], spikes[:, t_in:])
    return held_out, forward


def scores_on_test(folds: list[Scored], channels: Sequence[Channel]) -> dict[str, float]:
    """Return the scores of one seed by name, its folds taken together.

    Args:
        folds: Scores of each fold of the seed.
        channels: The behavior channels.
    """
    return {name: float(values[0]) for name, values in _scores(folds, channels, None).items()}


def drawn_scores(
    folds: list[Scored], channels: Sequence[Channel], draws: Draws
) -> dict[str, NDArray[np.float64]]:
    """Return (R,) bootstrap replicates of each score of :func:`scores_on_test`."""
    return _scores(folds, channels, _weights(folds, draws.trials))


def scores_by_fold(
    folds: list[Scored], channels: Sequence[Channel], draws: Draws
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return what each of K folds adds to each score: (K,), and (R', K) in a few replicates."""
    few = draws.trials[:N_PSTH_REPLICATES]
    values, replicates = [
        _by_fold(
            _scores(folds, channels, weigh(folds)),
            [_scores(rest, channels, weigh(rest)) for rest in _all_but_each(folds)],
        )
        for weigh in (lambda of: None, lambda of: _weights(of, few))
    ]
    return {name: (values[name][0], replicates[name]) for name in values if name in replicates}


def _by_fold(
    whole: dict[str, NDArray[np.float64]], without: list[dict[str, NDArray[np.float64]]]
) -> dict[str, NDArray[np.float64]]:
    return {
        name: pseudo_values(score, np.stack([each[name] for each in without], axis=1))
        for name, score in whole.items()
        if all(name in each for each in without)
    }


def _all_but_each(folds: list[Scored]) -> list[list[Scored]]:
    return [[fold for fold in folds if fold is not left_out] for left_out in folds]


def _weights(folds: list[Scored], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (R, n) how often (R, B) draws hold each trial that the folds test."""
    return draws[:, np.concatenate([fold.trial for fold in folds])]


def _scores(
    folds: list[Scored], channels: Sequence[Channel], weights: NDArray[np.float64] | None
) -> dict[str, NDArray[np.float64]]:
    scores: dict[str, NDArray[np.float64]] = {}
    for name, kind in (("co_bps", "held_out"), ("fp_bps", "forward")):
        if getattr(folds[0], kind) is not None:
            sums = _joined(SpikeSums, [getattr(fold, kind) for fold in folds])
            scores[name] = sums.bits_per_spike(weights)
    scores |= _joined_decoding(folds).scores(channels, weights)
    same = [fold.behavior for fold in folds if fold.behavior is not None]
    if same:
        of_bins = [channels[i].name for i in _continuous_bins(channels)]
        scores |= behavior_scores(_joined(ErrorSums, same), of_bins, weights)
    # where PSTHs do not vary there is nothing to explain, and no score
    known = [fold.psth_r2 for fold in folds if fold.psth_r2 is not None]
    psth = [fold for fold in known if np.isfinite(fold[0])]
    truth = [fold.truth for fold in folds if fold.truth is not None]
    if psth:
        mean = np.mean(psth, axis=0)
        scores["psth_r2"] = mean[:1] if weights is None else mean[1:]
    if truth:
        scores["rate_r2"] = mean_of_known(_joined(ErrorSums, truth).r2(weights))
    return scores


def shown_neurons(task: Task) -> NDArray[np.int64]:
    """Return (n,) neurons for figures, held-out ones where there are any.

    They come from all over the upper half of rates, where single trials show something.
    """
    rate = task.trials.rate_hz
    candidates = np.flatnonzero(task.split.held_out)
    if candidates.size == 0:
        candidates = np.arange(task.trials.n_neurons)
    fastest = candidates[np.argsort(-rate[candidates], kind="stable")][
        : max(1, candidates.size // 2)
    ]
    return fastest[np.unique(np.linspace(0, fastest.size - 1, N_SHOWN).round().astype(int))]


def condition_index(trials: Trials) -> tuple[NDArray[np.str_], NDArray[np.int64]] | None:
    """Return the names of conditions and each trial's (B,) index into them; ``None`` without."""
    if trials.condition is None:
        return None
    names, index = np.unique(trials.condition, return_inverse=True)
    return names, index


def _psth(
    rates: NDArray[np.float32], task: Task
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return condition means of test rates and replicates of their score (the score itself first).

    True PSTHs are of all trials of a condition, since those of the test trials alone are noisier.
    """
    trials = task.trials
    conditions = condition_index(trials)
    if conditions is None:
        return None, None
    names, index = conditions
    truth = psths(trials.counts_of(np.arange(trials.n_trials)), index, len(names), trials.bin_s)
    test = index[task.split.test]
    draws = Draws.of(trials.n_trials).trials[:N_PSTH_REPLICATES, task.split.test]
    weights = np.vstack([np.ones(len(test)), draws])
    r2 = PsthSums(rates.astype(np.float64), test, truth).r2(weights)
    empty = np.full(rates.shape[1:], np.nan)
    means = [
        mean_of_trials(rates[test == c]) if (test == c).any() else empty for c in range(len(names))
    ]
    return np.stack(means), r2


def chance_of(folds: list[Scored], channels: Sequence[Channel], name: str) -> float | None:
    """Return what a score of :func:`scores_on_test` would be of guesses.

    ``None`` where that is not asked: of continuous channels alone, whose R² has it at 0, of angular
    errors, and of scores of PSTHs and true rates.
    """
    is_of_rates = name.partition("/")[0] in ("psth_r2", "rate_r2")
    if deciding_score(channels) == R2 or is_of_rates:
        return None
    return _joined_decoding(folds).chance(channels, name)


def _joined_decoding(folds: list[Scored]) -> BehaviorSums:
    def joined(kind: type[Sums], name: str) -> Sums | None:
        parts = [found for fold in folds if (found := getattr(fold, name)) is not None]
        return _joined(kind, parts) if parts else None

    return BehaviorSums(
        joined(ErrorSums, "chosen"),
        joined(CircularSums, "circular"),
        joined(DiscreteSums, "discrete"),
        joined(EventSums, "events"),
    )


def _joined(kind: type[Sums], parts: list[Sums]) -> Sums:
    names = kind.__dataclass_fields__
    return kind(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})
