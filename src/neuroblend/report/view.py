"""A finished run as its page sees it: all of it from the folder, each file read once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER
from neuroblend.engine.folder import RunFolder
from neuroblend.errors import InputError
from neuroblend.report.style import OTHER, SELECTED, TRUTH

Stored = TypeVar("Stored")


@dataclass(frozen=True, eq=False)
class View:
    """What figures and tables are made of.

    Attributes:
        folder: The run, which has ended.
    """

    folder: RunFolder
    _loaded: dict[Path, Any] = field(default_factory=dict)

    @cached_property
    def config(self) -> Any:
        """Settings of the run."""
        return self.folder.config()

    @cached_property
    def data(self) -> Any:
        """The data as used."""
        return self.folder.data()

    @cached_property
    def splits(self) -> list[Any]:
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
        """The arm that was selected."""
        return str(self.results["selected"])

    @property
    def arms(self) -> list[str]:
        """Arms that were fitted: baseline, controls, strategies, references, then the teacher."""
        names = [arm.name for arm in self.folder.experiment.arms()]
        first = [name for name in names if name not in (BASELINE, TEACHER)]
        return [name for name in (BASELINE, *first, TEACHER) if name in names]

    @property
    def scored_arms(self) -> list[str]:
        """:attr:`arms`, and those that nothing was fitted for, such as the truth."""
        return self.arms + [arm for arm in self.results["arms"] if arm not in self.arms]

    @property
    def compared(self) -> dict[str, str]:
        """The arms that figures compare: name to what a legend calls it."""
        names = {
            BASELINE: "baseline student",
            MULTITASK: "multitask control",
            self.selected: f"selected ({self.selected})",
            TEACHER: "teacher (sees behavior)",
        }
        return {name: label for name, label in names.items() if name in self.arms}

    def role(self, arm: str) -> str:
        """Return the role that decides an arm's colour."""
        if arm == self.selected:
            return SELECTED
        if arm in (BASELINE, TEACHER):
            return arm
        return OTHER if arm in self.arms else TRUTH

    def stored(self, arm: str, split: Any, name: str, load: Callable[[Path], Stored]) -> Stored:
        """Return what a file of one fit holds."""
        file = self.folder.of(self.folder.find(arm, split.seed, split.fold)) / name
        if file not in self._loaded:
            self._loaded[file] = load(file)
        found: Stored = self._loaded[file]
        return found

    def history(self, arm: str, split: Any) -> pd.DataFrame:
        """Return the losses of one fit, a row an epoch; none for a model that fits itself.

        Raises:
            InputError: They are missing or damaged.
        """

        def read(file: Path) -> pd.DataFrame:
            try:
                return pd.read_csv(file)
            except (OSError, ValueError) as error:
                raise InputError(f"{file}: missing or damaged ({error})") from None

        return self.stored(arm, split, "history.csv", read)

    def scores(self, arm: str) -> list[dict[str, Any]]:
        """Return ``scores.json`` of each fit of an arm."""
        return [self.folder.scores(fit) for fit in self.folder.fits() if fit.arm.name == arm]
