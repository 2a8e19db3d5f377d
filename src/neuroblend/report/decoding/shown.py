"""What figures of decoding show: the arms, the trials of one split, and their rates.

Shape legend: ``B`` test trials, ``T`` bins, ``N`` neurons.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.split import Split
from neuroblend.engine.arm import BASELINE, TEACHER
from neuroblend.evaluation.scored import Scored
from neuroblend.report.style import SELECTED, TRUTH
from neuroblend.report.view import View


def roles(view: View) -> dict[str, str]:
    """Return the arms that single-trial figures show: role to name."""
    return {TEACHER: TEACHER, BASELINE: BASELINE, SELECTED: view.selected}


def labels(view: View, truth: str | None) -> dict[str, str]:
    """Return what a legend calls each role; ``truth`` is what the dark line stands for."""
    dark = {} if truth is None else {TRUTH: truth}
    return dark | {role: view.compared[roles(view)[role]] for role in (BASELINE, SELECTED, TEACHER)}


def shown_split(view: View) -> Split:
    """Return the split whose test trials single-trial figures show."""
    found: Split = view.splits[0]
    return found


def t_in(view: View) -> int:
    """Return the bins of a trial that models see."""
    return int(view.data.n_bins - view.config.data.forward_bins)


def scored(view: View, arm: str, split: Split) -> Scored:
    """Return test scores, rates and decoded behavior of one fit."""
    return view.stored(arm, split, "test.h5", Scored.load)


def true_rates(view: View, split: Split, neurons: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Return (B, T, len(neurons)) true counts/bin of test trials; ``None`` for real data."""
    if view.data.rates is None:
        return None
    rates: NDArray[np.float32] = view.data.rates[split.test][:, :, neurons]
    return rates
