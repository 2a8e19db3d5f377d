"""A network of several sessions is, in each, a network like any other."""

import numpy as np
import pytest
import torch
from conftest import make_trials

from neuroblend.data.session_split import SessionsSplit
from neuroblend.data.sessions import Sessions
from neuroblend.data.split import split_trials
from neuroblend.data.trials import Trials
from neuroblend.distill.objective import Objective, output_of
from neuroblend.models.gru import GRU
from neuroblend.models.lfads import LFADS
from neuroblend.models.parts.read_in import read_in_weights
from neuroblend.models.sessions import (
    Separate,
    SessionNet,
    one_session,
    read_out_for,
)
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.privilege.sessions import AroundSessions, InSession, on_session
from neuroblend.registry import FUSIONS, find_fusion, load
from neuroblend.task.sessions import SessionsTask
from neuroblend.task.task import Task
from neuroblend.training.masking import TimeMask


def make_sessions(n_bins: int = 12) -> Sessions:
    sizes = [(24, 10), (30, 7), (20, 12)]
    made = [
        make_trials(n_trials=b, n_neurons=n, n_bins=n_bins, seed=i, name="abc"[i])
        for i, (b, n) in enumerate(sizes)
    ]
    return Sessions.of(made)


def make_sessions_task(sessions: Sessions, learned: tuple[int, ...] = (0, 1, 2)) -> SessionsTask:
    parts = tuple(split_trials(t, 0) for t in sessions)
    tasks = [Task.of(trials, part) for trials, part in zip(sessions, parts, strict=True)]
    return SessionsTask.of(tasks, SessionsSplit(parts, sessions.names, learned))


def make_net(task: SessionsTask, core: torch.nn.Module) -> SessionNet:
    specs = [each.spec for each in task.tasks]
    width = task.spec.n_in
    read_ins = [torch.nn.Linear(spec.n_in, width) for spec in specs]
    return SessionNet(core, read_ins, [read_out_for(spec, task.spec) for spec in specs], 0.5)


TASK = make_sessions_task(make_sessions())


def test_a_task_mixes_sessions_in_a_drawn_order_and_gives_each_trial_once() -> None:
    batches = TASK.train_batches(4, 0, torch.device("cpu"))
    seen = [(batch.session, batch.trial.tolist()) for batch in batches]
    assert len(seen) == len(batches)
    trials = sorted(trial for _, found in seen for trial in found)
    starts = np.cumsum([0, 24, 30])
    wanted = [t.split.train + start for t, start in zip(TASK.tasks, starts, strict=True)]
    assert trials == np.concatenate(wanted).tolist()
    assert [s for s, _ in seen] != sorted(s for s, _ in seen)
    assert [(b.session, b.trial.tolist()) for b in batches] == seen
    batches.epoch = 1
    assert [s for s, _ in seen] != [b.session for b in batches]
    assert [b.session for b in TASK.valid_batches()] == [0, 1, 2]
    assert TASK.spec.n_in == max(t.spec.n_in for t in TASK.tasks)
    assert TASK.example().session == 1  # the longest
    alone = TASK.only(2)
    assert {b.session for b in alone.train_batches(4, 0, torch.device("cpu"))} == {2}
    assert alone.n_train == TASK.tasks[2].n_train


def test_a_session_that_is_held_out_takes_no_part() -> None:
    task = make_sessions_task(make_sessions(), (0, 2))
    assert {b.session for b in task.train_batches(4, 0, torch.device("cpu"))} == {0, 2}
    assert task.n_train == sum(task.tasks[s].n_train for s in (0, 2))
    assert task.split.n_tested == task.tasks[1].split.n_tested


