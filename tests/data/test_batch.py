import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses

from neuroblend.behavior.encoding import BehaviorEncoding
from neuroblend.data.channel import Channel
from neuroblend.data.split import split_trials
from neuroblend.errors import InputError
from neuroblend.task.batch import Batches
from neuroblend.task.task import Task


def test_a_batch_holds_what_the_split_says() -> None:
    trials = make_trials()
    task = make_task(trials, forward_bins=3)
    batch = task.batch("valid")
    held_in = ~task.split.held_out
    expected = trials.spikes[task.split.valid]
    assert task.spec.n_in == held_in.sum() == 8
    assert (task.spec.t_in, task.spec.t_out, task.spec.n_out) == (9, 12, 10)
    np.testing.assert_array_equal(batch.spikes.numpy(), expected[:, :9][:, :, held_in])
    np.testing.assert_array_equal(batch.target.numpy(), expected[:, :, task.split.order])
    assert not batch.scored[:, :9, :8].any()
    assert batch.scored[:, 9:].all()
    assert batch.scored[:, :, 8:].all()


def test_a_student_sees_spikes_and_nothing_else() -> None:
    public = make_task().batch("train").public()
    assert public.spikes is not None
    assert public.behavior is public.target is public.scored is None


def test_behavior_is_standardised_by_training_trials_alone() -> None:
    trials = make_trials()
    split = split_trials(trials, 0)
    moved = trials.behavior.copy()
    moved[split.test] += 1e3
    for behavior in (trials.behavior, moved):
        values = Task.of(make_trials(behavior=behavior), split).batch("train").behavior.values
        assert torch.allclose(values.mean((0, 1)), torch.zeros(2), atol=1e-5)
        assert torch.allclose(values.std((0, 1), correction=0), torch.ones(2), atol=1e-5)
    unmoved = Task.of(trials, split).batch("train").behavior.values
    assert torch.equal(values, unmoved)


def test_missing_samples_become_a_mask() -> None:
    behavior = make_trials().behavior.copy()
    behavior[:, 4, 0] = np.nan
    task = make_task(make_trials(behavior=behavior))
    values, present, _ = task.batch("test").behavior
    assert not present[:, 4, 0].any()
    assert present.sum() == present.numel() - present.shape[0]
    assert (values[:, 4, 0] == 0).all()
    assert torch.isfinite(values).all()
    assert task.spec.behavior_gaps


def test_a_channel_constant_in_training_is_refused() -> None:
    behavior = np.ones((8, 3, 2), dtype=np.float32)
    behavior[0, 0, 0] = 2
    refuses(
        "'b' is 1 in every bin of the train trials",
        BehaviorEncoding.of,
        behavior,
        [Channel("a"), Channel("b")],
    )


def test_scales_do_not_depend_on_units() -> None:
    for unit in (1e-9, 1e9):
        behavior = (make_trials().behavior * unit).astype(np.float32)
        values = make_task(make_trials(behavior=behavior)).batch("train").behavior.values
        torch.testing.assert_close(values, make_task().batch("train").behavior.values)


def test_a_channel_with_samples_in_one_training_trial_is_refused() -> None:
    split = split_trials(make_trials(), 0)
    behavior = make_trials().behavior.copy()
    behavior[split.train[1:], :, 0] = np.nan
    with pytest.raises(InputError, match="'behavior_0' has samples in 1 of the train trials"):
        Task.of(make_trials(behavior=behavior), split)


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_channel_that_cannot_be_scored_is_refused_before_training(part) -> None:
    split = split_trials(make_trials(), 0)
    behavior = make_trials().behavior.copy()
    behavior[split.trials(part), :, 1] = 0
    with pytest.raises(InputError, match=f"'behavior_1' is 0 in every bin of the {part} trials"):
        Task.of(make_trials(behavior=behavior), split)


@pytest.mark.parametrize(
    ("n", "size", "sizes"), [(10, 4, [4, 3, 3]), (9, 4, [5, 4]), (11, 4, [4, 4, 3]), (3, 8, [3])]
)
def test_batches_cover_every_trial_once(n, size, sizes) -> None:
    whole = make_task(make_trials(n_trials=40)).batch("train").take(slice(n))
    batches = Batches(whole, size, seed=1)
    drawn = list(batches)
    assert len(batches) == len(drawn)
    assert [b.n_trials for b in drawn] == sizes
    key = whole.target.flatten(1)
    seen = torch.cat([b.target.flatten(1) for b in drawn])
    assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, key.tolist()))


def test_order_differs_between_epochs_and_repeats() -> None:
    batches = Batches(make_task().batch("train"), 100, seed=1)
    first = next(iter(batches)).target
    batches.epoch = 1
    second = next(iter(batches)).target
    batches.epoch = 0
    assert not torch.equal(first, second)
    assert torch.equal(first, next(iter(batches)).target)
