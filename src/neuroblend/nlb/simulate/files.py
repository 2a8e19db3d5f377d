"""Simulated files of the Neural Latents Benchmark '21, with the true rates kept beside them.

Shapes: ``B`` trials, ``T`` bins, ``N`` units, ``K`` latents.

No published file knows its own rates. What is written here has their schema
(:mod:`neuroblend.nlb.simulate.tables`, with its sources and with what could not be checked),
drives its units by latents that are known, and is read by whatever reads the published ones.

Spikes are Poisson given the rates, which are constant within a millisecond::

    log(expected counts in millisecond t of unit n) = log_rate[n] + latents[t] @ loading[:, n]

The latents, loadings and log rates are kept in ``FILE.truth.h5`` beside ``FILE.nwb``.
"""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError, nearest
from neuroblend.files import new_h5, write_whole
from neuroblend.nlb.arrays import Floats, Ints, Rng
from neuroblend.nlb.simulate.bump import bump_session
from neuroblend.nlb.simulate.interval import interval_session
from neuroblend.nlb.simulate.maze import maze_session
from neuroblend.nlb.simulate.nwb import Units, write_nwb
from neuroblend.nlb.simulate.random_target import random_target_session
from neuroblend.nlb.simulate.session import Session
from neuroblend.nlb.simulate.tables import (
    DATASETS,
    Bump,
    Maze,
    NlbDataset,
    RandomTarget,
    ReadySetGo,
    UnitIds,
)

Part = Literal["train", "test"]

FEWEST = 8  # trials, and units
TICKS_PER_MS = 30  # spikes are recorded at 30 kHz
CALIBRATION_TRIALS = 48
TEST_GAP_MS = 100  # between the windows of a test file, as published
PIECE_MS = 2048
MAX_RATE_SD = 2.0
MAX_MODULATION = 10.0  # about the most by which a unit's rate exceeds its mean


def simulate_nlb(
    dataset: str,
    path: str | Path,
    n_trials: int | None = None,
    n_units: int | None = None,
    seed: int = 0,
    part: Part = "train",
) -> Path:
    """Write a simulated NWB file with the schema of a benchmark dataset, and its truth beside it.

    The test file of a seed has the held-in units of the training file of that seed and number of
    units: ids, tuning and rates are the same, the session is another. It holds the evaluated
    windows alone, 100 ms apart, without behavior, conditions or the forward period, as published.

    Args:
        dataset: ``mc_maze``, ``mc_maze_large``, ``mc_maze_medium``, ``mc_maze_small``, ``mc_rtt``,
            ``area2_bump`` or ``dmfc_rsg``.
        path: Of the NWB file. The truth goes to the same name with the suffix ``.truth.h5``.
        n_trials: Training and validation trials, or test trials; as published where None. About
            three quarters are for training. Trials of split "none" come on top.
        n_units: Held-in and held-out units, about three to one; as published where None.
        seed: Of everything random.
        part: Which of the two files of a dataset.

    Returns:
        ``path``.

    Raises:
        InputError: No such dataset or part, fewer than 8 trials or units, more units than the ids
            of the dataset can name, or a negative seed.
    """
    found = _checked(dataset, part, seed)
    path = Path(path)
    units = _units(found, n_units, seed)
    split = _splits(found, n_trials, part, _stream(dataset, seed, f"splits {part}"))
    session = _session(found, split, seed, part)
    if part == "test":
        session = _windows_alone(found, session)
        units = units.held_in()
    spike_times = _spikes(_stream(dataset, seed, f"spikes {part}"), session, units)
    title = f"{dataset} {part} seed {seed}"

    def write(truth: Path) -> None:
        with new_h5(truth) as file:
            file["latents"] = session.latents
            file["loading"] = units.loading
            file["log_rate"] = units.log_rate
            file["unit_id"] = units.unit_id
            file.attrs.update({"dataset": dataset, "seed": seed})
        write_whole(path, lambda nwb: write_nwb(nwb, found, session, units, spike_times, title))

    write_whole(truth_path(path), write)
    return path


def truth_path(path: str | Path) -> Path:
    """Where the truth of a simulated NWB file is kept."""
    return Path(path).with_suffix(".truth.h5")


