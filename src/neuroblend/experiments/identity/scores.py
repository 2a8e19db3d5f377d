"""``results.json`` of an experiment on identity.

Shape legend: ``R`` replicates, ``C`` cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.engine.folder import Fit
from neuroblend.evaluation.bootstrap import Draws, interval
from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER
from neuroblend.experiments.identity.cells import Cells, IdentityFolder
from neuroblend.experiments.identity.classify import Classified
from neuroblend.experiments.identity.experiment import prefix_of
from neuroblend.experiments.identity.metrics import majority_rate, scores

CHANCE = "chance"
N_SHUFFLES = 200  # of labels among tested cells, whose mean score is chance

Replicates = dict[str, NDArray[np.float64]]
Points = dict[str, list[float]]


def gather_identity(folder: IdentityFolder) -> dict[str, Any]:
    """Score an experiment that has ended: by arm and metric a mean, an interval, each seed's score.

    Intervals are by a bootstrap over cells nested in seeds. Contrasts are paired: each arm minus
    the baseline, each strategy minus the multitask control, and each arm minus chance: the mean
    score of its own predictions when the labels of tested cells are shuffled among them.
    """
    config, cells = folder.config(), folder.cells()
    seeds = config.all_seeds
    draws = Draws.of(len(cells.names), len(seeds))
    points: dict[str, Points] = {}
    replicates: dict[str, Replicates] = {}
    chance: dict[str, Points] = {}
    by_arm: dict[str, list[Fit]] = {}
    for fit in folder.fits():
        by_arm.setdefault(fit.arm.name, []).append(fit)
    for arm, fits in by_arm.items():
        points[arm], replicates[arm], chance[arm] = {}, {}, {}
        for kind in cells.kinds:
            _add(folder, cells, kind, fits, seeds, draws, points[arm], replicates[arm], chance[arm])
    selected = _select(folder, cells, list(config.distill.strategies))
    return {
        "dataset": folder.config().data.source.rstrip("/").rpartition("/")[2],
        "seeds": seeds,
        "animals": sorted({s.animal for s in folder.splits() if s.animal is not None}),
        "labels": {
            kind: {
                "classes": _class_counts(cells, kind),
                "majority_rate": majority_rate(cells.labelled(kind)[1]),
            }
            for kind in cells.kinds
        },
        "selected": selected,
        "arms": {
            arm: {
                metric: {
                    "mean": float(np.mean(values)),
                    "ci95": np.clip(
                        interval(replicates[arm][metric], float(np.mean(values))), 0.0, 1.0
                    ).tolist(),
                    "per_seed": values,
                }
                for metric, values in metrics.items()
            }
            for arm, metrics in points.items()
        },
        "contrasts": {
            f"{arm} - {control}": _contrast(arm, control, points, replicates, chance)
            for arm, control in _pairs(by_arm)
        },
        "state_r2": {arm: _mean_state(folder, fits) for arm, fits in by_arm.items()},
        "told_without": {arm: _mean_told(folder, fits) for arm, fits in by_arm.items()},
    }


def _add(
    folder: IdentityFolder,
    cells: Cells,
    kind: str,
    fits: list[Fit],
    seeds: list[int],
    draws: Draws,
    points: Points,
    replicates: Replicates,
    chance: Points,
) -> None:
    """Add the scores of an arm's fits for one kind of label."""
    rows, _ = cells.labelled(kind)
    drawn: dict[str, list[NDArray[np.float64]]] = {}
    for seed in seeds:
        parts = [Classified.load(folder.of(fit) / f"{kind}.h5") for fit in fits if fit.seed == seed]
        truth = np.concatenate([part.truth for part in parts])
        probability = np.concatenate([part.probability for part in parts], axis=1)
        cell = rows[np.concatenate([part.index for part in parts])]
        classes = parts[0].classes
        prefix = prefix_of(kind, cells)
        rng = np.random.default_rng([seed, 51])
        shuffled = [scores(rng.permutation(truth), probability, classes) for _ in range(N_SHUFFLES)]
        resampled = scores(truth, probability, classes, draws.trials[:, cell])
        for name, value in scores(truth, probability, classes).items():
            points.setdefault(prefix + name, []).append(float(value[0]))
            by_chance = float(np.mean([each[name][0] for each in shuffled]))
            chance.setdefault(prefix + name, []).append(by_chance)
            drawn.setdefault(prefix + name, []).append(resampled[name])
    for name, each in drawn.items():
        replicates[name] = draws.over_seeds(np.stack(each, axis=1))


def _pairs(by_arm: dict[str, list[Fit]]) -> list[tuple[str, str]]:
    arms = list(by_arm)
    students = [arm for arm in arms if by_arm[arm][0].arm.terms and arm not in (TEACHER, MULTITASK)]
    return [
        *((arm, BASELINE) for arm in arms if arm != BASELINE),
        *((arm, MULTITASK) for arm in students),
        *((arm, CHANCE) for arm in arms),
    ]


def _contrast(
    arm: str,
    control: str,
    points: dict[str, Points],
    replicates: dict[str, Replicates],
    chance: dict[str, Points],
) -> dict[str, dict[str, Any]]:
    contrast = {}
    for metric, values in points[arm].items():
        other = chance[arm][metric] if control == CHANCE else points[control][metric]
        each = np.subtract(values, other)
        drawn = replicates[arm][metric]
        if control != CHANCE:
            drawn = drawn - replicates[control][metric]
        # a class that is never found, or always, has the same recall in every replicate, which is
        # no certainty
        is_constant = "recall/" in metric and _is_constant(replicates[arm][metric])
        if control != CHANCE:
            is_constant &= _is_constant(replicates[control][metric])
        contrast[metric] = {
            "mean": float(each.mean()),
            "ci95": [np.nan, np.nan] if is_constant else interval(drawn, float(each.mean())),
            "per_seed": each.tolist(),
        }
    return contrast


def _is_constant(replicates: NDArray[np.float64]) -> bool:
    """Whether a score is the same in all draws that have it: some have no cell of a small class."""
    known = replicates[np.isfinite(replicates)]
    return bool(known.size and np.ptp(known) == 0)


def _select(folder: IdentityFolder, cells: Cells, strategies: list[str]) -> str:
    """Choose a strategy by how well classifiers validate on cells that are not tested."""
    kind = cells.kinds[0]
    valid: dict[str, list[float]] = {name: [] for name in strategies}
    for fit in folder.fits():
        if fit.arm.name in valid:
            valid[fit.arm.name].append(folder.fit_scores(fit)["valid"][kind])
    return max(strategies, key=lambda name: float(np.mean(valid[name])))


def _class_counts(cells: Cells, kind: str) -> dict[str, int]:
    names, counts = np.unique(cells.labelled(kind)[1], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _mean_state(folder: IdentityFolder, fits: list[Fit]) -> dict[str, float]:
    each = [folder.fit_scores(fit).get("state_r2", {}) for fit in fits]
    names = dict.fromkeys(name for found in each for name in found)
    return {
        name: float(np.mean([found[name] for found in each if name in found])) for name in names
    }


def _mean_told(folder: IdentityFolder, fits: list[Fit]) -> dict[str, Any]:
    each = [folder.fit_scores(fit)["told_without"] for fit in fits]
    return {
        "full": float(np.mean([found["full"] for found in each])),
        "all": float(np.mean([found["all"] for found in each])),
        "channels": {
            name: float(np.mean([found["channels"][name] for found in each]))
            for name in each[0]["channels"]
        },
    }
