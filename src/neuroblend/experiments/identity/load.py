"""The whole way from sessions to who their cells are."""

from __future__ import annotations

import hashlib
import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.config import IdentityConfig
from neuroblend.data.calcium.session import CalciumSession, labels_of
from neuroblend.engine.executors.local import default_jobs, run_fits
from neuroblend.engine.progress import fits_progress
from neuroblend.engine.provenance import AT_START, machine_of, peak_memory_mb, versions
from neuroblend.errors import InputError, some
from neuroblend.experiments.identity.cells import (
    Cells,
    IdentityFolder,
    chosen_sessions,
    identity_arms,
    kinds_of,
)
from neuroblend.experiments.identity.experiment import check_identity, run_identity_fit
from neuroblend.experiments.identity.notes import notes_on_behavior, notes_on_sessions
from neuroblend.experiments.identity.scores import gather_identity
from neuroblend.experiments.identity.split import (
    NeuronSplit,
    split_animals,
    split_neurons,
    usable_labels,
)
from neuroblend.experiments.identity.task import CellTask
from neuroblend.files import write_json
from neuroblend.models.neuprint import RADIUS
from neuroblend.training.devices import as_device, check_devices

Say = Callable[[str], None]


def run_identity(
    source: str | Path,
    out: str | Path,
    config: IdentityConfig | None = None,
    jobs: int | None = 1,
    quiet: bool = True,
    say: Say | None = None,
) -> IdentityFolder:
    """Train teacher, baseline, multitask control and students, and tell cells apart by each.

    The same call goes on with an experiment that was interrupted.

    Args:
        source: As :func:`~neuroblend.data.calcium.read.read_sessions` takes it.
        out: Folder of the experiment. It appears only once the input was found good.
        config: Settings; ``data.source`` is filled in from ``source``.
        jobs: Worker processes; ``None`` for one a core.
        quiet: Whether to do without progress bars.
        say: Is told what a user should know, a line at a time.

    Returns:
        The folder; ``.results()`` is what was found.

    Raises:
        InputError: The data or a setting cannot be used, or ``out`` holds another experiment.
    """
    began = time.time()
    say = say or (lambda line: None)
    out = Path(out).resolve()
    config = config or IdentityConfig()
    data = config.data.model_copy(update={"source": str(Path(source).resolve())})
    config = config.model_copy(update={"data": data})
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: wanted 1 or more")
    device = as_device(config.training.accelerator)
    arms = identity_arms(config)
    sessions = chosen_sessions(config, anew=True)
    cells = _cells_of(sessions, kinds_of(config, sessions), config)
    splits = _splits(cells, config)
    task = CellTask.of(sessions, splits[0].tested, config.data.window)
    if not task.behavior_names:
        raise InputError(
            f"{source}: no behavior, so there is nothing for a teacher to know; sessions need "
            "'behavior' (frame, channel) beside 'activity'"
        )
    notes = notes_on_behavior(sessions)
    check_devices(config.training, device, task.n_train)
    check_identity(config, task)
    radius = float(config.model.settings.get("radius", RADIUS))
    notes += notes_on_sessions(sessions, radius)
    cells = replace(cells, notes=(*cells.notes, *notes))
    for note in cells.notes:
        say(f"note: {note}")
    folder = _opened(out, config, cells, splits, sessions)
    n_fits = len(arms) * len(splits)
    jobs = jobs or default_jobs(config.training.accelerator)
    n_labelled = {kind: len(cells.labels[kind]) for kind in cells.kinds}
    say(
        f"{len(sessions)} sessions, {len(cells.names)} cells of {len(set(cells.animals))} animals, "
        f"labelled: {', '.join(f'{n} by {kind}' for kind, n in n_labelled.items())}"
    )
    say(f"{n_fits} fits ({len(arms)} arms x {len(splits)} splits), {min(jobs, n_fits)} at a time")
    with fits_progress(folder.fits(), quiet) as tell:
        for fit in folder.fits():
            if folder.is_done(fit):
                tell(fit, config.training.epochs, config.training.epochs)
        run_fits(folder, jobs, tell, run_identity_fit)
    if not (folder.path / "results.json").is_file():
        say("scoring: 1000 bootstrap replicates of every score")
        results = gather_identity(folder)
        provenance = _provenance(folder, sessions, time.time() - began, jobs)
        write_json(folder.path / "provenance.json", provenance)
        write_json(folder.path / "results.json", _without_nan(results))  # last: marks the end
    return folder