def true_rates(path: str | Path, start_ms: Ints, n_bins: int, bin_ms: int) -> NDArray[np.float32]:
    """Expected counts of a simulated file's units in windows of bins.

    Args:
        path: Of the NWB file.
        start_ms: (B,), where windows begin, ms from the start of the session.
        n_bins: Bins ``T`` of each.
        bin_ms: Width of a bin, ms.

    Returns:
        Expected counts/bin (B, T, N), units in the order of the file.

    Raises:
        InputError: There is no truth beside the file, or a window leaves the session.
    """
    truth = truth_path(path)
    if not truth.is_file():
        raise InputError(f"no {truth.name} beside {path}: only simulated files have true rates")
    starts = np.asarray(start_ms, np.int64)
    with h5py.File(truth, "r") as file:
        latents, loading, log_rate = file["latents"], file["loading"][()], file["log_rate"][()]
        length = n_bins * bin_ms
        if len(starts) and not (starts.min() >= 0 and starts.max() + length <= len(latents)):
            raise InputError(
                f"windows from {starts.min()} to {starts.max() + length} ms leave the session, "
                f"which ends at {len(latents)} ms"
            )
        rates = np.empty((len(starts), n_bins, len(log_rate)), np.float32)
        for window, start in zip(rates, starts, strict=True):
            per_ms = np.exp(latents[start : start + length].astype(np.float64) @ loading + log_rate)
            window[:] = per_ms.reshape(n_bins, bin_ms, -1).sum(axis=1)
    return rates


def _checked(dataset: str, part: str, seed: int) -> NlbDataset:
    if dataset not in DATASETS:
        raise InputError(f"unknown dataset '{dataset}': {nearest(dataset, DATASETS)}")
    if part not in ("train", "test"):
        raise InputError(f"unknown part '{part}': {nearest(part, ['train', 'test'])}")
    if seed < 0:
        raise InputError(f"seed must not be negative, got {seed}")
    return DATASETS[dataset]


def _stream(dataset: str, seed: int, purpose: str) -> Rng:
    """One stream a purpose, so that parts share what they should share and nothing else."""
    return np.random.default_rng([seed, zlib.crc32(f"{dataset}: {purpose}".encode())])


def _count(name: str, given: int | None, published: int) -> int:
    count = published if given is None else given
    if count < FEWEST:
        raise InputError(f"{name} must be at least {FEWEST}, got {count}")
    return count


def _splits(dataset: NlbDataset, n_trials: int | None, part: Part, rng: Rng) -> NDArray[np.str_]:
    """The split of each trial, in order."""
    if part == "test":
        return np.full(_count("n_trials", n_trials, dataset.test), "test")
    n = _count("n_trials", n_trials, dataset.train + dataset.val)
    n_val = round(n * dataset.val / (dataset.train + dataset.val))
    n_none = int(np.ceil(n * dataset.none - 1e-9))
    return rng.permutation(np.repeat(["train", "val", "none"], [n - n_val, n_val, n_none]))


def _session(dataset: NlbDataset, split: NDArray[np.str_], seed: int, purpose: str) -> Session:
    """A session with a stream for what all sessions of a seed share, and one of its own."""
    world = _stream(dataset.name, seed, "world")
    own = _stream(dataset.name, seed, f"session {purpose}")
    lag_ms = dataset.benchmark.lag_ms or 0
    match dataset.task:
        case Maze() as task:
            return maze_session(task, lag_ms, split, world, own)
        case RandomTarget() as task:
            return random_target_session(task, lag_ms, split, world, own)
        case Bump() as task:
            return bump_session(task, lag_ms, split, world, own)
        case ReadySetGo() as task:
            return interval_session(task, split, own)


