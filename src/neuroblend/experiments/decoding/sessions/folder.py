"""The folder of a run on several sessions, as one of them has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroblend.data.split import Split
from neuroblend.data.trials import Trials
from neuroblend.engine.arm import Fit
from neuroblend.engine.experiment import Fits


@dataclass(frozen=True)
class OneFolder:
    """What a run on one session would have left, within one on several.

    Attributes:
        whole: The folder of the run.
        name: The session.
    """

    whole: Fits
    name: str

    def data(self) -> Trials:
        """Return the trials of the session."""
        sessions = self.whole.data()
        trials: Trials = sessions.trials[sessions.index(self.name)]
        return trials

    def splits(self) -> list[Split]:
        """Return its split of each seed and fold."""
        return [split.parts[split.names.index(self.name)] for split in self.whole.splits()]

    def fits(self) -> list[Fit]:
        """Return every fit, of all sessions together."""
        return self.whole.fits()

    def of(self, fit: Fit) -> Path:
        """Return the folder of the session in that of one fit."""
        return self.whole.of(fit) / self.name

    def scores(self, fit: Fit) -> dict[str, Any]:
        """Return the scores of one fit in the session."""
        found: dict[str, Any] = self.whole.scores(fit)["sessions"][self.name]
        return found
