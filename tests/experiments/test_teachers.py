"""Teachers that know less, or more, or are several."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_task, make_trials, refuses, tiny_config, watch_fits

import neuroblend as nb
from neuroblend.config import TrainingConfig, parse_settings
from neuroblend.data.split import split_trials
from neuroblend.distill.committee import LAYER as MEMBERS
from neuroblend.distill.committee import Committee, on_batch
from neuroblend.distill.feature import Feature
from neuroblend.distill.objective import Objective, output_of
from neuroblend.distill.pair import Output
from neuroblend.distill.subspace import Subspace
from neuroblend.engine.job import load_model
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.decoding.networks import build_teacher
from neuroblend.experiments.decoding.settings import RunConfig, TeacherConfig
from neuroblend.experiments.decoding.teaching import TeacherTask, left_out_by, taught_to
from neuroblend.models.gru import GRU
from neuroblend.privilege.all_neurons import AllNeurons
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.dose import Dose
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.report.page import write_report
from neuroblend.task.task import Task
from neuroblend.training.masking import EntryMask, TimeMask
from neuroblend.training.train import train

OPTIONS = [
    {"behavior_dropout": 0.5},
    {"behavior_noise": 1.0},
    {"behavior_lag_s": 0.04},
    {"bottleneck": 1},
    {"average": 2},
    {"cross_fitted": 2},
    {"sees": "all"},
    {"sees": "all", "cross_fitted": 2, "behavior_dropout": 0.3, "bottleneck": 1},
]


def ids(given) -> str:
    return ",".join(given)


def make_dose(task, **given) -> Dose:
    return Dose(task.spec, Concat, **given)


def test_the_defaults_are_the_teacher_there_was() -> None:
    task, config = make_task(), tiny_config()
    teacher = build_teacher(config, task, 3)
    assert isinstance(teacher.fusion, Concat) and isinstance(teacher.net, GRU)
    assert not config.teacher.weakens and config.teacher.n_teachers == 1
    dosed = build_teacher(tiny_config(teacher={"behavior_noise": 0.5}), task, 3)
    for one, other in zip(teacher.net.parameters(), dosed.net.parameters(), strict=True):
        assert torch.equal(one, other)


def test_dropout_hides_whole_trials_in_training_alone_and_marks_them() -> None:
    task = make_task()
    batch = task.batch("train")
    dose = make_dose(task, dropout=0.5)
    assert dose.fusion.read_in.absent is not None and make_dose(task).fusion.read_in.absent is None
    hidden = dose.train().shown(batch)
    by_trial = hidden.present.flatten(1)
    assert torch.equal(by_trial.any(1), by_trial.all(1))
    assert 0 < by_trial.any(1).sum() < len(by_trial)
    assert not hidden.values[~by_trial.any(1)].any()
    for shown, given in zip(dose.eval().shown(batch)[:2], batch.behavior[:2], strict=True):
        assert torch.equal(shown, given)


def test_noise_belongs_to_the_trial_whatever_the_batch_or_mode() -> None:
    task = make_task()
    whole = task.batch("train")
    dose = make_dose(task, noise=0.5, seed=1)
    noise = dose.train().shown(whole).values - whole.behavior.values
    assert noise.std().item() == pytest.approx(0.5, rel=0.1)
    some = whole.take(torch.tensor([5, 2]))
    assert torch.equal(dose.eval().shown(some).values, (noise + whole.behavior.values)[[5, 2]])
    everything = task.batch_of(np.arange(task.trials.n_trials))  # as scoring has it
    at = task.split.train[5]
    assert torch.equal(dose.shown(everything).values[at], dose.shown(whole).values[5])
    with pytest.raises(ValueError, match="know their trials"):
        dose.shown(whole._replace(trial=None))


def test_noise_leaves_gaps_gaps() -> None:
    trials = make_trials()
    trials.behavior[:, :4, 0] = np.nan
    task = make_task(trials)
    values, known, _ = make_dose(task, noise=1.0).shown(task.batch("train"))
    assert not known[:, :4, 0].any() and not values[:, :4, 0].any()


def test_a_lag_shows_behavior_late_and_marks_what_it_has_not_shown_yet() -> None:
    task = make_task()
    batch = task.batch("train")
    values, known, _ = make_dose(task, lag_s=0.06).shown(batch)
    assert torch.equal(values[:, 3:], batch.behavior.values[:, :-3])
    assert not known[:, :3].any() and known[:, 3:].all() and not values[:, :3].any()


def test_a_bottleneck_has_so_many_features_and_learns() -> None:
    task = make_task(make_trials(n_channels=3))
    dose = make_dose(task, bottleneck=2)
    assert dose.spec.n_in == task.spec.n_in + 2
    batch, net = task.batch("train"), GRU(dose.spec, width=4)
    shown = dose.shown(batch).values
    assert shown.shape[2] == 2 and torch.linalg.matrix_rank(shown.flatten(0, 1)) == 2
    Objective()(Teacher(net, dose), TimeMask()(batch, 0))["loss"].backward()
    assert dose.read_in.weight.grad.abs().sum() > 0


def test_settings_that_cannot_be_are_refused() -> None:
    task = make_task()
    refuses("behavior_lag_s: found 0.005, which is 0 bins", make_dose, task, lag_s=0.005)
    refuses("behavior_lag_s: found 9", make_dose, task, lag_s=9)
    refuses("bottleneck: found 3, wanted 1 to the 2", make_dose, task, bottleneck=3)
    for given, message in (
        ({"average": 2, "cross_fitted": 2}, "wanted one of them"),
        ({"behavior_dropout": 1.0}, "teacher.behavior_dropout"),
        ({"sees": "everything"}, "teacher.sees"),
        ({"dropout": 0.3}, "behavior_dropout"),
    ):
        refuses(message, parse_settings, RunConfig, {"teacher": given})
    config = tiny_config(teacher={"cross_fitted": 20})
    refuses(
        "found 20 and 24 training trials with behavior, wanted 2 to 12",
        build_teacher,
        config,
        task,
        0,
    )


@pytest.mark.parametrize("mask", [TimeMask(0.3, 1), EntryMask(0.3)], ids=["bins", "entries"])
def test_a_teacher_of_all_neurons_sees_nothing_of_what_it_is_asked_for(mask) -> None:
    """In its own training: a spike that is scored is not in its input, the others are."""
    task = make_task()
    seen = TeacherTask(task, sees_all=True)
    batch = seen.example()
    assert batch.spikes.shape[2] == task.spec.n_out and not batch.scored.any()
    masked = mask(batch, 1)
    assert masked.scored.any() and masked.scored[:, :, task.spec.n_in :].any()
    assert not masked.spikes[masked.scored].any()
    scale = 1 if isinstance(mask, TimeMask) else 1 / 0.7
    torch.testing.assert_close(masked.spikes[~masked.scored], scale * batch.target[~masked.scored])
    assert not any(part.scored.any() for part in seen.valid_batches())


def test_a_teacher_of_all_neurons_teaches_under_the_students_mask() -> None:
    task = make_task(make_trials(), forward_bins=2)
    fusion = AllNeurons(task.spec, Concat)
    masked = TimeMask(0.3, 1)(task.batch("train"), 0)
    given = []
    fusion(given.append, masked)
    (features,) = given
    n_in, n_out, t_in = task.spec.n_in, task.spec.n_out, task.spec.t_in
    assert features.shape[1:] == (t_in, n_out + task.spec.n_behavior)
    hidden = masked.scored[:, :t_in, 0]
    assert hidden.any() and not hidden.all()
    assert not features[..., :n_out][hidden].any()
    assert torch.equal(features[..., n_in:n_out][~hidden], masked.target[:, :t_in, n_in:][~hidden])


def test_held_out_spikes_that_are_tested_never_reach_a_student() -> None:
    """Guidance is the same whatever they are, and a student's rates on test trials too."""
    trials, guidance = make_trials(), []
    task = make_task(trials)
    outside = np.setdiff1d(np.arange(trials.n_trials), task.split.train)
    spikes = trials.spikes.copy()
    spikes[np.ix_(outside, np.arange(12), np.flatnonzero(task.split.held_out))] += 3
    config = tiny_config(teacher={"sees": "all"})
    tasks = (task, replace(task, trials=replace(trials, spikes=spikes)))
    for given in tasks:
        torch.manual_seed(0)
        student = Student(GRU(task.spec, width=4)).eval()
        objective = Objective("hard", build_teacher(config, given, 0))
        objective.prepare(student, given.example())
        guidance.append(objective(student, TimeMask()(given.example(), 0))["hard"])
        guidance.append(student(given.batch("test")))
    assert torch.equal(guidance[0], guidance[2]) and torch.equal(guidance[1], guidance[3])
    teacher = build_teacher(config, task, 0)  # which does see them
    assert not torch.equal(*(teacher(given.batch("test")) for given in tasks))