def _units(dataset: NlbDataset, n_units: int | None, seed: int) -> Units:
    """Units with their tuning, the same for every session of a seed.

    Mean rates are lognormal. A short session, simulated for the purpose, tells which log rates
    reach them on average, and which loadings to shrink as they would multiply a rate by far more
    than ``MAX_MODULATION``. Units thus depend neither on the part nor on the number of trials.
    """
    published = dataset.held_in + dataset.held_out
    n = _count("n_units", n_units, published)
    rng = _stream(dataset.name, seed, f"units {n}")
    unit_id, electrode = _unit_ids(dataset.ids, n, rng)
    held_out = np.zeros(n, bool)
    held_out[rng.permutation(n)[: n - round(n * dataset.held_in / published)]] = True
    loading = np.concatenate(
        [kind.mean + kind.sd * rng.standard_normal((kind.n, n)) for kind in dataset.latents]
    )
    deviate = np.clip(rng.standard_normal(n), -MAX_RATE_SD, MAX_RATE_SD)
    relative = np.exp(dataset.rate_log_sd * deviate)
    mean_per_ms = dataset.mean_hz / 1000 * relative / relative.mean()

    if isinstance(dataset.task, Maze):  # one trial a maze, so that all of them count
        dataset = replace(dataset, task=replace(dataset.task, trials_per_maze=1))
    reference = _session(dataset, np.full(CALIBRATION_TRIALS, "train"), seed, "calibration")
    latents = reference.latents[::5].astype(np.float64)
    modulation = latents @ loading
    above_mean = modulation.max(axis=0) - np.log(np.exp(modulation).mean(axis=0))
    loading = (loading * np.minimum(1, np.log(MAX_MODULATION) / above_mean)).astype(np.float32)
    log_rate = np.log(mean_per_ms / np.exp(latents @ loading).mean(axis=0))
    return Units(unit_id, electrode, held_out, loading, log_rate)


def _unit_ids(ids: UnitIds, n: int, rng: Rng) -> tuple[Ints, Ints]:
    """Ascending ids in the published style (N,), and their rows of the electrodes table (N,)."""
    n_electrodes = ids.n_arrays * ids.n_electrodes
    by_electrode = ids.per_electrode > 1
    most = n_electrodes * (9 if by_electrode else 1)
    if n > most:
        raise InputError(f"n_units must be at most {most} for this dataset, got {n}")
    per_electrode = max(2, -(-n // n_electrodes)) if by_electrode else 1
    slot = np.sort(rng.permutation(n_electrodes * per_electrode)[:n])
    electrode, unit = slot // per_electrode, slot % per_electrode + 1
    array, within = electrode // ids.n_electrodes, electrode % ids.n_electrodes + 1
    unit_id = (array + 1) * ids.per_array + within * ids.per_electrode
    return unit_id + (unit if by_electrode else 0), electrode


def _windows_alone(dataset: NlbDataset, session: Session) -> Session:
    """The evaluated windows of all trials, on a clock of their own."""
    align, (low, high) = dataset.benchmark.align, dataset.benchmark.window_ms
    from_ms = session.trials[align].astype(np.int64) + low
    n, length = len(from_ms), high - low
    start = (length + TEST_GAP_MS) * np.arange(n)
    latents = np.zeros((start[-1] + length, session.latents.shape[1]), np.float32)
    for old, new in zip(from_ms, start, strict=True):
        latents[new : new + length] = session.latents[old : old + length]
    trials = {
        "start_time": start,
        "stop_time": start + length,
        align: start - low,
        "split": session.trials["split"],
    }
    return Session(latents, np.stack([start, start + length], axis=1), trials, {})


def _spikes(rng: Rng, session: Session, units: Units) -> list[Floats]:
    """Spike times of each unit in seconds, ascending, within what is observed.

    By thinning (Lewis & Shedler 1979, Naval Research Logistics 26:403): candidates at each unit's
    highest rate in a piece of the session, of which each is kept with the share that the rate at
    its time has of the highest.
    """
    unit_parts, tick_parts = [], []
    pieces = [
        (begin, min(begin + PIECE_MS, stop))
        for start, stop in session.observed.tolist()
        for begin in range(start, stop, PIECE_MS)
    ]
    for start, stop in pieces:
        modulation = session.latents[start:stop] @ units.loading
        highest = modulation.max(axis=0)
        count = rng.poisson(np.exp(highest + units.log_rate) * (stop - start))
        unit = np.repeat(np.arange(len(count)), count)
        tick = rng.integers(0, TICKS_PER_MS * (stop - start), len(unit))
        share = np.exp(modulation[tick // TICKS_PER_MS, unit] - highest[unit])
        kept = rng.random(len(unit)) < share
        unit_parts.append(unit[kept].astype(np.int32))
        tick_parts.append(tick[kept] + TICKS_PER_MS * start)
    unit, tick = np.concatenate(unit_parts), np.concatenate(tick_parts)
    order = np.lexsort((tick, unit))
    ends = np.cumsum(np.bincount(unit, minlength=len(units.unit_id)))
    return np.split(tick[order] / (1000 * TICKS_PER_MS), ends[:-1])
