"""What an experiment on identity leaves behind.

====================================  ==========================================================
``config.yaml``                       every setting, enough to run again
``provenance.json``                   versions, seeds, data hash and sizes, machine, time
``cells.json``                        cells, their animals and labels, and notes on the data
``splits.json``                       tested cells of each seed (and animal)
``<arm>/seed<S>/[fold<K>/]``          one fit: ``model.safetensors``, ``history.csv``,
                                      ``vectors.h5`` (what describes each cell), ``<label>.h5``
                                      (predicted classes) and ``scores.json``
``results.json``                      scores with intervals, and differences between arms
``report.html``                       the page
====================================  ==========================================================
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from neuroblend.config import IdentityConfig, parse_settings
from neuroblend.data.calcium.read import read_sessions
from neuroblend.data.calcium.session import CalciumSession, labels_of
from neuroblend.engine.folder import Fit, RunFolder, check_same_settings
from neuroblend.engine.source import source_state
from neuroblend.errors import InputError, nearest
from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER, Arm
from neuroblend.experiments.identity.split import NeuronSplit
from neuroblend.files import write_json
from neuroblend.registry import CELL_STRATEGIES, find_strategies

REFERENCES = ("stock", "moments", "contrastive", "hand_features", "activity_profile")
WITHOUT_EMBEDDING = ("contrastive", "hand_features", "activity_profile")  # no NeuPRINT


@dataclass(frozen=True)
class Cells:
    """Who the cells are.

    Attributes:
        names: All cells, in the order of every table.
        animals: Whose each is.
        labels: Of each kind, the label of each cell that has one and whose class is large enough.
        notes: What a user should know of the data.
    """

    names: tuple[str, ...]
    animals: tuple[str, ...]
    labels: dict[str, dict[str, str]]
    notes: tuple[str, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What cells are told by, the first of them first."""
        return tuple(self.labels)

    def labelled(self, kind: str) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
        """Return the rows of labelled cells and their labels."""
        known = self.labels[kind]
        rows = [row for row, name in enumerate(self.names) if name in known]
        return np.array(rows), np.array([known[self.names[row]] for row in rows])


