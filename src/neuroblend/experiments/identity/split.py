"""Which cells the population network never trains on and classifiers are tested on.

A cell is a unique neuron: it has one id in all the sessions in which it recurs, and a split is of
ids, so that no cell is ever on both sides. ``labels`` are those of labelled cells, ``every_id`` the
ids of all cells, labelled or not, and ``animals`` whose each cell is, by its id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError, some

TESTED = 0.4  # fraction of the cells
MOST_NOTES = 5  # on classes that are left out, one each


@dataclass(frozen=True, eq=False)
class NeuronSplit:
    """One draw of the cells to test on.

    Attributes:
        seed: What the draw was made with.
        fold: Which animal's turn it is, where each is left out once; else ``None``.
        tested: Ids of the cells that no network trains on and that classifiers are tested on.
        animal: Whose cells are tested, where each animal is left out once; else ``None``.
    """

    seed: int
    fold: int | None
    tested: frozenset[str]
    animal: str | None = None

    def is_tested(self, neuron_id: Iterable[str]) -> NDArray[np.bool_]:
        """Return (N,) whether each of (N,) cells is tested."""
        return np.array([str(neuron) in self.tested for neuron in neuron_id], dtype=bool)

    @property
    def n_tested(self) -> int:
        """Number of cells that are set aside for testing."""
        return len(self.tested)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers, for a file."""
        return asdict(self) | {"tested": sorted(self.tested)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> NeuronSplit:
        """Return the split that :meth:`to_json` gave."""
        return cls(**stored | {"tested": frozenset(stored["tested"])})


def usable_labels(labels: Mapping[str, str], fewest: int) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the labels without those of classes that are too small, and a note for each of these.

    Args:
        labels: The label of each labelled cell, by its id.
        fewest: Cells that a class needs, such as the number of test folds.

    Raises:
        InputError: Fewer than two classes stay.
    """
    n_cells = Counter(labels.values())
    kept = {name for name, n in n_cells.items() if n >= fewest}
    if len(kept) < 2:
        found = some(f"{name} {n}" for name, n in sorted(n_cells.items())) or "no labelled cell"
        raise InputError(
            f"labels: found {len(kept)} classes of {fewest} or more cells ({found}), wanted 2 or "
            "more"
        )
    small = {name: n for name, n in sorted(n_cells.items()) if name not in kept}
    notes: tuple[str, ...] = tuple(
        f"class '{name}' left out: it has {n} cells, wanted {fewest} or more"
        for name, n in small.items()
    )
    if len(small) > MOST_NOTES:
        each = some(f"{name} {n}" for name, n in small.items())
        notes = (f"{len(small)} classes of fewer than {fewest} cells left out: {each}",)
    return {neuron: label for neuron, label in labels.items() if label in kept}, notes


def split_neurons(
    labels: Mapping[str, str],
    every_id: Iterable[str],
    seed: int,
    fraction: float = TESTED,
    animals: Mapping[str, str] | None = None,
) -> NeuronSplit:
    """Draw a fraction of the cells of each label; the same seed gives the same split.

    Cells without a label are drawn from in the same proportion. A label of two or more cells has at
    least one on either side. The order of what is given does not matter, nor whether an id recurs.
    Where ``animals`` are given, draws are spread over them within a label. The seed is any
    non-negative integer.

    Raises:
        InputError: ``fraction`` is not between 0 and 1, or it draws no cell or every one.
    """
    if not 0 < fraction < 1:
        raise InputError(
            f"fraction of cells to test on: found {fraction:g}, wanted between 0 and 1"
        )
    strata: dict[str | None, list[str]] = {}
    for neuron in sorted(set(every_id)):
        strata.setdefault(labels.get(neuron), []).append(neuron)
    rng = np.random.default_rng([seed, 31])
    tested: set[str] = set()
    for label in sorted(strata, key=lambda name: (name is None, name or "")):
        cells = [strata[label][i] for i in rng.permutation(len(strata[label]))]
        if animals is not None:
            cells.sort(key=lambda neuron: animals[neuron])
        n_tested = round(fraction * len(cells))
        if len(cells) > 1:
            n_tested = min(max(n_tested, 1), len(cells) - 1)
        # evenly along the cells from a random start, which spreads the draw over animals
        steps = (np.arange(n_tested) + rng.random()) * len(cells) / max(n_tested, 1)
        tested |= {cells[int(step)] for step in steps}
    n_cells = sum(map(len, strata.values()))
    if not 0 < len(tested) < n_cells:
        raise InputError(
            f"fraction of cells to test on: {fraction:g} of {n_cells} cells is {len(tested)}, "
            "wanted at least one to test on and one to learn from"
        )
    return NeuronSplit(seed, None, frozenset(tested))


def split_animals(
    labels: Mapping[str, str], every_id: Iterable[str], seed: int, animals: Mapping[str, str]
) -> list[NeuronSplit]:
    """Return a split for each animal that has labelled cells, in which all its cells are tested.

    Nothing is drawn; the seed is kept with the splits.

    Raises:
        InputError: Fewer than two animals have labelled cells, or one alone has all but one class.
    """
    cells: dict[str, set[str]] = {}
    for neuron in every_id:
        cells.setdefault(animals[neuron], set()).add(neuron)
    classes = {name: {labels[n] for n in cells[name] if n in labels} for name in sorted(cells)}
    labelled = [name for name in classes if classes[name]]
    if len(labelled) < 2:
        raise InputError(
            f"leaving one animal out: found {len(labelled)} of {len(cells)} animals with labelled "
            f"cells ({some(labelled) or 'none'}), wanted 2 or more"
        )
    for name in labelled:
        rest = sorted(set().union(*(classes[other] for other in labelled if other != name)))
        if len(rest) < 2:
            raise InputError(
                f"leaving one animal out: without '{name}' there are labelled cells of {rest[0]} "
                "alone, wanted 2 or more classes to learn from"
            )
    return [
        NeuronSplit(seed, fold, frozenset(cells[name]), animal=name)
        for fold, name in enumerate(labelled)
    ]
