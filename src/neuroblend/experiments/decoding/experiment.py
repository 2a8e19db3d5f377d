"""Decoding: rates and behavior from spikes alone, by students that learned from behavior."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neuroblend.data.channel import Channel
from neuroblend.data.pairing import leave_paired
from neuroblend.data.split import Split, split_trials
from neuroblend.data.trials import Trials
from neuroblend.deploy.direct import DirectDecoder
from neuroblend.deploy.student import TrainedStudent
from neuroblend.distill.behavior_loss import loss_of
from neuroblend.distill.committee import Committee
from neuroblend.distill.objective import Objective
from neuroblend.distill.pair import Fitted
from neuroblend.distill.terms import build_terms
from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER, Arm, usual_arms
from neuroblend.engine.check import check_objective
from neuroblend.engine.experiment import Experiment, Fits, Folds, Learn, Sample, Scene
from neuroblend.engine.metric import Metric
from neuroblend.evaluation.behavior_sums import R2, SKILL, deciding_score, is_plain
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.evaluation.readout import CAUSAL_FAMILIES, FAMILIES
from neuroblend.evaluation.score import (
    chance_of,
    drawn_scores,
    score_model,
    score_rates,
    score_signals,
    scores_by_fold,
    scores_on_test,
)
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.apply import (
    SELECTED,
    TrainedTeacher,
    trained_student,
    trained_teacher,
)
from neuroblend.experiments.decoding.direct import BehaviorTask
from neuroblend.experiments.decoding.load import content_hash, prepared
from neuroblend.experiments.decoding.networks import (
    build_blind_teacher,
    build_direct,
    build_reference,
    build_student,
    build_teacher,
    check_causal,
    check_network,
    feature_layer,
    in_blocks,
    layer_in,
    layer_of,
)
from neuroblend.experiments.decoding.presets import with_preset
from neuroblend.experiments.decoding.rivals import rival_signals, segments_of
from neuroblend.experiments.decoding.settings import (
    BLIND,
    DIRECT,
    KALMAN,
    LOGISTIC,
    ONE_NETWORK,
    RIVALS,
    SELF_DISTILLED,
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
from neuroblend.registry import (
    STRATEGIES,
    Strategy,
    find_model,
    find_reference,
    find_strategies,
    load,
)
from neuroblend.task.task import Task
from neuroblend.training.masking import mask_for
from neuroblend.training.train import Trainable

ORACLE = "oracle"  # of simulated recordings: the true rates, scored like a model's
ONE_NETWORK_WEIGHT = 0.1  # of two-heads and masked-modalities, where none is given
CO_BPS_TOLERANCE = 0.05  # fraction of the baseline's co-bps on validation trials to lose at most
UP_TO_1 = (-inf, 1.0)  # what a coefficient of determination can be
FRACTION = (0.0, 1.0)

METRICS = {
    "decoding_skill": Metric(
        "decoding skill",
        "mean over behavior channels of how much better than chance each is decoded, 0 at chance "
        "and 1 where all is right: R², circular skill, balanced accuracy over chance, or fraction "
        "of Poisson deviance explained",
        deciding=True,
        bounds=UP_TO_1,
    ),
    "balanced_accuracy": Metric(
        "balanced accuracy",
        "mean over categories of the fraction of their test samples that are recognised, by a "
        "logistic regression as it is fitted for R²; chance is one over the number of categories",
        deciding=True,
        bounds=FRACTION,
    ),
    "decoding_r2": Metric(
        "behavior R²",
        "fraction of the variance of behavior, mean over channels, that a ridge regression fitted "
        "on training trials decodes on test trials from a model's rates, log rates or features "
        "(of a rival: what it gives) in the same bin, with history, or with history and future, "
        "whichever validates best",
        deciding=True,
        bounds=UP_TO_1,
    ),
    "circular_skill": Metric(
        "circular skill",
        "one minus the mean of 1 - cos(error) over what the mean direction has, mean over "
        "circular channels, by a ridge regression of cosine and sine",
        bounds=UP_TO_1,
    ),
    "event_bits": Metric(
        "bits/event",
        "bits per event by which expected counts, of a Poisson regression, predict events better "
        "than their mean rate does",
    ),
    "auc": Metric(
        "AUC",
        "area under the ROC curve of channels with two categories; 0.5 is chance",
        bounds=FRACTION,
    ),
    "log_loss_gain": Metric(
        "log-loss gain",
        "bits per sample by which probabilities of categories predict better than how often each "
        "is there",
    ),
    "log_loss_skill": Metric(
        "log-loss skill",
        "the same as a fraction of the entropy of how often each category is there",
        headline=False,
        bounds=UP_TO_1,
    ),
    "angular_error": Metric(
        "angular error",
        "mean absolute error of angles in degrees, lower is better",
        headline=False,
        bounds=(0.0, 180.0),
        higher_is_better=False,
    ),
    "deviance_explained": Metric(
        "deviance explained",
        "fraction of the Poisson deviance from the mean rate of events that is explained",
        headline=False,
        bounds=UP_TO_1,
    ),
    "co_bps": Metric(
        "co-bps",
        "bits per spike by which rates of held-out neurons predict their spikes better than each "
        "neuron's mean does",
    ),
    "fp_bps": Metric(
        "fp-bps",
        "bits per spike by which rates of all neurons, in bins after the last one that a model "
        "sees, predict spikes better than each neuron's mean does",
    ),
    "behavior_r2": Metric(
        "same-bin R²",
        "the same from the same bin alone, as the Neural Latents Benchmark has it",
        bounds=UP_TO_1,
    ),
    "psth_r2": Metric(
        "PSTH R²",
        "match of the rates' condition means to those of all recorded trials, mean over neurons",
        bounds=UP_TO_1,
    ),
    "rate_r2": Metric(
        "R² to true rates",
        "fraction of the variance of the true rates, mean over neurons; for simulated data alone",
        bounds=UP_TO_1,
    ),
}


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
        for name in self.config.references:
            find_reference(name)
        rivals, strategies = self.config.rivals, self.config.distill.strategies
        if self.config.controls == "all":
            strategies = tuple(dict.fromkeys((*strategies, *ONE_NETWORK)))
        without = list[Arm]()
        if self.config.controls == "all":
            without = _without_knowledge(self.config.distill.strategies)
        arms = []
        for arm in usual_arms(strategies, STRATEGIES):
            is_candidate = not arm.sees_behavior  # the baseline too: no student may be worth it
            others = (*arm.compared_with, *rivals) if is_candidate else arm.compared_with
            if arm.needs_teacher:
                others = (*others, *(name for name in ONE_NETWORK if name in strategies))
                others = (*others, *(control.name for control in without if control.needs_teacher))
            arms.append(replace(arm, candidate=is_candidate, compared_with=others))
        arms += without
        names = (*rivals, *self.config.references)
        return arms + [Arm(name, is_reference=True) for name in names]

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
        if arm.name == DIRECT:
            assert task.scale is not None
            return Objective(task_loss=loss_of(task.scale.groups))
        distill = self.config.distill
        layer = feature_layer(self.config.model, model.net)
        guide = None if teacher is None else layer_in(self.config.model, teacher)
        terms = build_terms("+".join(arm.terms), layer, distill.normalisation, guide=guide)
        no_teacher = (MULTITASK, *ONE_NETWORK)
        usual = dict.fromkeys(ONE_NETWORK, ONE_NETWORK_WEIGHT)
        usual[MULTITASK] = find_model(self.config.model.name).multitask_weight
        weights = {n: distill.multitask_weight or usual[n] for n in no_teacher if n in terms}
        counts = 1.0 if distill.normalisation == "released" else task.spec.mean_count
        is_balanced = distill.weighting == "balanced" and distill.normalisation == "element"
        return Objective(
            terms,
            teacher,
            distill.alpha,
            weights,
            counts,
            distill.cache_teacher,
            balance=layer if is_balanced else None,
        )

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

    def take_home(
        self,
        folder: Any,
        arm: str | None,
        seed: int | None,
        fold: int | None = None,
        session: str | None = None,
    ) -> TrainedStudent | TrainedTeacher:
        if arm == TEACHER:
            return trained_teacher(folder, seed, fold, session)
        return trained_student(folder, SELECTED if arm is None else arm, seed, fold, session)

    def select(self, valid: Mapping[str, Mapping[str, float]], candidates: list[str]) -> str:
        """Choose the candidate that is best at the goal, by the mean validation scores of all arms.

        With ``both``, the one that decodes behavior best of those that keep the baseline's co-bps
        to within ``CO_BPS_TOLERANCE`` of it, as the baseline itself does.
        """

        def co_bps(arm: str) -> float:
            return valid[arm].get("co_bps", 0.0)

        def decoding(arm: str) -> float:
            return valid[arm].get(R2, valid[arm].get(SKILL, -inf))

        if self.config.goal == "behavior":
            return max(candidates, key=decoding)
        if self.config.goal == "co-bps":
            return max(candidates, key=co_bps)
        least = co_bps(BASELINE) - CO_BPS_TOLERANCE * abs(co_bps(BASELINE))
        return max((arm for arm in candidates if co_bps(arm) >= least), key=decoding)


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


def samples_of_seed(
    folds: list[Scored], channels: Sequence[Channel], draws: Draws, only_seed: bool
) -> dict[str, Sample]:
    """Return the scores of one seed of an arm, and how its folds differ if it is the only seed."""
    drawn = drawn_scores(folds, channels, draws)
    by_fold = {}
    if only_seed and len(folds) > 1:
        by_fold = scores_by_fold(folds, channels, draws)
    return {
        name: Sample(
            value,
            drawn[name],
            chance_of(folds, channels, name),
            Folds(*by_fold[name]) if name in by_fold else None,
        )
        for name, value in scores_on_test(folds, channels).items()
    }
