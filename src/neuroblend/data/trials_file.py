"""The HDF5 file that trials are stored in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from neuroblend.data.channel import Channel
from neuroblend.data.unit_ids import read_ids, write_ids
from neuroblend.errors import InputError
from neuroblend.files import new_h5, write_whole

FORMAT = "neuroblend trials"
_ARRAYS = (
    "spikes",
    "behavior",
    "rates",
    "held_out",
    "trial_id",
    "unit_index",
    "lengths",
    "window_id",
)
_LABELS = ("condition", "region", "split")


def write_fields(path: str | Path, fields: Mapping[str, Any]) -> None:
    """Write the fields of trials to a file; it appears whole or not at all."""
    channels = fields["channels"]
    # names and units stay readable by other programs, and by earlier versions
    words = {
        "behavior_names": [channel.name for channel in channels],
        "behavior_units": [channel.unit for channel in channels],
        **{key: fields[key] for key in ("notes", *_LABELS)},
    }

    def write(partial: Path) -> None:
        with new_h5(partial) as file:
            file.attrs.update(format=FORMAT, version=1, name=fields["name"], bin_s=fields["bin_s"])
            file.attrs["n_source_neurons"] = fields["n_source_neurons"]
            file["bin_s"], file["start_s"] = fields["bin_s"], fields["start_s"]
            if fields["event"] is not None:
                file["event"] = fields["event"]
            for key, value in words.items():
                if value is not None:
                    file[key] = [str(word) for word in value]
            file["channels"] = [channel.to_json() for channel in channels]
            write_ids(file, "unit_id", fields["unit_id"])
            file["has_unit_ids"] = fields["has_unit_ids"]
            if fields["silent_id"] is not None:
                write_ids(file, "silent_id", fields["silent_id"])
            for key in _ARRAYS:
                if (value := fields[key]) is not None:
                    file.create_dataset(key, data=value, compression="gzip", compression_opts=1)

    write_whole(path, write)


def read_fields(path: str | Path) -> dict[str, Any]:
    """Return the fields that :func:`write_fields` wrote.

    Raises:
        InputError: The file is missing, truncated or of another format.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise InputError(f"{path}: not a file that Trials.save wrote")
            fields: dict[str, Any] = dict.fromkeys((*_ARRAYS, *_LABELS))
            fields |= {key: file[key][()] for key in _ARRAYS if key in file}
            fields |= {key: file[key].asstr()[()].astype(str) for key in _LABELS if key in file}
            fields["notes"] = _stored_words(file, "notes")
            fields["channels"] = _stored_channels(file)
            fields["unit_id"] = read_ids(file, "unit_id")
            fields["has_unit_ids"] = "has_unit_ids" in file and bool(file["has_unit_ids"][()])
            fields["silent_id"] = read_ids(file, "silent_id") if "silent_id" in file else None
            if "unit_index" not in file:  # files of version 0.1.0: ids were the index
                fields["unit_index"] = fields["unit_id"]
            if "start_s" in file:  # files of version 0.1.0 have neither this nor an event
                fields["start_s"] = float(file["start_s"][()])
            if "event" in file:
                fields["event"] = str(file["event"].asstr()[()])
            fields["bin_s"] = float(file.attrs["bin_s"])
            fields["n_source_neurons"] = int(file.attrs["n_source_neurons"])
            fields["name"] = str(file.attrs["name"])
            return fields
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error})") from None


def _stored_words(file: h5py.Group, key: str) -> tuple[str, ...]:
    return tuple(map(str, file[key].asstr()[()])) if key in file and file[key].size else ()


def _stored_channels(file: h5py.Group) -> tuple[Channel, ...]:
    """Return channels as they were written, now or before there were kinds."""
    if "channels" in file:
        return tuple(Channel.from_json(text) for text in _stored_words(file, "channels"))
    names, units = (_stored_words(file, f"behavior_{key}") for key in ("names", "units"))
    units = units or ("",) * len(names)
    return tuple(Channel(name, unit=u) for name, u in zip(names, units, strict=True))
