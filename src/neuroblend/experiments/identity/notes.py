"""What a user should know of the sessions of an experiment before it is believed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from neuroblend.data.calcium.session import NAMELESS, CalciumSession
from neuroblend.errors import InputError, some

MOST_ALIKE = 1.05  # ratio of frame periods that are taken as the same without a word


def notes_on_sessions(sessions: Sequence[CalciumSession], radius: float) -> list[str]:
    """Return notes on what neurons and sessions lack, or do not share.

    ``radius`` is how far neighbours are, in the unit of positions.
    """
    notes = []
    for session in sessions:
        if n_silent := int((np.ptp(session.activity, axis=0) == 0).sum()):
            notes.append(
                f"{session.name}: {n_silent} of {session.n_neurons} neurons have the same activity "
                "in every frame, from which nothing can be inferred"
            )
    periods = [session.frame_s for session in sessions]
    if max(periods) > MOST_ALIKE * min(periods):
        notes.append(
            f"frames last from {min(periods):.3g} to {max(periods):.3g} s in different sessions, "
            "which a network takes as alike"
        )
    tables: dict[str, set[tuple[str, ...]]] = {}  # of cells, which runs of a day share
    for session in sessions:
        tables.setdefault(session.animal, set()).add(tuple(session.neuron_id.tolist()))
    nameless = {
        cell
        for found in tables.values()
        if len(found) > 1
        for table in found
        for cell in table
        if cell.endswith(NAMELESS)
    }
    if nameless:
        notes.append(
            f"{len(nameless)} cells have no id that other sessions of their animal share: one that "
            "recurs counts as several cells, which may be on both sides of a split"
        )
    return [*notes, *_notes_on_positions(sessions, radius)]


def _notes_on_positions(sessions: Sequence[CalciumSession], radius: float) -> list[str]:
    sizes = {None if s.position is None else s.position.shape[1] for s in sessions}
    if sizes == {None}:
        return []
    if len(sizes - {None}) > 1:
        return ["positions have 2 coordinates in some sessions and 3 in others: they are not used"]
    without, near, pairs, moved = 0, 0, 0, 0
    first: dict[str, NDArray[np.float32]] = {}
    for session in sessions:
        if session.position is None:
            without += session.n_neurons
            continue
        known = np.isfinite(session.position).all(axis=1)
        n_known = int(known.sum())
        without += session.n_neurons - n_known
        if n_known:
            tree = KDTree(session.position[known])
            near += int(tree.count_neighbors(tree, radius)) - n_known
            pairs += n_known * (n_known - 1)
        named = session.neuron_id[known].tolist()
        for cell, where in zip(named, session.position[known], strict=True):
            moved += bool(np.linalg.norm(first.setdefault(cell, where) - where) > radius)
    notes = [f"{without} neurons have no position, and so no neighbours"] if without else []
    if moved:
        notes.append(
            f"{moved} times a cell lies further than {radius:g} from where it was in its first "
            "session, whose position is used: are positions of all sessions in one frame?"
        )
    if pairs and near in (0, pairs):
        whom = "all other cells" if near else "no other cell"
        notes.append(
            f"within {radius:g} units of position, each cell has {whom} for neighbours; give "
            "--set model.settings.radius= in the unit of positions"
        )
    return notes


def notes_on_behavior(sessions: Sequence[CalciumSession]) -> list[str]:
    """Return a note for each channel from which a teacher can learn nothing.

    Raises:
        InputError: It can from none of them.
    """
    names = sessions[0].behavior_names
    every = np.concatenate([s.behavior for s in sessions if s.behavior is not None])
    flat = [
        name
        for name, values in zip(names, every.T, strict=True)
        if np.unique(values[~np.isnan(values)]).size < 2
    ]
    if len(flat) == len(names):
        raise InputError(
            f"behavior ({some(flat)}) is the same in every frame, or missing, so there is nothing "
            "for a teacher to know"
        )
    why = "is the same in every frame, or missing: it tells a teacher nothing"
    return [f"behavior '{name}' {why}" for name in flat]
