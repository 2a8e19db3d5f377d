"""NWB files -> sessions of activity with cell labels.

Activity is a ``RoiResponseSeries``: deconvolved where there is one, else dF/F, else fluorescence.
Labels, ids and positions of cells are columns of the table that its regions of interest refer to.
Behavior is what the behavior module and the acquisition hold of numeric series with a few columns,
each on its own clock and called as :mod:`neuroblend.data.nwb` calls it.

Shape legend: ``T`` frames, ``N`` neurons.
"""

from pathlib import Path
from typing import Any

import numpy as np
from hdmf.common import VectorIndex
from numpy.typing import NDArray
from pynwb import NWBFile, TimeSeries
from pynwb.image import ImageSeries
from pynwb.ophys import RoiResponseSeries

from neuroblend.data.calcium.session import (
    ABSENT,
    CalciumSession,
    as_labels,
    as_neuron_ids,
    need_labels,
)
from neuroblend.data.clocks import at_frames
from neuroblend.data.nwb import find_series, open_nwb, read_signal, series_times
from neuroblend.errors import InputError, some
from neuroblend.files import errors_of

LABELS = ("cell_type", "label", "type", "subclass", "ei", "class", "ttype", "transcriptomic_type")
IDS = ("unique_id", "neuron_id", "UniqueID")
# in names of series of activity and of their containers, best first
PREFERRED = ("deconv", "dfoverf", "dff", "fluorescence")
MOST_COLUMNS = 16  # of a series that is behavior; more are features of a video and the like


def read_session_nwb(path: str | Path) -> list[CalciumSession]:
    """Read the activity of an NWB file, a session for each table of regions of interest.

    Args:
        path: An NWB file. Series of activity and of behavior that are not read are named in the
            notes of the first session.

    Raises:
        InputError: The file cannot be read, or has no activity or no labels of cells.
    """
    path = Path(path)
    with open_nwb(path) as file:
        chosen, notes = _activity_series(file, path)
        behavior = _behavior_series(file)
        subject = file.subject
        animal = path.stem if subject is None else subject.subject_id or path.stem
        sessions = []
        for series in chosen:
            name = path.stem if len(chosen) == 1 else f"{path.stem}/{series.rois.table.name}"
            with errors_of(path):
                sessions.append(_read(series, behavior, name, animal, path, notes))
            notes = []
    return sessions


def _activity_series(file: NWBFile, path: Path) -> tuple[list[RoiResponseSeries], list[str]]:
    """Return the preferred series, one for each table of cells, and notes on the others."""
    found = [item for item in file.objects.values() if isinstance(item, RoiResponseSeries)]
    if not found:
        raise InputError(f"{path}: no RoiResponseSeries, so no activity of cells")
    found.sort(key=lambda series: (series.parent.name, series.name))
    best = min(map(_preference, found))
    chosen: dict[str, RoiResponseSeries] = {}
    for series in found:
        if _preference(series) == best:
            chosen.setdefault(series.rois.table.object_id, series)
    kept = list(chosen.values())
    others = [f"{item.parent.name}/{item.name}" for item in found if item not in kept]
    return kept, [f"Series of activity that were not read: {some(others)}."] if others else []


def _preference(series: RoiResponseSeries) -> int:
    words = f"{series.name} {series.parent.name}".lower()
    return next((i for i, word in enumerate(PREFERRED) if word in words), len(PREFERRED))


def _behavior_series(file: NWBFile) -> dict[str, TimeSeries]:
    modules = [file.processing["behavior"]] if "behavior" in file.processing else []
    homes = {id(item) for item in (*modules, *file.acquisition.values())}
    return {
        name: series
        for name, series in sorted(find_series(file).items())
        if not isinstance(series, RoiResponseSeries | ImageSeries)
        and series.data.ndim in {1, 2}
        and any(id(item) in homes for item in _with_parents(series))
    }


def _with_parents(item: Any) -> list[Any]:
    return [] if item is None else [item, *_with_parents(item.parent)]


