"""Trials without behavior: students train on them, and no teacher is asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses, tiny_config
from test_padding import padded_trials
from test_strategies import LAYER, make_term

import neuroblend as nb
from neuroblend.config import parse_settings
from neuroblend.data.pairing import leave_paired, with_pairing_note
from neuroblend.data.split import split_trials
from neuroblend.data.trials import Trials
from neuroblend.distill.objective import Objective
from neuroblend.engine.arm import TEACHER
from neuroblend.experiments.decoding.direct import BehaviorTask
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.decoding.networks import build_teacher
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.experiments.decoding.shuffled import ShuffledTask
from neuroblend.experiments.decoding.teaching import TeacherTask, left_out_by
from neuroblend.models.gru import GRU
from neuroblend.models.references.kalman import Kalman
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import STRATEGIES
from neuroblend.task.batch import Batch
from neuroblend.task.task import Task

WITHOUT = slice(None, None, 3)


def some_unpaired(**fields: object) -> Trials:
    """Trials of which every third has no behavior."""
    trials = make_trials(n_trials=60, **fields)
    behavior = trials.behavior.copy()
    behavior[WITHOUT] = np.nan
    return replace(trials, behavior=behavior)


@pytest.fixture
def roles():
    task = make_task(some_unpaired())
    fusion = Concat(task.spec)
    torch.manual_seed(2)
    student, teacher = GRU(task.spec, width=4), GRU(fusion.spec, width=6)
    return Student(student).eval(), Teacher(teacher, fusion), task


def joined(one: Batch, other: Batch) -> Batch:
    """The trials of both."""
    parts = zip(one.behavior[:2], other.behavior[:2], strict=True)
    behavior = one.behavior._replace(
        **dict(zip(("values", "present"), (torch.cat(p) for p in parts), strict=True))
    )
    whole = {key: torch.cat([getattr(b, key) for b in (one, other)]) for key in ("spikes", "trial")}
    whole |= {
        key: torch.cat([getattr(b, key) for b in (one, other)]) for key in ("target", "scored")
    }
    return one._replace(behavior=behavior, **whole)


def without_behavior(batch: Batch, values: float = 0.0) -> Batch:
    """The batch with no sample of behavior known."""
    known = torch.zeros_like(batch.behavior.present)
    shown = torch.full_like(batch.behavior.values, values)
    return batch._replace(behavior=batch.behavior._replace(values=shown, present=known))


def test_a_batch_knows_which_trials_have_behavior(roles) -> None:
    task = roles[2]
    batch = task.batch("train")
    assert np.array_equal(batch.paired.numpy(), task.split.train % 3 != 0)
    assert batch.with_behavior().paired is None
    assert not task.spec.behavior_gaps  # no teacher is asked about trials without
    assert make_task().batch("train").paired is None
    assert batch.public().paired is None


def test_samples_in_padding_are_no_behavior() -> None:
    trials = padded_trials()
    trials.behavior[4:8] = np.nan
    trials.behavior[5:8, 11] = 1.0  # after the end of each
    batch = Task.of(trials, split_trials(trials, 0)).batch_of(np.arange(40))
    assert np.flatnonzero(~batch.paired.numpy()).tolist() == [4, 5, 6, 7]
    assert np.flatnonzero(~trials.paired).tolist() == [4, 5, 6, 7]


def test_a_split_has_its_share_of_trials_with_behavior_in_each_part() -> None:
    trials = some_unpaired()
    for seed in range(5):
        split = split_trials(trials, seed)
        shares = [trials.paired[split.trials(part)].mean() for part in ("train", "valid", "test")]
        assert np.allclose(shares, 2 / 3, atol=0.1)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_term_is_that_of_the_trials_with_behavior(name, roles) -> None:
    student, teacher, task = roles
    wants = STRATEGIES[name].wants_teacher
    term = make_term(name)
    objective = Objective({name: term}, teacher if wants else None)
    batch = task.batch("train")
    objective.prepare(student, batch)
    paired = batch.with_behavior()

    def found(given: Batch) -> dict[str, torch.Tensor]:
        torch.manual_seed(5)
        return objective(student, given)

    whole, part, alone = found(batch), found(paired), Objective()(student, batch)
    torch.testing.assert_close(whole[name], part[name])
    torch.testing.assert_close(whole["task"], alone["task"])
    rest = batch.take(~batch.paired)
    dirty = joined(paired, without_behavior(rest, 50.0))
    torch.testing.assert_close(found(dirty)["loss"], found(joined(paired, rest))["loss"])
    nothing = found(rest)
    assert nothing[name] == 0 and nothing["loss"].isfinite()


def test_the_balance_is_that_of_trials_however_many_have_no_behavior(roles) -> None:
    student, teacher, task = roles
    paired = task.batch("train").with_behavior()
    more = joined(paired, without_behavior(paired))
    ratios = []
    for batch in (paired, more):
        objective = Objective("hard", teacher, balance=LAYER)
        objective(student, batch)
        ratios.append(objective.ratio.item())
    assert ratios[1] == pytest.approx(ratios[0], rel=1e-4)
    objective(student, without_behavior(paired))
    assert objective.ratio.item() == pytest.approx(ratios[0], rel=1e-4)


def test_without_any_behavior_the_task_alone_has_a_gradient(roles) -> None:
    student, teacher, task = roles
    batch = without_behavior(task.batch("train"))
    gradients = []
    for objective in (Objective("hard", teacher, alpha=0.5, balance=LAYER), Objective()):
        student.zero_grad()
        objective(student, batch)["loss"].backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in student.parameters()]))
    torch.testing.assert_close(gradients[0], 0.5 * gradients[1])


def test_cached_guidance_is_that_of_the_same_trials(roles) -> None:
    student, teacher, task = roles
    batch = task.batch("train")
    some = batch.take(torch.tensor([9, 2, 7, 5, 0, 1, 3]))
    assert some.paired is not None and some.paired.any()
    losses = []
    for cache in (False, True):
        objective = Objective("hard", teacher, cache=cache)
        objective.prepare(student, batch)
        losses.append(objective(student, some)["hard"])
        objective(student, some.take(~some.paired))
    torch.testing.assert_close(*losses)


def test_a_teacher_and_a_decoder_train_on_trials_with_behavior_alone() -> None:
    trials = some_unpaired()
    task, experiment = make_task(trials), Decoding(tiny_config(controls="all"))
    arms = {arm.name: arm for arm in experiment.arms()}
    have = task.split.train[task.split.train % 3 != 0]
    for name in (TEACHER, "blind-teacher", "shuffled-teacher", "direct"):
        part = experiment.trains_on(arms[name], task)
        assert isinstance(part, (TeacherTask, BehaviorTask))
        assert np.array_equal(part.example().trial.numpy(), have)
        assert part.n_train == have.size
        assert sum(b.n_trials for b in part.train_batches(8, 0, torch.device("cpu"))) == have.size
    for name in ("baseline", "multitask", "hard", "shuffled"):
        assert experiment.trains_on(arms[name], task).n_train == task.n_train
    (valid,) = TeacherTask(task).valid_batches()
    assert valid.paired is None and valid.n_trials < task.split.valid.size


def test_cross_fitted_teachers_deal_trials_with_behavior() -> None:
    task = make_task(some_unpaired())
    left_out = left_out_by(task, 3, in_blocks=False).numpy()
    dealt = np.flatnonzero(left_out >= 0)
    assert np.array_equal(dealt, task.split.train[task.split.train % 3 != 0])


def test_shuffling_leaves_trials_without_behavior_without() -> None:
    task = make_task(some_unpaired())
    shuffled, batch = ShuffledTask(task, 0).example(), task.example()
    assert torch.equal(shuffled.paired, batch.paired)
    moved, given = (b.behavior.values[batch.paired] for b in (shuffled, batch))
    assert not torch.equal(moved, given)
    sums = [part.sum((1, 2)).sort().values for part in (moved, given)]
    torch.testing.assert_close(*sums)


def test_a_kalman_filter_is_fitted_to_the_trials_that_have_behavior() -> None:
    trials = some_unpaired()
    have = trials.paired
    # means and noise of spikes are of all trials, what follows from behavior of those that have it
    every, some = (
        Kalman.fit(trials.spikes[which].astype(float), trials.behavior[which])
        for which in (slice(None), have)
    )
    for name in ("transition", "noise", "initial", "centre", "scale"):
        np.testing.assert_allclose(getattr(every, name), getattr(some, name))


def test_a_fraction_of_training_trials_keeps_behavior() -> None:
    trials = some_unpaired(condition=np.arange(60) % 2)
    split = split_trials(trials, 0)
    have = set(split.train[trials.paired[split.train]])
    kept: set[int] = set()
    for fraction in (0.25, 0.5, 1.0):
        left = leave_paired(trials, split, fraction)
        now = set(split.train[left.paired[split.train]])
        assert len(now) == round(fraction * len(have)) and kept <= now <= have
        by_condition = np.bincount([trials.condition[i] == "1" for i in now], minlength=2)
        assert abs(by_condition[0] - by_condition[1]) <= 0.3 * len(now)
        others = np.setdiff1d(np.arange(60), split.train)
        assert np.array_equal(left.behavior[others], trials.behavior[others], equal_nan=True)
        kept = now
    assert leave_paired(trials, split, 1.0) is trials
    again = leave_paired(trials, split, 0.5)
    assert np.array_equal(again.paired, leave_paired(trials, split, 0.5).paired)
    other = split_trials(trials, 1)
    drawn = [
        leave_paired(trials, s, 0.5).paired[np.intersect1d(split.train, other.train)]
        for s in (split, other)
    ]
    assert not np.array_equal(*drawn)


def test_a_fraction_that_leaves_nothing_is_refused(tmp_path) -> None:
    refuses(
        r"paired fraction 0.01: leaves 0 of \d+ training trials with behavior, wanted 2 or more",
        nb.run,
        make_trials(),
        tmp_path / "run",
        tiny_config(data={"paired_fraction": 0.01}),
    )
    assert not (tmp_path / "run").exists()
    for wrong in (0, -0.5, 1.5):
        refuses(
            f"paired_fraction: found {wrong:g}, wanted more than 0 and at most 1",
            parse_settings,
            RunConfig,
            {"data": {"paired_fraction": wrong}},
        )


def test_a_note_counts_trials_without_behavior() -> None:
    assert with_pairing_note(make_trials()).notes == make_trials().notes
    noted = with_pairing_note(some_unpaired())
    assert noted.notes[-1].startswith("20 of 60 trials have no behavior; ")
    assert with_pairing_note(noted).notes == noted.notes


@pytest.mark.parametrize("given", [{}, {"cross_fitted": 2}], ids=["one", "cross-fitted"])
def test_a_run_goes_the_whole_way_with_trials_that_have_no_behavior(given, tmp_path) -> None:
    config = tiny_config(
        data={"paired_fraction": 0.5},
        teacher=given,
        distill={"strategies": ["feature+multitask", "subspace"], "cache_teacher": not given},
        controls="all" if not given else "default",
        training={"epochs": 1},
    )
    folder = nb.run(some_unpaired(), tmp_path / "run", config)
    results = folder.results()
    assert all(np.isfinite(arm["decoding_r2"]["mean"]) for arm in results["arms"].values())
    notes = " ".join(folder.provenance()["data"]["notes"])
    assert "20 of 60 trials have no behavior" in notes
    assert "50 % of the training trials with behavior kept it" in notes


def test_students_of_an_unpaired_recording_start_as_those_of_a_paired_one() -> None:
    """What is missing changes the teacher's trials, not its network or anyone's first weights."""
    first, other = (
        build_teacher(tiny_config(), make_task(trials), 3)
        for trials in (make_trials(n_trials=60), some_unpaired())
    )
    for one, another in zip(first.parameters(), other.parameters(), strict=True):
        assert one.shape == another.shape
