"""What one fit leaves for intervals, figures and decoding, as an HDF5 file.

Shape legend: ``B`` test trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError
from neuroblend.evaluation.behavior_sums import BehaviorSums
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.kind_sums import CircularSums, DiscreteSums, EventSums
from neuroblend.evaluation.metrics import ErrorSums, SpikeSums
from neuroblend.files import new_h5, write_whole


@dataclass(frozen=True, eq=False)
class Scored:
    """One model's scores on its test trials, trial by trial.

    Attributes:
        trial: (B,) indices of the test trials.
        held_out: Sums over held-out neurons in observed bins, for co-bps.
        forward: Sums over all neurons in forward bins, for fp-bps.
        behavior: Sums over the continuous channels of bins, decoded from the same bin, as the
            benchmark does; ``None`` where there are none.
        chosen: Sums over continuous channels by the read-out that was chosen on validation trials.
        truth: Sums over neurons of rates against true rates, where these are known.
        psth_r2: (R,) bootstrap replicates of the PSTH score, the score itself first.
        decoded: (B, T, D) behavior by the chosen read-out, in the recording's units.
        shown: Indices of neurons whose rates are kept for figures; ``None``, as rates and PSTHs
            are, for an arm that decodes behavior and predicts no rates.
        rates: (B, T, len(shown)) their rates in counts/bin.
        psth: (C, T, len(shown)) mean of their rates in each condition.
        decoder: From the signal that was chosen to behavior.
        readout: Name of that signal, and which of its bins the decoder sees.
        circular: Sums over circular channels by that read-out, ``None`` where there are none, as
            for the two that follow.
        discrete: Over discrete channels.
        events: Over channels of events.
    """

    trial: NDArray[np.int64]
    held_out: SpikeSums | None
    forward: SpikeSums | None
    behavior: ErrorSums | None
    chosen: ErrorSums | None
    truth: ErrorSums | None
    psth_r2: NDArray[np.float64] | None
    decoded: NDArray[np.float32]
    shown: NDArray[np.int64] | None
    rates: NDArray[np.float32] | None
    psth: NDArray[np.float32] | None
    decoder: Decoder
    readout: tuple[str, str]
    circular: CircularSums | None = None
    discrete: DiscreteSums | None = None
    events: EventSums | None = None

    @property
    def decoding(self) -> BehaviorSums:
        """Sums over channels of all kinds, by the read-out that was chosen."""
        return BehaviorSums(self.chosen, self.circular, self.discrete, self.events)

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""

        def write(partial: Path) -> None:
            with new_h5(partial) as file:
                for entry in fields(self):
                    _write(file, entry.name, getattr(self, entry.name))

        write_whole(path, write)

    @classmethod
    def load(cls, path: Path) -> Scored:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: It is missing or damaged.
        """
        kinds = {
            "held_out": SpikeSums,
            "forward": SpikeSums,
            "behavior": ErrorSums,
            "chosen": ErrorSums,
            "truth": ErrorSums,
            "circular": CircularSums,
            "discrete": DiscreteSums,
            "events": EventSums,
            "decoder": Decoder,
            "readout": tuple,
        }
        try:
            with h5py.File(path, "r") as file:
                content = {e.name: _read(file, e.name, kinds.get(e.name)) for e in fields(cls)}
        except (OSError, KeyError) as error:
            raise InputError(f"{path}: missing or damaged ({error})") from None
        return cls(**content)


def _write(file: h5py.File, name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, tuple):
        file[name] = list(value)
        return
    if isinstance(value, np.ndarray):
        file.create_dataset(name, data=value, compression="gzip", compression_opts=1)
        return
    if isinstance(value, Decoder):
        for key, array in value.to_arrays().items():
            _write(file, f"{name}/{key}", array)
        return
    for entry in fields(value):
        _write(file, f"{name}/{entry.name}", getattr(value, entry.name))


def _read(file: h5py.File, name: str, kind: type | None) -> Any:
    if name not in file:
        return None
    if kind is tuple:
        return tuple(file[name].asstr()[()])
    if kind is None:
        return file[name][()]
    arrays = {key: item[()] for key, item in file[name].items()}
    return Decoder.from_arrays(arrays) if kind is Decoder else kind(**arrays)
