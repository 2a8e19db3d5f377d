"""A run's trained students, used on spikes that come without behavior."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.deploy.asked import SignalsOf
from neuroblend.deploy.direct import DirectDecoder
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.prediction import Prediction
from neuroblend.deploy.signals import StudentSignals
from neuroblend.deploy.student import TrainedStudent
from neuroblend.engine.arm import TEACHER, Fit
from neuroblend.engine.folder import RunFolder
from neuroblend.engine.job import load_model
from neuroblend.errors import InputError, nearest
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.networks import layer_of, student_settings
from neuroblend.experiments.decoding.rivals import rival_signals
from neuroblend.experiments.decoding.sessions.networks import in_session, is_alone, network_of
from neuroblend.experiments.decoding.sessions.settings import SessionsConfig
from neuroblend.experiments.decoding.settings import (
    BLIND,
    DIRECT,
    KALMAN,
    LOGISTIC,
    RIVALS,
    SHUFFLED_TEACHER,
    WIENER,
    RunConfig,
)
from neuroblend.files import errors_of
from neuroblend.privilege.roles import Teacher
from neuroblend.privilege.sessions import InSession
from neuroblend.task.batch import Batch
from neuroblend.task.sessions import SessionsTask
from neuroblend.task.task import Task

SELECTED = "selected"
WITHOUT_NETWORK = (WIENER, KALMAN, LOGISTIC)
SCORES = ("decoding_r2", "decoding_skill", "balanced_accuracy", "behavior_r2", "co_bps")


class TrainedTeacher(NamedTuple):
    """A teacher of a run, which wants behavior beside spikes.

    Attributes:
        model: The network in its role, called on a batch; of a run on several sessions, on
            batches of one.
        task: The trials and split that it was trained on, which give batches.
    """

    model: Teacher | InSession
    task: Task


def trained_student(
    run: str | Path | RunFolder,
    arm: str = SELECTED,
    seed: int | None = None,
    fold: int | None = None,
    session: str | None = None,
) -> TrainedStudent:
    """Return a student of a run that has ended, ready to predict from spikes alone.

    Args:
        run: The run or its folder.
        arm: A student's arm, ``"baseline"``, ``"selected"`` for the one that was selected, or what
            a lab would use instead, such as ``"wiener"``.
        seed: One of the run's seeds (they hold out different neurons); its first where ``None``.
        fold: One of the folds of a run with ``--folds``, each tested on other trials; the first
            where ``None``.
        session: Of a run on several sessions: for whose neurons.

    Raises:
        InputError: There is no such arm, seed, fold or session, or it has not been trained.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    fit = find_fit(folder, arm, seed, fold)
    task, model, out, built_as = _loaded(folder, fit, session)
    scored = Scored.load(out / "test.h5")
    layer, config, network = None, folder.config(), None
    causal = config.model.causal
    signals: SignalsOf = partial(_rival_signals, fit.arm.name, model, task, causal)
    if fit.arm.name == DIRECT:
        assert model is not None and isinstance(model.net, DirectDecoder)
        layer = model.net.layer
    elif fit.arm.name not in RIVALS["all"]:
        assert model is not None
        layer = layer_of(config, fit.arm, model)
        signals = StudentSignals(model, layer, task.split.held_out)
    if layer is not None and (fit.arm.name == DIRECT or not fit.arm.is_reference):
        network = built_as
    trials = task.trials
    return TrainedStudent(
        arm=fit.arm.name,
        seed=fit.seed,
        spec=task.spec,
        neurons=KnownNeurons.of(trials, task.split.held_out),
        signals=signals,
        decoder=scored.decoder,
        readout=scored.readout,
        channels=trials.channels,
        model=model,
        layer=layer,
        network=network,
        task=task,
        about=_about(folder, fit, session),
    )