def make_committee(task, n=3, left_out=None) -> Teacher:
    members = []
    for i in range(n):
        torch.manual_seed(i)
        fusion = Concat(task.spec)
        members.append(Teacher(GRU(fusion.spec, width=5), fusion))
    example = task.example().take(slice(2))
    return Teacher(Committee(members, "norm", left_out, example), on_batch).eval()


def test_averaged_teachers_average_log_rates_and_have_features_side_by_side() -> None:
    task = make_task()
    batch, teacher = task.batch("train"), make_committee(task)
    output = output_of(teacher, batch, [MEMBERS])
    each = [output_of(member, batch, ["norm"]) for member in teacher.net.members]
    torch.testing.assert_close(output.log_rates, torch.stack([e.log_rates for e in each]).mean(0))
    assert torch.equal(output.features[MEMBERS], torch.cat([e.features["norm"] for e in each], 2))


def test_the_target_of_a_training_trial_is_of_the_teacher_that_left_it_out() -> None:
    task = make_task(make_trials(n_trials=60))
    left_out = left_out_by(task, 3, in_blocks=False)
    counts = [int((left_out == i).sum()) for i in (-1, 0, 1, 2)]
    assert counts == [24, 12, 12, 12]
    assert set(np.flatnonzero(left_out.numpy() >= 0)) == set(task.split.train)
    teacher, batch = make_committee(task, 3, left_out), task.batch("train")
    rates = output_of(teacher, batch).log_rates
    for i, member in enumerate(teacher.net.members):
        rows = left_out[batch.trial] == i
        assert torch.equal(rates[rows], member(batch)[rows])
    valid = task.batch("valid")
    mean = torch.stack([member(valid) for member in teacher.net.members]).mean(0)
    torch.testing.assert_close(teacher(valid), mean)
    in_blocks = left_out_by(task, 3, in_blocks=True)[torch.tensor(task.split.train)]
    assert torch.equal(in_blocks, in_blocks.sort().values)


