"""Identity: what type each cell is of, from networks that learned activity with behavior.

Shape legend: ``R`` replicates, ``C`` cells.
"""

import inspect
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from neuroblend.data.calcium.session import CalciumSession
from neuroblend.distill.objective import Objective, squared_error
from neuroblend.distill.terms import build_terms
from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER, Arm, Fit, usual_arms
from neuroblend.engine.check import check_objective
from neuroblend.engine.experiment import Experiment, Fits, Sample, Scene
from neuroblend.engine.metric import Metric
from neuroblend.errors import InputError, nearest
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.experiments.identity.cells import Cells, cells_of, chosen_sessions, content_hash
from neuroblend.experiments.identity.classify import Classified
from neuroblend.experiments.identity.describe import (
    LAYER,
    ablated,
    classified,
    descriptions,
    measured,
    profiles,
    state_r2,
)
from neuroblend.experiments.identity.embed import fresh_embeddings
from neuroblend.experiments.identity.metrics import majority_rate
from neuroblend.experiments.identity.notes import notes_on_behavior, notes_on_sessions
from neuroblend.experiments.identity.references import CELL_REFERENCES, CONTRASTIVE, NO_NETWORK
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.experiments.identity.split import NeuronSplit, split_animals, split_neurons
from neuroblend.experiments.identity.task import CellTask, usual_window
from neuroblend.files import new_h5, read_json, write_json, write_whole
from neuroblend.models.neuprint import DYNAMICS, RADIUS, NeuPRINT
from neuroblend.privilege.population import PopulationState, on_cells
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import CELL_STRATEGIES
from neuroblend.seeds import mixed_seed
from neuroblend.training.devices import as_device, own_device
from neuroblend.training.masking import mask_for

N_SHUFFLES = 200  # of labels among tested cells, whose mean score is chance
PUBLISHED = {"n_pooled": 0, "context_frames": 0}  # the population's state as in the public code

fraction = partial(Metric, bounds=(0, 1))
METRICS = {
    "macro_f1": fraction(
        "macro-F1",
        "F1, the harmonic mean of how many cells of a class are found and how many of those called "
        "that class are of it; mean over classes, so that a small class counts as much as a large "
        "one",
        deciding=True,
    ),
    "top1": fraction(
        "top-1", "fraction of tested cells whose class is the one called likeliest", deciding=True
    ),
    "top2": fraction(
        "top-2", "fraction of tested cells whose class is one of the two called likeliest"
    ),
    "balanced_accuracy": fraction(
        "balanced accuracy", "fraction of a class's tested cells that are found; mean over classes"
    ),
    "embedding_f1": fraction(
        "macro-F1, embeddings",
        "macro-F1 of classifiers that take embeddings alone, without the profile of activity",
        headline=False,
    ),
    "recall": fraction(
        "recall",
        "fraction of a class's tested cells that are found",
        headline=False,
        may_be_constant=False,  # of a class that is never found, or always
    ),
}


