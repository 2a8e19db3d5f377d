"""``results.json``: the scores of all arms with intervals, the selected strategy, differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.engine.folder import Fit, RunFolder
from neuroblend.evaluation.bootstrap import Draws, interval
from neuroblend.evaluation.score import score_rates, scores_on_test
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER
from neuroblend.task.task import Task

ORACLE = "oracle"
CO_BPS_TOLERANCE = (
    0.02  # share of the baseline's validation co-bps that a selected strategy may lose
)

Replicates = dict[str, NDArray[np.float64]]


def gather(folder: RunFolder) -> dict[str, Any]:
    """Score a finished run: per arm and metric a mean, an interval and each seed's score.

    Contrasts are paired: each strategy minus the baseline and minus the multitask control, and that
    control and the references minus the baseline. Simulated recordings have a further arm,
    ``oracle``, which predicts the true rates.
    """
    config = folder.config()
    trials = folder.trials()
    seeds = config.all_seeds
    tasks = {split.seed: Task.of(trials, split) for split in folder.splits()}
    draws = Draws.of(trials.n_trials, len(seeds))
    scored: dict[str, dict[int, list[Scored]]] = {}
    for fit in folder.fits():
        of_seed = scored.setdefault(fit.arm.name, {}).setdefault(fit.seed, [])
        of_seed.append(Scored.load(folder.of(fit) / "test.h5"))
    if trials.rates is not None:
        scored[ORACLE] = {seed: [] for seed in seeds}
        for split in folder.splits():
            scored[ORACLE][split.seed].append(score_rates(trials.rates, Task.of(trials, split))[0])

    points: dict[str, dict[str, list[float]]] = {}
    replicates: dict[str, Replicates] = {}
    for arm, by_seed in scored.items():
        points[arm], replicates[arm] = _of_arm(by_seed, tasks, seeds, draws)
    selected = select(_valid_scores(folder), list(config.distill.strategies))
    return {
        "dataset": trials.name,
        "bin_s": trials.bin_s,
        "seeds": seeds,
        "folds": config.data.folds,
        "selected": selected,
        "arms": {
            arm: {
                metric: {
                    "mean": float(np.mean(values)),
                    "ci95": interval(replicates[arm][metric], float(np.mean(values))),
                    "per_seed": values,
                }
                for metric, values in metrics.items()
            }
            for arm, metrics in points.items()
        },
        "contrasts": {
            f"{arm} - {control}": _contrast(points, replicates, arm, control)
            for arm, control in _pairs(list(config.distill.strategies), list(config.references))
        },
    }


def select(valid: dict[str, dict[str, float]], strategies: list[str]) -> str:
    """Choose a strategy by validation scores alone.

    It is the one that decodes behavior best among those that keep the baseline's co-bps to within
    ``CO_BPS_TOLERANCE`` of it; where none does, the one that keeps most of it.

    Args:
        valid: Mean validation scores of each arm, by name.
        strategies: The candidates.
    """

    def kept(arm: str) -> float:
        base = valid[BASELINE].get("co_bps", 0.0)
        return valid[arm].get("co_bps", 0.0) - base + CO_BPS_TOLERANCE * abs(base)

    fair = [arm for arm in strategies if kept(arm) >= 0]
    if fair:
        return max(fair, key=lambda arm: valid[arm]["behavior_r2"])
    return max(strategies, key=kept)


def _valid_scores(folder: RunFolder) -> dict[str, dict[str, float]]:
    by_arm: dict[str, list[dict[str, float]]] = {}
    for fit in folder.fits():
        by_arm.setdefault(fit.arm.name, []).append(fit_scores(folder, fit)["valid"])
    return {
        arm: {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
        for arm, scores in by_arm.items()
    }


def fit_scores(folder: RunFolder, fit: Fit) -> dict[str, Any]:
    """Return ``scores.json`` of one training."""
    scores: dict[str, Any] = folder.read_json(
        str((folder.of(fit) / "scores.json").relative_to(folder.path))
    )
    return scores


def _of_arm(
    by_seed: dict[int, list[Scored]], tasks: dict[int, Task], seeds: list[int], draws: Draws
) -> tuple[dict[str, list[float]], Replicates]:
    point = [scores_on_test(by_seed[seed], tasks[seed]) for seed in seeds]
    drawn = [scores_on_test(by_seed[seed], tasks[seed], draws) for seed in seeds]
    return (
        {name: [float(scores[name]) for scores in point] for name in point[0]},
        {name: draws.over_seeds(np.stack([d[name] for d in drawn], axis=1)) for name in drawn[0]},
    )


def _pairs(strategies: list[str], references: list[str]) -> list[tuple[str, str]]:
    others = [arm for arm in strategies if arm != MULTITASK]
    pairs = [(arm, BASELINE) for arm in (TEACHER, MULTITASK, *others, *references)]
    return pairs + [(arm, MULTITASK) for arm in others]


def _contrast(
    points: dict[str, dict[str, list[float]]],
    replicates: dict[str, Replicates],
    arm: str,
    control: str,
) -> dict[str, dict[str, Any]]:
    contrast = {}
    for metric in points[arm]:
        each = np.subtract(points[arm][metric], points[control][metric])
        contrast[metric] = {
            "mean": float(each.mean()),
            "ci95": interval(
                replicates[arm][metric] - replicates[control][metric], float(each.mean())
            ),
            "per_seed": each.tolist(),
        }
    return contrast
