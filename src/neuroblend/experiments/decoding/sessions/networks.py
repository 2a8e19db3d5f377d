"""The networks of a run on several sessions, and each as one session has it.

Shape legend: ``T`` bins, ``N`` neurons of a session, ``W`` width of the core.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroblend.deploy.direct import DirectDecoder
from neuroblend.distill.committee import Committee, on_batch
from neuroblend.distill.objective import Objective
from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER, Arm
from neuroblend.errors import blamed_on
from neuroblend.evaluation.score import condition_index
from neuroblend.experiments.decoding.networks import (
    Blind,
    build_reference,
    build_student,
    feature_layer,
    fusion_of,
    student_settings,
)
from neuroblend.experiments.decoding.sessions.settings import SessionsConfig
from neuroblend.experiments.decoding.settings import BLIND, DIRECT, TEACHERS
from neuroblend.experiments.decoding.teaching import seed_of
from neuroblend.models.build import build_network
from neuroblend.models.parts.read_in import read_in_weights
from neuroblend.models.sessions import (
    CORE,
    Separate,
    SessionNet,
    read_out_for,
    session_around,
)
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.privilege.sessions import AroundSessions, InSession, on_session
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch
from neuroblend.task.sessions import SessionsTask
from neuroblend.task.spec import TaskSpec
from neuroblend.task.task import Task
from neuroblend.training.masking import mask_for
from neuroblend.training.train import train

ALONE = {BASELINE: f"{BASELINE}-alone", MULTITASK: f"{MULTITASK}-alone"}
"""What is trained on each session alone, by the arm of all sessions that it is compared with."""
LEAST_SPREAD = 1e-2  # counts/bin, of a neuron that hardly fires


def is_alone(arm: Arm) -> bool:
    """Whether an arm has a network of its own for each session."""
    return arm.name in ALONE.values()


def build_joint(config: SessionsConfig, arm: Arm, task: SessionsTask, seed: int) -> Any:
    """Build the student or the teacher of an arm, for all sessions."""
    if arm.name in TEACHERS:
        return _teacher(config, arm, task, seed)
    dropout = config.model.read_in_dropout
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 21))
        core = build_network(config.model.name, student_settings(config.model), task.spec)
        read_ins, read_outs = _ends(task, [t.spec.n_in for t in task.tasks], seed)
    if arm.name != DIRECT:
        return Student(SessionNet(core, read_ins, read_outs, dropout), on_session)
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 23))
        layer, example = feature_layer(config.model, core), _example(task.spec)
        decoder = DirectDecoder(core, layer, task.spec.n_behavior, example)
        whole = [nn.Identity() for _ in read_outs]
    return Student(SessionNet(decoder, read_ins, whole, dropout), on_session)


def build_alone(config: SessionsConfig, task: SessionsTask, seed: int) -> Student:
    """Build a network for each session, as a run on it alone would."""
    nets = [build_student(config, each, seed).net for each in task.tasks]
    return Student(Separate(nets), on_session)


def in_session(
    config: SessionsConfig, arm: Arm, model: Any, task: SessionsTask, session: int
) -> Any:
    """Return the model of an arm as one session has it, called on batches of a session alone.

    A student is a student of a network for that session's neurons; a teacher is called through
    :class:`~neuroblend.privilege.sessions.InSession`. A reference is fitted to the session.
    """
    one = task.tasks[session]
    if model is None:
        reference = build_reference(arm.name, one, config.model.causal)
        train(reference, one)
        return reference
    if isinstance(model, Teacher):
        return InSession(model, partial(task.tagged, session))
    net = model.net
    if isinstance(net, SessionNet) and isinstance(net.core, DirectDecoder):
        inner = net.core
        read_out = read_out_for(one.spec, task.spec)  # of rates, which nothing asks for
        seen = session_around(net.read_ins[session], inner.net, read_out)
        layer = f"{CORE}.{inner.layer}"
        decoder = DirectDecoder(seen, layer, one.spec.n_behavior, _example(one.spec))
        decoder.readout = inner.readout
        return Student(decoder).eval()
    return Student(net.of_session(session)).eval()


def network_of(config: SessionsConfig, task: SessionsTask, is_alone: bool) -> tuple[str, Any]:
    """Return the name and the settings that build the network of one session, for its file."""
    settings = student_settings(config.model)
    if is_alone:
        return config.model.name, settings
    given = {"model": config.model.name, "width": task.spec.n_in, "settings": dict(settings)}
    return "neuroblend.models.sessions:one_session", given


def check_joint(config: SessionsConfig, arms: list[Arm], task: SessionsTask) -> None:
    """Try a student and a teacher on two trials of each session, in training too.

    Raises:
        InputError: A network fails.
    """
    tried = [arm for arm in arms if arm.name in (TEACHER, BASELINE)]
    for arm in tried:
        model = build_joint(config, arm, task, 0)
        mask = mask_for(config.training, model.net)
        for session, each in enumerate(task.tasks):
            batch = task.tagged(session, each.batch("train").take(slice(2)))
            where = f"model {config.model.name}: as the {arm.name} of several sessions"
            with torch.random.fork_rng(), blamed_on(where):
                Objective()(model, mask(batch, 0))["loss"].backward()


def _teacher(config: SessionsConfig, arm: Arm, task: SessionsTask, seed: int) -> Teacher:
    given, members = config.teacher, []
    fusion: Callable[[TaskSpec], Any] = Blind
    if arm.name != BLIND:
        fusion = fusion_of(config, task.split.seed)
    sees_all = given.sees == "all"
    n_seen = [t.spec.n_out if sees_all else t.spec.n_in for t in task.tasks]
    for i in range(given.n_teachers):
        with torch.random.fork_rng():
            torch.manual_seed(mixed_seed(seed_of(seed, i), 22))
            made = fusion(task.spec)
            core = build_network(config.model.name, config.model.settings, made.spec)
            ends = _ends(task, n_seen, seed_of(seed, i))
            net = SessionNet(core, *ends, config.model.read_in_dropout)
            members.append(Teacher(net, AroundSessions(made, sees_all)))
    if len(members) == 1:
        return members[0]
    layer = feature_layer(config.model, members[0].net)
    return Teacher(Committee(members, layer, None, None), on_batch)


def _ends(
    task: SessionsTask, n_seen: list[int], seed: int
) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return read-ins of the first ``n_seen`` neurons of each session, and read-outs."""
    counts = [
        t.trials.counts_of(t.split.train)[:, : t.spec.t_in][:, :, t.split.order[:n]].astype(float)
        for t, n in zip(task.tasks, n_seen, strict=True)
    ]
    means = [np.nanmean(c, axis=(0, 1)) for c in counts]
    spreads = [np.maximum(np.nanstd(c, axis=(0, 1)), LEAST_SPREAD) for c in counts]
    weights = read_in_weights(
        _responses(task, counts), spreads, task.spec.n_in, seed, task.split.learned
    )
    read_ins: list[nn.Module] = []
    for weight, mean in zip(weights, means, strict=True):
        made = nn.Linear(mean.size, task.spec.n_in)
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(weight))
            made.bias.copy_(torch.from_numpy(-weight @ mean))
        read_ins.append(made)
    return read_ins, [read_out_for(t.spec, task.spec) for t in task.tasks]


