"""Small recordings and settings that tests share."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import neuroblend
from neuroblend.config import parse_settings
from neuroblend.data.split import split_trials
from neuroblend.data.trials import Trials
from neuroblend.experiments.decoding.settings import RunConfig
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


def tiny_config(**changes: object) -> RunConfig:
    """Settings of a run that takes seconds."""
    content: dict[str, dict[str, object] | object] = {
        "model": {"name": "gru", "settings": {"width": 6}},
        "training": {"epochs": 2, "batch_size": 16, "valid_every": 1, "accelerator": "cpu"},
        "distill": {"strategies": ["hard"]},
        "seeds": 1,
    }
    for key, value in changes.items():
        held = content.get(key)
        content[key] = held | value if isinstance(held, dict) and isinstance(value, dict) else value
    return parse_settings(RunConfig, content)


@pytest.fixture
def trials() -> Trials:
    return make_trials()


@pytest.fixture
def task() -> Task:
    return make_task()


@pytest.fixture
def shared_data() -> Path:
    """Folder of real recordings beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data beside the checkout: real recordings are not at hand")
    return SHARED
