"""``results.json``: the scores of all arms with intervals, the selected arm, differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.engine.arm import Arm
from neuroblend.engine.experiment import Sample
from neuroblend.engine.folder import RunFolder
from neuroblend.engine.metric import metric_of
from neuroblend.errors import InputError
from neuroblend.evaluation.bootstrap import Draws

CHANCE = "chance"
"""What an arm's own predictions would score if they knew nothing; a control without a fit."""


def gather(folder: RunFolder) -> dict[str, Any]:
    """Score a run whose fits have ended: per arm and metric a mean, an interval, each seed's score.

    ``intervals`` says what these cover beside the choice of trials: ``seeds``, ``folds`` of the
    only seed, or ``none``, where one network an arm was trained and no claim can be made.

    Contrasts are paired: each arm minus those that it is compared with, and minus its own chance
    level where the experiment has one.
    """
    experiment, data = folder.experiment, folder.data()
    seeds = experiment.config.all_seeds
    draws = Draws.of(experiment.n_resampled(data), experiment.has_order)
    n_tested = _n_tested(folder)
    samples = experiment.samples(folder, draws)
    scores = {
        arm: {name: _Score.of([each[name] for each in by_seed]) for name in by_seed[0]}
        for arm, by_seed in samples.items()
    }
    around = partial(_interval, draws, n_tested)
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
            name: own[name]
            .minus(own[name].of_chance if control == CHANCE else scores[control][name])
            .entry(around, may_be_constant=metric_of(name, metrics).may_be_constant)
            for name in own
            if (own[name].chance is not None if control == CHANCE else name in scores[control])
        }

    results = {
        "kind": experiment.kind,
        "dataset": data.name,
        "seeds": seeds,
        "n_tested": n_tested,
        "intervals": _what_varies(scores),
        **experiment.summary(folder),
        "candidates": [arm.name for arm in arms if arm.candidate],
        "references": [arm.name for arm in arms if arm.is_reference],
        "needs_teacher": [arm.name for arm in arms if arm.needs_teacher],
        "sees_behavior": [arm.name for arm in arms if arm.sees_behavior],
        "selected": experiment.select(
            _valid_scores(folder), [arm.name for arm in arms if arm.candidate]
        ),
        "arms": {
            arm: {
                name: s.entry(around, metric_of(name, metrics).bounds)
                for name, s in by_name.items()
            }
            for arm, by_name in scores.items()
        },
        "contrasts": {
            f"{arm} - {control}": contrast(arm, control) for arm, control in _pairs(arms, scores)
        },
    }
    found: dict[str, Any] = _without_nan(results)
    return found


@dataclass(frozen=True, eq=False)
class _Score:
    """A score of an arm, or a difference of two.

    Attributes:
        per_seed: (S,) of each seed.
        per_fit: (F,) what the interval looks at: seeds, or the folds of the only one.
        replicates: (R', F) the same in each replicate; ``None`` for a fixed number.
        has_folds: Whether it looks at folds.
        chance: (S,) of each seed, where that is asked.
        is_constant: Whether what it is made of is the same in all replicates.
    """

    per_seed: NDArray[np.float64]
    per_fit: NDArray[np.float64]
    replicates: NDArray[np.float64] | None
    has_folds: bool = False
    chance: NDArray[np.float64] | None = None
    is_constant: bool = False

    @classmethod
    def of(cls, samples: list[Sample]) -> _Score:
        per_seed = np.array([s.value for s in samples])
        replicates = np.stack([s.replicates for s in samples], axis=1)
        known = [s.chance for s in samples if s.chance is not None]
        chance = np.array(known) if known else None
        constant, folds = _is_constant(replicates), samples[0].folds
        if len(samples) > 1 or folds is None:
            return cls(per_seed, per_seed, replicates, False, chance, constant)
        return cls(per_seed, folds.values, folds.replicates, True, chance, constant)

    @property
    def of_chance(self) -> _Score:
        assert self.chance is not None
        return _Score(self.chance, self.chance, None, is_constant=True)

    def minus(self, control: _Score) -> _Score:
        drawn = self.replicates
        if control.replicates is not None:
            assert drawn is not None
            drawn = drawn - control.replicates
        return _Score(
            self.per_seed - control.per_seed,
            self.per_fit - control.per_fit,
            drawn,
            self.has_folds,
            is_constant=self.is_constant and control.is_constant,
        )

    def entry(
        self,
        around: Callable[[float, _Score], list[float]],
        bounds: tuple[float, float] = (-math.inf, math.inf),
        may_be_constant: bool = True,
    ) -> dict[str, Any]:
        mean = float(self.per_seed.mean())
        ends = np.clip(around(mean, self), *bounds).tolist()
        if self.is_constant and not may_be_constant:  # the same in all draws, which is no certainty
            ends = [math.nan, math.nan]
        return {"mean": mean, "ci95": ends, "per_seed": self.per_seed.tolist()}


def _interval(draws: Draws, n_tested: int, mean: float, score: _Score) -> list[float]:
    assert score.replicates is not None
    n_folds = len(score.per_fit)
    shared = n_folds / (n_folds - 1) if score.has_folds else 0.0
    return draws.interval(mean, score.per_fit, score.replicates, n_tested, shared)


def _what_varies(scores: dict[str, dict[str, _Score]]) -> str:
    """Return what intervals cover beside trials: ``seeds``, ``folds``, or ``none`` of them."""
    score = next(iter(next(iter(scores.values())).values()))
    if score.has_folds:
        return "folds"
    return "seeds" if len(score.per_seed) > 1 else "none"


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
    tells_chance = any(
        s.chance is not None for by_name in scores.values() for s in by_name.values()
    )
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
