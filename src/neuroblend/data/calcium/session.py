"""Sessions of two-photon activity with cell labels, and where they are read from.

Shape legend: ``T`` frames, ``N`` neurons, ``D`` behavior channels, ``P`` coordinates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.errors import InputError, some
from neuroblend.files import errors_of

ABSENT = ""  # the label of a neuron that has none
SIMULATED = "These data are simulated, not recorded"  # begins the note of sessions that are
NAMELESS = " (no id)"  # ends the id that a neuron without one is given


@dataclass(frozen=True, eq=False)
class CalciumSession:
    """One run of one session, checked.

    Attributes:
        name: Such as ``"SB025/2019-10-07/Blank/01"``.
        animal: Whose.
        activity: (T, N) float32 activity/frame, finite, in any unit.
        frame_s: Seconds from one frame to the next.
        labels: (N,) str by what they name (``"subclass"``, ``"ei"``, ...); ``""`` where a neuron
            has none.
        neuron_id: (N,) str, the same for one cell in several sessions.
        behavior: (T, D) float32, NaN where missing; ``None`` without behavior.
        behavior_names: (D,) names.
        position: (N, P) float32, in the recording's unit of length; ``None`` where unknown.
        notes: What was left out or noticed on the way.
    """

    name: str
    animal: str
    activity: NDArray[np.float32]
    frame_s: float
    labels: Mapping[str, NDArray[np.str_]]
    neuron_id: NDArray[np.str_]
    behavior: NDArray[np.float32] | None = None
    behavior_names: tuple[str, ...] = ()
    position: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        with errors_of(self.name):
            self._check()

    def _check(self) -> None:
        if self.activity.ndim != 2 or self.activity.size == 0:
            raise InputError(f"activity has shape {self.activity.shape}, wanted (frame, neuron)")
        for kind in self.labels:
            if not kind or kind == "vectors" or not set(kind).isdisjoint("/\\"):
                raise InputError(
                    f"labels are called '{kind}', wanted a name without slashes, other than "
                    "'vectors'"
                )
        n_frames, n_neurons = self.activity.shape
        sizes = {f"label '{key}'": len(value) for key, value in self.labels.items()}
        sizes["neuron_id"] = len(self.neuron_id)
        sizes["position"] = n_neurons if self.position is None else len(self.position)
        for name, size in sizes.items():
            if size != n_neurons:
                raise InputError(f"activity has {n_neurons} neurons and {name} has {size}")
        n_channels = len(self.behavior_names)
        if self.behavior is not None and self.behavior.shape != (n_frames, n_channels):
            raise InputError(
                f"behavior has shape {self.behavior.shape}, wanted ({n_frames} frames,"
                f" {n_channels} channels)"
            )
        names, counts = np.unique(self.neuron_id, return_counts=True)
        if counts.max() > 1:
            raise InputError(
                f"neuron_id '{names[counts.argmax()]}' appears {counts.max()} times in one "
                "session, wanted once"
            )
        bad = ~np.isfinite(self.activity).all(axis=1)
        if bad.any():
            raise InputError(
                f"activity is not finite in {int(bad.sum())} of {n_frames} frames, frame "
                f"{int(bad.argmax())} first; leave those frames out or fill them"
            )
        if not 0 < self.frame_s < np.inf:
            raise InputError(f"frame_s {self.frame_s:g}, wanted seconds above 0")

    @property
    def n_frames(self) -> int:
        """Number of frames, ``T``."""
        return self.activity.shape[0]

    @property
    def n_neurons(self) -> int:
        """Number of neurons, ``N``."""
        return self.activity.shape[1]

    def __repr__(self) -> str:
        return (
            f"CalciumSession('{self.name}': {self.n_frames} frames of {self.frame_s:.3f} s x "
            f"{self.n_neurons} neurons, behavior: {', '.join(self.behavior_names) or 'none'})"
        )


def labels_of(sessions: list[CalciumSession], kind: str) -> dict[str, str]:
    """Return the label of each cell that has one, by neuron id."""
    return {
        neuron: label
        for session in sessions
        if kind in session.labels
        for neuron, label in labelled(session, kind)
    }


def labelled(session: CalciumSession, kind: str) -> list[tuple[str, str]]:
    """Return the (id, label) of each cell that has a label."""
    pairs = zip(session.neuron_id.tolist(), session.labels[kind].tolist(), strict=True)
    return [(neuron, label) for neuron, label in pairs if label != ABSENT]


def as_labels(name: str, values: ArrayLike) -> NDArray[np.str_]:
    """Return (N,) labels as strings, ``""`` for ``None``, ``"nan"`` and NaN.

    Args:
        name: Of the labels, for errors.
        values: (N,) strings, or numbers that are all NaN.

    Raises:
        InputError: They are something else.
    """
    found = _one_axis(name, values)
    if found.dtype.kind in "iub" or (found.dtype.kind == "f" and not np.isnan(found).all()):
        raise InputError(f"{name}: found numbers ({found.dtype}), wanted strings")
    return np.array([_text(value) for value in found.tolist()], dtype=np.str_)


def need_labels(labels: Mapping[str, NDArray[np.str_]]) -> None:
    """Refuse labels of which no neuron has one.

    Raises:
        InputError: None has, of any kind.
    """
    if all((found == ABSENT).all() for found in labels.values()):
        raise InputError(f"no neuron has a label: all are missing in {some(labels)}")


def as_neuron_ids(values: ArrayLike, animal: str, session: str) -> NDArray[np.str_]:
    """Return (N,) ids as strings, ``"<animal>/<id>"``: one cell in all sessions of an animal.

    A neuron without one (``""``, NaN) is a cell of its own, ``"<session>/<i> (no id)"``.

    Raises:
        InputError: They are neither strings nor whole numbers.
    """
    found = _one_axis("neuron_id", values)
    if found.dtype.kind in "iuf":
        numbers = found[np.isfinite(found)]
        fractions = numbers[numbers != np.round(numbers)]
        if fractions.size:
            raise InputError(f"neuron_id: found {fractions[0]:g}, wanted whole numbers or strings")
        ids = [str(int(n)) if np.isfinite(n) else ABSENT for n in found.tolist()]
    elif found.dtype.kind in "OSU":
        ids = [_text(value) for value in found.tolist()]
    else:
        raise InputError(f"neuron_id: found {found.dtype}, wanted whole numbers or strings")
    return np.array(
        [f"{animal}/{cell}" if cell else f"{session}/{i}{NAMELESS}" for i, cell in enumerate(ids)],
        dtype=np.str_,
    )


def _one_axis(name: str, values: ArrayLike) -> NDArray[Any]:
    found = np.asarray(values)
    if found.ndim != 1:
        raise InputError(f"{name}: found shape {found.shape}, wanted (neuron,)")
    return found


def _text(value: object) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value)
    return ABSENT if value is None or text.strip().lower() == "nan" else text.strip()