def test_categories_weigh_alike_in_all_sessions() -> None:
    """A session in which a choice is rarer has the unit of error of all sessions together."""
    made = []
    for i, every in enumerate((2, 4)):
        trials = make_trials(n_trials=32, seed=i, name="ab"[i])
        choice = np.where(np.arange(32) % every == 0, "left", "right")
        both = {"choice": choice, "speed": trials.behavior[:, :, 0] * (1 + i)}
        made.append(Trials.from_arrays(trials.spikes, 0.02, both, name="ab"[i]))
    task = make_sessions_task(Sessions.of(made), (0, 1))
    groups = [each.scale.groups for each in task.tasks]
    share = [np.mean(t.trials.behavior[t.split.train, 0, 0] == 0) for t in task.tasks]
    left = np.average(share, weights=[t.n_train for t in task.tasks])
    entropy = -left * np.log(left) - (1 - left) * np.log(1 - left)
    assert groups[0][0].chance == pytest.approx(entropy) == groups[1][0].chance
    assert groups[0][1].spread != groups[1][1].spread
    for each in task.tasks:
        values = each.batch("train").behavior.values[:, :, -1]
        assert float(values.std(unbiased=False)) == pytest.approx(1, abs=1e-4)


def test_each_session_is_a_network_like_any_other() -> None:
    net = make_net(TASK, GRU(TASK.spec, width=6)).eval()
    student = Student(net, on_session)
    for s, task in enumerate(TASK.tasks):
        batch = task.batch("train")
        whole = student(TASK.tagged(s, batch))
        alone = Student(net.of_session(s))(batch)
        assert torch.equal(whole, alone)
        assert torch.equal(InSession(student, lambda b, s=s: TASK.tagged(s, b))(batch), whole)
        built = one_session(task.spec, "gru", TASK.spec.n_in, {"width": 6})
        built.load_state_dict(net.of_session(s).state_dict())
        assert torch.equal(Student(built).eval()(batch), alone)


def test_log_rates_begin_near_those_of_training() -> None:
    net = make_net(TASK, GRU(TASK.spec, width=6)).eval()
    for s, task in enumerate(TASK.tasks):
        log_rates = Student(net, on_session)(TASK.tagged(s, task.batch("train")))
        away = (log_rates.mean(dim=(0, 1)) - torch.tensor(task.spec.log_rate)).abs().max()
        assert away < 0.2


def test_a_batch_teaches_the_core_and_its_own_session_alone() -> None:
    net = make_net(TASK, GRU(TASK.spec, width=6))
    batch = TASK.tagged(1, TASK.tasks[1].batch("train"))
    Objective()(Student(net, on_session), TimeMask()(batch, 0))["loss"].backward()
    for name, weight in net.named_parameters():
        is_other = name.startswith(("read_ins.0", "read_ins.2", "read_outs.0", "read_outs.2"))
        has_gradient = weight.grad is not None and bool(weight.grad.abs().sum() > 0)
        assert has_gradient != is_other, name
    net.only(2)
    learned = {name for name, weight in net.named_parameters() if weight.requires_grad}
    assert {name.split(".")[1] for name in learned} == {"2"}


def test_spikes_are_dropped_before_a_read_in_in_training_alone() -> None:
    net = make_net(TASK, GRU(TASK.spec, width=6))
    spikes = torch.ones(50, 12, TASK.tasks[0].spec.n_in)
    net.read_ins[0] = torch.nn.Identity()
    seen = net.train().seen(spikes, 0)
    assert (seen == 0).float().mean() == pytest.approx(0.5, abs=0.03)
    assert seen.mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(net.eval().seen(spikes, 0), spikes)
    none = SessionNet(net.core, list(net.read_ins), list(net.read_outs), dropout=0)
    assert torch.equal(none.train().seen(spikes, 0), spikes)


def test_a_teacher_drops_spikes_too() -> None:
    fusion = Concat(TASK.spec)
    net = make_net(TASK, GRU(fusion.spec, width=6, dropout=0)).train()
    teacher = Teacher(net, AroundSessions(fusion))
    batch = TASK.tagged(0, TASK.tasks[0].batch("train"))
    assert not torch.equal(teacher(batch), teacher(batch))
    net.drop = torch.nn.Identity()
    assert torch.equal(teacher(batch), teacher(batch))


