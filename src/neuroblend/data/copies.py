"""Neurons and trials that are copies of others, which scores must not count twice.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import some

FEWEST_SPIKES = 10  # that two must share to be copies: fewer may agree by chance


def copy_notes(spikes: NDArray[np.unsignedinteger[Any]], ids: NDArray[Any]) -> tuple[str, ...]:
    """Return a note on neurons, and one on trials, that are copies of others.

    Args:
        spikes: (B, T, N) counts/bin.
        ids: (N,) names of the neurons.
    """
    sums = spikes.sum(axis=1, dtype=np.int64)  # (B, N): copies agree in these to begin with
    notes = []
    neurons = _copies(sums.T, lambda i: spikes[..., i].ravel())
    if neurons:
        pairs = [f"{ids[copy]} of {ids[first]}" for copy, first in neurons]
        notes.append(
            f"{len(pairs)} of {len(ids)} neurons are copies of others, spike by spike "
            f"({some(pairs)}): a held-out copy of a neuron that is seen is known, not predicted, "
            "so co-bps is too high; keep one of each."
        )
    trials = _copies(sums, lambda i: spikes[i])
    if trials:
        which = some([f"{copy} of {first}" for copy, first in trials], 3)
        notes.append(
            f"{len(trials)} of {len(sums)} trials are copies of others, spike by spike ({which}): "
            "those that are tested were trained on, so scores say nothing of new trials; keep one "
            "of each."
        )
    return tuple(notes)


def _copies(
    sums: NDArray[np.int64], counts_of: Callable[[int], NDArray[Any]]
) -> list[tuple[int, int]]:
    """Return each row that repeats an earlier one, with that; those that never change are none."""
    firsts: dict[bytes, list[int]] = {}
    found = []
    for i, row in enumerate(sums):
        counts = counts_of(i)
        if row.sum() < FEWEST_SPIKES or (counts == counts[0]).all():
            continue
        alike = firsts.setdefault(np.ascontiguousarray(row).tobytes(), [])
        if (first := next((j for j in alike if (counts_of(j) == counts).all()), None)) is None:
            alike.append(i)
        else:
            found.append((i, first))
    return found
