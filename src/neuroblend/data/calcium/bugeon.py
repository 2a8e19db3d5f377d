"""The layout in which Bugeon et al. (Nature 2022) published activity, behavior and cell types.

``<root>/<mouse>/<YYYY-MM-DD>/`` holds a table of cells (``neuron.*``) and, below it,
``<stimulus>/<run>/`` with activity and behavior, each signal on its own clock (figshare 19448531).
A run whose activity does not match the table of cells is left out, with a note; a file that is
read and missing is an error. Not read are counts of genes, probabilities of types, depth, plane,
names of states and the position of the eye. ``<root>/simulated.txt`` tells of which simulation
sessions are that were never recorded.

Shape legend: ``T`` frames, ``N`` neurons.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.calcium.session import ABSENT, SIMULATED, CalciumSession, as_neuron_ids
from neuroblend.data.clocks import at_frames
from neuroblend.errors import InputError, nearest

SUBCLASSES = ("Lamp5", "Pvalb", "Vip", "Sncg", "Sst")
EXCITATORY, INHIBITORY, OTHER = "EC", "IN", "other"
# every first part of a type's name that is known
EI = {EXCITATORY: EXCITATORY} | dict.fromkeys((INHIBITORY, *SUBCLASSES), INHIBITORY)
STATES = ("running", "desynchronized", "synchronized")
BEHAVIOR = ("speed", "pupil", *STATES)
MARK = "simulated.txt"
MOST_STEP = 1.5  # from one frame to the next, in units of the usual one, before it is noted
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_RUN = re.compile(r"\d{2}")


def is_bugeon(root: Path) -> bool:
    """Whether a folder has sessions of this layout."""
    return any(any(folder.glob("neuron.*")) for folder in _session_folders(root))


def read_bugeon(root: str | Path, stimuli: Iterable[str] | None = None) -> list[CalciumSession]:
    """Read every run of every session.

    Behavior is the running speed, the pupil's size (both as they are), and one channel of 0 and 1
    for each of the three states. Labels are ``subclass`` (the first part of a type's name, where it
    is one of the five), ``ei`` and ``type``. Cells without a UniqueID are cells of their own.

    Args:
        root: The folder above the mice.
        stimuli: Names of stimuli to read, such as ``"Blank"``; all where ``None``.

    Raises:
        InputError: A file is missing or damaged, or no run can be used.
    """
    root = Path(root)
    wanted = None if stimuli is None else set(stimuli)
    found: set[str] = set()
    sessions: list[CalciumSession] = []
    skipped: list[str] = []
    unknown: Counter[str] = Counter()
    for folder in _session_folders(root):
        cells = _read_cells(folder)
        unknown += cells.unknown
        runs = sorted(p for p in folder.glob("*/*") if p.is_dir() and _RUN.fullmatch(p.name))
        others = sorted({path.parent for path in folder.glob("*/*/frame.*.npy")} - set(runs))
        skipped += [
            f"{other.relative_to(root)}: is not called as a run is (01, 02, ...); it is left out"
            for other in others
        ]
        if not runs:
            skipped.append(f"{folder.relative_to(root)}: no <stimulus>/<run>; it is left out")
        for run in runs:
            found.add(run.parent.name)
            if wanted is not None and run.parent.name not in wanted:
                continue
            shape = _load(run / "frame.neuralActivity.npy", mmap=True).shape
            if shape[1:] == (len(cells.neuron_id),):
                sessions.append(_read_run(root, run, cells))
            else:
                skipped.append(
                    f"{run.relative_to(root)}: activity has shape {shape} and the table of cells "
                    f"{len(cells.neuron_id)} rows; this run is left out"
                )
    for name in sorted((wanted or set()) - found):
        raise InputError(f"{root}: no stimulus '{name}': {nearest(name, sorted(found))}")
    if not sessions:
        why = skipped[0] if skipped else "no <stimulus>/<run>/frame.neuralActivity.npy"
        raise InputError(f"{root}: no run that can be used ({why})")
    notes = [f"{SIMULATED} ({_lines(root / MARK)[0]})."] if (root / MARK).is_file() else []
    notes += skipped
    notes += [f"{n} cells of type '{name}' are kept as '{OTHER}'" for name, n in unknown.items()]
    sessions[0] = replace(sessions[0], notes=(*notes, *sessions[0].notes))
    return sessions


def _session_folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*/*") if path.is_dir() and _DATE.fullmatch(path.name))


@dataclass(frozen=True)
class _Cells:
    """The table of cells of a session; ``unknown`` counts names of types that are not known."""

    neuron_id: NDArray[np.str_]
    position: NDArray[np.float32]
    labels: dict[str, NDArray[np.str_]]
    unknown: Counter[str]


def _read_cells(folder: Path) -> _Cells:
    types = _lines(folder / "neuron.ttype.txt")
    unique = _load(folder / "neuron.UniqueID.npy").reshape(-1)
    position = _load(folder / "neuron.stackPosCorrected.npy")
    if position.ndim != 2 or position.shape[1] < 2:
        raise InputError(
            f"{folder}: neuron.stackPosCorrected.npy has shape {position.shape}, wanted (N, 2) "
            "or more columns"
        )
    for name, size in (("UniqueID", len(unique)), ("stackPosCorrected", len(position))):
        if size != len(types):
            raise InputError(
                f"{folder}: neuron.ttype.txt has {len(types)} cells and neuron.{name}.npy {size}"
            )
    mouse, date = folder.parent.name, folder.name
    try:
        neuron_id = as_neuron_ids(unique, mouse, f"{mouse}/{date}")
    except InputError as error:
        raise InputError(f"{folder}: neuron.UniqueID.npy as {error}") from None
    first = [name.split("-")[0] for name in types]
    return _Cells(
        neuron_id,
        position.astype(np.float32),
        {
            "subclass": np.array([name if name in SUBCLASSES else ABSENT for name in first]),
            "ei": np.array([EI.get(name, ABSENT) for name in first]),
            "type": np.array([n if f in EI else OTHER for n, f in zip(types, first, strict=True)]),
        },
        Counter(name for name in first if name not in EI),
    )


def _read_run(root: Path, run: Path, cells: _Cells) -> CalciumSession:
    name = run.relative_to(root).as_posix()
    activity = _load(run / "frame.neuralActivity.npy").astype(np.float32)
    times = _load(run / "frame.times.npy").reshape(-1)
    states = _load(run / "frame.states.npy").reshape(-1)
    for part, size in (("frame.times", len(times)), ("frame.states", len(states))):
        if size != len(activity):
            raise InputError(f"{name}: {len(activity)} frames of activity and {size} of {part}")
    steps = np.diff(times)
    if len(times) < 2 or not (steps > 0).all():
        raise InputError(f"{name}: frame.times.npy is not ascending")
    signals: list[NDArray[np.floating]] = []
    for file, clock in (("running.speed", "running.times"), ("eye.size", "eye.times")):
        values, at = (_load(run / f"{part}.npy").reshape(-1) for part in (file, clock))
        signals.append(at_frames(f"{name}/{file}", values, at, times))
    known = np.isin(states, np.arange(len(STATES)))
    signals += [np.where(known, states == i, np.nan) for i in range(len(STATES))]
    n_other = int((~known & np.isfinite(states)).sum())
    notes = [f"{name}: {n_other} frames of an unknown state are missing"] if n_other else []
    if n_gaps := int((steps > MOST_STEP * np.median(steps)).sum()):
        notes.append(
            f"{name}: the clock of frames stops {n_gaps} times, for {steps.max():.3g} s at most; "
            "windows go on across"
        )
    return CalciumSession(
        name=name,
        animal=run.relative_to(root).parts[0],
        activity=activity,
        frame_s=float(np.median(steps)),
        labels=cells.labels,
        neuron_id=cells.neuron_id,
        behavior=np.stack(signals, axis=1).astype(np.float32),
        behavior_names=BEHAVIOR,
        position=cells.position,
        notes=tuple(notes),
    )


def _load(path: Path, mmap: bool = False) -> NDArray[np.float64]:
    """Return an array of numbers.

    Raises:
        InputError: The file is not there, is damaged, or holds something else.
    """
    _need(path)
    try:
        found = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: damaged ({error})") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
        raise InputError(f"{path}: holds {getattr(found, 'dtype', 'a .npz')}, wanted numbers")
    return found if mmap else found.astype(np.float64)


def _lines(path: Path) -> list[str]:
    _need(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: damaged ({error})") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _need(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: not there; the layout of Bugeon et al. (2022) has it")
