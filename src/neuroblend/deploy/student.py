"""A trained student with all that is needed to use it: network, read-out, names of its neurons.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``N_in`` of them
seen, ``D`` behavior channels, ``H`` features of a layer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from neuroblend.data.channel import Channel
from neuroblend.data.spikes import ContinuousSpikes, TrialSpikes, as_spikes
from neuroblend.deploy.direct import DirectDecoder
from neuroblend.deploy.latents import KnownLatents, latents_of
from neuroblend.deploy.neurons import KnownNeurons, Match, match_neurons
from neuroblend.deploy.onnx import export_step, export_trials
from neuroblend.deploy.prediction import Prediction, joined
from neuroblend.deploy.signals import LAYER
from neuroblend.deploy.stream import Stream
from neuroblend.deploy.windows import (
    LONG,
    LONGEST,
    Carried,
    Margins,
    Signals,
    Windows,
    edges_of,
    in_blocks,
    margins_of,
    padded_signals,
)
from neuroblend.errors import InputError, blamed_on, nearest, some
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.reach import receptive_field
from neuroblend.evaluation.readout import FEATURES, RATES
from neuroblend.models.parts.streams import Streams
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

BLOCK = 16384  # bins of a recording that are worked on at a time
FORGOTTEN = 1e-6  # difference in log rates and features
REMEMBERS = (
    f"The network remembers what was more than {LONGEST // 2} bins ago, so that what it gives for "
    "later bins depends on the windows that it is given, and is not quite that of a stream."
)
SignalsOf = Callable[[Batch, Sequence[str]], Signals]
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
        known, carries = self.known_reach, self._carries
        if known is not None and known.any_length == carries:
            return known
        spec = self.spec
        if spec.t_in < spec.t_out:  # of trials of one length alone
            return Margins(spec.t_in // 4, spec.t_in // 4, is_bounded=False)
        if not carries:
            return margins_of(self._signals, spec.t_in, spec.n_in)
        assert self.model is not None and self.layer is not None
        layers = [] if isinstance(self.model.net, DirectDecoder) else [self.layer]
        past = receptive_field(self.model, LONG, spec.n_in, layers, 2, FORGOTTEN).past
        if past is None or past > LONG // 2:
            return Margins(LONG // 2, 0, is_bounded=False, any_length=True)
        return Margins(past, 0, any_length=True)

    @property
    def _carries(self) -> bool:
        """Whether the network goes on from bin to bin for as long as there are spikes."""
        net = self._streams
        if net is None or net.longest is not None or self.spec.t_in < self.spec.t_out:
            return False
        try:
            net.begin(1)
        except InputError:
            return False
        return True

    @property
    def _streams(self) -> Streams | None:
        net = None if self.model is None else self.model.net
        net = net.net if isinstance(net, DirectDecoder) else net
        return net if isinstance(net, Streams) else None

    def _windows(self, n_bins: int) -> Windows | Carried:
        """Return where windows lie in a stretch that is as long as a trial or longer."""
        if not self.reach.any_length or self._streams is None:
            return Windows(n_bins, self.spec.t_in, self.reach)
        return Carried(n_bins, self.reach.past, self._streams.period)

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
        if isinstance(given, ContinuousSpikes):
            notes: dict[str, None] = {}

            def pieces() -> Iterator[Prediction]:
                for piece in self._pieces(given, found, layers, progress, where):
                    notes.update(dict.fromkeys(piece.notes))
                    yield piece

            whole = joined(pieces(), given.n_bins)
            return replace(whole, notes=tuple(notes))
        return self._of_trials(given, found, layers, progress, where)

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
        return self._pieces(spikes, found, layers, progress, "spikes")

    def _of_trials(
        self,
        given: TrialSpikes,
        found: Match,
        layers: Sequence[str],
        progress: Callable[[int, int], None] | None,
        where: str,
    ) -> Prediction:
        spec, n_bins = self.spec, given.counts.shape[1]
        counts, lengths = found.of(given.counts), given.lengths
        notes: tuple[str, ...] = ()
        if spec.t_in < spec.t_out:
            self._check_forward(n_bins, lengths, where)
            signals = self.signals(Batch(_tensor(counts[:, : spec.t_in])), layers)
        elif n_bins == spec.t_in and lengths is None:
            signals = self.signals(Batch(_tensor(counts)), layers)
        else:
            ends = np.full(len(counts), n_bins) if lengths is None else lengths
            signals, notes = self._of_any_length(counts, ends, layers, progress)
        n_here = next(iter(signals.values())).shape[1]
        ends = np.full(len(counts), n_here) if lengths is None else lengths
        edge = np.ones((len(counts), n_here), dtype=bool)
        for trial, n in enumerate(ends):
            edge[trial, :n] = edges_of(int(n), *self.margins)
        notes = (*notes, *self._notes(int(ends.max())))
        return self._predicted(signals, edge, found, layers, given.start_s, notes, True)

    def _of_any_length(
        self,
        counts: NDArray[np.float32],
        lengths: NDArray[np.int64],
        layers: Sequence[str],
        progress: Callable[[int, int], None] | None,
    ) -> tuple[Signals, tuple[str, ...]]:
        """Return (B, T, C) signals of trials of any length, NaN after their ends, and notes."""
        width, longest = self.spec.t_in, counts.shape[1]
        short = np.flatnonzero(lengths <= width)
        whole: Signals = {}

        def put(trials: Any, n_bins: int, signals: Mapping[str, NDArray[Any]]) -> None:
            for name, values in signals.items():
                if name not in whole:
                    shape = (len(counts), longest, values.shape[-1])
                    whole[name] = np.full(shape, np.nan, dtype=values.dtype)
                whole[name][trials, :n_bins] = values

        if short.size:
            n_kept = min(width, longest)
            signals = self._of_short(counts[short, :n_kept], lengths[short], layers)
            put(short, n_kept, {name: s[:, :n_kept] for name, s in signals.items()})
        long = np.flatnonzero(lengths > width)
        forgets = True
        for done, trial in enumerate(long):
            n_bins, of_trial = int(lengths[trial]), counts[trial]
            windows = self._windows(n_bins)

            def read(first: int, last: int, of_trial: Any = of_trial) -> NDArray[np.float32]:
                return np.asarray(of_trial[first:last])

            put(trial, n_bins, windows.signals(self._with(layers), read, 0, n_bins))
            forgets &= windows.agrees
            if progress is not None:
                progress(done + 1, long.size)
        gone = np.arange(longest) >= lengths[:, None]
        for values in whole.values():
            values[gone] = np.nan
        return whole, () if forgets else (REMEMBERS,)

    def _of_short(
        self, counts: NDArray[np.float32], lengths: NDArray[np.int64], layers: Sequence[str]
    ) -> Mapping[str, NDArray[Any]]:
        """Return (B, T, C) signals of trials that are no longer than those of training.

        They are padded, and the network told so; one that knows nothing of padding is called on
        what there is.
        """
        if self._takes_padding:
            return padded_signals(self._with(layers), counts, lengths, self.spec.t_in)
        whole: Signals = {}
        for n_bins in np.unique(lengths):
            trials = np.flatnonzero(lengths == n_bins)
            with blamed_on(f"student: on {n_bins} bins, trained on {self.spec.t_in},"):
                found = self.signals(Batch(_tensor(counts[trials, :n_bins])), layers)
            for name, values in found.items():
                if values.shape[1] != n_bins:
                    raise InputError(
                        f"student: gives {values.shape[1]} bins for {n_bins}, wanted as many; it "
                        f"takes trials of {self.spec.t_in} bins alone"
                    )
                shape = (*counts.shape[:2], values.shape[2])
                into = whole.setdefault(name, np.full(shape, np.nan, dtype=values.dtype))
                into[trials, :n_bins] = values
        return whole

    @property
    def _takes_padding(self) -> bool:
        net = None if self.model is None else self.model.net
        net = net.net if isinstance(net, DirectDecoder) else net
        if net is None:
            return True
        assert isinstance(net, nn.Module)
        known = inspect.signature(net.forward).parameters
        return "present" in known or any(p.kind is p.VAR_KEYWORD for p in known.values())

    def _pieces(
        self,
        spikes: ContinuousSpikes,
        found: Match,
        layers: Sequence[str],
        progress: Callable[[int, int], None] | None,
        where: str,
    ) -> Iterator[Prediction]:
        self._check_forward(spikes.n_bins, None, where)
        if all(channel.per_trial for channel in self.channels):
            raise InputError(
                f"{where}: found one stretch of time, wanted trials (cut them with `neuroblend "
                f"prepare`): one value a trial is all that is decoded ({some(self.spec.behavior)})"
            )
        done = 0
        for first, last in spikes.parts:
            if first > done:
                yield from self._nothing(first - done, found, layers, spikes, done)
            windows = self._windows(last - first)
            for start, stop in in_blocks(first, last, BLOCK):
                yield self._of_block(spikes, found, layers, windows, first, (start, stop))
                done = stop
                if progress is not None:
                    progress(done, spikes.n_bins)
        if done < spikes.n_bins:
            yield from self._nothing(spikes.n_bins - done, found, layers, spikes, done)

    def _of_block(
        self,
        spikes: ContinuousSpikes,
        found: Match,
        layers: Sequence[str],
        windows: Windows | Carried,
        first: int,
        block: tuple[int, int],
    ) -> Prediction:
        """Return the prediction of some bins of an unbroken part of a recording, from ``first``."""
        (start, stop), n_bins = block, windows.n_bins
        last, width, lags = first + n_bins, self.spec.t_in, self.decoder.lags
        begin = max(first, start + min(0, int(lags.min())))
        end = min(last, stop + max(0, int(lags.max())))

        def read(a: int, b: int) -> NDArray[np.float32]:
            return found.of(spikes.read(first + a, first + b))

        signals_of = self._with(layers)
        if n_bins < width:
            short = self._of_short(read(0, n_bins)[None], np.array([n_bins]), layers)
            signals: Signals = {n: s[0, begin - first : end - first] for n, s in short.items()}
        else:
            signals = windows.signals(signals_of, read, begin - first, end - first)
        edge = edges_of(n_bins, *self.margins)[start - first : stop - first]
        cut = slice(start - begin, stop - begin)
        remembered = () if windows.agrees else (REMEMBERS,)
        whole = self._predicted(
            {name: s[None] for name, s in signals.items()},
            np.zeros((1, end - begin), dtype=bool),
            found,
            layers,
            spikes.start_s,
            (*spikes.notes, *self._notes(_longest(spikes)), *remembered, *self._no_trials()),
        )
        return replace(_cut(whole, cut), edge=edge[None])

    def _nothing(
        self, n_bins: int, found: Match, layers: Sequence[str], spikes: ContinuousSpikes, at: int
    ) -> Iterator[Prediction]:
        """Yield NaN for bins that were not observed."""
        example = self.signals(
            Batch(_tensor(np.zeros((1, self.spec.t_in, self.spec.n_in), dtype=np.float32))), layers
        )
        for start, stop in in_blocks(0, n_bins, BLOCK):
            shape = (1, stop - start)
            empty: Signals = {
                name: np.full((*shape, s.shape[2]), np.nan, dtype=s.dtype)
                for name, s in example.items()
            }
            edge = np.ones(shape, dtype=bool)
            notes = (*spikes.notes, *self._notes(_longest(spikes)))
            yield self._predicted(empty, edge, found, layers, spikes.start_s, notes)

    def _predicted(
        self,
        signals: Signals,
        edge: NDArray[np.bool_],
        found: Match,
        layers: Sequence[str],
        start_s: float,
        notes: tuple[str, ...] = (),
        whole_trials: bool = False,
    ) -> Prediction:
        rates, latents = signals.get(RATES), signals.get(FEATURES)
        signal = signals[self.readout[0]]
        behavior = self.decoder(signal).astype(np.float32)
        odds = {n: p.astype(np.float32) for n, p in self.decoder.probabilities(signal).items()}
        if not whole_trials:
            behavior, odds = without_trials(behavior, odds, self.channels)
        return Prediction(
            rates=None if rates is None else rates.astype(np.float32),
            behavior=behavior,
            latents=None if latents is None else latents.astype(np.float32),
            edge=edge,
            channels=self.channels,
            unit_id=self.neurons.unit_id,
            bin_s=self.spec.bin_s,
            arm=self.arm,
            seed=self.seed,
            start_s=start_s,
            matched=found.how,
            notes=(*found.notes, *notes),
            layers={name: signals[LAYER + name].astype(np.float32) for name in layers},
            probabilities=odds,
        )

    def _no_trials(self) -> tuple[str, ...]:
        names = [channel.name for channel in self.channels if channel.per_trial]
        if not names:
            return ()
        return (f"{some(names)}: one value a trial, and there are no trials here: missing.",)

    def _notes(self, n_bins: int) -> tuple[str, ...]:
        reach, width = self.reach, self.spec.t_in
        is_placed = reach.knows_place or not reach.is_bounded
        if n_bins <= self.spec.t_out or reach.any_length or not is_placed:
            return ()
        why = f"looks at all of the {width} bins that it was trained on"
        if reach.is_bounded:
            why = "knows where in a trial a bin is, by the trials that it was trained on"
        return (
            f"The network {why}, so that what it gives for longer spikes depends on the windows of "
            f"{width} bins that it is given, which overlap by {reach.past + reach.future}.",
        )

    def _check_forward(self, n_bins: int, lengths: NDArray[np.int64] | None, where: str) -> None:
        spec = self.spec
        if spec.t_in == spec.t_out:
            return
        if lengths is not None:
            raise InputError(
                f"{where}: trials differ in length, but the run has forward bins, which follow "
                "trials of one length"
            )
        if n_bins not in (spec.t_in, spec.t_out):
            raise InputError(
                f"{where}: found {n_bins} bins, wanted trials of {spec.t_in} of {spec.bin_s:g} s: "
                "the run has forward bins, which follow trials of the length that it was trained on"
            )

    def _signals(self, batch: Batch) -> Signals:
        return self.signals(batch, ())

    def _with(self, layers: Sequence[str]) -> Callable[[Batch], Signals]:
        return lambda batch: self.signals(batch, layers)


def _longest(spikes: ContinuousSpikes) -> int:
    return max(last - first for first, last in spikes.parts)


def _cut(whole: Prediction, bins: slice) -> Prediction:
    """Return a prediction of one trial with some of its bins alone."""

    def cut(values: NDArray[Any] | None) -> Any:
        return None if values is None else values[:, bins]

    return replace(
        whole,
        rates=cut(whole.rates),
        behavior=cut(whole.behavior),
        latents=cut(whole.latents),
        edge=cut(whole.edge),
        layers={name: cut(values) for name, values in whole.layers.items()},
        probabilities={name: cut(values) for name, values in whole.probabilities.items()},
    )


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


def _tensor(counts: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(counts, dtype=np.float32))
