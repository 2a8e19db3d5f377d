"""A trained student with all that is needed to use it: network, read-out, names of its neurons.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``N_in`` of them
seen, ``D`` behavior channels, ``H`` features of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from neuroblend.data.channel import Channel
from neuroblend.data.spikes import ContinuousSpikes, as_spikes
from neuroblend.deploy.asked import Asked, SignalsOf
from neuroblend.deploy.latents import KnownLatents, latents_of
from neuroblend.deploy.lengths import found_reach
from neuroblend.deploy.neurons import KnownNeurons, Match, match_neurons
from neuroblend.deploy.onnx import export_step, export_trials
from neuroblend.deploy.prediction import Prediction, joined
from neuroblend.deploy.stream import Stream
from neuroblend.deploy.windows import (
    Margins,
    Signals,
)
from neuroblend.errors import InputError, nearest
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.readout import FEATURES
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

FORMS = {"step": export_step, "trials": export_trials}  # of ONNX files


@dataclass(frozen=True, eq=False)
class TrainedStudent:
    """A student as it is taken home: it predicts from spikes alone.

    Attributes:
        arm: Which arm of its run it is.
        seed: Of which seed.
        spec: Sizes of the task that it was trained on.
        neurons: The neurons that it knows.
        signals: Gives (B, T, C) arrays of a batch by name: ``rates`` in counts/bin of the neurons
            as recorded and ``features`` of a network, then layers that were asked for by name; of
            another arm, whatever behavior is read out of.
        decoder: From a signal to behavior.
        readout: Name of that signal, and which of its bins the decoder sees.
        channels: D channels of behavior: names, kinds, units, categories.
        model: The network in its role; ``None`` of an arm without one.
        layer: Layer that is distilled and read out.
        network: Name of the model and the settings that it was built with; ``None`` of what is
            not built so, such as a reference, and cannot be exported.
        task: The trials and split that it was trained on; ``None`` of one that was read from a
            file.
        about: Provenance and scores, to be stored with it.
        known_reach: How far the network looks, where that was found before.
        latents: How its latents lay where behavior was known, where that was found before; see
            :attr:`known_latents`.
    """

    arm: str
    seed: int
    spec: TaskSpec
    neurons: KnownNeurons
    signals: SignalsOf
    decoder: Decoder
    readout: tuple[str, str]
    channels: tuple[Channel, ...]
    model: nn.Module | None = None
    layer: str | None = None
    network: tuple[str, Mapping[str, Any]] | None = None
    task: Any = None
    about: Mapping[str, Any] = field(default_factory=dict)
    known_reach: Margins | None = None
    latents: KnownLatents | None = None

    def __repr__(self) -> str:
        return (
            f"TrainedStudent({self.label}: {self.neurons.n_seen} neurons seen, "
            f"bins of {self.spec.bin_s * 1000:g} ms, decodes {', '.join(self.spec.behavior)} from "
            f"{self.readout[0]}, {self.readout[1]})"
        )

    @property
    def behavior_units(self) -> tuple[str, ...]:
        """D units of measure, ``""`` where unknown."""
        return tuple(channel.unit for channel in self.channels)

    @property
    def fold(self) -> int | None:
        """Of which fold of its run it is; ``None`` of one without folds."""
        fold: int | None = self.about.get("fold")
        return fold

    @property
    def session(self) -> str | None:
        """For the neurons of which session of its run it is; ``None`` of a run on one."""
        session: str | None = self.about.get("session")
        return session

    @property
    def label(self) -> str:
        """Which student of its run it is: its arm, seed and, where there are, fold and session."""
        fold = "" if self.fold is None else f", fold {self.fold}"
        session = "" if self.session is None else f", session {self.session}"
        return f"{self.arm}, seed {self.seed}{fold}{session}"

    @cached_property
    def reach(self) -> Margins:
        """How many bins before and after a bin the student looks at, its read-out left aside.

        A causal network that can be called bin by bin takes spikes of any length. Of a recurrent
        one, ``past`` is after how many bins it has forgotten to 1e-6 of log rates and features, at
        half a spike a bin; it is not bounded where that is more than 1024. Of any other network
        whose reach is not bounded, it is a quarter of the bins that it was trained on.
        """
        return found_reach(self.model, self.layer, self.spec, self._signals, self.known_reach)

    @cached_property
    def known_latents(self) -> KnownLatents | None:
        """How latents lay in the trials of training, and a read-out; ``None`` where unknown."""
        if self.latents is not None or self.layer is None or self.task is None:
            return self.latents
        of_features = self.readout[0] == FEATURES
        return latents_of(
            self.task, self._signals, (self.decoder, self.readout[1]) if of_features else None
        )

    @property
    def margins(self) -> tuple[int, int]:
        """Bins before and after a bin that its behavior depends on, the read-out's included."""
        lags = self.decoder.lags
        past, future = max(0, -int(lags.min())), max(0, int(lags.max()))
        return self.reach.past + past, self.reach.future + future

    def predict(
        self,
        spikes: object,
        lengths: ArrayLike | None = None,
        unit_id: ArrayLike | None = None,
        *,
        match: str = "auto",
        missing_units: str = "refuse",
        layers: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> Prediction:
        """Predict rates, latents and decoded behavior from spikes alone.

        Trials may be shorter or longer than those of the training, and spikes may be of one long
        stretch of time: windows of the training's length then lie so that every bin has all that
        the student's reach covers. A break in a recording is an end of the spikes before it.

        Args:
            spikes: As :func:`~neuroblend.data.spikes.as_spikes` takes them: a file, an array of
                (trial, bin, neuron) or (bin, neuron) counts, ``Trials``, a ``Recording`` or a
                pynapple ``TsGroup``.
            lengths: (B,) bins of each trial where they differ, for an array.
            unit_id: (N,) names of the neurons of an array.
            match: ``"id"`` or ``"position"``; by id where the spikes have ids, by ``"auto"``.
            missing_units: ``"zeros"`` to take neurons that are not there as silent; by
                ``"refuse"``, they are an error.
            layers: Further layers of the network whose output is wanted.
            progress: Called with (bins or trials done, of how many).

        Raises:
            InputError: The spikes do not fit.
        """
        where = str(spikes) if isinstance(spikes, (str, Path)) else "spikes"
        given = as_spikes(spikes, self.spec.bin_s, lengths, unit_id)
        found = match_neurons(
            self.neurons,
            given.unit_id,
            given.n_neurons,
            match,
            missing_units,
            where,
            given.silent_id,
        )
        asked = Asked(self, found, layers, progress, where)
        if isinstance(given, ContinuousSpikes):
            notes: dict[str, None] = {}

            def pieces() -> Iterator[Prediction]:
                for piece in asked.of_recording(given):
                    notes.update(dict.fromkeys(piece.notes))
                    yield piece

            whole = joined(pieces(), given.n_bins)
            return replace(whole, notes=tuple(notes))
        return asked.of_trials(given)

    def stream(self) -> Stream:
        """Return the student as it is called bin by bin, while the recording goes on.

        A step takes the counts of the neurons ``neurons.seen``, in that order, which are the
        stream's ``unit_id``.

        Raises:
            InputError: It has no network, it or its read-out looks ahead, or it needs all of the
                past.
        """
        return Stream(*self._as_network("stream"))

    def export_onnx(self, path: str | Path, form: str = "step") -> list[str]:
        """Write an ONNX file and return the names of what it gives; see :mod:`.onnx`.

        Args:
            path: The file.
            form: ``"step"`` for one that is called bin by bin, or ``"trials"`` for one that is
                called on trials of the training's length.

        Raises:
            InputError: As :meth:`stream` (an arm may look ahead in whole trials); there is no such
                form, or the network cannot be exported.
        """
        if form not in FORMS:
            raise InputError(f"onnx: no form '{form}': {nearest(form, FORMS)}")
        if self.network is None:
            raise InputError(f"onnx: {self.arm} has no network; wanted a student, or direct")
        return FORMS[form](path, *self._as_network("onnx"), self.channels)

    def _as_network(
        self, what: str
    ) -> tuple[nn.Module, TaskSpec, str, Decoder, str, NDArray[np.int64], KnownNeurons]:
        if self.model is None or self.layer is None:
            raise InputError(f"{what}: {self.arm} has no network; wanted a student, or direct")
        order, signal = np.argsort(self.neurons.held_out, kind="stable"), self.readout[0]
        return self.model, self.spec, self.layer, self.decoder, signal, order, self.neurons

    def pieces(
        self,
        spikes: ContinuousSpikes,
        found: Match,
        layers: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Prediction]:
        """Yield the prediction of a recording piece by piece, in bounded memory.

        Args:
            spikes: One stretch of time.
            found: Where the student's neurons are among its neurons.
            layers: As for :meth:`predict`, ``progress`` too.
            progress: As there.

        Raises:
            InputError: The student has forward bins.
        """
        return Asked(self, found, layers, progress, "spikes").of_recording(spikes)

    def _signals(self, batch: Batch) -> Signals:
        return self.signals(batch, ())
