"""The arms of a run of decoding, and what each is compared with."""

from collections.abc import Sequence
from dataclasses import replace

from neuroblend.distill.pair import Fitted
from neuroblend.engine.arm import BASELINE, Arm, usual_arms
from neuroblend.experiments.decoding.settings import (
    BLIND,
    ONE_NETWORK,
    SELF_DISTILLED,
    SHUFFLED,
    SHUFFLED_TEACHER,
    RunConfig,
)
from neuroblend.registry import STRATEGIES, Strategy, find_reference, find_strategies, load


def arms_of(config: RunConfig) -> list[Arm]:
    """Return the arms of a run, by its settings.

    Raises:
        InputError: There is no such reference or strategy.
    """
    for name in config.references:
        find_reference(name)
    rivals, strategies = config.rivals, config.distill.strategies
    if config.controls == "all":
        strategies = tuple(dict.fromkeys((*strategies, *ONE_NETWORK)))
    without = list[Arm]()
    if config.controls == "all":
        without = _without_knowledge(config.distill.strategies)
    arms = []
    for arm in usual_arms(strategies, STRATEGIES):
        is_candidate = not arm.sees_behavior  # the baseline too: no student may be worth it
        others = (*arm.compared_with, *rivals) if is_candidate else arm.compared_with
        if arm.needs_teacher:
            others = (*others, *(name for name in ONE_NETWORK if name in strategies))
            others = (*others, *(control.name for control in without if control.needs_teacher))
        arms.append(replace(arm, candidate=is_candidate, compared_with=others))
    arms += without
    names = (*rivals, *config.references)
    return arms + [Arm(name, is_reference=True) for name in names]


def _without_knowledge(strategies: Sequence[str]) -> list[Arm]:
    """Return students of a teacher that saw no behavior, or that of other trials.

    They are distilled by ``feature`` where that is among the run's strategies, else by the first
    that needs nothing but a teacher and looks at no behavior itself; by ``feature`` too where the
    others look at behavior, and there are none where each needs more than a teacher.
    """
    guided = [s for s in strategies if all(t.wants_teacher for t in _terms_of(s).values())]
    if not guided:
        return []
    blind = [s for s in guided if not any(_looks_at_behavior(t) for t in _terms_of(s).values())]
    terms = tuple(_terms_of(blind[0] if blind and "feature" not in blind else "feature"))
    return [
        Arm(BLIND),
        Arm(SHUFFLED_TEACHER, sees_behavior=True),
        Arm(SELF_DISTILLED, terms, teacher=BLIND),
        Arm(SHUFFLED, terms, teacher=SHUFFLED_TEACHER, compared_with=(BASELINE, SELF_DISTILLED)),
    ]


def _looks_at_behavior(term: Strategy) -> bool:
    """Whether a term is fitted to training trials, whose behavior it may look at."""
    found: object = load(term.target)
    return isinstance(found, type) and issubclass(found, Fitted)


def _terms_of(strategy: str) -> dict[str, Strategy]:
    return find_strategies(strategy, STRATEGIES)
