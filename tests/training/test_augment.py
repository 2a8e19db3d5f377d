"""Input changed at random in training."""

import pytest
import torch
from conftest import make_task, make_trials, refuses, tiny_config, tiny_identity

from neuroblend.config import Augment, TrainingConfig, parse_settings
from neuroblend.models.gru import GRU
from neuroblend.privilege.roles import Student
from neuroblend.training.augment import augmented
from neuroblend.training.train import train


def test_thinned_counts_keep_their_mean_and_are_scaled_whole_numbers() -> None:
    batch = make_task(make_trials(n_trials=200)).batch("train")
    thinned = augmented(batch, Augment(thin=0.5), 0)
    assert thinned.spikes.mean().item() == pytest.approx(batch.spikes.mean().item(), rel=0.05)
    kept = thinned.spikes * 0.5
    assert torch.equal(kept, kept.round()) and (kept <= batch.spikes).all()
    ones = batch.spikes == 1  # of a spike, half of the draws keep it
    assert kept[ones].mean().item() == pytest.approx(0.5, abs=0.05)


def test_neurons_are_dropped_for_whole_trials() -> None:
    batch = make_task(make_trials(n_trials=100)).batch("train")
    batch = batch._replace(spikes=torch.ones_like(batch.spikes))
    dropped = augmented(batch, Augment(neurons=0.25), 0).spikes
    gone = (dropped == 0).all(dim=1)
    assert torch.equal(gone, (dropped == 0).any(dim=1))
    assert gone.float().mean().item() == pytest.approx(0.25, abs=0.06)
    assert len({tuple(row.tolist()) for row in gone}) > 5
    torch.testing.assert_close(dropped[dropped > 0].unique(), torch.tensor([1 / 0.75]))


def test_only_input_changes_and_a_seed_decides() -> None:
    batch, both = make_task().batch("train"), Augment(thin=0.7, neurons=0.2)
    changed = augmented(batch, both, 3)
    assert torch.equal(changed.spikes, augmented(batch, both, 3).spikes)
    assert not torch.equal(changed.spikes, augmented(batch, both, 4).spikes)
    assert changed._replace(spikes=batch.spikes) == batch
    assert augmented(batch, Augment(), 3) is batch


def test_training_with_it_ends_elsewhere_and_the_same_each_time() -> None:
    task, weights = make_task(), []
    for augment in ({}, {"thin": 0.8}, {"thin": 0.8}, {"neurons": 0.2}):
        torch.manual_seed(0)
        student = Student(GRU(task.spec, width=4))
        settings = {"epochs": 2, "batch_size": 8, "accelerator": "cpu", "augment": augment}
        train(student, task, settings=settings)
        weights.append(torch.cat([weight.flatten() for weight in student.parameters()]))
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[3])


def test_what_cannot_be_thinned_is_refused() -> None:
    task = make_task()

    class Activity:
        def __getattr__(self, name):
            return getattr(task, name)

        def example(self):
            batch = task.example()
            return batch._replace(spikes=batch.spikes + 0.5)

    student = Student(GRU(task.spec, width=4))
    settings = TrainingConfig(epochs=1, accelerator="cpu", augment=Augment(thin=0.5))
    refuses(
        "found 0.5 in the input, wanted whole counts", train, student, Activity(), None, settings
    )
    refuses("augment.thin", parse_settings, TrainingConfig, {"augment": {"thin": 0}})
    refuses("jitter.*thin", parse_settings, TrainingConfig, {"augment": {"jitter": 2}})
    for config in (tiny_config, tiny_identity):
        assert config().training.augments == Augment()