class Identity(Experiment):
    """The experiment on the identity of cells; see ``docs/identity.md``.

    Args:
        config: Settings.
    """

    kind: ClassVar[str] = "identity"
    settings: ClassVar[type[IdentityConfig]] = IdentityConfig
    metrics: ClassVar[Mapping[str, Metric]] = METRICS
    page: ClassVar[str | None] = "neuroblend.report.identity.page:page"
    split_type = NeuronSplit

    def load(self, source: str | Path) -> Cells:
        sessions = chosen_sessions(self.config.with_source(source), again=True)
        cells = cells_of(sessions, self.config)
        if not sessions[0].behavior_names:
            raise InputError(
                f"{source}: no behavior, so there is nothing for a teacher to know; sessions need "
                "'behavior' (frame, channel) beside 'activity'"
            )
        radius = self.config.model.settings.get("radius", RADIUS)
        notes = notes_on_behavior(sessions)
        if isinstance(radius, (int, float)):
            notes += notes_on_sessions(sessions, float(radius))
        return replace(cells, notes=(*cells.notes, *notes))

    def sessions(self) -> list[CalciumSession]:
        return chosen_sessions(self.config)

    def save(self, data: Cells, folder: Path) -> None:
        write_json(folder / "cells.json", asdict(data))

    def reload(self, folder: Path) -> Cells:
        return Cells.from_json(read_json(folder / "cells.json"))

    def data_hash(self, data: Cells) -> str:
        return content_hash(self.sessions())

    def data_facts(self, data: Cells) -> dict[str, Any]:
        sessions = self.sessions()
        return {
            "source": self.config.data.source,
            "sessions": {
                session.name: {
                    "animal": session.animal,
                    "n_frames": session.n_frames,
                    "n_neurons": session.n_neurons,
                    "frame_s": round(session.frame_s, 6),
                }
                for session in sessions
            },
            "behavior": list(sessions[0].behavior_names),
            "window": self.config.data.window or usual_window(sessions),
            "notes": list(data.notes),
        }

    def n_resampled(self, data: Cells) -> int:
        return int(data.drawn.max()) + 1

    def splits(self, data: Cells) -> list[NeuronSplit]:
        labels, names = data.labels[data.kinds[0]], list(data.names)
        animals = dict(zip(data.names, data.animals, strict=True))
        seeds, given = self.config.all_seeds, self.config.data
        if given.animals:
            return [s for seed in seeds for s in split_animals(labels, names, seed, animals)]
        return [split_neurons(labels, names, seed, given.test_fraction, animals) for seed in seeds]

    def arms(self) -> list[Arm]:
        arms = usual_arms(self.config.distill.strategies, CELL_STRATEGIES)
        for name in self.config.references:
            if name not in CELL_REFERENCES:
                raise InputError(f"unknown reference '{name}': {nearest(name, CELL_REFERENCES)}")
            sees = CELL_REFERENCES[name].sees_behavior
            arms.append(Arm(name, sees_behavior=sees, candidate=not sees, is_reference=True))
        rivals = tuple(arm.name for arm in arms if arm.is_reference and arm.candidate)
        return [
            _against(arm, rivals) if arm.candidate or arm.name == BASELINE else arm for arm in arms
        ]

    def task(self, data: Cells, split: NeuronSplit) -> CellTask:
        return CellTask.of(self.sessions(), split.tested, self.config.data.window)

    def check(self, task: CellTask) -> None:
        _check_settings(self.config)
        arms = {arm.name: arm for arm in self.arms()}
        for name in (TEACHER, BASELINE):
            try:
                model = self.build(arms[name], task, 0)
                assert model is not None
                mask_for(self.config.training, model.net)
                with torch.no_grad():
                    model(task.example())
            except InputError:
                raise
            except (TypeError, ValueError, RuntimeError) as error:  # a setting of another type
                why = (str(error).splitlines() or [""])[0]
                raise InputError(f"neuprint: {type(error).__name__}: {why}") from error
        for arm in arms.values():
            if any(":" in term for term in arm.terms):  # a strategy of the user's own
                student, teacher = self.build(arm, task, 0), self.build(arms[TEACHER], task, 0)
                assert isinstance(student, Student) and isinstance(teacher, Teacher)
                taught_by = teacher if arm.needs_teacher else None
                objective = self.objective(arm, student, task, taught_by)
                mask = mask_for(self.config.training, student.net)
                check_objective(objective, student, mask(task.example().take(slice(2)), 0))

    def build(self, arm: Arm, task: CellTask, seed: int) -> Student | Teacher | None:
        reference = CELL_REFERENCES.get(arm.name) if arm.is_reference else None
        if reference is not None and not reference.has_network:
            return None
        settings = {"dynamics": self.config.model.dynamics} | self.config.model.settings
        if reference is not None:
            settings |= PUBLISHED
        with torch.random.fork_rng():
            torch.manual_seed(mixed_seed(seed, 22 if arm.sees_behavior else 21))
            if not arm.sees_behavior:
                return Student(NeuPRINT(task.spec, **settings), on_cells)
            fusion = PopulationState(len(task.behavior_names), task.gaps)
            spec = replace(task.spec, n_behavior=fusion.n_channels)
            return Teacher(NeuPRINT(spec, **settings), fusion)

    def objective(
        self, arm: Arm, model: Student | Teacher, task: CellTask, teacher: Teacher | None
    ) -> Objective:
        distill = self.config.distill
        terms = build_terms("+".join(arm.terms), LAYER, known=CELL_STRATEGIES)
        weights = {MULTITASK: distill.multitask_weight} if MULTITASK in terms else None
        return Objective(terms, teacher, distill.alpha, weights, task_loss=squared_error)

    def score(self, scene: Scene, model: Student | Teacher | None) -> dict[str, Any]:
        config, task = self.config, scene.task
        stored: dict[str, Any] = {}
        if model is None:
            vectors = measured(scene, self.sessions())
            is_embedding = scene.fit.arm.name == CONTRASTIVE
        else:
            stored["state_r2"] = state_r2(model, task)
            model.to(own_device(as_device(config.training.accelerator)))
            mask, given = mask_for(config.training, model.net), config.embedding
            vectors = fresh_embeddings(model, task, scene.seed, given.epochs, given.lr, mask=mask)
            is_embedding = True
        stored["ablation"] = ablated(vectors, scene, config)
        write_whole(scene.out / "vectors.h5", lambda file: _save_vectors(file, vectors))
        described = {"": vectors}
        if is_embedding:
            described = descriptions(vectors, profiles(task, self.sessions()))
        return stored | classified(described, scene, config)

    def select(self, valid: Mapping[str, Mapping[str, float]], candidates: list[str]) -> str:
        """Choose an arm by the mean validation scores of the deciding kind of label.

        Simplest first: what needs no network, then networks without behavior, then what learned
        from behavior. An arm is chosen over all that is simpler only where it validates better by
        more than the standard error of such a score.
        """

        def reached(arm: str) -> float:
            return next(iter(valid[arm].values()))

        def error(arm: str) -> float:
            return next((v for name, v in valid[arm].items() if name.endswith("/error")), 0.0)

        plain = [name for name in candidates if name in NO_NETWORK]
        blind = [name for name in candidates if name in CELL_REFERENCES and name not in plain]
        taught = [name for name in candidates if name not in CELL_REFERENCES]
        chosen, simpler = "", list[str]()
        for rung in (plain, blind, taught):
            best = max(rung, key=reached, default="")
            if best and (not simpler or reached(best) > max(map(reached, simpler)) + error(best)):
                chosen = best
            simpler += rung
        return chosen

    def samples(self, folder: Fits, draws: Draws) -> dict[str, list[dict[str, Sample]]]:
        cells: Cells = folder.data()
        by_arm: dict[str, dict[int, list[Fit]]] = {}
        for fit in folder.fits():
            by_arm.setdefault(fit.arm.name, {}).setdefault(fit.seed, []).append(fit)
        return {
            arm: [
                {
                    cells.prefix(kind) + name: sample
                    for kind in cells.kinds
                    for name, sample in _samples(folder, cells, kind, seed, fits, draws).items()
                }
                for seed, fits in by_seed.items()
            ]
            for arm, by_seed in by_arm.items()
        }

    def summary(self, folder: Fits) -> dict[str, Any]:
        cells: Cells = folder.data()
        by_arm: dict[str, list[dict[str, Any]]] = {}
        for fit in folder.fits():
            by_arm.setdefault(fit.arm.name, []).append(folder.scores(fit))
        labels = {kind: cells.labelled(kind)[1].tolist() for kind in cells.kinds}
        return {
            "animals": sorted({s.animal for s in folder.splits() if s.animal is not None}),
            "labels": {
                kind: {
                    "classes": dict(sorted(Counter(found).items())),
                    "majority_rate": majority_rate(found),
                }
                for kind, found in labels.items()
            },
            "state_r2": {
                arm: _means([stored.get("state_r2", {}) for stored in each])
                for arm, each in by_arm.items()
            },
            "ablation": {
                arm: _mean_ablation([stored["ablation"] for stored in each])
                for arm, each in by_arm.items()
            },
        }


