"""``results.json``: the scores of all arms with intervals, the selected arm, differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.engine.arm import Arm
from neuroblend.engine.experiment import Sample
from neuroblend.engine.folder import RunFolder
from neuroblend.engine.metric import metric_of
from neuroblend.errors import InputError
from neuroblend.evaluation.bootstrap import Draws, interval

CHANCE = "chance"
"""What an arm's own predictions would score if they knew nothing; a control without a fit."""


def gather(folder: RunFolder) -> dict[str, Any]:
    """Score a run whose fits have ended: per arm and metric a mean, an interval, each seed's score.

    Contrasts are paired: each arm minus those that it is compared with, and minus its own chance
    level where the experiment has one.
    """
    experiment, data = folder.experiment, folder.data()
    seeds = experiment.config.all_seeds
    draws = Draws.of(experiment.n_resampled(data), len(seeds))
    scores = {
        arm: {name: _Score.of([each[name] for each in by_seed], draws) for name in by_seed[0]}
        for arm, by_seed in experiment.samples(folder, draws).items()
    }
    arms = experiment.arms()
    metrics = experiment.metrics
    for arm in arms:
        for control in arm.compared_with:
            if control not in scores:
                raise InputError(
                    f"kind {experiment.kind}: arm {arm.name} is compared with '{control}', which "
                    f"has no scores; there are: {', '.join(scores)}"
                )

    def contrast(arm: str, control: str) -> dict[str, Any]:
        own = scores[arm]
        return {
            name: own[name].minus(
                own[name].of_chance if control == CHANCE else scores[control][name],
                metric_of(name, metrics).may_be_constant,
            )
            for name in own
            if control == CHANCE or name in scores[control]
        }

    results = {
        "kind": experiment.kind,
        "dataset": data.name,
        "seeds": seeds,
        "n_tested": _n_tested(folder),
        **experiment.summary(folder),
        "candidates": [arm.name for arm in arms if arm.candidate],
        "references": [arm.name for arm in arms if arm.is_reference],
        "needs_teacher": [arm.name for arm in arms if arm.needs_teacher],
        "sees_behavior": [arm.name for arm in arms if arm.sees_behavior],
        "selected": experiment.select(
            _valid_scores(folder), [arm.name for arm in arms if arm.candidate]
        ),
        "arms": {
            arm: {name: s.entry(metric_of(name, metrics).bounds) for name, s in by_name.items()}
            for arm, by_name in scores.items()
        },
        "contrasts": {
            f"{arm} - {control}": contrast(arm, control) for arm, control in _pairs(arms, scores)
        },
    }
    found: dict[str, Any] = _without_nan(results)
    return found


class _Score:
    """A score of an arm: of each seed, and in each replicate (``None`` for a fixed number)."""

    def __init__(
        self,
        per_seed: list[float],
        replicates: NDArray[np.float64] | None,
        chance: list[float] | None = None,
    ) -> None:
        self.per_seed = per_seed
        self.replicates = replicates
        self.chance = chance

    @classmethod
    def of(cls, samples: list[Sample], draws: Draws) -> _Score:
        replicates = draws.over_seeds(np.stack([s.replicates for s in samples], axis=1))
        chance = [s.chance for s in samples if s.chance is not None]
        return cls([s.value for s in samples], replicates, chance or None)

    @property
    def of_chance(self) -> _Score:
        assert self.chance is not None
        return _Score(self.chance, None)

    def entry(self, bounds: tuple[float, float]) -> dict[str, Any]:
        assert self.replicates is not None
        mean = float(np.mean(self.per_seed))
        around = np.clip(interval(self.replicates, mean), *bounds).tolist()
        return {"mean": mean, "ci95": around, "per_seed": self.per_seed}

    def minus(self, control: _Score, may_be_constant: bool) -> dict[str, Any]:
        each = np.subtract(self.per_seed, control.per_seed)
        mean = float(each.mean())
        assert self.replicates is not None
        drawn = self.replicates
        is_constant = _is_constant(self.replicates)
        if control.replicates is not None:
            drawn = drawn - control.replicates
            is_constant &= _is_constant(control.replicates)
        around = interval(drawn, mean)
        if is_constant and not may_be_constant:  # the same in all draws, which is no certainty
            around = [math.nan, math.nan]
        return {"mean": mean, "ci95": around, "per_seed": each.tolist()}


def _is_constant(replicates: NDArray[np.float64]) -> bool:
    """Whether a score is the same in all replicates that have it."""
    known = replicates[np.isfinite(replicates)]
    return bool(known.size and np.ptp(known) == 0)


def _pairs(arms: list[Arm], scores: dict[str, dict[str, _Score]]) -> list[tuple[str, str]]:
    """Return who is contrasted with whom, a control at a time."""
    controls = dict.fromkeys(control for arm in arms for control in arm.compared_with)
    pairs = [
        (arm.name, control) for control in controls for arm in arms if control in arm.compared_with
    ]
    tells_chance = any(s.chance for by_name in scores.values() for s in by_name.values())
    return pairs + ([(arm.name, CHANCE) for arm in arms] if tells_chance else [])


def _n_tested(folder: RunFolder) -> int:
    """Return how many units (trials, cells) the seed that tests fewest tests in all its folds."""
    by_seed: dict[int, int] = {}
    for split in folder.splits():
        by_seed[split.seed] = by_seed.get(split.seed, 0) + split.n_tested
    return min(by_seed.values())


def _valid_scores(folder: RunFolder) -> dict[str, dict[str, float]]:
    by_arm: dict[str, list[dict[str, float]]] = {}
    for fit in folder.fits():
        by_arm.setdefault(fit.arm.name, []).append(folder.scores(fit)["valid"])
    return {
        arm: {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
        for arm, scores in by_arm.items()
    }


def _without_nan(tree: Any) -> Any:
    """Return nested results with ``None`` for numbers that do not exist, for JSON."""
    if isinstance(tree, dict):
        return {key: _without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
