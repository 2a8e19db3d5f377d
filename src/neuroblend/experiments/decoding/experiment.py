"""Decoding: rates and behavior from spikes alone, by students that learned from behavior."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neuroblend.data.channel import Channel
from neuroblend.data.pairing import leave_paired
from neuroblend.data.split import Split, split_trials
from neuroblend.data.trials import Trials
from neuroblend.deploy.direct import DirectDecoder
from neuroblend.distill.committee import Committee
from neuroblend.distill.objective import Objective
from neuroblend.engine.arm import TEACHER, Arm
from neuroblend.engine.check import check_objective
from neuroblend.engine.experiment import Experiment, Fits, Learn, Sample, Scene
from neuroblend.engine.metric import Metric
from neuroblend.evaluation.behavior_sums import deciding_score, is_plain
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.evaluation.readout import CAUSAL_FAMILIES, FAMILIES
from neuroblend.evaluation.score import (
    score_model,
    score_rates,
    score_signals,
    scores_on_test,
)
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.apply import taken_home
from neuroblend.experiments.decoding.arms import arms_of
from neuroblend.experiments.decoding.direct import BehaviorTask
from neuroblend.experiments.decoding.load import content_hash, prepared
from neuroblend.experiments.decoding.metrics import METRICS
from neuroblend.experiments.decoding.networks import (
    build_blind_teacher,
    build_direct,
    build_reference,
    build_student,
    build_teacher,
    check_causal,
    check_network,
    in_blocks,
    layer_of,
)
from neuroblend.experiments.decoding.objective import objective_of
from neuroblend.experiments.decoding.presets import with_preset
from neuroblend.experiments.decoding.rivals import rival_signals, segments_of
from neuroblend.experiments.decoding.samples import ORACLE, samples_of_seed
from neuroblend.experiments.decoding.selection import best_at
from neuroblend.experiments.decoding.settings import (
    BLIND,
    DIRECT,
    KALMAN,
    LOGISTIC,
    ONE_NETWORK,
    RIVALS,
    SHUFFLED,
    SHUFFLED_TEACHER,
    TEACHERS,
    WIENER,
    RunConfig,
    of_benchmark,
)
from neuroblend.experiments.decoding.shuffled import ShuffledTask
from neuroblend.experiments.decoding.teaching import TeacherTask, taught_to
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.task.task import Task
from neuroblend.training.masking import mask_for
from neuroblend.training.train import Trainable


class Decoding(Experiment):
    """The experiment of the Neural Latents Benchmark, on any recording.

    Args:
        config: Settings; bin width and forward bins of a benchmark dataset and the settings of a
            preset are filled in.

    Raises:
        InputError: There is no such dataset or preset.
    """

    kind: ClassVar[str] = "decoding"
    settings: ClassVar[type[RunConfig]] = RunConfig
    metrics: ClassVar[Mapping[str, Metric]] = METRICS
    page: ClassVar[str | None] = "neuroblend.report.decoding.page:page"
    split_type = Split
    has_order = True

    def __init__(self, config: RunConfig) -> None:
        self.config = with_preset(of_benchmark(config))

    def load(self, source: str | Path | Trials) -> Trials:
        return prepared(source, self.config)

    def of(self, data: Trials) -> "Decoding":
        return Decoding(self.config.of_channels(data.channels))

    def save(self, data: Trials, folder: Path) -> None:
        data.save(folder / "trials.h5")

    def reload(self, folder: Path) -> Trials:
        return Trials.load(folder / "trials.h5")

    def data_hash(self, data: Trials) -> str:
        return content_hash(data)

    def data_facts(self, data: Trials) -> dict[str, Any]:
        return {
            "name": data.name,
            "source": self.config.data.source,
            "n_trials": data.n_trials,
            "n_bins": data.n_bins,
            "n_neurons": data.n_neurons,
            "behavior": list(data.behavior_names),
            "kinds": dict(self.config.data.kinds),
            "bin_s": data.bin_s,
            "median_rate_hz": round(float(np.median(data.rate_hz)), 3),
            "n_conditions": 0 if data.condition is None else len(set(data.condition)),
            "simulated": data.rates is not None,
            "notes": [*data.notes, *self.left_out()],
        }

    def left_out(self) -> list[str]:
        """Return what of behavior, and which arms, settings leave out, in sentences."""
        fraction, found = self.config.data.paired_fraction, []
        if fraction != 1:
            found.append(
                f"{100 * fraction:g} % of the training trials with behavior kept it, drawn by "
                "seed; students train on the others without a teacher."
            )
        if KALMAN in RIVALS[self.config.controls] and KALMAN not in self.config.rivals:
            found.append(
                "kalman is left out: it is for behavior that is continuous in each bin alone."
            )
        return found

    def n_resampled(self, data: Trials) -> int:
        return data.n_trials

    def splits(self, data: Trials) -> list[Split]:
        given = self.config.data
        return [
            split_trials(
                data, seed, given.held_out, given.forward_bins, fold, given.folds, given.blocks
            )
            for seed in self.config.all_seeds
            for fold in self.config.all_folds
        ]

    def arms(self) -> list[Arm]:
        return arms_of(self.config)

    def task(self, data: Trials, split: Split) -> Task:
        return Task.of(leave_paired(data, split, self.config.data.paired_fraction), split)

    def check(self, task: Task) -> None:
        check_network(self.config, task)
        for arm in self.arms():
            calls_again = ":" in self.config.model.name and set(arm.terms) & set(ONE_NETWORK)
            if calls_again or any(":" in term for term in arm.terms):
                student, batch = build_student(self.config, task, 0), task.batch("train")
                teacher = build_teacher(self.config, task, 0) if arm.needs_teacher else None
                objective = self.objective(arm, student, task, teacher)
                mask = mask_for(self.config.training, student.net)
                check_objective(objective, student, mask(batch.take(slice(2)), 0))

    def trains_on(self, arm: Arm, task: Task) -> Trainable:
        if arm.name == DIRECT:
            return BehaviorTask(task)
        part: Trainable = task
        if arm.name in (SHUFFLED, SHUFFLED_TEACHER):
            part = ShuffledTask(task, task.split.seed)
        if arm.name in TEACHERS:
            part = TeacherTask(part, sees_all=self.config.teacher.sees == "all")
        return part

    def build(self, arm: Arm, task: Task, seed: int) -> Student | Teacher | None:
        if arm.name in (WIENER, KALMAN, LOGISTIC):
            return None
        if arm.is_reference and arm.name != DIRECT:
            return build_reference(arm.name, task, self.config.model.causal)
        makers: dict[str, Callable[[RunConfig, Task, int], Student | Teacher]] = {
            TEACHER: build_teacher,
            SHUFFLED_TEACHER: build_teacher,
            BLIND: build_blind_teacher,
            DIRECT: build_direct,
        }
        return makers.get(arm.name, build_student)(self.config, task, seed)

    def trained(
        self, arm: Arm, model: Any, task: Task, teacher: Teacher | None, learn: Learn
    ) -> pd.DataFrame:
        committee = model.net
        if not isinstance(committee, Committee):
            return super().trained(arm, model, task, teacher, learn)
        part, histories = self.trains_on(arm, task), []
        n_members, left_out = len(committee.members), committee.left_out
        for i, member in enumerate(committee.members):
            assert isinstance(member, Teacher)
            own = part
            if left_out is not None:
                own = TeacherTask(
                    part, trials=taught_to(task, left_out.cpu(), i, in_blocks(self.config, task))
                )
            objective = self.objective(arm, member, task, None)
            histories.append(learn(member, own, objective, i, n_members))
        committee.align(part.example())
        return pd.concat(histories).groupby("epoch", as_index=False).mean()

    def objective(
        self, arm: Arm, model: Student | Teacher, task: Task, teacher: Teacher | None
    ) -> Objective:
        return objective_of(self.config, arm, model, task, teacher)

    def score(self, scene: Scene, model: Student | Teacher | None) -> dict[str, Any]:
        task: Task = scene.task
        arm = scene.fit.arm
        if self.config.model.causal and isinstance(model, Student):
            is_direct = isinstance(model.net, DirectDecoder)
            layers = [] if is_direct else [layer_of(self.config, arm, model)]
            check_causal(f"{arm.name}, trained", model, task.spec, layers)
        if arm.name in RIVALS["all"]:
            batch = task.batch_of(np.arange(task.trials.n_trials))
            signals = rival_signals(arm.name, model, task, batch, self.config.model.causal)
            families, segments = self.families(arm), segments_of(arm.name)
            scored, valid = score_signals(signals, task, families, segments)
        else:
            assert model is not None
            layer = layer_of(self.config, arm, model)
            scored, valid = score_model(model, task, layer, self.families(arm))
            if arm.name in TEACHERS and self.config.teacher.sees == "all":
                scored = replace(scored, held_out=None)  # it sees them
                valid.pop("co_bps", None)
        scored.save(scene.out / "test.h5")
        test = scores_on_test([scored], scene.data.channels)
        return {"test": test, "valid": valid, "readout": " of ".join(scored.readout[::-1])}

    def samples(self, folder: Fits, draws: Draws) -> dict[str, list[dict[str, Sample]]]:
        trials: Trials = folder.data()
        scored: dict[str, dict[int, list[Scored]]] = {}
        for fit in folder.fits():
            of_seed = scored.setdefault(fit.arm.name, {}).setdefault(fit.seed, [])
            of_seed.append(Scored.load(folder.of(fit) / "test.h5"))
        if trials.rates is not None:
            for split in folder.splits():
                of_seed = scored.setdefault(ORACLE, {}).setdefault(split.seed, [])
                task = self.task(trials, split)
                of_seed.append(score_rates(trials.rates, task, families=self.families())[0])
        return {
            arm: [
                samples_of_seed(folds, trials.channels, draws, len(by_seed) == 1)
                for folds in by_seed.values()
            ]
            for arm, by_seed in scored.items()
        }

    def summary(self, folder: Fits) -> dict[str, Any]:
        readouts: dict[str, list[str]] = {}
        for fit in folder.fits():
            readouts.setdefault(fit.arm.name, []).append(folder.scores(fit)["readout"])
        channels: Sequence[Channel] = folder.data().channels
        decides = deciding_score(channels)
        kinds = {} if is_plain(channels) else {"channels": [vars(c) for c in channels]}
        return {
            "bin_s": folder.data().bin_s,
            "folds": self.config.data.folds,
            "deciding": ["co_bps" if self.config.goal == "co-bps" else decides],
            "keeps": ["co_bps"] if self.config.goal == "both" else [],
            "causal": self.config.model.causal,
            **kinds,
            "readouts": {arm: dict(Counter(names)) for arm, names in readouts.items()},
        }

    def families(self, arm: Arm | None = None) -> tuple[str, ...]:
        """Return the read-outs of an arm, of a causal run without future unless it is a teacher."""
        is_teacher = arm is not None and (arm.sees_behavior or arm.name == BLIND)
        return CAUSAL_FAMILIES if self.config.model.causal and not is_teacher else FAMILIES

    take_home = staticmethod(taken_home)

    def select(self, valid: Mapping[str, Mapping[str, float]], candidates: list[str]) -> str:
        """Choose the candidate that is best at the run's goal; see :func:`best_at`."""
        return best_at(self.config.goal, valid, candidates)
