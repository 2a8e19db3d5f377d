"""Trials without behavior: what a user is told of them, and more of them, as if it were missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuroblend.data.split import Split, dealt, strata
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError

FEWEST = 2  # training trials with behavior


MEANS = "no behavior; students train on them without a teacher."


def with_pairing_note(trials: Trials) -> Trials:
    """Return trials with a note on how many have no behavior, where some do not."""
    n = int((~trials.paired).sum())
    others = tuple(note for note in trials.notes if not note.endswith(MEANS))
    note = (f"{n} of {trials.n_trials} trials have {MEANS}",) if n else ()
    return replace(trials, notes=(*others, *note))


def leave_paired(trials: Trials, split: Split, fraction: float) -> Trials:
    """Return trials of which ``fraction`` of the paired training trials keep their behavior.

    They are drawn by the split's seed, evenly over what trials are split in proportion to; those of
    a smaller fraction are among those of a greater one. Trials that validate and test keep theirs.

    Raises:
        InputError: Fewer than two training trials keep theirs.
    """
    if fraction == 1 or trials.behavior is None:
        return trials
    have = split.train[trials.paired[split.train]]
    n_kept = round(fraction * have.size)
    if n_kept < FEWEST:
        least = FEWEST / max(have.size, FEWEST)
        raise InputError(
            f"paired fraction {fraction:g}: leaves {n_kept} of {have.size} training trials with "
            f"behavior, wanted {FEWEST} or more for a teacher to learn from: a "
            f"fraction of {np.ceil(1000 * least) / 1000:g} to 1"
        )
    order = np.random.default_rng([split.seed, 5, split.fold or 0]).permutation(have)
    if (labels := strata(trials)) is not None:  # one after the other, shuffled within each
        order = order[np.argsort(labels[order], kind="stable")]
    left = order[dealt(order.size, [split.seed, 6, split.fold or 0]) >= n_kept]
    behavior = trials.behavior.copy()
    behavior[left] = np.nan
    return replace(trials, behavior=behavior)
