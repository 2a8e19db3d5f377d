"""A finished run as the page sees it: all of it from the folder, each file read once.

Shape legend: ``B`` test trials, ``T`` bins, ``N`` neurons.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroblend.config import RunConfig
from neuroblend.data.split import Split
from neuroblend.data.trials import Trials
from neuroblend.engine.folder import Fit, RunFolder
from neuroblend.engine.results import ORACLE
from neuroblend.errors import InputError
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.networks import BASELINE, TEACHER, arms_of
from neuroblend.report.style import OTHER, SELECTED, TRUTH


@dataclass(frozen=True, eq=False)
class View:
    """What figures and tables are made of.

    Attributes:
        folder: The run, which has ended.
    """

    folder: RunFolder
    _loaded: dict[Fit, Scored] = field(default_factory=dict)

    @cached_property
    def config(self) -> RunConfig:
        """Settings of the run."""
        return self.folder.config()

    @cached_property
    def trials(self) -> Trials:
        """The recording as used."""
        return self.folder.trials()

    @cached_property
    def splits(self) -> list[Split]:
        """One for each seed and fold."""
        return self.folder.splits()

    @cached_property
    def results(self) -> dict[str, Any]:
        """Content of ``results.json``."""
        return self.folder.results()

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Content of ``provenance.json``."""
        return self.folder.provenance()

    @property
    def selected(self) -> str:
        """The strategy that was selected on validation trials."""
        return str(self.results["selected"])

    @property
    def simulated(self) -> bool:
        """Whether the true rates are known."""
        return bool(self.provenance["data"]["simulated"])

    @property
    def shown_split(self) -> Split:
        """The split whose test trials single-trial figures show."""
        return self.splits[0]

    @property
    def t_in(self) -> int:
        """Bins of a trial that models see."""
        return self.trials.n_bins - self.config.data.forward_bins

    @property
    def arms(self) -> list[str]:
        """Arms that were trained: baseline, controls and strategies, then the teacher."""
        names = [arm.name for arm in arms_of(self.config)]
        first = [BASELINE, *(name for name in names if name not in (BASELINE, TEACHER))]
        return [*first, TEACHER]

    @property
    def trained_arms(self) -> list[str]:
        """:attr:`arms` without the references, which have no training to show."""
        return [arm for arm in self.arms if arm not in self.config.references]

    @property
    def scored_arms(self) -> list[str]:
        """:attr:`arms` and, for simulated data, the true rates themselves."""
        return self.arms + ([ORACLE] if ORACLE in self.results["arms"] else [])

    @property
    def compared(self) -> dict[str, str]:
        """The arms that single-trial figures show: role to name."""
        return {TEACHER: TEACHER, BASELINE: BASELINE, SELECTED: self.selected}

    def labels(self, truth: str | None) -> dict[str, str]:
        """Return what a legend calls each role; ``truth`` is what the dark line stands for."""
        labels = {} if truth is None else {TRUTH: truth}
        labels[BASELINE] = "baseline student"
        labels[SELECTED] = f"selected student ({self.selected})"
        labels[TEACHER] = "teacher (sees behavior)"
        return labels

    def role(self, arm: str) -> str:
        """Return the role that decides an arm's colour."""
        roles = {name: role for role, name in self.compared.items()}
        return TRUTH if arm == ORACLE else roles.get(arm, OTHER)

    def scored(self, arm: str, split: Split) -> Scored:
        """Return test scores, rates and decoded behavior of one training."""
        fit = self._fit(arm, split)
        if fit not in self._loaded:
            self._loaded[fit] = Scored.load(self.folder.of(fit) / "test.h5")
        return self._loaded[fit]

    def history(self, arm: str, split: Split) -> pd.DataFrame:
        """Return the losses of one training, a row an epoch.

        Raises:
            InputError: They are missing or damaged.
        """
        file = self.folder.of(self._fit(arm, split)) / "history.csv"
        try:
            return pd.read_csv(file)
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: missing or damaged ({error})") from None

    def true_rates(self, split: Split, neurons: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return (B, T, len(neurons)) true counts/bin of test trials; ``None`` for real data."""
        if self.trials.rates is None:
            return None
        rates: NDArray[np.float32] = self.trials.rates[split.test][:, :, neurons]
        return rates

    def _fit(self, arm: str, split: Split) -> Fit:
        return self._fits[arm, split.seed, split.fold]

    @cached_property
    def _fits(self) -> dict[tuple[str, int, int | None], Fit]:
        return {(fit.arm.name, fit.seed, fit.fold): fit for fit in self.folder.fits()}