@dataclass(frozen=True)
class IdentityFolder:
    """The folder of an experiment on identity.

    Attributes:
        path: Where it is.
    """

    path: Path

    @classmethod
    def create(
        cls,
        path: Path,
        config: IdentityConfig,
        cells: Cells,
        splits: Iterable[NeuronSplit],
        origin: str,
    ) -> IdentityFolder:
        """Make the folder; it appears whole or not at all."""
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        partial.mkdir(parents=True)
        try:
            (partial / "config.yaml").write_text(
                yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
            )
            write_json(partial / "cells.json", asdict(cells))
            write_json(partial / "splits.json", [split.to_json() for split in splits])
            write_json(partial / "provenance.json", {"data_hash": origin, **source_state()})
            if path.is_dir():
                path.rmdir()  # an empty one may stand there
            os.replace(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> IdentityFolder:
        """Open an experiment.

        Raises:
            InputError: It is not the folder of one.
        """
        path = Path(path)
        if not (path / "config.yaml").is_file() or not (path / "cells.json").is_file():
            raise InputError(
                f"{path}: not the folder of an experiment on identity (no config.yaml and "
                "cells.json)"
            )
        return cls(path)

    def check_same(self, config: IdentityConfig, origin: str) -> None:
        """Refuse to go on with an experiment of other settings, code or data.

        Raises:
            InputError: They differ.
        """
        check_same_settings(self, self.config().model_dump(), config.model_dump(), origin)

    def config(self) -> IdentityConfig:
        """Return its settings."""
        file = self.path / "config.yaml"
        try:
            return parse_settings(IdentityConfig, yaml.safe_load(file.read_text()), str(file))
        except yaml.YAMLError as error:
            raise InputError(f"{file}: not YAML ({str(error).splitlines()[0]})") from None

    def cells(self) -> Cells:
        """Return who the cells are."""
        stored = self.read_json("cells.json")
        return Cells(
            tuple(stored["names"]),
            tuple(stored["animals"]),
            stored["labels"],
            tuple(stored["notes"]),
        )

    def sessions(self) -> list[CalciumSession]:
        """Return the sessions, read from where they are."""
        return chosen_sessions(self.config())

    def splits(self) -> list[NeuronSplit]:
        """Return the tested cells of each seed and animal."""
        return [NeuronSplit.from_json(stored) for stored in self.read_json("splits.json")]

    def split(self, fit: Fit) -> NeuronSplit:
        """Return the tested cells of one fit."""
        return next(s for s in self.splits() if (s.seed, s.fold) == (fit.seed, fit.fold))

    def fits(self) -> list[Fit]:
        """Return every fit, teachers first."""
        return [
            Fit(arm, split.seed, split.fold)
            for arm in identity_arms(self.config())
            for split in self.splits()
        ]

    def of(self, fit: Fit) -> Path:
        """Return the folder of one fit."""
        seed = self.path / fit.arm.folder / f"seed{fit.seed}"
        return seed if fit.fold is None else seed / f"fold{fit.fold}"

    def is_done(self, fit: Fit) -> bool:
        """Whether a fit has ended; its scores are written last."""
        return (self.of(fit) / "scores.json").is_file()

    def fit_scores(self, fit: Fit) -> dict[str, Any]:
        """Return ``scores.json`` of one fit."""
        scores: dict[str, Any] = self.read_json(
            str((self.of(fit) / "scores.json").relative_to(self.path))
        )
        return scores

    def results(self) -> dict[str, Any]:
        """Return ``results.json``.

        Raises:
            InputError: The experiment has not ended.
        """
        results: dict[str, Any] = self.read_json("results.json")
        return results

    def provenance(self) -> dict[str, Any]:
        """Return ``provenance.json``."""
        provenance: dict[str, Any] = self.read_json("provenance.json")
        return provenance

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file in the folder; see :meth:`RunFolder.read_json`."""
        return RunFolder(self.path).read_json(name)


def identity_arms(config: IdentityConfig) -> list[Arm]:
    """Return the arms: teacher, baseline, multitask control, strategies, references.

    Raises:
        InputError: A strategy or a reference is unknown.
    """
    arms = [Arm(TEACHER), Arm(BASELINE), Arm(MULTITASK, (MULTITASK,))]
    for name in config.distill.strategies:
        found = find_strategies(name, CELL_STRATEGIES)
        if name != MULTITASK:
            wants = any(strategy.wants_teacher for strategy in found.values())
            arms.append(Arm(name, tuple(found), wants))
    for name in config.references:
        if name not in REFERENCES:
            raise InputError(f"unknown reference '{name}': {nearest(name, REFERENCES)}")
        arms.append(Arm(name, is_reference=True))
    return arms


def chosen_sessions(config: IdentityConfig, anew: bool = False) -> list[CalciumSession]:
    """Return the sessions and the channels that the settings ask for.

    Args:
        config: Settings.
        anew: Whether to read a source that was read before, as its files may have changed.

    Raises:
        InputError: They cannot be read, or a channel is not there.
    """
    if anew:
        _read.cache_clear()
    data = config.data
    return [_with_channels(session, data.behavior) for session in _read(data.source, data.stimuli)]


@cache
def _read(source: str, stimuli: tuple[str, ...] | None) -> tuple[CalciumSession, ...]:
    """Read a source once in each process: a worker runs many fits on it."""
    return tuple(read_sessions(source, stimuli))


def _with_channels(session: CalciumSession, names: tuple[str, ...] | None) -> CalciumSession:
    if names is None:
        return session
    for name in names:
        if name not in session.behavior_names:
            raise InputError(
                f"{session.name}: no behavior channel '{name}': "
                f"{nearest(name, session.behavior_names)}"
            )
    assert session.behavior is not None
    index = [session.behavior_names.index(name) for name in names]
    return replace(session, behavior=session.behavior[:, index], behavior_names=names)


def kinds_of(config: IdentityConfig, sessions: list[CalciumSession]) -> tuple[str, ...]:
    """Return what cells are told by.

    Raises:
        InputError: A kind of label is not there.
    """
    there = list(dict.fromkeys(kind for session in sessions for kind in session.labels))
    if config.data.labels is not None:
        for kind in config.data.labels:
            if kind not in there:
                raise InputError(f"no labels '{kind}': {nearest(kind, there)}")
        return config.data.labels
    if {"subclass", "ei"} <= set(there):
        return ("subclass", "ei")
    return tuple(kind for kind in there if labels_of(sessions, kind))
