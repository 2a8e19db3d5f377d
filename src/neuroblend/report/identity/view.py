"""An experiment on identity that has ended, as its page sees it, each file read once.

Shape legend: ``n`` cells, ``F`` features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroblend.config import IdentityConfig
from neuroblend.engine.folder import Fit
from neuroblend.errors import InputError
from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER
from neuroblend.experiments.identity.cells import Cells, IdentityFolder
from neuroblend.experiments.identity.classify import Classified
from neuroblend.experiments.identity.experiment import prefix_of
from neuroblend.experiments.identity.split import NeuronSplit
from neuroblend.report.identity.marks import BRIGHT, Mark, marks
from neuroblend.report.style import OTHER, SELECTED


@dataclass(frozen=True, eq=False)
class IdentityView:
    """What figures and tables are made of.

    Attributes:
        folder: The experiment, which has ended.
    """

    folder: IdentityFolder
    _loaded: dict[Path, Classified] = field(default_factory=dict)

    @cached_property
    def config(self) -> IdentityConfig:
        """Settings of the experiment."""
        return self.folder.config()

    @cached_property
    def cells(self) -> Cells:
        """Who the cells are."""
        return self.folder.cells()

    @cached_property
    def splits(self) -> list[NeuronSplit]:
        """Tested cells of each seed, and of each animal where one after the other is tested."""
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
    def name(self) -> str:
        """What the data are called."""
        return str(self.results["dataset"]) or self.config.data.source

    @property
    def selected(self) -> str:
        """The strategy that was selected on cells that are not tested."""
        return str(self.results["selected"])

    @property
    def kinds(self) -> list[str]:
        """What cells are told by, the first of them first."""
        return list(self.results["labels"])

    @property
    def arms(self) -> list[str]:
        """All arms: baseline, controls, strategies and references, then the teacher."""
        names = [arm for arm in self.results["arms"] if arm not in (BASELINE, TEACHER)]
        return [BASELINE, *names, TEACHER]

    @property
    def compared(self) -> dict[str, str]:
        """The arms that figures compare: name to what a legend calls it."""
        return {
            BASELINE: "baseline student",
            MULTITASK: "multitask control",
            self.selected: f"selected student ({self.selected})",
            TEACHER: "teacher (sees behavior)",
        }

    def role(self, arm: str) -> str:
        """Return the role that decides an arm's colour."""
        if arm == self.selected:
            return SELECTED
        return arm if arm in (BASELINE, TEACHER) else OTHER

    def prefix(self, kind: str) -> str:
        """Return what stands before metrics of a kind of label."""
        return prefix_of(kind, self.cells)

    def classes(self, kind: str) -> dict[str, Mark]:
        """Return the classes of a kind of label, and how each is drawn."""
        return marks(self.results["labels"][kind]["classes"])

    @cached_property
    def animals(self) -> dict[str, Mark]:
        """The animals, and how each is drawn."""
        return marks(sorted(set(self.cells.animals)), BRIGHT)

    def classified(self, arm: str, split: NeuronSplit, kind: str) -> Classified:
        """Return what classifiers say of the tested cells of one fit."""
        file = self.folder.of(self._fits[arm, split.seed, split.fold]) / f"{kind}.h5"
        if file not in self._loaded:
            self._loaded[file] = Classified.load(file)
        return self._loaded[file]

    def vectors(self, arm: str, split: NeuronSplit) -> NDArray[np.float32]:
        """Return (n, F) vectors that describe each cell, in the order of :attr:`cells`.

        Raises:
            InputError: They are missing or damaged.
        """
        file = self.folder.of(self._fits[arm, split.seed, split.fold]) / "vectors.h5"
        try:
            with h5py.File(file, "r") as stored:
                vectors: NDArray[np.float32] = stored["vectors"][:]
        except (OSError, KeyError) as error:
            raise InputError(f"{file}: missing or damaged ({error})") from None
        return vectors

    def state_r2(self, arm: str, channel: str) -> list[float]:
        """Return how well a channel is read from the population's state, one a fit."""
        return [
            scores["state_r2"][channel]
            for fit in self._fits.values()
            if fit.arm.name == arm
            and channel in (scores := self.folder.fit_scores(fit)).get("state_r2", {})
        ]

    def lost_without(self, arm: str, channel: str | None) -> list[float]:
        """Return the macro-F1 that an arm loses without a channel, or all of them, one a fit."""
        each = [
            self.folder.fit_scores(fit)["told_without"]
            for fit in self._fits.values()
            if fit.arm.name == arm
        ]
        return [
            found["full"] - (found["all"] if channel is None else found["channels"][channel])
            for found in each
        ]

    @cached_property
    def _fits(self) -> dict[tuple[str, int, int | None], Fit]:
        return {(fit.arm.name, fit.seed, fit.fold): fit for fit in self.folder.fits()}