def _read(
    series: RoiResponseSeries,
    behavior: dict[str, TimeSeries],
    name: str,
    animal: str,
    path: Path,
    notes: list[str],
) -> CalciumSession:
    rows = np.asarray(series.rois.data[:], dtype=np.int64)
    activity = np.asarray(series.data[()], dtype=np.float32)
    activity = activity[:, None] if activity.ndim == 1 else activity
    if activity.shape[1:] != rows.shape:
        raise InputError(
            f"{series.name} has shape {activity.shape}, wanted (frame, {len(rows)} rois)"
        )
    frames = series_times(series)
    if len(frames) != len(activity) or len(frames) < 2 or not (np.diff(frames) > 0).all():
        raise InputError(
            f"{series.name} has {len(activity)} frames and {len(frames)} timestamps, wanted as "
            "many of both, 2 or more, ascending"
        )
    table = series.rois.table
    columns = _columns(table)
    # rows of the table that have no id are distinguished by their numbers
    ids = next((columns[key] for key in IDS if key in columns), np.full(len(table), ABSENT))
    signals, names, left_out = _behavior(behavior, frames, path)
    return CalciumSession(
        name=name,
        animal=animal,
        activity=activity,
        frame_s=float(np.median(np.diff(frames))),
        labels=_labels(columns, rows, table.name),
        neuron_id=as_neuron_ids(ids, animal, name)[rows],
        behavior=np.stack(signals, axis=1) if signals else None,
        behavior_names=tuple(names),
        position=_position(columns, rows),
        notes=(*notes, *left_out),
    )


def _columns(table: Any) -> dict[str, NDArray[Any]]:
    """Return the columns that have as much for each cell."""
    return {
        name: np.asarray(table[name].data[:])
        for name in table.colnames
        if not isinstance(table[name], VectorIndex)
        and name not in ("image_mask", "pixel_mask", "voxel_mask")
    }


def _labels(
    columns: dict[str, NDArray[Any]], rows: NDArray[np.int64], table: str
) -> dict[str, NDArray[np.str_]]:
    found = {
        kind: as_labels(kind, columns[kind])[rows]
        for kind in LABELS
        if kind in columns and columns[kind].ndim == 1 and columns[kind].dtype.kind in "OSU"
    }
    if not found:
        raise InputError(
            f"table '{table}' has no column of labels, wanted strings in one of {', '.join(LABELS)}"
            f"; columns: {', '.join(columns) or 'none'}"
        )
    need_labels(found)
    return found


def _position(
    columns: dict[str, NDArray[Any]], rows: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    axes = [columns[axis] for axis in ("x", "y", "z") if axis in columns]
    if "x" in columns and "y" in columns:
        found = np.stack(axes, axis=-1)
    elif "centroid" in columns:
        found = columns["centroid"]
    else:
        return None
    if found.ndim != 2 or found.shape[1] not in (2, 3) or found.dtype.kind not in "iuf":
        raise InputError(
            f"positions of cells have shape {found.shape} of {found.dtype}, wanted (neuron, 2 or 3)"
        )
    return found[rows].astype(np.float32)


def _behavior(
    series: dict[str, TimeSeries], frames: NDArray[np.float64], path: Path
) -> tuple[list[NDArray[np.float32]], list[str], list[str]]:
    """Return (T,) signals at the times of frames, their names, and notes on what was left out."""
    signals, names, notes = [], [], []
    for name, one in series.items():
        if one.data.ndim == 2 and one.data.shape[1] > MOST_COLUMNS:
            notes.append(f"{name}: {one.data.shape[1]} columns, more than {MOST_COLUMNS}; left out")
            continue
        signal = read_signal(one, name, path)
        for channel, values in zip(signal.names, signal.values.T, strict=True):
            try:
                signals.append(at_frames(channel, values, signal.times, frames))
                names.append(channel)
            except InputError as error:
                notes.append(f"{error}; left out")
    return signals, names, notes