def _cells_of(
    sessions: list[CalciumSession], kinds: Iterable[str], config: IdentityConfig
) -> Cells:
    """Return who the cells are, labels of classes that are too small left out.

    Raises:
        InputError: A kind of label that was asked for, or every kind, has fewer than two classes.
    """
    animal = {
        neuron: session.animal for session in sessions for neuron in session.neuron_id.tolist()
    }
    notes = [note for session in sessions for note in session.notes]
    labels = {}
    unusable: list[str] = []
    for kind in kinds:
        found = labels_of(sessions, kind)
        if not found:
            there = sorted({k for s in sessions for k in s.labels if labels_of(sessions, k)})
            raise InputError(
                f"labels '{kind}': no cell has one; there are: {some(there) or 'none'}; choose "
                "with --labels"
            )
        try:
            labels[kind], left_out = usable_labels(found, config.data.folds)
        except InputError as error:
            unusable.append(f"{kind}: {error}")
            if config.data.labels is not None:
                raise InputError(unusable[0]) from None
            notes.append(f"{unusable[-1]}; cells are not told by it")
            continue
        notes += [f"{kind}: {note}" for note in left_out]
    if not labels:
        why = f" ({'; '.join(unusable)})" if unusable else ""
        raise InputError(
            f"no kind of label has classes that are large enough, so there is nothing to tell "
            f"cells by{why}"
        )
    names = tuple(sorted(animal))
    return Cells(names, tuple(animal[name] for name in names), labels, tuple(notes))


def _splits(cells: Cells, config: IdentityConfig) -> list[NeuronSplit]:
    labels, names = cells.labels[cells.kinds[0]], list(cells.names)
    animals = dict(zip(cells.names, cells.animals, strict=True))
    if config.data.animals:
        return [
            split
            for seed in config.all_seeds
            for split in split_animals(labels, names, seed, animals)
        ]
    share = config.data.share
    return [split_neurons(labels, names, seed, share, animals) for seed in config.all_seeds]


def _opened(
    out: Path,
    config: IdentityConfig,
    cells: Cells,
    splits: list[NeuronSplit],
    sessions: list[CalciumSession],
) -> IdentityFolder:
    origin = content_hash(sessions)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, wanted a folder for the experiment")
    if not out.is_dir() or not any(out.iterdir()):
        return IdentityFolder.create(out, config, cells, splits, origin)
    folder = IdentityFolder.open(out)
    folder.check_same(config, origin)
    return folder


def content_hash(sessions: list[CalciumSession]) -> str:
    """Return a SHA-256 over activity, behavior, cells and labels of all sessions."""
    digest = hashlib.sha256()
    for session in sessions:
        digest.update(f"{session.animal} {session.frame_s} {session.behavior_names}".encode())
        arrays: dict[str, NDArray[Any] | None] = {
            "activity": session.activity,
            "neuron_id": session.neuron_id,
            "behavior": session.behavior,
            "position": session.position,
            **{f"label/{kind}": labels for kind, labels in session.labels.items()},
        }
        for name, array in arrays.items():
            if array is not None:
                digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _provenance(
    folder: IdentityFolder, sessions: list[CalciumSession], wall_s: float, jobs: int
) -> dict[str, Any]:
    """Return what someone needs to judge or repeat an experiment."""
    costs = {fit.label: folder.fit_scores(fit)["cost"] for fit in folder.fits()}
    config = folder.config()
    return {
        **{key: folder.provenance().get(key) for key in AT_START},
        "data": {
            "source": config.data.source,
            "sessions": {
                session.name: {
                    "animal": session.animal,
                    "n_frames": session.n_frames,
                    "n_neurons": session.n_neurons,
                    "frame_s": round(session.frame_s, 6),
                }
                for session in sessions
            },
            "behavior": list(sessions[0].behavior_names),
            "notes": list(folder.cells().notes),
        },
        "seeds": config.all_seeds,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions(),
        "machine": machine_of(config.training.accelerator),
        "wall_s": round(wall_s, 1),
        "cpu_s": round(sum(cost["cpu_s"] for cost in costs.values()), 1),
        "jobs": jobs,
        "peak_memory_mb": peak_memory_mb(jobs),
        "fits": costs,
    }


def _without_nan(tree: Any) -> Any:
    """Return nested results with ``None`` for numbers that do not exist, for JSON."""
    if isinstance(tree, dict):
        return {key: _without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
