"""What an experiment is to the engine, which knows no metric and no experiment by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroblend.config import ExperimentConfig
from neuroblend.distill.objective import Objective
from neuroblend.engine.arm import Arm, Fit
from neuroblend.engine.metric import Metric
from neuroblend.errors import InputError
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.privilege.roles import Student, Teacher

Progress = Callable[[int, int], None]
"""Called with (epochs done, most epochs)."""


class Learn(Protocol):
    """Trains a model of a fit, or goes on where that was interrupted."""

    def __call__(
        self, model: Any, part: Any, objective: Objective, member: int = 0, of: int = 1
    ) -> pd.DataFrame:
        """Return the history of training ``model`` on ``part``.

        Args:
            model: What is trained.
            part: What it is trained on, such as what ``trains_on`` gave.
            objective: What it follows.
            member: Which of several models of the fit, each with an order of its own.
            of: How many models the fit trains.
        """
        ...


class Folds(NamedTuple):
    """What each of K folds adds to a score: its pseudo-values of the jackknife.

    Attributes:
        values: (K,) in the score.
        replicates: (R', K) in the first replicates of the bootstrap.
    """

    values: NDArray[np.float64]
    replicates: NDArray[np.float64]


class Sample(NamedTuple):
    """A score of one arm and seed.

    Attributes:
        value: On what was tested.
        replicates: (R,) the same in each replicate of the bootstrap.
        chance: What predictions that know nothing would score; ``None`` where that is not asked.
        folds: Of a run with one seed, how the folds differ; ``None`` where there are none.
    """

    value: float
    replicates: NDArray[np.float64]
    chance: float | None = None
    folds: Folds | None = None


@dataclass(frozen=True)
class Scene:
    """A fit under way, as an experiment sees it.

    Attributes:
        fit: Which.
        data: What the experiment loaded.
        split: What is tested.
        task: What is trained on.
        seed: Of initial weights, order, masks and dropout: the same for every arm.
        out: Folder of the fit.
        progress: How far it is.
    """

    fit: Fit
    data: Any
    split: Any
    task: Any
    seed: int
    out: Path
    progress: Progress


class Fits(Protocol):
    """The folder of a run whose fits have ended, as far as an experiment looks into it."""

    def data(self) -> Any:
        """Return the data as used."""

    def splits(self) -> list[Any]:
        """Return the split of each seed and fold."""

    def fits(self) -> list[Fit]:
        """Return every fit."""

    def of(self, fit: Fit) -> Path:
        """Return the folder of one fit."""

    def scores(self, fit: Fit) -> dict[str, Any]:
        """Return ``scores.json`` of one fit."""


class Experiment(Protocol):
    """A kind of run, bound to its settings.

    A class that derives from this one is an experiment; what has a body here is a default. Data,
    splits and tasks are the experiment's own: data have a ``name``, ``notes`` and a readable
    ``repr``, a split has ``seed``, ``fold``, ``n_tested`` and ``to_json()``, and a task is a
    :class:`~neuroblend.training.train.Trainable`.

    Attributes:
        kind: Its name in ``config.yaml``: registered, or ``package.module:class``.
        settings: The class of its settings.
        metrics: Its scores by name, headlines first.
        page: ``package.module:function`` of what its page adds (a
            :class:`~neuroblend.report.face.Face`); ``None`` for nothing.
        split_type: The class of its splits, with ``from_json(stored)``.
        has_order: Whether the units that a replicate draws follow one another in time, so that
            neighbours may be alike.
        config: Its settings.
    """

    kind: ClassVar[str]
    settings: ClassVar[type[ExperimentConfig]]
    metrics: ClassVar[Mapping[str, Metric]]
    page: ClassVar[str | None] = None
    split_type: ClassVar[Any]
    has_order: ClassVar[bool] = False
    config: Any

    def __init__(self, config: Any) -> None:
        self.config = config

    def load(self, source: Any) -> Any:
        """Return the data of ``source``; an ``InputError`` says why they cannot be used."""

    def of(self, data: Any) -> "Experiment":
        """Return the experiment for these data, where its arms depend on what they are."""
        return self

    def save(self, data: Any, folder: Path) -> None:
        """Write into a run's folder what :meth:`reload` needs."""

    def reload(self, folder: Path) -> Any:
        """Return the data of a run."""

    def data_hash(self, data: Any) -> str:
        """Return a hash that differs for other data."""

    def data_facts(self, data: Any) -> dict[str, Any]:
        """Return sizes and notes of the data for ``provenance.json``."""
        return {"name": data.name, "notes": list(data.notes)}

    def n_resampled(self, data: Any) -> int:
        """Return how many units (trials, cells) a replicate of the bootstrap draws."""

    def splits(self, data: Any) -> list[Any]:
        """Return a split for each seed and fold."""

    def arms(self) -> list[Arm]:
        """Return all arms, the teacher first, ``baseline`` among them, to which others compare."""

    def task(self, data: Any, split: Any) -> Any:
        """Return what models train on under a split."""

    def trains_on(self, arm: Arm, task: Any) -> Any:
        """Return what an arm trains on, for one that does not train on the task itself."""
        return task

    def check(self, task: Any) -> None:
        """Try the networks of all arms on a little of the task, before anything is written."""

    def build(self, arm: Arm, task: Any, seed: int) -> Student | Teacher | None:
        """Return the model of an arm, untrained; ``None`` for an arm that has no network."""

    def objective(self, arm: Arm, model: Any, task: Any, teacher: Teacher | None) -> Objective:
        """Return what a model is trained on."""

    def trained(
        self, arm: Arm, model: Any, task: Any, teacher: Teacher | None, learn: Learn
    ) -> pd.DataFrame:
        """Train the model of an arm by ``learn``, once or part by part, and return its history."""
        return learn(model, self.trains_on(arm, task), self.objective(arm, model, task, teacher))

    def score(self, scene: Scene, model: Student | Teacher | None) -> dict[str, Any]:
        """Score a trained model, and store in ``scene.out`` what :meth:`samples` needs.

        Returns:
            Content of ``scores.json``: ``test`` and ``valid`` by name, and anything else.
        """

    def samples(self, folder: Fits, draws: Draws) -> dict[str, list[dict[str, Sample]]]:
        """Return, by arm, the scores by name of each seed; folds of a seed are taken together.

        There may be arms that nothing was fitted for, such as the truth of a simulation.
        """

    def summary(self, folder: Fits) -> dict[str, Any]:
        """Return further entries of ``results.json``."""
        return {}

    def take_home(
        self,
        folder: Any,
        arm: str | None,
        seed: int | None,
        fold: int | None = None,
        session: str | None = None,
    ) -> Any:
        """Return a trained model of a run to use on other data; the selected one without ``arm``.

        It is of the first seed and the first fold where these are ``None``, and, of a run on
        several sessions, for the neurons of ``session``.

        Raises:
            InputError: There is none.
        """
        raise InputError(f"runs of kind {self.kind} have no student that can be taken home")

    def select(self, valid: Mapping[str, Mapping[str, float]], candidates: list[str]) -> str:
        """Choose a candidate by the mean validation scores of all arms: the best in the first."""
        return max(candidates, key=lambda arm: next(iter(valid[arm].values())))
