"""Predictions written to a file: whole, and of hours of recording piece by piece.

Shape legend: ``T`` bins.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import h5py

from neuroblend.data.spikes import ContinuousSpikes, as_spikes
from neuroblend.deploy.asked import BLOCK
from neuroblend.deploy.neurons import match_neurons
from neuroblend.deploy.prediction import Prediction, attributes
from neuroblend.deploy.student import TrainedStudent
from neuroblend.errors import InputError
from neuroblend.files import write_whole


class Written(NamedTuple):
    """What was written.

    Attributes:
        summary: Of what is in the file, on one line.
        notes: What a user should know, in sentences.
    """

    summary: str
    notes: tuple[str, ...]


def predict_to_file(
    student: TrainedStudent,
    source: str | Path,
    out: str | Path,
    match: str = "auto",
    missing_units: str = "refuse",
    layers: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Predict from a file of spikes and write an HDF5 file, which appears whole or not at all.

    The arguments are those of :meth:`~neuroblend.deploy.student.TrainedStudent.predict`. Memory
    does not grow with the length of a recording, of whose prediction a block is held at a time.

    Raises:
        InputError: The spikes do not fit, or there is no room for the file.
    """
    if Path(out).is_dir():
        raise InputError(f"{out}: a folder, wanted the name of a file to write")
    if Path(out).exists() and Path(out).samefile(source):
        raise InputError(f"{out}: holds the spikes to predict from; choose another --out")
    spikes = as_spikes(source, student.spec.bin_s)
    if not isinstance(spikes, ContinuousSpikes):
        prediction = student.predict(
            spikes, match=match, missing_units=missing_units, layers=layers or (), progress=progress
        )
        prediction.save(out)
        n_trials, n_bins, _ = prediction.behavior.shape
        return Written(
            f"{n_trials} trials x {n_bins} bins{_of(prediction, student.label)}", prediction.notes
        )
    found = match_neurons(
        student.neurons,
        spikes.unit_id,
        spikes.n_neurons,
        match,
        missing_units,
        str(source),
        spikes.silent_id,
    )
    pieces = student.pieces(spikes, found, layers or (), progress)
    first: list[Prediction] = []
    notes: dict[str, None] = {}

    def write(partial: Path) -> None:
        with h5py.File(partial, "w") as file:
            at = 0
            for piece in pieces:
                if not first:
                    first.append(piece)
                    _check_room(piece, spikes.n_bins, Path(out))
                notes.update(dict.fromkeys(piece.notes))
                n_bins = piece.behavior.shape[1]
                for name, values in piece.arrays().items():
                    if name not in file:
                        shape = (1, spikes.n_bins, *values.shape[2:])
                        chunk = (1, min(1024, spikes.n_bins), *values.shape[2:])
                        stored = file.create_dataset(
                            name, shape, values.dtype, chunks=chunk, compression="gzip",
                            compression_opts=1,
                        )  # fmt: skip
                        stored.attrs.update(attributes(name))
                    file[name][:, at : at + n_bins] = values
                at += n_bins
            replace(first[0], notes=tuple(notes)).describe(file)

    write_whole(out, write)
    (prediction,) = first
    hours = spikes.n_bins * student.spec.bin_s
    summary = f"{spikes.n_bins} bins ({hours:.6g} s){_of(prediction, student.label)}"
    return Written(summary, tuple(notes))


def _of(prediction: Prediction, label: str) -> str:
    n = prediction.unit_id.size
    rates = "" if prediction.rates is None else f"rates of {n} neurons and "
    return (
        f" of {rates}decoded {', '.join(prediction.behavior_names)}, by {label}; "
        f"neurons matched {prediction.matched.split(',')[0]}"
    )


def _check_room(piece: Prediction, n_bins: int, out: Path) -> None:
    """Refuse to begin a file that the disk has no room for, since HDF5 crashes on a full one."""
    per_bin = sum(v.nbytes / v.shape[1] for v in piece.arrays().values())
    wanted = int(per_bin * n_bins) + BLOCK
    free = shutil.disk_usage(out.resolve().parent if out.parent.exists() else os.curdir).free
    if wanted > free:
        raise InputError(
            f"{out}: cannot be written, wants up to {wanted / 1e6:.0f} MB and there are "
            f"{free / 1e6:.0f}; make room, or choose another --out"
        )