def test_behavior_reaches_a_teacher_within_the_session() -> None:
    fusion = Concat(TASK.spec)
    net = make_net(TASK, GRU(fusion.spec, width=6))
    teacher = Teacher(net, AroundSessions(fusion)).eval()
    batch = TASK.tagged(0, TASK.tasks[0].batch("train"))
    other = batch._replace(behavior=batch.behavior.map(lambda part: part.flip(0)))
    assert teacher(batch).shape == batch.target.shape
    assert not torch.equal(teacher(batch), teacher(other))
    with pytest.raises(ValueError, match="a batch of none of them"):
        teacher(TASK.tasks[0].batch("train"))


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_works_within_a_session(name) -> None:
    fusion = load(find_fusion(name))(TASK.spec)
    net = make_net(TASK, GRU(fusion.spec, width=6))
    teacher = Teacher(net, AroundSessions(fusion)).eval()
    for s, task in enumerate(TASK.tasks):
        batch = task.batch("train")
        own = InSession(teacher, lambda b, s=s: TASK.tagged(s, b))
        output = output_of(own, batch, ["core.norm"])
        assert output.log_rates.shape == batch.target.shape
        assert output.features["core.norm"].shape[1] == task.spec.t_in


def test_a_causal_core_streams_in_each_session() -> None:
    net = make_net(TASK, GRU(TASK.spec, width=6, bidirectional=False)).eval()
    one, spikes = net.of_session(1), TASK.tasks[1].batch("train").spikes
    state, steps = one.begin(len(spikes)), []
    for t in range(spikes.shape[1]):
        log_rates, state = one.step(spikes[:, t], state)
        steps.append(log_rates)
    assert torch.allclose(torch.stack(steps, dim=1), one(spikes), atol=1e-6)
    assert one.longest is None


def test_what_a_core_brings_is_brought() -> None:
    net = make_net(TASK, LFADS(TASK.spec)).train()
    batch = TASK.tagged(0, TASK.tasks[0].batch("train"))
    assert net.default_mask == "entries"
    parts = Objective()(Student(net, on_session), batch)
    assert set(parts) - {"loss", "task"} == {"kl", "l2"}


def test_separate_networks_share_nothing() -> None:
    nets = [GRU(task.spec, width=4) for task in TASK.tasks]
    student = Student(Separate(nets), on_session).eval()
    batch = TASK.tasks[2].batch("train")
    assert torch.equal(student(TASK.tagged(2, batch)), Student(nets[2])(batch))
    assert student.net.of_session(2) is nets[2]


def test_read_ins_begin_with_what_sessions_share() -> None:
    """Neurons of two sessions that follow the same latents give the same inputs of a core."""
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(60, 3))
    responses = [
        latents @ rng.normal(size=(3, n)) + 0.05 * rng.normal(size=(60, n)) for n in (20, 9)
    ]
    spreads = [r.std(axis=0) for r in responses]
    weights = read_in_weights(responses, spreads, 8, 0, (0, 1))
    assert [w.shape for w in weights] == [(8, 20), (8, 9)]
    given = [(r - r.mean(axis=0)) @ w.T for r, w in zip(responses, weights, strict=True)]
    for k in range(3):
        assert np.corrcoef(given[0][:, k], given[1][:, k])[0, 1] > 0.98
    at_random = read_in_weights(None, spreads, 8, 0, (0, 1))
    given = [r @ w.T for r, w in zip(responses, at_random, strict=True)]
    assert min(abs(np.corrcoef(given[0][:, k], given[1][:, k])[0, 1]) for k in range(8)) < 0.9


def test_random_inputs_weigh_rare_spikes_as_others() -> None:
    """Weights by spread would make of a neuron that hardly fires the largest of all inputs."""
    spreads = [np.array([1e-2] + [1.0] * 24), np.ones(16)]
    first, other = read_in_weights(None, spreads, 8, 0, (0, 1))
    assert np.abs(first).max() <= 1 / 5 and np.abs(other).max() <= 1 / 4


def test_components_are_of_the_sessions_learned_from() -> None:
    rng = np.random.default_rng(0)
    responses = [rng.normal(size=(40, n)) for n in (6, 5, 4)]
    spreads = [r.std(axis=0) for r in responses]
    found = read_in_weights(responses, spreads, 5, 0, (0, 1))
    other = [*responses[:2], rng.normal(size=(40, 4))]
    again = read_in_weights(other, spreads, 5, 0, (0, 1))
    assert np.array_equal(found[0], again[0]) and not np.array_equal(found[2], again[2])
