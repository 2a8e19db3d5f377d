"""Array files (``.npz`` without pickles, ``.h5``) -> sessions of activity with cell labels.

==================  ===================  =========================================================
key                 shape                meaning
==================  ===================  =========================================================
``activity``        (frame, neuron)      activity/frame in any unit, spike counts too; required
``frame_s``         ()                   seconds from one frame to the next; required
``label``           (neuron,)            what each neuron is, ``""`` or ``"nan"`` where that is not
                                         known; required, unless there are labels of a kind
``label_<kind>``    (neuron,)            labels of another kind, such as ``label_ei``
``behavior``        (frame, channel)     numbers, NaN where a sample is missing
``behavior_names``  (channel,)           strings
``position``        (neuron, 2 or 3)     where each neuron is, in any unit of length
``neuron_id``       (neuron,)            strings, or whole numbers that count within the animal: the
                                         same for one cell in several sessions; cells of a session
                                         without it recur in no other
``animal``          ()                   whose session it is; the file's name where there is none
``name``            ()                   of the session; the file's name where there is none
==================  ===================  =========================================================

A file of several sessions has these keys for each, as ``"<session>/activity"`` in ``.npz`` and in a
group for each session in HDF5.

Shape legend: ``T`` frames, ``N`` neurons, ``D`` behavior channels.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.arrays import load_arrays, need
from neuroblend.data.calcium.session import (
    ABSENT,
    CalciumSession,
    as_labels,
    as_neuron_ids,
    need_labels,
)
from neuroblend.data.channels import channel_names
from neuroblend.errors import InputError, some
from neuroblend.files import errors_of

KEYS = {field.name for field in fields(CalciumSession)} - {"labels", "notes"}
LABEL = "label"


def read_session_arrays(path: str | Path) -> list[CalciumSession]:
    """Read the sessions of an array file.

    Args:
        path: A ``.npz`` or ``.h5``/``.hdf5`` file with the keys above. Other keys are left alone,
            and a note of the session says which.

    Raises:
        InputError: The file cannot be read, lacks a key, or holds what it must not.
    """
    path = Path(path)
    sessions: dict[str, dict[str, Any]] = defaultdict(dict)
    strays: list[str] = []
    arrays = load_arrays(path, groups=True)
    for key, value in arrays.items():
        session, _, name = key.rpartition("/")
        sessions[session][name] = value
    several = "activity" not in sessions[""]
    for session, found in list(sessions.items()):
        if bool(session) != several or not any(_is_known(key) for key in found):
            strays += [f"{session}/{key}".lstrip("/") for key in sessions.pop(session)]
    if not sessions:
        need(arrays, "activity", path)
    read = []
    for session, found in sessions.items():
        where = f"{path}: {session}" if session else str(path)
        need(found, "activity", where)
        need(found, "frame_s", where)
        if not any(_is_label(key) for key in found):
            need(found, LABEL, where)
        with errors_of(where):
            read.append(_session(found, path.stem, session))
    if strays:
        read[0] = replace(read[0], notes=(*read[0].notes, _left_alone(strays)))
    return read


def _is_known(key: str) -> bool:
    return key in KEYS or _is_label(key)


def _is_label(key: str) -> bool:
    return key == LABEL or key.startswith(f"{LABEL}_")


def _left_alone(keys: list[str]) -> str:
    return f"Keys that mean nothing here were left alone: {some(keys)}."


def _session(arrays: Mapping[str, Any], stem: str, session: str) -> CalciumSession:
    name = _word(arrays, "name", f"{stem}/{session}" if session else stem)
    animal = _word(arrays, "animal", stem)
    activity = _numbers("activity", arrays["activity"], "(frame, neuron)")
    labels = {
        key.removeprefix(f"{LABEL}_"): as_labels(key, value)
        for key, value in arrays.items()
        if _is_label(key)
    }
    need_labels(labels)
    position = None
    if "position" in arrays:
        position = _numbers("position", arrays["position"], "(neuron, 2 or 3)")
        if position.shape[1] not in (2, 3):
            raise InputError(f"position: found shape {position.shape}, wanted (neuron, 2 or 3)")
    behavior, names = _behavior(arrays)
    ids = arrays.get("neuron_id", np.full(activity.shape[1], ABSENT))
    unknown = [key for key in arrays if not _is_known(key)]
    return CalciumSession(
        name=name,
        animal=animal,
        activity=activity,
        frame_s=float(_one("frame_s", arrays["frame_s"], "iuf", "number")),
        labels=labels,
        neuron_id=as_neuron_ids(ids, animal, name),
        behavior=behavior,
        behavior_names=names,
        position=position,
        notes=(_left_alone(unknown),) if unknown else (),
    )


def _behavior(arrays: Mapping[str, Any]) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
    if "behavior" not in arrays:
        if "behavior_names" in arrays:
            raise InputError("behavior_names: found names, wanted 'behavior' beside them")
        return None, ()
    given = np.asarray(arrays["behavior"])
    given = given[:, None] if given.ndim == 1 else given
    signals = _numbers("behavior", given, "(frame, channel)")
    if n_infinite := int(np.isinf(signals).sum()):
        raise InputError(f"behavior: {n_infinite} samples are infinite; mark missing ones with NaN")
    return signals, channel_names(arrays.get("behavior_names"), signals.shape[1])


def _numbers(key: str, values: Any, wanted: str) -> NDArray[np.float32]:
    found = np.asarray(values)
    if found.ndim != 2 or found.dtype.kind not in "biuf":
        raise InputError(
            f"{key}: found shape {found.shape} of {found.dtype}, wanted {wanted} of numbers"
        )
    with np.errstate(over="ignore"):  # too large is infinite, and refused as that
        return found.astype(np.float32)


def _one(key: str, value: Any, kinds: str, wanted: str) -> Any:
    found = np.asarray(value)
    if found.size != 1 or found.dtype.kind not in kinds:
        raise InputError(f"{key}: found shape {found.shape} of {found.dtype}, wanted one {wanted}")
    return found.item()


def _word(arrays: Mapping[str, Any], key: str, otherwise: str) -> str:
    word = _one(key, arrays.get(key, otherwise), "OSUiu", "string")
    return word.decode() if isinstance(word, bytes) else str(word)
