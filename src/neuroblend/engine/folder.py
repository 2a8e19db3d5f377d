"""What a run leaves behind: where each file is, and how a folder is opened again.

====================================  ==========================================================
``config.yaml``                       every setting, enough to run again
``provenance.json``                   versions, seeds, data hash and shapes, machine, time
``trials.h5``                         the recording as used: neurons and channels that were kept
``splits.json``                       trials and held-out neurons of each seed and fold
``<arm>/seed<S>/[fold<K>/]``          one fit: ``model.safetensors``, ``history.csv``,
                                      ``scores.json`` and ``test.h5`` (what intervals and figures
                                      are made of, and the decoder)
``results.json``                      scores with intervals, and differences between arms
``report.html``                       the page
====================================  ==========================================================
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from neuroblend._version import __version__
from neuroblend.config import RunConfig, parse_config
from neuroblend.data.split import Split
from neuroblend.data.trials import Trials
from neuroblend.engine.source import source_state
from neuroblend.errors import InputError
from neuroblend.experiments.decoding.networks import Arm, arms_of
from neuroblend.files import write_json
from neuroblend.task.task import Task


@dataclass(frozen=True)
class Fit:
    """One training of a run.

    Attributes:
        arm: What is trained.
        seed: Of the split, the held-out neurons and the initial weights.
        fold: Which fold is tested; ``None`` for a single split.
    """

    arm: Arm
    seed: int
    fold: int | None

    @property
    def label(self) -> str:
        """How it is called on screen."""
        fold = "" if self.fold is None else f" fold {self.fold}"
        return f"{self.arm.name} seed {self.seed}{fold}"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run.

    Attributes:
        path: Where it is.
    """

    path: Path

    @classmethod
    def create(
        cls, path: Path, config: RunConfig, trials: Trials, splits: list[Split], origin: str
    ) -> RunFolder:
        """Make the folder with its settings, recording and splits; it appears whole or not at all.

        Args:
            path: Where.
            config: Settings of the run.
            trials: The recording as used.
            splits: One for each seed and fold.
            origin: Hash of the data as they came.
        """
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        partial.mkdir(parents=True)
        try:
            (partial / "config.yaml").write_text(
                yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
            )
            trials.save(partial / "trials.h5")
            write_json(partial / "splits.json", [split.to_json() for split in splits])
            write_json(partial / "provenance.json", {"data_hash": origin, **source_state()})
            if path.is_dir():
                path.rmdir()  # an empty one may stand there
            os.replace(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open a run.

        Raises:
            InputError: It is not the folder of a run.
        """
        path = Path(path)
        if not (path / "config.yaml").is_file() or not (path / "trials.h5").is_file():
            raise InputError(f"{path}: not the folder of a run (no config.yaml and trials.h5)")
        return cls(path)

    def check_same(self, config: RunConfig, origin: str) -> None:
        """Refuse to go on with a run of other settings or data.

        Raises:
            InputError: They differ.
        """
        check_same_settings(self, self.config().model_dump(), config.model_dump(), origin)

    def config(self) -> RunConfig:
        """Return its settings."""
        file = self.path / "config.yaml"
        try:
            return parse_config(yaml.safe_load(file.read_text()), str(file))
        except yaml.YAMLError as error:
            raise InputError(f"{file}: not YAML ({str(error).splitlines()[0]})") from None

    def trials(self) -> Trials:
        """Return the recording as used."""
        return Trials.load(self.path / "trials.h5")

    def splits(self) -> list[Split]:
        """Return the split of each seed and fold."""
        return [Split.from_json(stored) for stored in self.read_json("splits.json")]

    def task(self, seed: int, fold: int | None) -> Task:
        """Return the recording under the split of a seed and fold."""
        split = next(s for s in self.splits() if s.seed == seed and s.fold == fold)
        return Task.of(self.trials(), split)

    def fits(self) -> list[Fit]:
        """Return every training of the run, teachers first."""
        config = self.config()
        return [
            Fit(arm, seed, fold)
            for arm in arms_of(config)
            for seed in config.all_seeds
            for fold in config.all_folds
        ]

    def of(self, fit: Fit) -> Path:
        """Return the folder of one training."""
        seed = self.path / fit.arm.folder / f"seed{fit.seed}"
        return seed if fit.fold is None else seed / f"fold{fit.fold}"

    def is_done(self, fit: Fit) -> bool:
        """Whether a training has ended; its scores are written last."""
        return (self.of(fit) / "scores.json").is_file()

    def results(self) -> dict[str, Any]:
        """Return ``results.json``.

        Raises:
            InputError: The run has not ended.
        """
        results: dict[str, Any] = self.read_json("results.json")
        return results

    def provenance(self) -> dict[str, Any]:
        """Return ``provenance.json``."""
        provenance: dict[str, Any] = self.read_json("provenance.json")
        return provenance

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file in the folder.

        Raises:
            InputError: It is not there or is damaged.
        """
        file = self.path / name
        if not file.is_file():
            raise InputError(f"{file}: not there; give the same command again to finish")
        try:
            return json.loads(file.read_text())
        except json.JSONDecodeError as error:
            raise InputError(f"{file}: damaged ({error})") from None


class Leaves(Protocol):
    """A folder that says where it comes from."""

    @property
    def path(self) -> Path: ...  # noqa: D102

    def provenance(self) -> dict[str, Any]: ...  # noqa: D102


def check_same_settings(
    folder: Leaves, there: dict[str, Any], here: dict[str, Any], origin: str
) -> None:
    """Refuse to go on with a run of other settings, code or data.

    Args:
        folder: The run that there is.
        there: Its settings.
        here: Those of now.
        origin: Hash of the data of now.

    Raises:
        InputError: They differ.
    """
    old, new = _flat(there), _flat(here)
    for key in new | old:
        if old.get(key) != new.get(key):
            raise InputError(
                f"{folder.path}: holds another run ({key} is {_shown(old.get(key))} there and "
                f"{_shown(new.get(key))} here); choose another --out"
            )
    provenance = folder.provenance()
    version = provenance.get("version")
    if version != __version__:
        raise InputError(
            f"{folder.path}: holds a run of version {version}, and this is {__version__}; choose "
            "another --out"
        )
    commit, now = provenance.get("git_commit"), source_state()["git_commit"]
    if commit != now and not (folder.path / "results.json").is_file():
        raise InputError(
            f"{folder.path}: holds an unfinished run of commit {str(commit)[:10]}, and this is "
            f"{str(now)[:10]}; one run is of one code: choose another --out"
        )
    if provenance.get("data_hash") != origin:
        raise InputError(f"{folder.path}: holds a run on other data; choose another --out")


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
