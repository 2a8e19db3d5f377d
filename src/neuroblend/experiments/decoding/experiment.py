"""Decoding: rates and behavior from spikes alone, by students that learned from behavior."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from neuroblend.data.split import Split, split_trials
from neuroblend.data.trials import Trials
from neuroblend.distill.objective import Objective
from neuroblend.distill.terms import build_terms
from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER, Arm, usual_arms
from neuroblend.engine.check import check_objective
from neuroblend.engine.experiment import Experiment, Fits, Sample, Scene
from neuroblend.engine.metric import Metric
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.evaluation.score import drawn_scores, score_model, score_rates, scores_on_test
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.load import content_hash, prepared
from neuroblend.experiments.decoding.networks import (
    build_reference,
    build_student,
    build_teacher,
    check_network,
    feature_layer,
)
from neuroblend.experiments.decoding.presets import with_preset
from neuroblend.experiments.decoding.settings import RunConfig, of_benchmark
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import STRATEGIES, find_reference
from neuroblend.task.task import Task
from neuroblend.training.masking import mask_for

ORACLE = "oracle"  # of simulated recordings: the true rates, scored like a model's
CO_BPS_TOLERANCE = 0.02  # fraction of the baseline's co-bps on validation trials to lose at most

METRICS = {
    "behavior_r2": Metric(
        "behavior R²",
        "fraction of the variance of behavior, mean over channels, that a ridge regression fitted "
        "on training trials decodes from a model's rates on test trials",
        deciding=True,
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
    "psth_r2": Metric(
        "PSTH R²",
        "match of the rates' condition means to those of all recorded trials, mean over neurons",
    ),
    "rate_r2": Metric(
        "R² to true rates",
        "fraction of the variance of the true rates, mean over neurons; for simulated data alone",
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

    def __init__(self, config: RunConfig) -> None:
        self.config = with_preset(of_benchmark(config))

    def load(self, source: str | Path | Trials) -> Trials:
        return prepared(source, self.config)

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
            "bin_s": data.bin_s,
            "median_rate_hz": round(float(np.median(data.rate_hz)), 3),
            "n_conditions": 0 if data.condition is None else len(set(data.condition)),
            "simulated": data.rates is not None,
            "notes": list(data.notes),
        }

    def n_resampled(self, data: Trials) -> int:
        return data.n_trials

    def splits(self, data: Trials) -> list[Split]:
        given = self.config.data
        return [
            split_trials(data, seed, given.held_out, given.forward_bins, fold, given.folds)
            for seed in self.config.all_seeds
            for fold in self.config.all_folds
        ]

    def arms(self) -> list[Arm]:
        references = [Arm(name, is_reference=True) for name in self.config.references]
        for arm in references:
            find_reference(arm.name)
        return usual_arms(self.config.distill.strategies, STRATEGIES) + references

    def task(self, data: Trials, split: Split) -> Task:
        return Task.of(data, split)

    def check(self, task: Task) -> None:
        check_network(self.config, task)
        for arm in self.arms():
            if any(":" in term for term in arm.terms):
                student, batch = build_student(self.config, task, 0), task.batch("train")
                teacher = build_teacher(self.config, task, 0) if arm.needs_teacher else None
                objective = self.objective(arm, student, task, teacher)
                mask = mask_for(self.config.training, student.net)
                check_objective(objective, student, mask(batch.take(slice(2)), 0))

    def build(self, arm: Arm, task: Task, seed: int) -> Student | Teacher:
        if arm.is_reference:
            return build_reference(arm.name, task)
        make = build_teacher if arm.name == TEACHER else build_student
        return make(self.config, task, seed)

    def objective(
        self, arm: Arm, model: Student | Teacher, task: Task, teacher: Teacher | None
    ) -> Objective:
        distill = self.config.distill
        layer = feature_layer(self.config.model, model.net)
        terms = build_terms("+".join(arm.terms), layer, distill.normalisation)
        weights = {MULTITASK: distill.multitask_weight} if MULTITASK in terms else None
        counts = 1.0 if distill.normalisation == "released" else task.spec.mean_count
        return Objective(terms, teacher, distill.alpha, weights, counts, distill.cache_teacher)

    def score(self, scene: Scene, model: Student | Teacher | None) -> dict[str, Any]:
        assert model is not None
        scored, valid = score_model(model, scene.task)
        scored.save(scene.out / "test.h5")
        return {"test": scores_on_test([scored], scene.data.behavior_names), "valid": valid}

    def samples(self, folder: Fits, draws: Draws) -> dict[str, list[dict[str, Sample]]]:
        trials: Trials = folder.data()
        scored: dict[str, dict[int, list[Scored]]] = {}
        for fit in folder.fits():
            of_seed = scored.setdefault(fit.arm.name, {}).setdefault(fit.seed, [])
            of_seed.append(Scored.load(folder.of(fit) / "test.h5"))
        if trials.rates is not None:
            for split in folder.splits():
                of_seed = scored.setdefault(ORACLE, {}).setdefault(split.seed, [])
                of_seed.append(score_rates(trials.rates, Task.of(trials, split))[0])
        return {
            arm: [_samples(folds, trials.behavior_names, draws) for folds in by_seed.values()]
            for arm, by_seed in scored.items()
        }

    def summary(self, folder: Fits) -> dict[str, Any]:
        return {"bin_s": folder.data().bin_s, "folds": self.config.data.folds}

    def select(self, valid: Mapping[str, Mapping[str, float]], candidates: list[str]) -> str:
        """Choose the candidate that decodes behavior best and keeps the baseline's co-bps.

        To within ``CO_BPS_TOLERANCE`` of it; where none does, the one that keeps most of it.
        """

        def kept(arm: str) -> float:
            base = valid[BASELINE].get("co_bps", 0.0)
            return valid[arm].get("co_bps", 0.0) - base + CO_BPS_TOLERANCE * abs(base)

        fair = [arm for arm in candidates if kept(arm) >= 0]
        if fair:
            return max(fair, key=lambda arm: valid[arm]["behavior_r2"])
        return max(candidates, key=kept)


def _samples(folds: list[Scored], channels: tuple[str, ...], draws: Draws) -> dict[str, Sample]:
    drawn = drawn_scores(folds, channels, draws)
    return {
        name: Sample(value, drawn[name]) for name, value in scores_on_test(folds, channels).items()
    }