def _responses(task: SessionsTask, counts: list[Any]) -> list[Any] | None:
    """Return (M, N) mean counts/bin of training trials: by condition where all sessions share some.

    Of all trials where they do not; none where these are windows, which begin anywhere.
    """
    tasks: tuple[Task, ...] = task.tasks
    if any(t.trials.window_id is not None for t in tasks):
        return None
    shared: set[str] = set()
    if all(t.trials.condition is not None for t in tasks):
        labels = [set(_labels(t)) for t in tasks]
        shared = set.intersection(*labels)
    n_bins = min(int(t.trials.bins_of(t.split.train).max()) for t in tasks)
    found = []
    for t, c in zip(tasks, counts, strict=True):
        picked = [_labels(t) == label for label in sorted(shared)] or [np.ones(len(c), dtype=bool)]
        means = [np.nan_to_num(_mean(c[which])) for which in picked]
        found.append(np.concatenate([mean[:n_bins] for mean in means]))
    return found


def _mean(counts: Any) -> Any:
    """Return (T, N) mean over trials, NaN in bins that none has."""
    n = np.isfinite(counts).sum(axis=0)
    return np.where(n > 0, np.nansum(counts, axis=0) / np.maximum(n, 1), np.nan)


def _labels(task: Task) -> Any:
    """Return the condition of each training trial."""
    found = condition_index(task.trials)
    assert found is not None
    names, index = found
    return names[index][task.split.train]


def _example(spec: TaskSpec) -> Batch:
    return Batch(torch.zeros(2, spec.t_in, spec.n_in))