def test_features_of_cross_fitted_teachers_are_aligned() -> None:
    """Two members that differ by a linear map of features have common ones that are the same."""
    task = make_task(make_trials(n_trials=60))
    left_out = left_out_by(task, 2, in_blocks=False)
    teacher = make_committee(task, 2, left_out)
    one, other = teacher.net.members
    other.load_state_dict(one.state_dict())
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(10, 10, generator=generator)
    other.net.norm.register_forward_hook(lambda _, given, gave: gave @ mixing + 1)
    teacher.net.align(task.example())
    batch = task.batch("valid")
    outputs = [output_of(member, batch, ["norm"]).features["norm"] for member in (one, other)]
    common = [
        features @ to + offset
        for features, to, offset in zip(
            outputs, teacher.net.to_common, teacher.net.offset, strict=True
        )
    ]
    assert (common[0] - common[1]).square().mean() < 0.02 * common[0].var()


@pytest.mark.parametrize("given", OPTIONS, ids=ids)
def test_a_run_of_each_option_ends_and_its_page_is_written(given, tmp_path) -> None:
    config = tiny_config(
        teacher=given, distill={"strategies": ["feature+multitask"]}, controls="none"
    )
    trials = make_trials(n_trials=60)
    folder = nb.run(trials, tmp_path / "run", config, quiet=True)
    arms = folder.results()["arms"]
    assert np.isfinite(arms["teacher"]["decoding_r2"]["mean"])
    assert ("co_bps" in arms["teacher"]) == (given.get("sees") != "all")
    assert "co_bps" in arms["feature+multitask"]
    fit = next(fit for fit in folder.fits() if fit.arm.name == "teacher")
    teacher = load_model(folder, fit, folder.task(fit))
    assert not list(folder.of(fit).glob("member*"))
    if given.get("cross_fitted"):
        assert teacher.net.offset.abs().sum() > 0
    assert write_report(folder).is_file()


def test_students_without_a_teacher_are_the_same_whatever_it_is(tmp_path) -> None:
    found = []
    for i, given in enumerate(({}, {"average": 2, "sees": "all"})):
        config = tiny_config(teacher=given, controls="none")
        folder = nb.run(make_trials(), tmp_path / str(i), config, quiet=True)
        found.append(folder.results()["arms"])
    assert found[0]["baseline"] == found[1]["baseline"]
    assert found[0]["hard"] != found[1]["hard"]


