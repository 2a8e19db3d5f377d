"""The whole way: data in, every arm trained and scored, a run folder out."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

from neuroblend.config import RunConfig
from neuroblend.data.arrays import read_arrays
from neuroblend.data.split import Split, split_trials
from neuroblend.data.trials import Trials
from neuroblend.engine.executors.local import default_jobs, run_fits
from neuroblend.engine.folder import RunFolder
from neuroblend.engine.progress import fits_progress
from neuroblend.engine.provenance import provenance_of
from neuroblend.engine.results import gather
from neuroblend.errors import InputError, nearest
from neuroblend.experiments.decoding.experiment import run_fit_in
from neuroblend.experiments.decoding.networks import arms_of, check_network
from neuroblend.experiments.decoding.presets import with_preset
from neuroblend.files import write_json
from neuroblend.nlb.datasets import BIN_WIDTHS_MS, check_bin_ms, find_dataset
from neuroblend.nlb.simulate.files import true_rates, truth_path
from neuroblend.nlb.trials import read_nlb
from neuroblend.simulate.reaching import simulate_reaching
from neuroblend.task.task import Task
from neuroblend.training.devices import as_device, check_devices

SIMULATED = "simulated"

Say = Callable[[str], None]


def run(
    source: str | Path | Trials,
    out: str | Path,
    config: RunConfig | None = None,
    jobs: int | None = 1,
    quiet: bool = True,
    say: Say | None = None,
) -> RunFolder:
    """Train teacher, baseline, multitask control and students, and score them all.

    The same call goes on with a run that was interrupted, and does nothing to one that has ended.

    Args:
        source: A file, ``"simulated"``, or trials.
        out: Folder of the run. It appears only once the input was found good.
        config: Settings; ``data.source`` is filled in from ``source``.
        jobs: Worker processes; ``None`` for one a core. With more than one, a script needs the
            usual ``if __name__ == "__main__":``.
        quiet: Whether to do without progress bars.
        say: Is told what a user should know, a line at a time.

    Returns:
        The run's folder; ``.results()`` is what it found.

    Raises:
        InputError: The data or a setting cannot be used, or ``out`` holds another run.
    """
    began = time.time()
    say = say or (lambda line: None)
    out = Path(out).resolve()
    config = config or RunConfig()
    name = source.name if isinstance(source, Trials) else str(source)
    if isinstance(source, (str, Path)) and str(source) != SIMULATED:
        name = str(Path(source).resolve())
    config = config.model_copy(update={"data": config.data.model_copy(update={"source": name})})
    config = with_preset(of_benchmark(config))
    device = as_device(config.training.accelerator)
    arms = arms_of(config)
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: wanted 1 or more")
    trials = prepared(source, config)
    for note in trials.notes:
        say(f"note: {note}")
    splits = draw_splits(trials, config)
    for split in splits:
        check_devices(config.training, device, split.train.size)
        check_network(config, Task.of(trials, split))
    folder = _opened(out, config, trials, splits)
    n_fits = len(arms) * len(splits)
    n_devices = config.training.devices
    jobs = 1 if n_devices > 1 else jobs or default_jobs(config.training.accelerator)
    if n_devices > 1:
        say(f"{n_devices} devices train one model at a time; --jobs takes no part")
    say(f"{trials!r}")
    say(f"{n_fits} fits ({len(arms)} arms x {len(splits)} splits), {min(jobs, n_fits)} at a time")
    with fits_progress(folder.fits(), quiet) as tell:
        for fit in folder.fits():
            if folder.is_done(fit):
                tell(fit, config.training.epochs, config.training.epochs)
        run_fits(folder, jobs, tell, run_fit_in)
    if not (folder.path / "results.json").is_file():
        say("scoring: 1000 bootstrap replicates of every score")
        results = gather(folder)
        provenance = provenance_of(folder, trials, time.time() - began, sys.argv, jobs)
        write_json(folder.path / "provenance.json", provenance)
        write_json(folder.path / "results.json", results)  # last: it marks a run that has ended
    return folder


def of_benchmark(config: RunConfig) -> RunConfig:
    """Return settings with the bin width and forward bins of the benchmark's dataset, if any.

    Raises:
        InputError: There is no such dataset or bin width.
    """
    if config.data.dataset is None:
        return config
    dataset = find_dataset(config.data.dataset)
    bin_ms = check_bin_ms(config.data.bin_ms or BIN_WIDTHS_MS[0])
    if config.data.forward_bins not in (0, dataset.forward_ms // bin_ms):
        raise InputError(
            f"--forward-bins {config.data.forward_bins}: {dataset.name} has a forward period of "
            f"{dataset.forward_ms} ms, {dataset.forward_ms // bin_ms} bins of {bin_ms} ms"
        )
    update = {"bin_ms": float(bin_ms), "forward_bins": dataset.forward_ms // bin_ms}
    return config.model_copy(update={"data": config.data.model_copy(update=update)})


def prepared(source: str | Path | Trials, config: RunConfig) -> Trials:
    """Read trials and keep the channels and neurons that the settings ask for.

    Raises:
        InputError: They cannot be used, or there is no behavior.
    """
    data = config.data
    if isinstance(source, Trials):
        trials = source if data.behavior is None else source.take_channels(data.behavior)
    elif str(source) == SIMULATED:
        trials = simulate_reaching(seed=config.first_seed)
        trials = trials if data.behavior is None else trials.take_channels(data.behavior)
    elif not Path(source).suffix and not Path(source).exists():
        raise InputError(f"no file '{source}': {nearest(str(source), [SIMULATED])}; or a file")
    elif data.dataset is not None:
        trials = _of_dataset(source, data.dataset, round(data.bin_ms or 0))
        trials = trials if data.behavior is None else trials.take_channels(data.behavior)
    elif Path(source).suffix == ".nwb" or Path(source).is_dir():
        raise InputError(
            f"{source}: NWB has no trials of one length; name the benchmark's dataset with "
            "--dataset, or cut trials with `neuroblend prepare` and run what that writes"
        )
    else:
        bin_s = None if data.bin_ms is None else data.bin_ms / 1000
        trials = read_arrays(source, data.behavior, bin_s)
    if trials.behavior is None:
        raise InputError(
            f"{trials.name}: no behavior, so there is nothing for a teacher to know; a run needs "
            "'behavior' (trial, bin, channel) beside 'spikes'"
        )
    trials = trials.above_rate(data.min_rate_hz)
    return trials if data.units is None else trials.draw_units(data.units, config.first_seed)


def _of_dataset(source: str | Path, name: str, bin_ms: int) -> Trials:
    """Read a dataset of the benchmark, with its true rates where it was simulated."""
    truth = None
    if Path(source).is_file() and truth_path(source).is_file():
        truth = partial(true_rates, Path(source))
    return read_nlb(source, find_dataset(name), bin_ms, truth)


def draw_splits(trials: Trials, config: RunConfig) -> list[Split]:
    """Draw the split of each seed and fold.

    Raises:
        InputError: There are too few trials, neurons or bins.
    """
    data = config.data
    return [
        split_trials(trials, seed, data.held_out, data.forward_bins, fold, data.folds)
        for seed in config.all_seeds
        for fold in config.all_folds
    ]


def _opened(out: Path, config: RunConfig, trials: Trials, splits: list[Split]) -> RunFolder:
    origin = content_hash(trials)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, wanted a folder for the run")
    if not out.is_dir() or not any(out.iterdir()):
        return RunFolder.create(out, config, trials, splits, origin)
    folder = RunFolder.open(out)
    folder.check_same(config, origin)
    return folder


def content_hash(trials: Trials) -> str:
    """Return a SHA-256 over every field of the recording but its name and notes."""
    digest = hashlib.sha256()
    for entry in fields(trials):
        value = getattr(trials, entry.name)
        digest.update(entry.name.encode())
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        elif entry.name not in ("name", "notes"):
            digest.update(repr(value).encode())
    return f"sha256:{digest.hexdigest()}"
