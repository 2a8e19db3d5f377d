"""Decoding in several sessions: one network, scored in each and on average.

Everything that concerns one session is done by :class:`Decoding`, with the model as that session
has it.

Shape legend: ``S`` sessions, ``R`` replicates, ``K`` folds.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neuroblend.data.session_split import SessionsSplit
from neuroblend.data.sessions import Sessions, index_of
from neuroblend.data.trials import Trials
from neuroblend.distill.committee import Committee
from neuroblend.distill.objective import Objective
from neuroblend.engine.arm import BASELINE, MULTITASK, Arm
from neuroblend.engine.experiment import Experiment, Fits, Folds, Learn, Sample, Scene
from neuroblend.engine.metric import Metric
from neuroblend.errors import InputError
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.experiments.decoding.apply import WITHOUT_NETWORK, taken_home
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.decoding.load import content_hash, prepared
from neuroblend.experiments.decoding.metrics import METRICS
from neuroblend.experiments.decoding.sessions.folder import OneFolder
from neuroblend.experiments.decoding.sessions.networks import (
    ALONE,
    build_alone,
    build_joint,
    check_joint,
    in_session,
    is_alone,
)
from neuroblend.experiments.decoding.sessions.settings import SessionsConfig
from neuroblend.experiments.decoding.settings import DIRECT, ONE_NETWORK
from neuroblend.files import errors_of
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.task.sessions import SessionsTask
from neuroblend.training.train import Trainable


class DecodingSessions(Experiment):
    """The experiment of :class:`Decoding` on several sessions of one task.

    Args:
        config: Settings; see :class:`Decoding`.
    """

    kind: ClassVar[str] = "sessions"
    settings: ClassVar[type[SessionsConfig]] = SessionsConfig
    metrics: ClassVar[Mapping[str, Metric]] = METRICS
    page: ClassVar[str | None] = "neuroblend.report.decoding.sessions:page"
    split_type = SessionsSplit
    has_order = True

    def __init__(self, config: SessionsConfig) -> None:
        self.one = Decoding(config)
        self.config = self.one.config

    def load(self, source: Sequence[str | Path | Trials]) -> Sessions:
        recordings = []
        for each, name in zip(source, self.config.data.sources, strict=True):
            with errors_of(each.name if isinstance(each, Trials) else name):
                recordings.append(prepared(each, self.config))
        sessions = Sessions.of(recordings)
        self._held_out(sessions.names)
        return sessions

    def of(self, data: Sessions) -> "DecodingSessions":
        return type(self)(self.config.of_channels(data.channels))

    def save(self, data: Sessions, folder: Path) -> None:
        data.save(folder)

    def reload(self, folder: Path) -> Sessions:
        return Sessions.load(folder)

    def data_hash(self, data: Sessions) -> str:
        each = "".join(content_hash(trials) for trials in data)
        return f"sha256:{hashlib.sha256(each.encode()).hexdigest()}"

    def data_facts(self, data: Sessions) -> dict[str, Any]:
        facts = [self.one.data_facts(trials) for trials in data]
        kept = ("n_trials", "n_bins", "n_neurons", "median_rate_hz", "n_conditions")
        return {
            "name": data.name,
            "sources": list(self.config.data.sources),
            "sessions": {
                name: {key: of_one[key] for key in kept if key in of_one}
                for name, of_one in zip(data.names, facts, strict=True)
            },
            "behavior": list(data.behavior_names),
            "bin_s": data.bin_s,
            "simulated": data.rates is not None,
            "notes": [*data.notes, *self.one.left_out(), *self._left_out()],
        }

    def _left_out(self) -> list[str]:
        gone = sorted({arm.name for arm in self.one.arms()} - {arm.name for arm in self.arms()})
        verb = "is" if len(gone) == 1 else "are"
        return [f"{', '.join(gone)} {verb} left out: not for several sessions."] if gone else []

    def n_resampled(self, data: Sessions) -> int:
        return data.n_trials

    def splits(self, data: Sessions) -> list[SessionsSplit]:
        of_each = []
        for name, trials in zip(data.names, data, strict=True):
            with errors_of(name):
                of_each.append(self.one.splits(trials))
        held_out = self._held_out(data.names)
        learned = tuple(s for s in range(len(data)) if s not in held_out)
        return [SessionsSplit(parts, data.names, learned) for parts in zip(*of_each, strict=True)]

    def arms(self) -> list[Arm]:
        found = self.one.arms()
        gone = [arm.name for arm in found if set(arm.terms) & set(ONE_NETWORK)]
        arms = []
        for arm in found:
            others = tuple(name for name in arm.compared_with if name not in gone)
            if self.config.trains_alone and arm.candidate:
                others = (*others, *([ALONE[arm.name]] if arm.name in ALONE else ALONE.values()))
            arms.append(replace(arm, compared_with=others))
        arms = [arm for arm in arms if arm.name not in gone]
        if self.config.trains_alone:
            arms += [Arm(ALONE[BASELINE]), Arm(ALONE[MULTITASK], (MULTITASK,))]
        return arms

    def task(self, data: Sessions, split: SessionsSplit) -> SessionsTask:
        tasks = []
        for name, trials, part in zip(data.names, data, split.parts, strict=True):
            with errors_of(name):
                tasks.append(self.one.task(trials, part))
        return SessionsTask.of(tasks, split, self.config.model.core_width)

    def check(self, task: SessionsTask) -> None:
        self.one.check(task.tasks[task.learned[0]])
        check_joint(self.config, self.arms(), task)

    def trains_on(self, arm: Arm, task: SessionsTask) -> SessionsTask:
        return task.mapped(partial(self.one.trains_on, arm))

    def build(self, arm: Arm, task: SessionsTask, seed: int) -> Student | Teacher | None:
        if arm.is_reference and arm.name != DIRECT:  # fitted to each session when it is scored
            return None
        if is_alone(arm):
            return build_alone(self.config, task, seed)
        model: Student | Teacher = build_joint(self.config, arm, task, seed)
        return model

    def objective(
        self, arm: Arm, model: Student | Teacher, task: Any, teacher: Teacher | None
    ) -> Objective:
        return self.one.objective(arm, model, task, teacher)

    def trained(
        self, arm: Arm, model: Any, task: SessionsTask, teacher: Teacher | None, learn: Learn
    ) -> pd.DataFrame:
        part = self.trains_on(arm, task)
        held_out = [s for s in range(len(task.tasks)) if s not in task.learned]
        steps: list[tuple[Any, Trainable, Objective, int | None]] = []
        if is_alone(arm):
            for one, net in zip(task.tasks, model.net.nets, strict=True):
                student = Student(net)
                steps.append((student, one, self.objective(arm, student, one, None), None))
        else:
            members = [model]
            if isinstance(model.net, Committee):
                members = list(model.net.members)
            for member in members:
                steps.append((member, part, self.objective(arm, member, task, teacher), None))
                for s in held_out:
                    alone = Objective(counts_per_entry=task.spec.mean_count)
                    if arm.name == DIRECT:
                        alone = self.objective(arm, member, task, None)
                    steps.append((member, part.only(s), alone, s))
        histories = []
        for i, (trained, on, objective, session) in enumerate(steps):
            if session is not None:
                trained.requires_grad_(False)
                trained.net.only(session)
            histories.append(learn(trained, on, objective, i, len(steps)))
            trained.requires_grad_(True)
        if len(histories) == 1:
            return histories[0]
        return pd.concat(histories).groupby("epoch", as_index=False).mean()

    def score(self, scene: Scene, model: Student | Teacher | None) -> dict[str, Any]:
        task: SessionsTask = scene.task
        arm, found = scene.fit.arm, {}
        for s, (name, one) in enumerate(zip(task.split.names, task.tasks, strict=True)):
            out = scene.out / name
            out.mkdir(exist_ok=True)
            own = None
            if arm.name not in WITHOUT_NETWORK:
                own = in_session(self.config, arm, model, task, s)
            at = replace(scene, data=one.trials, split=one.split, task=one, out=out)
            found[name] = self.one.score(at, own)
        tested = [task.split.names[s] for s in task.split.tested]
        pooled = {
            part: _with_mean({name: each[part] for name, each in found.items()}, tested)
            for part in ("test", "valid")
        }
        return {**pooled, "sessions": found}

    def samples(self, folder: Fits, draws: Draws) -> dict[str, list[dict[str, Sample]]]:
        data: Sessions = folder.data()
        tested = [data.names[s] for s in folder.splits()[0].tested]
        of_each = {}
        for s, (name, trials) in enumerate(zip(data.names, data, strict=True)):
            own = Draws.of(trials.n_trials, draws.has_order, len(draws.trials), stream=s)
            of_each[name] = self.one.samples(OneFolder(folder, name), own)
        arms = [arm for arm in of_each[tested[0]] if all(arm in each for each in of_each.values())]
        return {
            arm: [
                _pooled(dict(zip(of_each, by_session, strict=True)), tested)
                for by_session in zip(*(each[arm] for each in of_each.values()), strict=True)
            ]
            for arm in arms
        }

    def summary(self, folder: Fits) -> dict[str, Any]:
        data: Sessions = folder.data()
        split: SessionsSplit = folder.splits()[0]
        of_each = [self.one.summary(OneFolder(folder, name)) for name in data.names]
        readouts: dict[str, Counter[str]] = {}
        for of_one in of_each:
            for arm, names in of_one.get("readouts", {}).items():
                readouts.setdefault(arm, Counter()).update(names)
        tested = [data.names[s] for s in split.tested]
        return {
            **of_each[split.tested[0]],
            "readouts": {arm: dict(names) for arm, names in readouts.items()},
            "sessions": list(data.names),
            "tested_sessions": tested,
            "held_out_sessions": tested if len(split.learned) < len(data) else [],
        }

    take_home = staticmethod(taken_home)

    def select(self, valid: Mapping[str, Mapping[str, float]], candidates: list[str]) -> str:
        return self.one.select(valid, candidates)

    def _held_out(self, names: Sequence[str]) -> list[int]:
        with errors_of("--hold-out-session"):
            found = [index_of(name, names) for name in self.config.data.hold_out_session]
        if len(found) == len(names):
            raise InputError(
                "--hold-out-session: holds out every session, so that there is none to learn from"
            )
        return found


def _with_mean(of_each: Mapping[str, Mapping[str, float]], tested: list[str]) -> dict[str, float]:
    """Return the mean over tested sessions of what all of these have, then that of each session."""
    shared = [name for name in of_each[tested[0]] if all(name in of_each[t] for t in tested)]
    means = {name: float(np.mean([of_each[t][name] for t in tested])) for name in shared}
    return means | {
        f"{name}@{session}": value
        for session, own in of_each.items()
        for name, value in own.items()
    }


def _pooled(of_each: Mapping[str, Mapping[str, Sample]], tested: list[str]) -> dict[str, Sample]:
    """Return the mean over tested sessions of each score, then that of each session.

    Trials are drawn within sessions, each with draws of its own, so that replicates of a mean are
    means of replicates; and so are what folds add to it.
    """
    found = {}
    for name in of_each[tested[0]]:
        if all(name in of_each[t] for t in tested):
            found[name] = _mean_of([of_each[t][name] for t in tested])
    return found | {
        f"{name}@{session}": own for session, each in of_each.items() for name, own in each.items()
    }


def _mean_of(samples: list[Sample]) -> Sample:
    chances = [s.chance for s in samples if s.chance is not None]
    folds = [s.folds for s in samples if s.folds is not None]
    n = len(samples)
    return Sample(
        float(np.mean([s.value for s in samples])),
        np.mean([s.replicates for s in samples], axis=0),
        float(np.mean(chances)) if len(chances) == n else None,
        Folds(
            np.mean([f.values for f in folds], axis=0),
            np.mean([f.replicates for f in folds], axis=0),
        )
        if len(folds) == n
        else None,
    )
