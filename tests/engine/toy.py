"""A third experiment, in a file of its own: a linear model and one score."""

import numpy as np
import torch
from conftest import make_trials
from torch import nn

import neuroblend as nb
from neuroblend.config import ExperimentConfig, GuidanceConfig
from neuroblend.data.split import Split
from neuroblend.engine.arm import usual_arms
from neuroblend.engine.experiment import Experiment, Sample
from neuroblend.engine.metric import Metric
from neuroblend.files import read_json, write_json
from neuroblend.privilege.concat import Concat
from neuroblend.registry import STRATEGIES


class ToyConfig(ExperimentConfig):
    kind = "toy:Toy"
    distill: GuidanceConfig = GuidanceConfig(strategies=("hard",))
    training: nb.TrainingConfig = nb.TrainingConfig(epochs=2, accelerator="cpu")


class Toy(Experiment):
    kind, settings, split_type = ToyConfig.kind, ToyConfig, Split
    metrics = {"fit": Metric("fit of counts", "minus the squared error of counts", deciding=True)}

    def load(self, source):
        return make_trials(seed=source)

    def save(self, data, folder):
        data.save(folder / "trials.h5")

    def reload(self, folder):
        return nb.Trials.load(folder / "trials.h5")

    def data_hash(self, data):
        return str(data.spikes.sum())

    def n_resampled(self, data):
        return data.n_trials

    def splits(self, data):
        return [nb.split_trials(data, seed) for seed in self.config.all_seeds]

    def arms(self):
        return usual_arms(self.config.distill.strategies, STRATEGIES)

    def task(self, data, split):
        return nb.Task.of(data, split)

    def build(self, arm, task, seed):
        torch.manual_seed(seed)
        if not arm.sees_behavior:
            return nb.Student(nn.Linear(task.spec.n_in, task.spec.n_out))
        fusion = Concat(task.spec)
        return nb.Teacher(nn.Linear(fusion.spec.n_in, fusion.spec.n_out), fusion)

    def objective(self, arm, model, task, teacher):
        return nb.Objective("+".join(arm.terms), teacher, layer="")

    def score(self, scene, model):
        error = (
            nb.predict(model, scene.task, scene.split.test) - scene.data.spikes[scene.split.test]
        )
        per_trial = np.square(error).mean(axis=(1, 2))
        write_json(scene.out / "errors.json", per_trial.tolist())
        return {"test": {}, "valid": {"fit": -float(per_trial.mean())}}

    def samples(self, folder, draws):
        found = {}
        for fit in folder.fits():
            error = np.array(read_json(folder.of(fit) / "errors.json"))
            weights = draws.trials[:, folder.splits()[fit.seed].test]
            sample = Sample(-error.mean(), -(weights @ error) / weights.sum(axis=1).clip(1))
            found.setdefault(fit.arm.name, []).append({"fit": sample})
        return found