def trained_teacher(
    run: str | Path | RunFolder,
    seed: int | None = None,
    fold: int | None = None,
    session: str | None = None,
) -> TrainedTeacher:
    """Return the teacher of a run, and the task that gives it batches.

    Args:
        run: The run or its folder.
        seed: As for :func:`trained_student`.
        fold: As there.
        session: As there.

    Raises:
        InputError: The run has none, or no such seed, fold or session.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    fit = _fit_of(folder, TEACHER, seed, fold, "teacher")
    task, model, _, _ = _loaded(folder, fit, session)
    assert isinstance(model, (Teacher, InSession))
    return TrainedTeacher(model, task)


def taken_home(
    folder: RunFolder,
    arm: str | None,
    seed: int | None,
    fold: int | None = None,
    session: str | None = None,
) -> TrainedStudent | TrainedTeacher:
    """Return a model of a run, as an experiment gives it to be used: the selected one, if any is.

    Raises:
        InputError: There is none.
    """
    if arm == TEACHER:
        return trained_teacher(folder, seed, fold, session)
    return trained_student(folder, SELECTED if arm is None else arm, seed, fold, session)


def _loaded(
    folder: RunFolder, fit: Fit, session: str | None
) -> tuple[Task, Any, Path, tuple[str, Any]]:
    """Return task and model, where its scores are, and the name and settings of its network.

    Of a run on several sessions, all of it is as one of them has it.

    Raises:
        InputError: There is no such session, or several and none is asked for.
    """
    config, whole = folder.config(), folder.task(fit)
    if isinstance(whole, SessionsTask):
        if session is None:
            raise InputError(
                f"{folder.path}: a run on several sessions; for the neurons of which? --session "
                f"{' or '.join(whole.split.names)}"
            )
        with errors_of(folder.path):
            at = whole.index(session)
        model = None
        has_network = folder.experiment.build(fit.arm, whole, 0) is not None
        if fit.arm.name not in WITHOUT_NETWORK:
            loaded = load_model(folder, fit, whole) if has_network else None
            model = in_session(config, fit.arm, loaded, whole, at)
        built_as = network_of(config, whole, is_alone(fit.arm))
        return whole.tasks[at], model, folder.of(fit) / session, built_as
    if session is not None:
        raise InputError(f"{folder.path}: no session '{session}': a run on one recording")
    model = None if fit.arm.name in WITHOUT_NETWORK else load_model(folder, fit, whole)
    return whole, model, folder.of(fit), (config.model.name, student_settings(config.model))


def predict_run(
    run: str | Path | RunFolder,
    spikes: object,
    arm: str = SELECTED,
    seed: int | None = None,
    lengths: ArrayLike | None = None,
    *,
    fold: int | None = None,
    session: str | None = None,
    unit_id: ArrayLike | None = None,
    match: str = "auto",
    missing_units: str = "refuse",
    layers: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Predict rates, latents and decoded behavior from spikes alone.

    As :meth:`~neuroblend.deploy.student.TrainedStudent.predict` of :func:`trained_student`, which
    say what the arguments are.

    Raises:
        InputError: There is no such arm, seed or fold, or the spikes do not fit.
    """
    student = trained_student(run, arm, seed, fold, session)
    return student.predict(
        spikes,
        lengths,
        unit_id,
        match=match,
        missing_units=missing_units,
        layers=layers,
        progress=progress,
    )


def _rival_signals(
    arm: str, model: Any, task: Task, causal: bool, batch: Batch, layers: Sequence[str]
) -> dict[str, NDArray[np.floating]]:
    if layers:
        raise InputError(f"layers {', '.join(layers)}: {arm} has no layers to look at")
    return rival_signals(arm, model, task, batch, causal)


def _about(folder: RunFolder, fit: Fit, session: str | None) -> dict[str, Any]:
    """Return where a student comes from and how it scored, for a file of its own."""
    provenance, config = folder.provenance(), folder.config()
    results: dict[str, Any] = {}
    if (folder.path / "results.json").is_file():
        results = folder.results()
    scores = results.get("arms", {}).get(fit.arm.name, {})
    at = "" if session is None else f"@{session}"
    return {
        **({} if session is None else {"session": session}),
        "data": provenance.get("data", {}),
        "data_hash": provenance.get("data_hash"),
        "version": provenance.get("version"),
        "git_commit": provenance.get("git_commit"),
        "config": config.model_dump(mode="json"),
        "fold": fit.fold,
        "scores": {name: scores[name + at] for name in SCORES if name + at in scores},
    }


def find_fit(
    folder: RunFolder, arm: str = SELECTED, seed: int | None = None, fold: int | None = None
) -> Fit:
    """Return the training of a student of a run; see :func:`trained_student`.

    Raises:
        InputError: There is no such arm, seed or fold, or it has not been trained.
    """
    if folder.experiment.kind not in (RunConfig.kind, SessionsConfig.kind):
        raise InputError(
            f"{folder.path}: a run of kind {folder.experiment.kind}, wanted {RunConfig.kind}"
        )
    if arm == SELECTED:
        arm = folder.results()["selected"]
    teachers = (TEACHER, BLIND, SHUFFLED_TEACHER)
    known = {fit.arm.name for fit in folder.fits()} - {*teachers}
    if arm not in known:
        why = "; a teacher needs behavior" if arm in teachers else ""
        why += ", and is run.teacher()" if arm == TEACHER else ""
        raise InputError(f"no student '{arm}' in this run{why}: {nearest(arm, [SELECTED, *known])}")
    return _fit_of(folder, arm, seed, fold, "student")


def _fit_of(folder: RunFolder, arm: str, seed: int | None, fold: int | None, role: str) -> Fit:
    config = folder.config()
    seeds, folds = config.all_seeds, config.all_folds
    seed = seeds[0] if seed is None else seed
    if seed not in seeds:
        raise InputError(f"no seed {seed} in this run; there are {seeds[0]} to {seeds[-1]}")
    if fold is not None and folds == [None]:
        raise InputError(f"no fold {fold} in this run, which has none (--folds makes them)")
    if fold is not None and fold not in folds:
        raise InputError(f"no fold {fold} in this run; there are {folds[0]} to {folds[-1]}")
    fold = folds[0] if fold is None else fold
    wanted = (arm, seed, fold)
    fits = [fit for fit in folder.fits() if (fit.arm.name, fit.seed, fit.fold) == wanted]
    if not fits:
        raise InputError(f"{folder.path}: no {role} in this run")
    if not folder.is_done(fits[0]):
        raise InputError(f"{folder.path}: {fits[0].label} has not been trained; give the run again")
    return fits[0]
