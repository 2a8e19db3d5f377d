"""Small recordings and settings that tests share."""

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import neuroblend
from neuroblend.config import parse_settings
from neuroblend.data.calcium.session import CalciumSession
from neuroblend.data.split import split_trials
from neuroblend.data.trials import Trials
from neuroblend.engine.arm import Fit
from neuroblend.engine.job import run_fit
from neuroblend.errors import InputError
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.task.batch import Batch
from neuroblend.task.task import Task

for _name in neuroblend.__all__:  # libraries set environment variables when they are imported
    getattr(neuroblend, _name)

# a shell that starts tests in the background has them ignore Ctrl-C, and their children with them
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _seeded_and_unchanged() -> Iterator[None]:
    """Seed what a test may draw from, and fail one that changes the process for the others."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    before = (torch.get_num_threads(), torch.get_default_dtype(), dict(os.environ), Path.cwd())
    yield
    after = (torch.get_num_threads(), torch.get_default_dtype(), dict(os.environ), Path.cwd())
    changed = [a for a, b in zip(after, before, strict=True) if a != b]
    environment = {
        k for k in set(before[2]) ^ set(after[2]) if not k.startswith(("PYTEST_", "TORCH"))
    }
    assert not [c for c in changed if not isinstance(c, dict)]
    assert not environment


def refuses(message: str, call: Callable[..., object], *args: object, **given: object) -> None:
    """Require that a call is refused in one line that ``message`` matches."""
    __tracebackhide__ = True
    with pytest.raises(InputError, match=message) as error:
        call(*args, **given)
    assert "\n" not in str(error.value)


def make_trials(
    n_trials: int = 40,
    n_bins: int = 12,
    n_neurons: int = 10,
    n_channels: int = 2,
    seed: int = 0,
    **fields: object,
) -> Trials:
    """Trials in which behavior drives the rates."""
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.normal(size=(n_trials, n_bins, max(n_channels, 1))), axis=1) / 3
    drive = smooth @ rng.normal(size=(max(n_channels, 1), n_neurons)) / 2
    rates = 0.4 * np.exp(np.clip(drive, -2, 1.5))
    given = {
        "spikes": rng.poisson(rates),
        "bin_s": 0.02,
        "behavior": smooth.astype(np.float32) if n_channels else None,
        "name": "tiny",
    }
    return Trials.from_arrays(**(given | fields))  # type: ignore[arg-type]


def make_task(trials: Trials | None = None, forward_bins: int = 0, **split: object) -> Task:
    """A task on tiny trials."""
    trials = make_trials() if trials is None else trials
    return Task.of(trials, split_trials(trials, 0, forward_bins=forward_bins, **split))  # type: ignore[arg-type]


def make_example(trials: Trials | None = None, **split: int) -> tuple[Task, Batch]:
    """A task on tiny trials, and its training trials."""
    task = make_task(trials, **split)
    return task, task.batch("train")


def make_session(
    name: str = "a",
    n_frames: int = 20,
    ids: Sequence[str] = ("x", "y", "z"),
    seed: int = 0,
    **fields: object,
) -> CalciumSession:
    """A calcium session of noise."""
    rng = np.random.default_rng(seed)
    given = {
        "name": name,
        "animal": "m",
        "activity": rng.random((n_frames, len(ids)), dtype=np.float32),
        "frame_s": 0.25,
        "labels": {},
        "neuron_id": np.array(ids),
        "behavior": rng.random((n_frames, 2), dtype=np.float32),
        "behavior_names": ("speed", "pupil"),
    }
    return CalciumSession(**(given | fields))  # type: ignore[arg-type]


def write_arrays(path: Path, arrays: Mapping[str, object]) -> Path:
    """An .npz or HDF5 file of arrays."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
        return path
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            array = np.asarray(value)
            file[key] = array.astype(object) if array.dtype.kind == "U" else array
    return path


def edited(path: Path, to: Path, edit: Callable[[h5py.File], None]) -> Path:
    """A copy of an HDF5 file, edited."""
    shutil.copy(path, to)
    with h5py.File(to, "r+") as file:
        edit(file)
    return to


def merged(content: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some changed, section by section."""
    sections = {k: content.get(k, {}) | v for k, v in changes.items() if isinstance(v, dict)}
    return content | changes | sections


def watch_fits(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[str]:
    """Name the fits of runs as they begin, and interrupt the one of that number."""
    begun: list[str] = []

    def watched(path: Path, fit: Fit, progress: Callable[[int, int], None]) -> None:
        begun.append(fit.label)
        if len(begun) == stop_at:
            raise KeyboardInterrupt
        run_fit(path, fit, progress)

    monkeypatch.setattr("neuroblend.engine.run.run_fit", watched)
    return begun


def tiny_config(**changes: object) -> RunConfig:
    """Settings of a run that takes seconds."""
    content = {
        "model": {"name": "gru", "settings": {"width": 6}},
        "training": {"epochs": 2, "batch_size": 16, "valid_every": 1, "accelerator": "cpu"},
        "distill": {"strategies": ["hard"]},
        "seeds": 1,
    }
    return parse_settings(RunConfig, merged(content, changes))


def tiny_identity(**changes: object) -> IdentityConfig:
    """Settings of an experiment on identity that takes seconds."""
    content = {
        "data": {"window": 20, "folds": 4, "repeats": 2},
        "training": {"epochs": 2, "valid_every": 1, "accelerator": "cpu"},
        "embedding": {"epochs": 2},
        "distill": {"strategies": ["hard"]},
        "references": [],
        "seeds": 1,
    }
    return parse_settings(IdentityConfig, merged(content, changes))


@pytest.fixture
def shared_data() -> Path:
    """Folder of real recordings beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data beside the checkout: real recordings are not at hand")
    return SHARED
