"""Which cells there are, whose they are, and what they are labelled.

Shape legend: ``n`` labelled cells.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.calcium.read import read_sessions
from neuroblend.data.calcium.session import CalciumSession, labels_of
from neuroblend.errors import InputError, nearest, some
from neuroblend.experiments.identity.ids import Ids, as_one_cell, name_in, shared_names
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.experiments.identity.split import usable_labels

SEVERAL = "several animals"  # have a cell whose id recurs over them


@dataclass(frozen=True)
class Cells:
    """All cells of a source.

    Attributes:
        name: Of the source.
        n_sessions: How many sessions they are from.
        names: All cells, in the order of every table.
        animals: Whose each is; ``SEVERAL`` for one cell of several animals.
        labels: Of each kind, the label of each cell that has one and whose class is large enough.
        notes: What a user should know of the data.
        units: What the bootstrap draws for each cell: itself, or where it recurs over animals and
            is tested in each, all that have its name; the cells themselves where empty.
    """

    name: str
    n_sessions: int
    names: tuple[str, ...]
    animals: tuple[str, ...]
    labels: dict[str, dict[str, str]]
    notes: tuple[str, ...]
    units: tuple[str, ...] = ()

    def __repr__(self) -> str:
        labelled = ", ".join(f"{len(self.labels[kind])} by {kind}" for kind in self.kinds)
        n_animals = len(set(self.animals) - {SEVERAL})
        return (
            f"{self.n_sessions} sessions, {len(self.names)} cells of {n_animals} animals, "
            f"labelled: {labelled}"
        )

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Cells:
        """Return cells that were stored as plain lists and mappings."""
        listed = ("names", "animals", "notes", "units")
        lists = {key: tuple(stored[key]) for key in listed if key in stored}
        return cls(**(stored | lists))

    @property
    def kinds(self) -> tuple[str, ...]:
        """What cells are classified by, the deciding one first."""
        return tuple(self.labels)

    @property
    def drawn(self) -> NDArray[np.int64]:
        """(n,) which unit of the bootstrap each cell is of."""
        return np.unique(self.units or self.names, return_inverse=True)[1]

    def prefix(self, kind: str) -> str:
        """Return the prefix of metrics of a kind of label: nothing for the deciding one."""
        return "" if kind == self.kinds[0] else f"{kind}/"

    def labelled(self, kind: str) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
        """Return the rows of labelled cells and their labels."""
        known = self.labels[kind]
        rows = [row for row, name in enumerate(self.names) if name in known]
        return np.array(rows), np.array([known[self.names[row]] for row in rows])


def chosen_sessions(config: IdentityConfig, again: bool = False) -> list[CalciumSession]:
    """Return the sessions and the channels that the settings ask for.

    A source that was read before is read again where ``again``, as its files may have changed.

    Raises:
        InputError: They cannot be read, or a channel is not there.
    """
    if again:
        _read.cache_clear()
        _chosen.cache_clear()
    data = config.data
    return list(_chosen(data.source, data.stimuli, data.behavior, data.ids, data.animals))


@cache
def _chosen(
    source: str,
    stimuli: tuple[str, ...] | None,
    behavior: tuple[str, ...] | None,
    ids: Ids | None,
    animals: bool,
) -> tuple[CalciumSession, ...]:
    """Return the same sessions at every call: a worker keeps what it computed of each."""
    sessions = [_with_channels(session, behavior) for session in _read(source, stimuli)]
    shared = shared_names(sessions, ids)
    if shared and not animals:  # an animal that is left out shares no embedding with the others
        sessions = [as_one_cell(session, shared) for session in sessions]
    return tuple(sessions)


@cache
def _read(source: str, stimuli: tuple[str, ...] | None) -> tuple[CalciumSession, ...]:
    """Read a source once in each process: a worker runs many fits on it."""
    return tuple(read_sessions(source, stimuli))


def _with_channels(session: CalciumSession, names: tuple[str, ...] | None) -> CalciumSession:
    if names is None:
        return session
    for name in names:
        if name not in session.behavior_names:
            raise InputError(
                f"{session.name}: no behavior channel '{name}': "
                f"{nearest(name, session.behavior_names)}"
            )
    assert session.behavior is not None
    index = [session.behavior_names.index(name) for name in names]
    return replace(session, behavior=session.behavior[:, index], behavior_names=names)


def kinds_of(config: IdentityConfig, sessions: list[CalciumSession]) -> tuple[str, ...]:
    """Return what cells are classified by.

    Raises:
        InputError: A kind of label is not there.
    """
    there = list(dict.fromkeys(kind for session in sessions for kind in session.labels))
    if config.data.labels is not None:
        for kind in config.data.labels:
            if kind not in there:
                raise InputError(f"no labels '{kind}': {nearest(kind, there)}")
        return config.data.labels
    if {"subclass", "ei"} <= set(there):
        return ("subclass", "ei")
    return tuple(kind for kind in there if labels_of(sessions, kind))


def cells_of(sessions: list[CalciumSession], config: IdentityConfig) -> Cells:
    """Return the cells of sessions, labels of classes that are too small left out.

    Raises:
        InputError: A kind of label that was asked for, or every kind, has fewer than two classes.
    """
    owners: dict[str, set[str]] = {}
    for session in sessions:
        for neuron in session.neuron_id.tolist():
            owners.setdefault(neuron, set()).add(session.animal)
    notes = [note for session in sessions for note in session.notes]
    labels = {}
    unusable: list[str] = []
    for kind in kinds_of(config, sessions):
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
            notes.append(f"{unusable[-1]}; cells are not classified by it")
            continue
        notes += [f"{kind}: {note}" for note in left_out]
    if not labels:
        why = f" ({'; '.join(unusable)})" if unusable else ""
        raise InputError(
            f"no kind of label has classes that are large enough, so there is nothing to "
            f"classify cells by{why}"
        )
    names = tuple(sorted(owners))
    source = config.data.source.rstrip("/").rpartition("/")[2]
    animals = tuple(min(owners[n]) if len(owners[n]) == 1 else SEVERAL for n in names)
    units: tuple[str, ...] = ()
    shared = shared_names(sessions, config.data.ids) if config.data.animals else frozenset()
    if shared:
        alone = [name_in(*pair) for pair in zip(animals, names, strict=True)]
        pairs = zip(alone, names, strict=True)
        units = tuple(name if name in shared else cell for name, cell in pairs)
    n_shared = len(shared) or animals.count(SEVERAL)
    if n_shared:
        notes.append(
            f"{n_shared} ids recur over animals and are taken for the same cell in each; "
            "--set data.ids=animal for others in every animal"
        )
    return Cells(source, len(sessions), names, animals, labels, tuple(notes), units)


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
    return f"sha256:{digest.hexdigest()}"