def test_teachers_go_on_where_they_were_interrupted(tmp_path, monkeypatch) -> None:
    """Members that have ended are not trained again, and the whole is the same in the end."""
    config = tiny_config(teacher={"cross_fitted": 3}, controls="none")
    trials, results = make_trials(n_trials=60), []
    trained = []

    def stopping(model, *given, **named):
        trained.append(1)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(model, *given, **named)

    monkeypatch.setattr("neuroblend.engine.job.train", stopping)
    with pytest.raises(KeyboardInterrupt):
        nb.run(trials, tmp_path / "a", config, quiet=True)
    assert len(list((tmp_path / "a/teacher/seed0").glob("member*/history.csv"))) == 2
    begun = watch_fits(monkeypatch)
    for name in "ab":
        results.append(nb.run(trials, tmp_path / name, config, quiet=True).results()["arms"])
    assert begun[0] == "teacher seed 0"
    assert len(trained) == 3 + 1 + 3 + 3 + 3  # the rest of a, then b
    assert results[0] == results[1]


def test_controls_without_behavior_have_teachers_of_the_same_kind() -> None:
    config = tiny_config(controls="all", teacher={"average": 2, "sees": "all"})
    experiment, task = Decoding(config), make_task()
    for arm in experiment.arms():
        if arm.name in ("teacher", "blind-teacher", "shuffled-teacher"):
            teacher = experiment.build(arm, task, 0)
            assert len(teacher.net.members) == 2
            assert experiment.trains_on(arm, task).example().spikes.shape[2] == task.spec.n_out
    assert TeacherConfig(average=3).n_teachers == TeacherConfig(cross_fitted=3).n_teachers == 3


def test_a_student_of_a_committee_maps_to_all_of_its_features() -> None:
    task = make_task()
    teacher, student = make_committee(task), Student(GRU(task.spec, width=4))
    term = Feature([("norm", MEMBERS)])
    settings = TrainingConfig(epochs=1, batch_size=16, accelerator="cpu")
    train(student, task, Objective({"feature": term}, teacher, cache=True), settings)
    assert term.maps[0].weight.shape == (3 * 10, 8)


def test_cross_fitted_teachers_keep_away_from_windows_beside_those_they_leave_out() -> None:
    trials = replace(make_trials(n_trials=60), window_id=np.arange(60) + (np.arange(60) > 30))
    split = replace(split_trials(trials, 0), train=np.arange(5, 50))
    task = Task.of(trials, split)
    left_out = left_out_by(task, 3, in_blocks=True)
    for member in range(3):
        own = taught_to(task, left_out, member, in_blocks=True).numpy()
        away = trials.window_id[np.flatnonzero(left_out == member)]
        distance = np.abs(trials.window_id[own][:, None] - away).min(axis=1)
        assert distance.min() == 2 and set(own) <= set(task.split.train)
        assert len(own) < 45 - 15  # a window beside each edge is no one's to learn from


@pytest.mark.parametrize("given", [{"cross_fitted": 3}, {"average": 3}], ids=ids)
def test_members_train_on_what_is_theirs_and_begin_apart(given) -> None:
    """A cross-fitted one on all trials but those that it teaches; no two alike."""
    decoding, task = Decoding(tiny_config(teacher=given)), make_task(make_trials(n_trials=60))
    arm = next(arm for arm in decoding.arms() if arm.name == "teacher")
    model = decoding.build(arm, task, 5)
    trained_on, train = [], set(task.split.train.tolist())

    def learn(member, part, objective, i, of):
        assert of == 3 and len(trained_on) == i
        trained_on.append(set(part.example().trial.tolist()))
        return pd.DataFrame({"epoch": [1.0], "loss": [0.0], "valid": [0.0]})

    decoding.trained(arm, model, task, None, learn)
    left_out = model.net.left_out
    for i, found in enumerate(trained_on):
        taught = set() if left_out is None else set((left_out == i).nonzero().flatten().tolist())
        assert found == train - taught and (left_out is None or len(taught) > 5)
    first = [next(iter(member.net.parameters())) for member in model.net.members]
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[1], first[2])


def test_members_of_one_fit_have_orders_and_masks_of_their_own(tmp_path, monkeypatch) -> None:
    seeds = []

    def watched(model, part, objective, settings, seed, *args, **given):
        seeds.append(seed)
        return train(model, part, objective, settings, seed, *args, **given)

    monkeypatch.setattr("neuroblend.engine.job.train", watched)
    config = tiny_config(teacher={"average": 2}, controls="none")
    nb.run(make_trials(), tmp_path / "run", config, jobs=1)
    teachers = seeds[:2]
    assert teachers[0] != teachers[1] and teachers[0] == seeds[2]


def test_a_layer_without_behavior_has_no_subspace() -> None:
    task = make_task()
    batch = task.example()
    flat = torch.ones(batch.n_trials, 12, 4)
    term = Subspace(layers=[("norm", "norm")])
    guide = Output(batch.target.clamp_min(0.1).log(), {"norm": flat})
    refuses("nothing of behavior can be decoded", term.fit, batch, guide)
