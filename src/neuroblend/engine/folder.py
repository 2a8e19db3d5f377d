"""What a run leaves behind: where each file is, and how a folder is opened again.

====================================  ==========================================================
``config.yaml``                       kind of experiment and every setting, enough to run again
``provenance.json``                   versions, seeds, data hash and sizes, machine, time
``splits.json``                       what is tested for each seed and fold
``<arm>/seed<S>/[fold<K>/]``          one fit: ``model.safetensors``, ``history.csv``,
                                      ``scores.json`` and what its experiment adds
``results.json``                      scores with intervals, and differences between arms
``report.html``                       the page
====================================  ==========================================================

and the data, as their experiment stores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from neuroblend._version import __version__
from neuroblend.config import ExperimentConfig, parse_settings
from neuroblend.engine.arm import BASELINE, TEACHER, Fit
from neuroblend.engine.experiment import Experiment
from neuroblend.engine.source import source_state
from neuroblend.errors import InputError, nearest, some
from neuroblend.files import errors_of, read_json, whole_folder, write_json
from neuroblend.registry import find_experiment, load


def experiment_class(kind: str) -> type[Experiment]:
    """Return the class of experiments called ``kind``.

    Raises:
        InputError: There is none such, or what has that name is no experiment.
    """
    found: Any = load(find_experiment(kind))
    if Experiment not in getattr(found, "__mro__", ()):
        raise InputError(f"kind {kind}: wanted a class derived from engine.experiment.Experiment")
    return found


def bind(config: ExperimentConfig) -> Experiment:
    """Return the experiment that settings are of.

    Raises:
        InputError: There is no such experiment.
    """
    return experiment_class(config.kind)(config)


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run.

    Attributes:
        path: Where it is.
    """

    path: Path

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, Path)):
            raise InputError(f"run: found {self.path!r}, wanted the path of a run's folder")
        object.__setattr__(self, "path", Path(self.path))

    def __repr__(self) -> str:
        ended = (self.path / "results.json").is_file()
        return f"RunFolder({str(self.path)!r}, {'ended' if ended else 'not ended'})"

    @classmethod
    def create(cls, path: Path, experiment: Experiment, data: Any, splits: list[Any]) -> RunFolder:
        """Make the folder with settings, data and splits; it appears whole or not at all."""
        content = {"kind": experiment.kind, **experiment.config.model_dump(mode="json")}
        origin = {"data_hash": experiment.data_hash(data), **source_state()}
        with whole_folder(path) as partial:
            (partial / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
            experiment.save(data, partial)
            write_json(partial / "splits.json", [split.to_json() for split in splits])
            write_json(partial / "provenance.json", origin)
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open a run.

        Raises:
            InputError: It is not the folder of a run, or of one that this version cannot read.
        """
        folder = cls(Path(path))
        _ = folder.experiment
        return folder

    def check_same(self, experiment: Experiment, data: Any) -> None:
        """Refuse to go on with a run of other settings, code or data.

        Raises:
            InputError: They differ.
        """
        there = {"kind": self.experiment.kind, **self.config().model_dump()}
        here = {"kind": experiment.kind, **experiment.config.model_dump()}
        old, new = _flat(there), _flat(here)
        for key in new | old:
            if old.get(key) != new.get(key):
                raise InputError(
                    f"{self.path}: holds another run ({key} is {_shown(old.get(key))} there and "
                    f"{_shown(new.get(key))} here); choose another --out"
                )
        provenance = self.provenance()
        version = provenance.get("version")
        if version != __version__:
            raise InputError(
                f"{self.path}: holds a run of version {version}, and this is {__version__}; "
                "choose another --out"
            )
        commit, now = provenance.get("git_commit"), source_state()["git_commit"]
        if commit != now and not (self.path / "results.json").is_file():
            raise InputError(
                f"{self.path}: holds an unfinished run of commit {str(commit)[:10]}, and this is "
                f"{str(now)[:10]}; one run is of one code: choose another --out"
            )
        if provenance.get("data_hash") != experiment.data_hash(data):
            raise InputError(f"{self.path}: holds a run on other data; choose another --out")

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment, bound to the run's settings.

        Raises:
            InputError: The run's kind is unknown, its layout older, or a setting cannot be used.
        """
        file = self.path / "config.yaml"
        if not self.path.is_dir():
            runs = _runs_in(self.path.parent)
            there = nearest(self.path.name, runs)
            raise InputError(f"{self.path}: not the folder of a run (no such folder); {there}")
        if not file.is_file():
            there = some(_runs_in(self.path)) or "none"
            raise InputError(
                f"{self.path}: not the folder of a run (no config.yaml); runs within it: {there}"
            )
        try:
            content = yaml.safe_load(file.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: not YAML ({str(error).splitlines()[0]})") from None
        if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
            raise InputError(
                f"{file}: names no kind of experiment, so it is of an older layout; run its "
                "command again with another --out"
            )
        with errors_of(file):
            kind = experiment_class(content["kind"])
        return kind(parse_settings(kind.settings, content, str(file)))

    def config(self) -> Any:
        """Return its settings."""
        return self.experiment.config

    def data(self) -> Any:
        """Return the data as used: for decoding, :class:`~neuroblend.data.trials.Trials`."""
        return self.experiment.reload(self.path)

    def splits(self) -> list[Any]:
        """Return the split of each seed and fold."""
        stored = self.read_json("splits.json")
        return [self.experiment.split_type.from_json(split) for split in stored]

    def split(self, fit: Fit) -> Any:
        """Return what one fit is tested on."""
        return next(s for s in self.splits() if (s.seed, s.fold) == (fit.seed, fit.fold))

    def task(self, fit: Fit) -> Any:
        """Return the data under the split of a fit."""
        return self.experiment.task(self.data(), self.split(fit))

    def fits(self) -> list[Fit]:
        """Return every fit of the run, teachers first."""
        places = [(stored["seed"], stored["fold"]) for stored in self.read_json("splits.json")]
        return [Fit(arm, *place) for arm in self.experiment.arms() for place in places]

    def find(self, arm: str, seed: int, fold: int | None) -> Fit:
        """Return the fit of an arm under one split.

        Raises:
            InputError: There is no such arm.
        """
        arms = {found.name: found for found in self.experiment.arms()}
        if arm not in arms:
            raise InputError(f"{self.path}: no arm '{arm}': {nearest(arm, arms)}")
        return Fit(arms[arm], seed, fold)

    def of(self, fit: Fit) -> Path:
        """Return the folder of one fit."""
        seed = self.path / fit.arm.folder / f"seed{fit.seed}"
        return seed if fit.fold is None else seed / f"fold{fit.fold}"

    def is_done(self, fit: Fit) -> bool:
        """Whether a fit has ended; its scores are written last."""
        return (self.of(fit) / "scores.json").is_file()

    def scores(self, fit: Fit) -> dict[str, Any]:
        """Return ``scores.json`` of one fit."""
        return self.read_json(str((self.of(fit) / "scores.json").relative_to(self.path)))

    def results(self) -> dict[str, Any]:
        """Return ``results.json``.

        Raises:
            InputError: The run has not ended.
        """
        return self.read_json("results.json")

    def provenance(self) -> dict[str, Any]:
        """Return ``provenance.json``."""
        return self.read_json("provenance.json")

    def student(
        self,
        arm: str | None = None,
        seed: int | None = None,
        fold: int | None = None,
        session: str | None = None,
    ) -> Any:
        """Return a student to predict with: the selected one, or that of an arm.

        For decoding, a :class:`~neuroblend.deploy.student.TrainedStudent`; its ``model`` is the
        ``nn.Module`` and its ``task`` what that was trained on. It is that of the first seed, and
        of the first fold of a run with folds, unless others are asked for; of a run on several
        sessions, ``session`` says for whose neurons.

        Raises:
            InputError: There is no such arm, seed, fold or session, it has not been trained, or it
                is the teacher.
        """
        if arm == TEACHER:
            raise InputError(
                f"{self.path}: a teacher is no student, since it needs behavior; wanted "
                "run.teacher(), or the arm of a student"
            )
        return self.experiment.take_home(self, arm, seed, fold, session)

    def baseline(
        self, seed: int | None = None, fold: int | None = None, session: str | None = None
    ) -> Any:
        """Return the student that was trained without behavior; see :meth:`student`."""
        return self.student(BASELINE, seed, fold, session)

    def teacher(
        self, seed: int | None = None, fold: int | None = None, session: str | None = None
    ) -> Any:
        """Return the teacher, ``model`` and ``task``; see :meth:`student`."""
        return self.experiment.take_home(self, TEACHER, seed, fold, session)

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file in the folder.

        Raises:
            InputError: It is not there or is damaged.
        """
        file = self.path / name
        _ = self.experiment
        if not file.is_file():
            raise InputError(
                f"{file}: not there; give the same command again to finish the run, which has not "
                "ended"
            )
        return read_json(file)


def _runs_in(folder: Path) -> list[str]:
    return sorted(file.parent.name for file in folder.glob("*/config.yaml"))


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
