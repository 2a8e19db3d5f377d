"""Which neurons of some spikes are the ones that a student knows.

Shape legend: ``N`` neurons of the spikes, ``N_in`` neurons that a student sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.trials import Trials
from neuroblend.data.unit_ids import UnitIds
from neuroblend.errors import InputError, some

MatchBy = Literal["auto", "id", "position"]
MATCHES: tuple[MatchBy, ...] = ("auto", "id", "position")
MISSING = ("refuse", "zeros")


@dataclass(frozen=True, eq=False)
class KnownNeurons:
    """The neurons of a student's recording.

    Attributes:
        unit_id: (n,) names of the neurons that rates are predicted of, as recorded.
        unit_index: (n,) index of each in the source of the training data.
        held_out: (n,) bool, those that the student does not see.
        n_source: How many neurons that source has.
        are_named: Whether that source names its neurons; else ``unit_id`` are their places there,
            by which the neurons of other spikes cannot be known.
    """

    unit_id: UnitIds
    unit_index: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    n_source: int
    are_named: bool = True

    @classmethod
    def of(cls, trials: Trials, held_out: NDArray[np.bool_]) -> KnownNeurons:
        """Return the neurons of trials of which a student does not see (N,) ``held_out``."""
        return cls(
            trials.unit_id,
            trials.unit_index,
            held_out,
            trials.n_source_neurons,
            trials.has_unit_ids,
        )

    @property
    def seen(self) -> UnitIds:
        """(N_in,) names of the neurons that the student sees, in its order."""
        return self.unit_id[~self.held_out]

    @property
    def n_seen(self) -> int:
        """How many neurons the student sees, ``N_in``."""
        return int((~self.held_out).sum())


@dataclass(frozen=True, eq=False)
class Match:
    """Where a student's neurons are.

    Attributes:
        index: (N_in,) index among the neurons of the spikes, -1 for one that is not there.
        how: ``"by id"``, or ``"by position"`` with what was counted.
        notes: What a user should know, in sentences.
    """

    index: NDArray[np.int64]
    how: str
    notes: tuple[str, ...] = ()

    def of(self, counts: NDArray[Any]) -> NDArray[np.float32]:
        """Return (..., N_in) counts of the student's neurons from (..., N); 0 where missing."""
        picked = counts[..., np.maximum(self.index, 0)].astype(np.float32)
        picked[..., self.index < 0] = 0.0
        return picked


def match_neurons(
    known: KnownNeurons,
    unit_id: UnitIds | None,
    n_given: int,
    match: str = "auto",
    missing: str = "refuse",
    where: str = "spikes",
    silent_id: UnitIds | None = None,
) -> Match:
    """Find a student's neurons among those of some spikes.

    By id where both have ids, whatever their order. Without ids, or where ``match`` is
    ``"position"``, by position: in the order of the training data's source, of the neurons that
    were used of it, or of those that the student sees, whichever the number of neurons fits.

    Args:
        known: The student's neurons.
        unit_id: (N,) names of the neurons of the spikes; ``None`` without.
        n_given: ``N``.
        match: ``"auto"``, ``"id"`` or ``"position"``.
        missing: ``"zeros"`` to take neurons that are not there as silent, ``"refuse"`` else.
        where: What the spikes are called in errors.
        silent_id: Names of further neurons that were recorded and had no spike.

    Raises:
        InputError: Neurons that the student sees are not there, ids are wanted and there are none,
            or the number of neurons fits nothing.
    """
    for given, allowed, name in ((match, MATCHES, "match"), (missing, MISSING, "missing units")):
        if given not in allowed:
            raise InputError(f"{name}: found '{given}', wanted one of {some(allowed)}")
    can_be_by_id = known.are_named and unit_id is not None
    if match == "position" or (match == "auto" and not can_be_by_id):
        return _by_position(known, n_given, where)
    if not known.are_named:
        raise InputError(
            f"{where}: the student's training data had no unit_id to match neurons by; wanted a "
            "training with them, or match by position"
        )
    if unit_id is None:
        raise InputError(
            f"{where}: no unit_id to match neurons by; wanted the ids of the training data, or "
            "match by position"
        )
    return _by_id(known, unit_id, missing, where, silent_id)


def _by_id(
    known: KnownNeurons,
    unit_id: UnitIds,
    missing: str,
    where: str,
    silent_id: UnitIds | None,
) -> Match:
    at = {str(each): i for i, each in enumerate(unit_id)}
    index = np.array([at.get(str(each), -1) for each in known.seen], dtype=np.int64)
    silent = set() if silent_id is None else set(map(str, silent_id))
    is_silent = np.array([str(each) in silent for each in known.seen]) & (index < 0)
    gone = known.seen[(index < 0) & ~is_silent]
    notes = []
    if is_silent.any():
        notes.append(
            f"{_neurons(int(is_silent.sum()))} that the student sees never fire in these spikes: "
            f"{some(known.seen[is_silent].tolist())}."
        )
    if gone.size == known.n_seen:
        raise InputError(
            f"{where}: none of the {known.n_seen} neurons that the student sees is there (it wants "
            f"{some(known.seen.tolist())}; found {some(unit_id.tolist())}); where the neurons are "
            "the same in the same order, match by position"
        )
    if gone.size:
        listed = ", ".join(map(str, gone))
        if missing == "refuse":
            raise InputError(
                f"{where}: {gone.size} of the {known.n_seen} neurons that the student sees are "
                f"missing ({listed}); to take them as silent, --missing-units zeros"
            )
        notes.append(
            f"{gone.size} of the {known.n_seen} neurons that the student sees are missing and "
            f"taken as silent: {listed}."
        )
    extra = [i for i in unit_id.tolist() if str(i) not in set(map(str, known.unit_id))]
    if extra:
        notes.append(
            f"{_neurons(len(extra))} that the student does not know ignored: {some(extra)}."
        )
    return Match(index, "by id", tuple(notes))


def _by_position(known: KnownNeurons, n_given: int, where: str) -> Match:
    seen = ~known.held_out
    counted: Sequence[tuple[int, NDArray[np.int64], str]] = (
        (known.n_seen, np.arange(known.n_seen), "that the student sees"),
        (known.unit_id.size, np.flatnonzero(seen), "that the training used"),
        (known.n_source, known.unit_index[seen], "of the training data's source"),
    )
    for n, index, what in counted:
        if n == n_given:
            how = f"by position, in the order of the {n} {what}"
            of = "" if known.are_named else " of the training data too"
            note = (
                f"Neurons were matched {how}: whether they are the same neurons cannot be checked "
                f"without unit_id{of}."
            )
            return Match(index, how, (note,))
    raise InputError(
        f"{where}: found {n_given} neurons, wanted the {known.n_source} of the run's source, the "
        f"{known.unit_id.size} that it used or the {known.n_seen} that its students see"
    )


def _neurons(n: int) -> str:
    return "1 neuron" if n == 1 else f"{n} neurons"
