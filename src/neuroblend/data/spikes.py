"""Spikes that come without behavior: trials, or one stretch of time, of neurons known by id.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.data.arrays import has_ids, load_arrays, need
from neuroblend.data.checks import checked_bin_width, checked_seconds
from neuroblend.data.counts import checked_counts, checked_padded_counts
from neuroblend.data.pynapple import SORTING, kind_of
from neuroblend.data.ticks import NS, Counts, to_ticks
from neuroblend.data.trials import Trials
from neuroblend.data.unit_ids import UnitIds, checked_ids
from neuroblend.errors import InputError
from neuroblend.files import errors_of

if TYPE_CHECKING:
    from neuroblend.data.recording import Recording


@dataclass(frozen=True, eq=False)
class TrialSpikes:
    """Counts in trials.

    Attributes:
        counts: (B, T, N) counts/bin, 0 in padding.
        lengths: (B,) bins of each trial where they differ, else ``None``.
        unit_id: (N,) names of the neurons; ``None`` where the source has none.
        start_s: Start of the first bin in seconds from the event that trials are aligned to.
        silent_id: Names of further neurons that were recorded and had no spike.
    """

    counts: Counts
    lengths: NDArray[np.int64] | None
    unit_id: UnitIds | None
    start_s: float = 0.0
    silent_id: UnitIds | None = None

    @property
    def n_neurons(self) -> int:
        """Number of neurons, ``N``."""
        return int(self.counts.shape[2])


@dataclass(frozen=True, eq=False)
class ContinuousSpikes:
    """Counts in one stretch of time, read piece by piece.

    Attributes:
        read: Gives (n, N) counts/bin of the bins from a first to before a last.
        n_bins: ``T``, how many bins there are.
        n_neurons: ``N``.
        parts: First bin of each part that was observed without a break, and the bin after its last.
        unit_id: (N,) names of the neurons; ``None`` where the source has none.
        start_s: Start of the first bin on the source's clock, in seconds.
        notes: What a user should know of the source, in sentences.
        silent_id: Names of further neurons that were recorded and had no spike.
    """

    read: Callable[[int, int], Counts]
    n_bins: int
    n_neurons: int
    parts: tuple[tuple[int, int], ...]
    unit_id: UnitIds | None
    start_s: float = 0.0
    notes: tuple[str, ...] = ()
    silent_id: UnitIds | None = None


Spikes = TrialSpikes | ContinuousSpikes


def as_spikes(
    source: object, bin_s: float, lengths: ArrayLike | None = None, unit_id: ArrayLike | None = None
) -> Spikes:
    """Return spikes to predict from, whatever they come as.

    Args:
        source: :class:`~neuroblend.data.trials.Trials`, a
            :class:`~neuroblend.data.recording.Recording`, a pynapple ``TsGroup``; counts/bin,
            (trial, bin, neuron) or, of one stretch of time, (bin, neuron), as an array or what
            becomes one, or as a data frame or pynapple ``TsdFrame`` whose columns name neurons; or
            a file: ``.npz`` or ``.h5`` with a key ``spikes`` of either shape, or ``.nwb``.
        bin_s: Width of a bin in seconds, which counts must have and spike times are counted in.
        lengths: (B,) bins of each trial where they differ, for an array.
        unit_id: (N,) names of the neurons, for an array, or a file that has none.

    Raises:
        InputError: They cannot be used, or have lengths or names of neurons already.
    """
    if isinstance(source, (TrialSpikes, ContinuousSpikes)):
        return source
    if isinstance(source, (str, Path)):
        return _of_file(Path(source), bin_s, lengths, unit_id)
    kind, foreign = type(source).__name__, kind_of(source)
    if isinstance(source, Trials) or foreign or kind in ("Recording", "DataFrame"):
        for name, given in (("lengths", lengths), ("unit_id", unit_id)):
            if given is not None:
                raise InputError(
                    f"{name}: found beside {kind}, which has its own; wanted for an array alone"
                )
    if isinstance(source, Trials):
        _check_width(source.bin_s, bin_s, source.name)
        ids = source.unit_id if source.has_unit_ids else None
        silent = source.silent_id if source.has_unit_ids else None
        return TrialSpikes(source.spikes, source.lengths, ids, source.start_s, silent)
    if foreign or kind == "Recording":
        return (_of_pynapple if foreign else of_recording)(cast(Any, source), bin_s)
    values, names = _counts_of(source)
    return _of_array(values, lengths, unit_id if names is None else names)


def _counts_of(source: Any) -> tuple[NDArray[Any], list[Any] | None]:
    """Return what becomes an array, and the names of its columns, if it has any."""
    names = list(source.columns) if type(source).__name__ in ("DataFrame", "TsdFrame") else None
    try:
        values = np.asarray(source)
    except Exception as error:  # whatever conversion of a stranger's object does
        raise InputError(
            f"spikes: found {type(source).__name__}, which becomes no array ({error}); wanted a "
            "file, counts, Trials, a Recording or a pynapple TsGroup"
        ) from None
    if values.dtype.kind not in "buif":
        raise InputError(
            f"spikes: found {type(source).__name__}, wanted a file, counts (trial, bin, neuron) or "
            "(bin, neuron), Trials, a Recording or a pynapple TsGroup"
        )
    return values, names


def of_recording(recording: Recording, bin_s: float) -> ContinuousSpikes:
    """Return the counts of a recording, from the first second of its span, gaps left out.

    A spike counts in the bin whose start it is at or after, to the nanosecond.

    Raises:
        InputError: No bin fits into what was observed, or an id appears twice.
    """
    first, last = (round(edge * NS) for edge in recording.span)
    width = round(bin_s * NS)
    n_bins = (last - first) // width
    observed = [recording.span] if recording.observed is None else recording.observed.tolist()
    parts = []
    for start, stop in observed:
        begin, end = round(start * NS) - first, round(stop * NS) - first
        part = max(0, -(-begin // width)), min(n_bins, end // width)
        if part[0] < part[1]:
            parts.append((int(part[0]), int(part[1])))
    if not parts:
        raise InputError(
            f"{recording.name}: no bin of {bin_s:g} s fits into the {last / NS - first / NS:.4g} s "
            "that were recorded"
        )
    times = [to_ticks(t) - first for t in recording.spike_times]

    def read(start: int, stop: int) -> Counts:
        edges = np.arange(start, stop + 1) * width
        counts = np.stack([np.diff(np.searchsorted(t, edges)) for t in times], axis=1)
        return counts.astype(np.uint16)

    n_neurons = len(times)
    with errors_of(recording.name):
        unit_id = None if (ids := recording.unit_id) is None else checked_ids(ids, n_neurons)
    return ContinuousSpikes(
        read, int(n_bins), n_neurons, tuple(parts), unit_id, first / NS, _notes(recording)
    )


def _notes(recording: Recording) -> tuple[str, ...]:
    silent = sum(not times.size for times in recording.spike_times)
    if not silent:
        return ()
    return (f"{silent} of {len(recording.spike_times)} neurons have no spike in this recording.",)


def _of_pynapple(source: Any, bin_s: float) -> Spikes:
    """Return counts of a ``TsGroup`` in the epochs of its time support, or of a ``TsdFrame``."""
    if kind_of(source) == "TsdFrame":
        _check_width(float(np.median(np.diff(source.t))), bin_s, "TsdFrame", rtol=1e-3)
        values, names = _counts_of(source)
        return replace(_of_array(values, None, names), start_s=float(source.t[0]) - bin_s / 2)
    if kind_of(source) not in ("TsGroup", SORTING):
        raise InputError(f"spikes: found a pynapple {kind_of(source)}, wanted a TsGroup, or counts")
    from neuroblend.data.recording import Recording  # noqa: PLC0415

    return of_recording(Recording.from_pynapple(source, name="TsGroup"), bin_s)


def _of_array(counts: NDArray[Any], lengths: ArrayLike | None, unit_id: ArrayLike | None) -> Spikes:
    if counts.ndim not in (2, 3) or 0 in counts.shape:
        raise InputError(
            f"spikes: found shape {counts.shape}, wanted (trial, bin, neuron) or (bin, neuron), "
            "with none of them 0"
        )
    ids = None if unit_id is None else checked_ids(unit_id, counts.shape[-1])
    if counts.ndim == 2:
        if lengths is not None:
            raise InputError("lengths: wanted with (trial, bin, neuron) spikes alone")
        return _continuous(counts, ids)
    return TrialSpikes(*checked_padded_counts(counts, lengths), ids)


def _continuous(counts: NDArray[Any], ids: UnitIds | None) -> ContinuousSpikes:
    n_bins, n_neurons = counts.shape
    for start in range(0, n_bins, 65536):  # checked in pieces, which may lie on a disk
        checked_counts(counts[None, start : start + 65536])

    def read(start: int, stop: int) -> Counts:
        return cast(Counts, np.asarray(counts[start:stop]).astype(np.uint16))

    return ContinuousSpikes(read, n_bins, n_neurons, ((0, n_bins),), ids)


def _of_file(
    path: Path, bin_s: float, lengths: ArrayLike | None, unit_id: ArrayLike | None
) -> Spikes:
    has_own = path.suffix.lower() == ".nwb"
    arrays: dict[str, Any] = {}
    if not has_own:
        arrays = load_arrays(path)
        need(arrays, "spikes", path)
    named = has_own or has_ids(arrays)
    for name, given, there in (
        ("lengths", lengths, has_own or "lengths" in arrays),
        ("unit_id", unit_id, named),
    ):
        if given is not None and there:
            raise InputError(f"{path}: {name}: found beside a file that has its own")
    if has_own:
        from neuroblend.data.nwb import read_nwb  # noqa: PLC0415  # heavy, and seldom needed

        return of_recording(read_nwb(path, ()), bin_s)
    if "bin_s" in arrays:
        _check_width(checked_bin_width(arrays["bin_s"]), bin_s, str(path))
    with errors_of(path):
        ids = arrays["unit_id"] if named else unit_id
        spikes = _of_array(arrays["spikes"], arrays.get("lengths", lengths), ids)
        silent = arrays.get("silent_id") if named else None
        return replace(
            spikes,
            start_s=checked_seconds(arrays.get("start_s", 0.0), "start_s"),
            silent_id=None if silent is None else checked_ids(silent, np.size(silent)),
        )


def _check_width(found: float, wanted: float, where: str, rtol: float = 1e-6) -> None:
    if not np.isclose(found, wanted, rtol=rtol):
        raise InputError(
            f"{where}: found bins of {found:g} s, wanted {wanted:g} s, as the student was trained "
            "on; count spikes again"
        )
