"""Where the trials of a run come from, and which of their neurons and channels are used."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from neuroblend.data.arrays import read_arrays
from neuroblend.data.channel import Channel, Kind
from neuroblend.data.pairing import with_pairing_note
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError, nearest
from neuroblend.experiments.decoding.settings import SIMULATED, RunConfig
from neuroblend.nlb.datasets import find_dataset
from neuroblend.nlb.simulate.files import true_rates, truth_path
from neuroblend.nlb.trials import read_nlb
from neuroblend.readers.kilosort import is_kilosort
from neuroblend.readers.mat import read_mat
from neuroblend.simulate.reaching import simulate_reaching


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
    elif Path(source).suffix == ".mat":
        trials = _of_mat(source, data.behavior)
    elif is_kilosort(source):
        raise InputError(
            f"{source}: a folder of phy or Kilosort has spikes and no behavior; join both in "
            "Python (examples/from_kilosort.py), save trials and run these"
        )
    elif Path(source).suffix == ".nwb" or Path(source).is_dir():
        raise InputError(
            f"{source}: NWB has no trials of one length; name the benchmark's dataset with "
            "--dataset, or cut trials with `neuroblend prepare` and run what that writes"
        )
    else:
        bin_s = None if data.bin_ms is None else data.bin_ms / 1000
        return _used(read_arrays(source, data.behavior, bin_s, data.kinds or None), config)
    _check_kinds(trials, data.kinds)
    return _used(trials, config)


def _check_kinds(trials: Trials, kinds: Mapping[str, Kind]) -> None:
    """Refuse kinds of channels that come with kinds of their own."""
    known = {channel.name: channel.kind for channel in trials.channels}
    for name, kind in kinds.items():
        if name not in known:
            raise InputError(f"--kind {name}: no such channel; {nearest(name, known)}")
        if kind != known[name]:
            raise InputError(
                f"--kind {name}={kind}: {trials.name} has it as {known[name]}; give kinds where "
                "trials are made, such as Trials.from_arrays(kinds=...), or run a file of arrays"
            )


def _used(trials: Trials, config: RunConfig) -> Trials:
    """Return trials with the neurons that are asked for."""
    data = config.data
    if trials.behavior is None:
        found = "".join(f" ({note})" for note in trials.notes if "--behavior" in note)
        raise InputError(
            f"{trials.name}: no behavior, so there is nothing for a teacher to know; a run needs "
            f"'behavior' (trial, bin, channel) beside 'spikes'{found}"
        )
    trials = with_pairing_note(trials).above_rate(data.min_rate_hz)
    return trials if data.units is None else trials.draw_units(data.units, config.first_seed)


def _of_mat(source: str | Path, behavior: Sequence[str] | None) -> Trials:
    """Read trials of a MATLAB file, by the mapping beside it."""
    trials = read_mat(source)
    if not isinstance(trials, Trials):
        raise InputError(
            f"{source}: a continuous recording by its mapping; cut it into trials in Python: "
            "neuroblend.readers.mat.read_mat(...).align(...).save('trials.h5')"
        )
    return trials if behavior is None else trials.take_channels(behavior)


def _of_dataset(source: str | Path, name: str, bin_ms: int) -> Trials:
    """Read a dataset of the benchmark, with its true rates where it was simulated."""
    truth = None
    if Path(source).is_file() and truth_path(source).is_file():
        truth = partial(true_rates, Path(source))
    return read_nlb(source, find_dataset(name), bin_ms, truth)


NO_SCORE_DEPENDS_ON = ("event", "start_s", "has_unit_ids", "silent_id")


def content_hash(trials: Trials) -> str:
    """Return a SHA-256 over every field of the recording but its name, notes, units and event."""
    digest = hashlib.sha256()
    for entry in fields(trials):
        if entry.name in NO_SCORE_DEPENDS_ON:
            continue
        value = getattr(trials, entry.name)
        if entry.name == "window_id" and value is None:  # as before there was this field
            continue
        if entry.name == "unit_index" and np.array_equal(value, trials.unit_id):  # likewise
            continue
        if entry.name == "channels" and all(c == Channel(c.name, unit=c.unit) for c in value):
            digest.update(f"behavior_names{trials.behavior_names!r}".encode())  # likewise
            continue
        if entry.name == "channels":
            value = tuple(replace(channel, unit="") for channel in value)
        digest.update(entry.name.encode())
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        elif entry.name not in ("name", "notes"):
            digest.update(repr(value).encode())
    return f"sha256:{digest.hexdigest()}"
