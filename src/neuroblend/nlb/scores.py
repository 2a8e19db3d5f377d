"""The scores of the Neural Latents Benchmark '21, and the structure it reports them in.

The scores are those of Pei, Ye et al. 2021 ("Neural Latents Benchmark '21"), as the benchmark's own
evaluator (nlb_tools 0.0.4) computes them: where that one gives a number, these give the same to
rounding. Arguments are never altered. Differences, all of them where that one fails:

- a bin counts as without behavior (or without PSTH) when any channel (or neuron) is NaN, not the
  first alone;
- ``tp corr`` leaves out trials whose condition or tp is unknown in part, and conditions of one
  trial; without two trials in any condition it is NaN;
- decode masks may be stored as integers;
- bits per spike of data without a spike are NaN.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels, ``C`` conditions,
``M`` decode masks. Rates and spikes are counts/bin.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError, nearest
from neuroblend.evaluation.metrics import SMALLEST_RATE, SpikeSums
from neuroblend.files import errors_of
from neuroblend.nlb.arrays import Bools, Floats
from neuroblend.nlb.datasets import BIN_WIDTHS_MS, DATASETS, group_name
from neuroblend.nlb.decoding import multi_r2, velocity_r2

TIMED = "dmfc_rsg"  # the one that is scored by produced intervals, not by decoded velocity
CONDITION_COLUMNS = slice(0, 3)  # of the behavior of TIMED: is_eye, theta, is_short
PRODUCED_COLUMN = -1  # and tp

Group = Mapping[str, Any]


def evaluate_nlb(
    targets: Mapping[str, Group], predictions: Mapping[str, Group]
) -> list[dict[str, dict[str, float]]]:
    """Score predictions of any of the benchmark's datasets.

    Groups are named as the datasets, with ``_20`` at the end for bins of 20 ms. A group that either
    side lacks (or whose held-out rates or spikes are absent) is passed over, as the benchmark does;
    :func:`neuroblend.nlb.files.check_predictions` tells what is amiss before.

    Args:
        targets: For each group ``eval_spikes_heldout`` (B, T, N), ``train_behavior`` and
            ``eval_behavior`` (B, T, D) or, for dmfc_rsg, (B, 5), and where there are such
            ``train_decode_mask`` and ``eval_decode_mask`` (B, M), ``psth`` (C, T, N) of held-in and
            then held-out neurons, ``eval_cond_idx`` C arrays of indices of trials, ``eval_jitter``
            (B,) bins, ``eval_spikes_heldin_forward`` and ``eval_spikes_heldout_forward``.
        predictions: For each group (B, T, N) counts/bin in ``eval_rates_heldin``,
            ``eval_rates_heldout``, ``train_rates_heldin``, ``train_rates_heldout`` and, where the
            forward period is predicted, ``eval_rates_heldin_forward`` and
            ``eval_rates_heldout_forward``.

    Returns:
        One entry a split, ``{"mc_maze_split": {"co-bps": ..., ...}}``, in the benchmark's order;
        those of the scaling datasets share ``"mc_maze_scaling_split"``, each score's name preceded
        by the number of trials, ``"[100] co-bps"``.

    Raises:
        InputError: An array that a score needs is missing, or holds what cannot be scored.
    """
    results: list[dict[str, dict[str, float]]] = []
    joint = [f"{group_name('mc_maze_scaling', bin_ms)}_split" for bin_ms in BIN_WIDTHS_MS]
    scaling: dict[str, dict[str, float]] = {name: {} for name in joint}
    for dataset, declared in DATASETS.items():
        for bin_ms, shared in zip(BIN_WIDTHS_MS, joint, strict=True):
            name = group_name(dataset, bin_ms)
            target, predicted = targets.get(name, {}), predictions.get(name, {})
            if "eval_spikes_heldout" not in target or "eval_rates_heldout" not in predicted:
                continue
            with errors_of(name):
                scores = _scores(target, predicted, is_timed=dataset == TIMED)
            if declared.scaling is None:
                results.append({f"{name}_split": scores})
                continue
            scaling[shared] |= {f"{declared.scaling} {key}": score for key, score in scores.items()}
    return results + [{name: scores} for name, scores in scaling.items() if scores]


def parse_name(name: str) -> tuple[str, int]:
    """Return the dataset and the bin width in ms that a group's name stands for.

    Raises:
        InputError: The benchmark has no such group.

    >>> parse_name("area2_bump_20")
    ('area2_bump', 20)
    """
    known = {group_name(d, bin_ms): (d, bin_ms) for d in DATASETS for bin_ms in BIN_WIDTHS_MS}
    if name not in known:
        raise InputError(f"found a group '{name}', wanted a dataset's name; {nearest(name, known)}")
    return known[name]


def need(group: Group, key: str, side: str) -> Any:
    """Return ``group[key]``.

    Raises:
        InputError: There is none; ``side`` says in whose arrays it was looked for.
    """
    if key not in group:
        raise InputError(f"no '{key}' among the {side}; {nearest(key, group)}")
    return group[key]


def _scores(target: Group, predicted: Group, is_timed: bool) -> dict[str, float]:
    spikes = np.asarray(need(target, "eval_spikes_heldout", "targets"))
    eval_rates = _joined(predicted, "eval_rates_heldin")
    eval_behavior = need(target, "eval_behavior", "targets")
    scores = {"co-bps": bits_per_spike(need(predicted, "eval_rates_heldout", "rates"), spikes)}
    if is_timed:
        scores["tp corr"] = speed_tp_correlation(spikes, eval_rates, eval_behavior)
    else:
        scores["vel R2"] = velocity_r2(
            _joined(predicted, "train_rates_heldin"),
            need(target, "train_behavior", "targets"),
            eval_rates,
            eval_behavior,
            target.get("train_decode_mask"),
            target.get("eval_decode_mask"),
        )
    if "psth" in target:
        condition_trials = need(target, "eval_cond_idx", "targets")
        jitter = target.get("eval_jitter")
        scores["psth R2"] = psth_r2(target["psth"], eval_rates, condition_trials, jitter)
    if "eval_rates_heldin_forward" in predicted and "eval_spikes_heldin_forward" in target:
        scores["fp-bps"] = bits_per_spike(
            _joined(predicted, "eval_rates_heldin_forward"),
            _joined(target, "eval_spikes_heldin_forward", "targets"),
        )
    return scores


def _joined(group: Group, heldin: str, side: str = "rates") -> Floats:
    heldout = heldin.replace("heldin", "heldout")
    parts = [np.asarray(need(group, key, side)) for key in (heldin, heldout)]
    if parts[0].shape[:-1] != parts[1].shape[:-1]:
        raise InputError(
            f"{heldin}: found shape {parts[0].shape}, but {heldout} has {parts[1].shape}; wanted "
            "the same trials and bins"
        )
    return np.concatenate(parts, axis=-1, dtype=np.float64)


def bits_per_spike(rates: NDArray[np.floating], spikes: NDArray[np.number]) -> float:
    """Return the bits/spike by which rates beat each neuron's mean in the evaluated spikes.

    Pei, Ye et al. 2021, "co-smoothing". As the benchmark counts them: a rate of exactly 0, a
    silent neuron's mean among them, stands for 1e-9, and smaller rates are what they are.

    Args:
        rates: (B, T, N) expected counts/bin.
        spikes: (B, T, N) counts/bin; where one is NaN it is not scored, and its rate is free.

    Raises:
        InputError: Shapes differ, or a rate that is scored is negative, NaN or infinite.
    """
    counts = np.asarray(spikes, dtype=np.float64)
    expected = np.asarray(rates, dtype=np.float64)
    if expected.shape != counts.shape:
        raise InputError(
            f"rates: found shape {expected.shape}, wanted the {counts.shape} of the spikes"
        )
    known = ~np.isnan(counts)
    bad = known & ~((expected >= 0) & (expected < np.inf))
    if bad.any():
        raise InputError(f"rates: {bad.sum()} are negative, NaN or infinite, wanted counts per bin")
    sums = SpikeSums.of(expected, counts)
    scored = sums.n_bins.any(axis=0)
    likelihood = sums.log_likelihood + _tiny_rates(expected, counts, known)
    silent = ~sums.counts.any(axis=0)
    likelihood = likelihood + silent * sums.n_bins * SMALLEST_RATE  # a mean of 0 is one rate of 0
    kept = SpikeSums(likelihood[:, scored], sums.counts[:, scored], sums.n_bins[:, scored])
    return float(kept.bits_per_spike()[0])


def _tiny_rates(rates: Floats, counts: Floats, known: Bools) -> Floats:
    """Return (B, N) nats to add, since `SpikeSums` raises all rates to 1e-9 and NLB only zeros."""
    correction = np.zeros((rates.shape[0], rates.shape[2]))
    tiny = known & (rates > 0) & (rates < SMALLEST_RATE)
    trial, _, neuron = np.nonzero(tiny)
    gain = counts[tiny] * np.log(rates[tiny] / SMALLEST_RATE) - (rates[tiny] - SMALLEST_RATE)
    np.add.at(correction, (trial, neuron), gain)
    return correction


def psth_r2(
    psth: NDArray[np.floating],
    rates: NDArray[np.floating],
    condition_trials: Sequence[Any] | NDArray[Any],
    jitter: NDArray[np.integer] | None = None,
) -> float:
    """Return the R² of PSTHs that are means of rates, over all conditions, mean over neurons.

    Pei, Ye et al. 2021. A neuron whose PSTH is constant counts 0, or 1 where it is met exactly; a
    condition without trials, and bins in which a PSTH is NaN, are left out.

    Args:
        psth: (C, T, N) counts/bin.
        rates: (B, T, N) counts/bin.
        condition_trials: For each condition the indices of its trials.
        jitter: (B,) bins by which each trial's rates are moved later before they are averaged.

    Raises:
        InputError: Shapes do not fit, no bin can be scored, or a rate in one that is scored is NaN.
    """
    truth, values = np.asarray(psth, dtype=np.float64), np.asarray(rates, dtype=np.float64)
    if truth.shape[1:] != values.shape[1:]:
        raise InputError(
            f"rates: found {values.shape[1:]} bins x neurons, wanted the {truth.shape[1:]} of psth"
        )
    shifts = np.zeros(len(values), int) if jitter is None else np.asarray(jitter).astype(int)
    if len(condition_trials) > len(truth) or len(shifts) != len(values):
        raise InputError(
            f"psth: {len(condition_trials)} conditions and {len(shifts)} jitters, wanted the "
            f"{len(truth)} of psth and the {len(values)} trials of rates"
        )
    true, mean = [], []
    for condition, indices in enumerate(condition_trials):
        trials = np.asarray(indices).astype(int)
        if trials.size == 0:
            continue
        if not 0 <= trials.min() <= trials.max() < len(values):
            raise InputError(
                f"psth: condition {condition} has trial {trials.max()}, rates have {len(values)}"
            )
        known = ~np.isnan(truth[condition]).any(axis=1)
        true.append(truth[condition][known])
        mean.append(_mean_shifted(values, trials, shifts)[known])
    if sum(map(len, true)) < 2:
        raise InputError("psth: fewer than 2 bins of conditions with trials, nothing to score")
    predicted = np.concatenate(mean)
    if np.isnan(predicted).any():
        raise InputError(
            f"rates: {np.isnan(predicted).sum()} means over trials are NaN where a PSTH is known"
        )
    return float(multi_r2(np.concatenate(true), predicted).mean())


def _mean_shifted(rates: Floats, trials: NDArray[np.int_], shifts: NDArray[np.int_]) -> Floats:
    """Return (T, N) mean over trials, each moved later in time; NaN in bins that any misses."""
    n_bins = rates.shape[1]
    total = np.zeros(rates.shape[1:])
    for trial, shift in zip(trials, shifts[trials].clip(-n_bins, n_bins), strict=True):
        start, stop = max(shift, 0), n_bins + min(shift, 0)
        total[start:stop] += rates[trial, start - shift : stop - shift]
        total[:start] = total[stop:] = np.nan
    return total / len(trials)


def speed_tp_correlation(
    spikes_heldout: NDArray[np.floating],
    rates: NDArray[np.floating],
    behavior: NDArray[np.floating],
) -> float:
    """Return Pearson's r between neural speed and produced interval, mean over conditions.

    Pei, Ye et al. 2021, for dmfc_rsg. The speed of a trial is the mean length of the steps that its
    rates take from bin to bin between Set and Go. Trials of one condition share prior, response
    modality and direction.

    Args:
        spikes_heldout: (B, T, N) counts/bin, NaN outside Set to Go.
        rates: (B, T, N) counts/bin of all neurons.
        behavior: (B, 5) is_eye, theta, is_short, ts, tp; NaN in trials that are not scored.

    Returns:
        The mean; NaN where speeds or intervals of a condition do not vary.

    Raises:
        InputError: Rates and spikes have other trials or bins.
    """
    scored = ~np.isnan(np.asarray(spikes_heldout)[..., 0])
    values, columns = np.asarray(rates, dtype=np.float64), np.asarray(behavior, dtype=np.float64)
    if values.shape[:2] != scored.shape or len(columns) != len(scored):
        raise InputError(
            f"rates: found {values.shape[:2]} trials x bins, wanted the {scored.shape} of spikes"
        )
    speed = np.array([_speed(trial[bins]) for trial, bins in zip(values, scored, strict=True)])
    condition, produced = columns[:, CONDITION_COLUMNS], columns[:, PRODUCED_COLUMN]
    usable = ~np.isnan(condition).any(axis=1) & ~np.isnan(produced)
    _, index = np.unique(condition[usable], axis=0, return_inverse=True)
    x, y = speed[usable], produced[usable]
    groups = [index.ravel() == c for c in np.unique(index)]
    correlations = [_pearson(x[g], y[g]) for g in groups if g.sum() >= 2]
    return float(np.mean(correlations)) if correlations else float("nan")


def _speed(rates: Floats) -> float:
    if len(rates) < 2:
        return float("nan")
    return float(np.linalg.norm(np.diff(rates, axis=0), axis=1).mean())


def _pearson(x: Floats, y: Floats) -> float:
    if (x == x[0]).all() or (y == y[0]).all():
        return float("nan")
    dx, dy = x - x.mean(), y - y.mean()
    return float(np.clip((dx / np.linalg.norm(dx)) @ (dy / np.linalg.norm(dy)), -1, 1))
