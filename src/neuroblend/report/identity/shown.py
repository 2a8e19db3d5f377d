"""What figures of identity show: classes, animals, and what each fit says of the tested cells.

Shape legend: ``C`` cells, ``F`` features.
"""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError
from neuroblend.experiments.identity.classify import Classified
from neuroblend.experiments.identity.split import NeuronSplit
from neuroblend.report.identity.marks import BRIGHT, Mark, marks
from neuroblend.report.view import View


def classes(view: View, kind: str) -> dict[str, Mark]:
    """Return the classes of a kind of label, and how each is drawn."""
    return marks(view.results["labels"][kind]["classes"])


def animals(view: View) -> dict[str, Mark]:
    """Return the animals, and how each is drawn."""
    return marks(sorted(set(view.data.animals)), BRIGHT)


def classified(view: View, arm: str, split: NeuronSplit, kind: str) -> Classified:
    """Return what classifiers say of the tested cells of one fit."""
    return view.stored(arm, split, f"{kind}.h5", Classified.load)


def vectors(view: View, arm: str, split: NeuronSplit) -> NDArray[np.float32]:
    """Return (C, F) vectors that describe each cell, in the order of the run's cells.

    Raises:
        InputError: They are missing or damaged.
    """

    def read(file: Path) -> NDArray[np.float32]:
        try:
            with h5py.File(file, "r") as stored:
                return stored["vectors"][:]
        except (OSError, KeyError) as error:
            raise InputError(f"{file}: missing or damaged ({error})") from None

    return view.stored(arm, split, "vectors.h5", read)


def state_r2(view: View, arm: str, channel: str) -> list[float]:
    """Return how well a channel is read from the population's state, one a fit."""
    found = [scores.get("state_r2", {}) for scores in view.scores(arm)]
    return [state[channel] for state in found if channel in state]


def lost_without(view: View, arm: str, channel: str | None) -> list[float]:
    """Return the macro-F1 that an arm loses without a channel, or all of them, one a fit."""
    found = [scores["ablation"] for scores in view.scores(arm)]
    if channel is None:
        return [each["full"] - each["without_all"] for each in found]
    return [each["full"] - each["without"][channel] for each in found]
