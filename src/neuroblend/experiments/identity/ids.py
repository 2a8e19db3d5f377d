"""Ids that recur over animals: the same named cell in each of them, or numbers that mean nothing.

An id is read as ``"<animal>/<id>"``. In animals whose cells have names (a worm's AVAL), the same
name is the same cell; in others, ids count within an animal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from neuroblend.data.calcium.session import NAMELESS, CalciumSession, labelled
from neuroblend.errors import InputError

Ids = Literal["animal", "shared"]
FEWEST_ALIKE = 5  # names of each of two classes that recur, to be taken as shared unasked


def name_in(animal: str, neuron_id: str) -> str:
    """Return an id without its animal."""
    return neuron_id.removeprefix(f"{animal}/")


def shared_names(sessions: Sequence[CalciumSession], ids: Ids | None = None) -> frozenset[str]:
    """Return the names that recur over animals and are the same cell in each.

    Args:
        sessions: Of several animals.
        ids: ``"animal"`` for none, ``"shared"`` for all. Where ``None``, all if they are no
            numbers, never have another label, and are enough (five of each of two classes that are
            labelled in several animals) for that to be no coincidence; else none.

    Raises:
        InputError: Names are to be shared, and none recurs or one has two labels.
    """
    if ids == "animal":
        return frozenset()
    owners: dict[str, set[str]] = {}
    for session in sessions:
        for neuron in session.neuron_id.tolist():
            if not neuron.endswith(NAMELESS):
                owners.setdefault(name_in(session.animal, neuron), set()).add(session.animal)
    recurring = frozenset(name for name, animals in owners.items() if len(animals) > 1)
    labels = _labels_by_name(sessions, recurring)
    every = ((*key, *sorted(set(found.values()))) for key, found in labels.items())
    torn = min((each for each in every if len(each) > 3), default=None)
    if ids == "shared":
        if not recurring:
            raise InputError("data.ids=shared: no id recurs over animals")
        if torn is not None:
            kind, name, *found = torn
            raise InputError(
                f"data.ids=shared: '{name}' is {' and '.join(found)} by {kind} in different animals"
            )
        return recurring
    by_chance = torn is not None or any(name.isdecimal() for name in recurring)
    sizes = Counter(
        (kind, *set(found.values())) for (kind, _), found in labels.items() if len(found) > 1
    )
    large = Counter(kind for (kind, *_), n in sizes.items() if n >= FEWEST_ALIKE)
    return recurring if not by_chance and max(large.values(), default=0) > 1 else frozenset()


def _labels_by_name(
    sessions: Sequence[CalciumSession], names: frozenset[str]
) -> dict[tuple[str, str], dict[str, str]]:
    """Return the label that each of the names has in each animal, by kind of label and name."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for session in sessions:
        for kind in session.labels:
            for neuron, label in labelled(session, kind):
                name = name_in(session.animal, neuron)
                if name in names:
                    found.setdefault((kind, name), {})[session.animal] = label
    return found


def as_one_cell(session: CalciumSession, shared: Iterable[str]) -> CalciumSession:
    """Return a session whose cells with a shared name have that for an id, and no position.

    Positions of one animal mean nothing in another.
    """
    shared = set(shared)
    names = [name_in(session.animal, neuron) for neuron in session.neuron_id.tolist()]
    pairs = zip(names, session.neuron_id.tolist(), strict=True)
    ids = np.array([name if name in shared else neuron for name, neuron in pairs], dtype=np.str_)
    notes = session.notes
    if session.position is not None:
        notes += (f"{session.name}: positions are not used: cells are shared with other animals",)
    return replace(session, neuron_id=ids, position=None, notes=notes)