def _against(arm: Arm, rivals: tuple[str, ...]) -> Arm:
    """Return an arm that is compared with what needs neither teacher nor behavior, too."""
    others = tuple(name for name in rivals if name != arm.name)
    return replace(arm, compared_with=(*arm.compared_with, *others))


def _check_settings(config: IdentityConfig) -> None:
    if "dynamics" in config.model.settings:
        raise InputError("model.settings.dynamics: give it as model.dynamics, or --dynamics")
    builders = (NeuPRINT, DYNAMICS.get(config.model.dynamics, NeuPRINT))
    taken = {name: None for builder in builders for name in inspect.signature(builder).parameters}
    known = [name for name in taken if name not in ("spec", "dynamics", "n_own", "settings")]
    for key in config.model.settings:
        if key not in known:
            raise InputError(f"neuprint has no setting '{key}': {nearest(key, known)}")


def _samples(
    folder: Fits, cells: Cells, kind: str, seed: int, fits: list[Fit], draws: Draws
) -> dict[str, Sample]:
    """Return the scores of one seed of an arm for one kind of label."""
    rows, _ = cells.labelled(kind)
    told = Classified.joined([Classified.load(folder.of(fit) / f"{kind}.h5") for fit in fits])
    rng = np.random.default_rng([seed, 51])
    shuffled = [told.scores(truth=rng.permutation(told.truth)) for _ in range(N_SHUFFLES)]
    drawn = told.scores(draws.trials[:, cells.drawn[rows[told.index]]])
    return {
        name: Sample(
            float(value[0]), drawn[name], float(np.mean([each[name][0] for each in shuffled]))
        )
        for name, value in told.scores().items()
    }


def _means(found: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each number over the fits that have it."""
    names = dict.fromkeys(name for each in found for name in each)
    return {name: float(np.mean([each[name] for each in found if name in each])) for name in names}


def _mean_ablation(found: list[dict[str, Any]]) -> dict[str, Any]:
    whole = _means([{key: each[key] for key in ("full", "without_all")} for each in found])
    return {**whole, "without": _means([each["without"] for each in found])}


def _save_vectors(file: Path, vectors: NDArray[np.float32]) -> None:
    with new_h5(file) as out:
        out["vectors"] = vectors
