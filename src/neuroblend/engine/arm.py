"""The arms of a run: who is trained, and on what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neuroblend.registry import Strategy, find_strategies

TEACHER, BASELINE, MULTITASK = "teacher", "baseline", "multitask"


@dataclass(frozen=True)
class Arm:
    """Something that is trained and scored.

    Attributes:
        name: As in ``results.json``.
        terms: Names of its loss terms beside the task.
        sees_behavior: Whether it is given behavior where it is used, so that it is no rival.
        teacher: The arm that must be trained first, to teach this one; ``None`` for none.
        candidate: Whether it may be selected, to be taken home.
        is_reference: Whether it is a model of its own, and no student.
        compared_with: The arms that its scores are contrasted with.
    """

    name: str
    terms: tuple[str, ...] = ()
    sees_behavior: bool = False
    teacher: str | None = None
    candidate: bool = False
    is_reference: bool = False
    compared_with: tuple[str, ...] = (BASELINE,)

    @property
    def needs_teacher(self) -> bool:
        """Whether another arm must be trained first, to teach this one."""
        return self.teacher is not None

    @property
    def folder(self) -> str:
        """Its folder in a run."""
        if self.name in (TEACHER, BASELINE):
            return self.name
        kind = "reference" if self.is_reference else "student"
        return f"{kind}-{self.name.replace(':', '.')}"


@dataclass(frozen=True)
class Fit:
    """One arm under one split of a run.

    Attributes:
        arm: What is trained.
        seed: Of the split and the initial weights.
        fold: Which fold is tested; ``None`` for a single split.
    """

    arm: Arm
    seed: int
    fold: int | None

    @property
    def label(self) -> str:
        """How it is called on screen."""
        fold = "" if self.fold is None else f" fold {self.fold}"
        return f"{self.arm.name} seed {self.seed}{fold}"


def usual_arms(strategies: Iterable[str], known: Mapping[str, Strategy]) -> list[Arm]:
    """Return teacher, baseline, multitask control and an arm for each strategy.

    Raises:
        InputError: A strategy is unknown.
    """
    strategies = list(strategies)
    arms = [
        Arm(TEACHER, sees_behavior=True),
        Arm(BASELINE, compared_with=()),
        Arm(MULTITASK, (MULTITASK,), candidate=True),
    ]
    for name in strategies:
        found = find_strategies(name, known)
        if name != MULTITASK:
            is_guided = any(strategy.wants_teacher for strategy in found.values())
            arms.append(
                Arm(
                    name,
                    tuple(found),
                    teacher=TEACHER if is_guided else None,
                    candidate=True,
                    compared_with=(BASELINE, MULTITASK),
                )
            )
    return arms
