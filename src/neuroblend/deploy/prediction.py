"""What a student says of some spikes.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels, ``H`` features of a
layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import Channel
from neuroblend.data.unit_ids import UnitIds, write_ids
from neuroblend.errors import InputError
from neuroblend.files import new_h5, write_whole

if TYPE_CHECKING:
    import h5py
    import pandas as pd

LAYERS = "layers/"  # before names of further layers, in a file
PROBABILITIES = "probabilities/"  # before names of discrete channels, in a file
AXES = {
    "rates": ("trial", "bin", "neuron"),
    "behavior": ("trial", "bin", "channel"),
    "latents": ("trial", "bin", "feature"),
}


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a student says of some trials, or of one stretch of time (one long trial).

    Bins after the end of a trial, and bins that were not observed, are NaN.

    Attributes:
        rates: (B, T, N) expected counts/bin of the neurons that the training used, held-out ones
            included; ``None`` of an arm that decodes behavior and predicts no rates.
        behavior: (B, T, D) decoded behavior, in the units that the run was given: numbers of
            categories for discrete channels, expected events in a bin; what has one value a trial
            has it in each of its bins.
        latents: (B, T, H) features of the layer that is distilled and read out; ``None`` of an arm
            without a network.
        edge: (B, T) bool, True for bins whose reach, of the network and of the read-out, goes
            beyond what was given, so that they are less sure than others.
        channels: D channels of behavior.
        unit_id: (N,) name of each neuron of ``rates``.
        bin_s: Width of a bin in seconds.
        arm: Which student.
        seed: Of which seed.
        start_s: Start of the first bin in seconds: from the event of trials, or on the clock of a
            recording.
        matched: How the neurons of the spikes were found: by id, or by position.
        notes: What a user should know, in sentences.
        layers: (B, T, H) of each further layer that was asked for, by name.
        probabilities: (B, T, K) of the categories of each discrete channel, by name.
    """

    rates: NDArray[np.float32] | None
    behavior: NDArray[np.float32]
    latents: NDArray[np.float32] | None
    edge: NDArray[np.bool_]
    channels: tuple[Channel, ...]
    unit_id: UnitIds
    bin_s: float
    arm: str
    seed: int
    start_s: float = 0.0
    matched: str = "by position"
    notes: tuple[str, ...] = ()
    layers: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    probabilities: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __repr__(self) -> str:
        n_trials, n_bins, _ = self.behavior.shape
        rates = "no rates" if self.rates is None else f"rates of {self.rates.shape[2]} neurons"
        latents = "" if self.latents is None else f", {self.latents.shape[2]} latents"
        return (
            f"Prediction(by {self.arm}, seed {self.seed}: {n_trials} trials x {n_bins} bins of "
            f"{self.bin_s * 1000:g} ms, {rates}{latents}, decoded: "
            f"{', '.join(self.behavior_names)}; neurons matched {self.matched.split(',')[0]})"
        )

    def __len__(self) -> int:
        return len(self.behavior)

    def __getitem__(self, index: Any) -> Prediction:
        """Return the prediction of some trials: a slice, indices, a mask, or one number."""
        at = np.arange(len(self))[index]
        kept = np.atleast_1d(at)
        of_trials: dict[str, Any] = {
            name: None if (value := getattr(self, name)) is None else value[kept]
            for name in (*AXES, "edge")
        }
        return replace(
            self,
            **of_trials,
            layers={name: values[kept] for name, values in self.layers.items()},
            probabilities={name: values[kept] for name, values in self.probabilities.items()},
        )

    @property
    def behavior_names(self) -> tuple[str, ...]:
        """D names."""
        return tuple(channel.name for channel in self.channels)

    @property
    def behavior_units(self) -> tuple[str, ...]:
        """D units of measure, ``""`` where unknown."""
        return tuple(channel.unit for channel in self.channels)

    @property
    def times(self) -> NDArray[np.float64]:
        """(T,) seconds of the middle of each bin, on the clock of ``start_s``."""
        return np.asarray(self.start_s + (np.arange(self.behavior.shape[1]) + 0.5) * self.bin_s)

    def bins(self, bins: slice) -> Prediction:
        """Return the prediction with some of its bins alone."""

        def cut(values: NDArray[Any] | None) -> Any:
            return None if values is None else values[:, bins]

        return replace(
            self,
            rates=cut(self.rates),
            behavior=cut(self.behavior),
            latents=cut(self.latents),
            edge=cut(self.edge),
            layers={name: cut(values) for name, values in self.layers.items()},
            probabilities={name: cut(values) for name, values in self.probabilities.items()},
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return behavior, one row a trial and bin.

        Columns are the behavior channels, categories by their names, and ``edge``; the index is
        ``trial`` and ``time`` (seconds). Bins without a prediction have no row.
        """
        import pandas as pd  # noqa: PLC0415  # not needed to predict

        n_trials, n_bins, _ = self.behavior.shape
        index = pd.MultiIndex.from_product([range(n_trials), self.times], names=["trial", "time"])
        flat = self.behavior.reshape(n_trials * n_bins, -1)
        frame = pd.DataFrame(flat, index=index, columns=list(self.behavior_names))
        frame["edge"] = self.edge.reshape(-1)
        frame = frame.iloc[np.flatnonzero(np.isfinite(flat).any(axis=1))].copy()
        for channel in self.channels:
            if channel.kind == "discrete":
                codes = frame[channel.name].fillna(-1).to_numpy(dtype=np.int64)
                frame[channel.name] = pd.Categorical.from_codes(codes, pd.Index(channel.categories))
        return frame

    def to_xarray(self) -> Any:
        """Return an ``xarray.Dataset`` of all that is predicted, with time in seconds.

        Raises:
            InputError: xarray is not installed.
        """
        try:
            xarray = import_module("xarray")
        except ImportError:
            raise InputError("to_xarray: xarray is not installed; pip install xarray") from None
        variables: dict[str, Any] = {
            name: (("trial", "time", axes[2]), value)
            for name, axes in AXES.items()
            if (value := getattr(self, name)) is not None
        }
        variables |= {
            f"layer:{name}": (("trial", "time", f"feature:{name}"), value)
            for name, value in self.layers.items()
        }
        variables |= {
            f"probability:{name}": (("trial", "time", f"category:{name}"), value)
            for name, value in self.probabilities.items()
        }
        variables["edge"] = (("trial", "time"), self.edge)
        coordinates: dict[str, Any] = {"time": self.times, "channel": list(self.behavior_names)}
        coordinates["trial"] = np.arange(len(self))
        coordinates |= {
            f"category:{channel.name}": list(channel.categories)
            for channel in self.channels
            if channel.name in self.probabilities
        }
        if self.rates is not None:
            coordinates["neuron"] = self.unit_id
        about = {"arm": self.arm, "seed": self.seed, "bin_s": self.bin_s, "matched": self.matched}
        return xarray.Dataset(variables, coordinates, about)

    def save(self, path: str | Path) -> None:
        """Write an HDF5 file; it appears whole or not at all."""

        def write(partial: Path) -> None:
            with new_h5(partial) as file:
                self.describe(file)
                for name, value in self.arrays().items():
                    stored = file.create_dataset(name, data=value, compression="gzip")
                    stored.attrs.update(attributes(name))

        write_whole(path, write)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what has trials and bins, by its name in a file."""
        found = {name: getattr(self, name) for name in (*AXES, "edge")}
        found |= {f"{LAYERS}{name}": value for name, value in self.layers.items()}
        found |= {f"{PROBABILITIES}{name}": value for name, value in self.probabilities.items()}
        return {name: value for name, value in found.items() if value is not None}

    def describe(self, file: h5py.Group) -> None:
        """Write what has neither trials nor bins."""
        file.attrs.update(arm=self.arm, seed=self.seed, bin_s=self.bin_s, matched=self.matched)
        file.attrs["start_s"] = self.start_s
        file["behavior_names"] = list(self.behavior_names)
        file["behavior_units"] = list(self.behavior_units)
        file["channels"] = [channel.to_json() for channel in self.channels]
        if self.notes:
            file["notes"] = list(self.notes)
        write_ids(file, "unit_id", self.unit_id)


def attributes(name: str) -> dict[str, str]:
    """Return unit and axes of an array of a prediction's file."""
    units = {"rates": "counts/bin", "behavior": "as in the training data"}
    axes = AXES.get(name, AXES["latents"] if name.startswith(LAYERS) else ("trial", "bin"))
    axes = ("trial", "bin", "category") if name.startswith(PROBABILITIES) else axes
    return {"axes": ", ".join(axes)} | ({"unit": units[name]} if name in units else {})


def joined(pieces: Iterable[Prediction], n_bins: int) -> Prediction:
    """Return the prediction of ``n_bins`` bins from those of pieces that follow each other."""
    whole: dict[str, NDArray[Any]] = {}
    first, at = None, 0
    for piece in pieces:
        first = piece if first is None else first
        n_here = piece.behavior.shape[1]
        for name, values in piece.arrays().items():
            if name not in whole:
                whole[name] = np.empty((1, n_bins, *values.shape[2:]), dtype=values.dtype)
            whole[name][:, at : at + n_here] = values
        at += n_here
    assert first is not None
    layers = {name: whole.pop(f"{LAYERS}{name}") for name in first.layers}
    odds = {name: whole.pop(f"{PROBABILITIES}{name}") for name in first.probabilities}
    fields: dict[str, Any] = dict(whole)
    return replace(first, layers=layers, probabilities=odds, **fields)


def without_trials(
    behavior: NDArray[np.float32],
    probabilities: Mapping[str, NDArray[np.float32]],
    channels: Sequence[Channel],
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Return (B, T, D) behavior of a stretch of time, in which what trials have is missing."""
    kept = {name: values.copy() for name, values in probabilities.items()}
    for i, channel in enumerate(channels):
        if channel.per_trial:
            behavior[:, :, i] = np.nan
            if channel.name in kept:
                kept[channel.name][:] = np.nan
    return behavior, kept
