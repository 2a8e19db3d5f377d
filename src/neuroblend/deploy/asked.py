"""What a student is asked: spikes whose neurons were found, and what it gives for them.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``N_in`` of them
seen, ``D`` behavior channels, ``C`` channels of a signal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from neuroblend.data.channel import Channel
from neuroblend.data.spikes import ContinuousSpikes, TrialSpikes
from neuroblend.deploy.lengths import REMEMBERS, Lengths, as_tensor
from neuroblend.deploy.neurons import KnownNeurons, Match
from neuroblend.deploy.prediction import Prediction, without_trials
from neuroblend.deploy.signals import LAYER
from neuroblend.deploy.windows import Carried, Margins, Signals, Windows, edges_of, in_blocks
from neuroblend.errors import InputError, some
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.readout import FEATURES, RATES
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

BLOCK = 16384  # bins of a recording that are worked on at a time
SignalsOf = Callable[[Batch, Sequence[str]], Signals]


class _Student(Protocol):
    """What is asked: :class:`~neuroblend.deploy.student.TrainedStudent` says what each is."""

    @property
    def arm(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def spec(self) -> TaskSpec: ...
    @property
    def neurons(self) -> KnownNeurons: ...
    @property
    def signals(self) -> SignalsOf: ...
    @property
    def decoder(self) -> Decoder: ...
    @property
    def readout(self) -> tuple[str, str]: ...
    @property
    def channels(self) -> tuple[Channel, ...]: ...
    @property
    def model(self) -> nn.Module | None: ...
    @property
    def reach(self) -> Margins: ...
    @property
    def margins(self) -> tuple[int, int]: ...


@dataclass(frozen=True, eq=False)
class Asked:
    """One question to a student.

    Attributes:
        student: Who is asked.
        found: Where its neurons are among those of the spikes.
        layers: Further layers of the network whose output is wanted.
        progress: Called with (bins or trials done, of how many).
        where: What to call the spikes in errors.
    """

    student: _Student
    found: Match
    layers: Sequence[str]
    progress: Callable[[int, int], None] | None
    where: str

    def of_trials(self, given: TrialSpikes) -> Prediction:
        """Return the prediction of trials.

        Raises:
            InputError: The student has forward bins, and trials are not of its length.
        """
        spec, n_bins = self.student.spec, given.counts.shape[1]
        counts, lengths = self.found.of(given.counts), given.lengths
        notes: tuple[str, ...] = ()
        if spec.t_in < spec.t_out:
            self._check_forward(n_bins, lengths)
            signals = self._signals(Batch(as_tensor(counts[:, : spec.t_in])))
        elif n_bins == spec.t_in and lengths is None:
            signals = self._signals(Batch(as_tensor(counts)))
        else:
            ends = np.full(len(counts), n_bins) if lengths is None else lengths
            signals, notes = self._lengths.of_trials(counts, ends, self.progress)
        n_here = next(iter(signals.values())).shape[1]
        ends = np.full(len(counts), n_here) if lengths is None else lengths
        edge = np.ones((len(counts), n_here), dtype=bool)
        for trial, n in enumerate(ends):
            edge[trial, :n] = edges_of(int(n), *self.student.margins)
        notes = (*notes, *self._lengths.notes(int(ends.max())))
        return self._predicted(signals, edge, given.start_s, notes, True)

    def of_recording(self, spikes: ContinuousSpikes) -> Iterator[Prediction]:
        """Yield the prediction of one stretch of time piece by piece, in bounded memory.

        Raises:
            InputError: The student has forward bins, or gives one value a trial alone.
        """
        self._check_forward(spikes.n_bins, None)
        student = self.student
        if all(channel.per_trial for channel in student.channels):
            raise InputError(
                f"{self.where}: found one stretch of time, wanted trials (cut them with "
                "`neuroblend prepare`): one value a trial is all that is decoded "
                f"({some(student.spec.behavior)})"
            )
        done = 0
        for first, last in spikes.parts:
            if first > done:
                yield from self._nothing(first - done, spikes)
            windows = self._lengths.windows(last - first)
            for start, stop in in_blocks(first, last, BLOCK):
                yield self._of_block(spikes, windows, first, (start, stop))
                done = stop
                if self.progress is not None:
                    self.progress(done, spikes.n_bins)
        if done < spikes.n_bins:
            yield from self._nothing(spikes.n_bins - done, spikes)

    @cached_property
    def _lengths(self) -> Lengths:
        student = self.student
        return Lengths(self._signals, student.spec, student.reach, student.model)

    def _signals(self, batch: Batch) -> Signals:
        return self.student.signals(batch, self.layers)

    def _of_block(
        self,
        spikes: ContinuousSpikes,
        windows: Windows | Carried,
        first: int,
        block: tuple[int, int],
    ) -> Prediction:
        """Return the prediction of some bins of an unbroken part of a recording, from ``first``."""
        (start, stop), n_bins, lags = block, windows.n_bins, self.student.decoder.lags
        begin = max(first, start + min(0, int(lags.min())))
        end = min(first + n_bins, stop + max(0, int(lags.max())))

        def read(a: int, b: int) -> NDArray[np.float32]:
            return self.found.of(spikes.read(first + a, first + b))

        signals = self._lengths.of_stretch(windows, read, begin - first, end - first)
        edge = edges_of(n_bins, *self.student.margins)[start - first : stop - first]
        remembered = () if windows.agrees else (REMEMBERS,)
        whole = self._predicted(
            {name: s[None] for name, s in signals.items()},
            np.zeros((1, end - begin), dtype=bool),
            spikes.start_s,
            (*self._notes(spikes), *remembered, *self._no_trials()),
        )
        return replace(whole.bins(slice(start - begin, stop - begin)), edge=edge[None])

    def _nothing(self, n_bins: int, spikes: ContinuousSpikes) -> Iterator[Prediction]:
        """Yield NaN for bins that were not observed."""
        spec = self.student.spec
        example = self._signals(
            Batch(as_tensor(np.zeros((1, spec.t_in, spec.n_in), dtype=np.float32)))
        )
        for start, stop in in_blocks(0, n_bins, BLOCK):
            shape = (1, stop - start)
            empty: Signals = {
                name: np.full((*shape, s.shape[2]), np.nan, dtype=s.dtype)
                for name, s in example.items()
            }
            edge = np.ones(shape, dtype=bool)
            yield self._predicted(empty, edge, spikes.start_s, self._notes(spikes))

    def _predicted(
        self,
        signals: Signals,
        edge: NDArray[np.bool_],
        start_s: float,
        notes: tuple[str, ...],
        whole_trials: bool = False,
    ) -> Prediction:
        student = self.student
        rates, latents = signals.get(RATES), signals.get(FEATURES)
        signal = signals[student.readout[0]]
        behavior = student.decoder(signal).astype(np.float32)
        odds = {n: p.astype(np.float32) for n, p in student.decoder.probabilities(signal).items()}
        if not whole_trials:
            behavior, odds = without_trials(behavior, odds, student.channels)
        return Prediction(
            rates=None if rates is None else rates.astype(np.float32),
            behavior=behavior,
            latents=None if latents is None else latents.astype(np.float32),
            edge=edge,
            channels=student.channels,
            unit_id=student.neurons.unit_id,
            bin_s=student.spec.bin_s,
            arm=student.arm,
            seed=student.seed,
            start_s=start_s,
            matched=self.found.how,
            notes=(*self.found.notes, *notes),
            layers={name: signals[LAYER + name].astype(np.float32) for name in self.layers},
            probabilities=odds,
        )

    def _notes(self, spikes: ContinuousSpikes) -> tuple[str, ...]:
        longest = max(last - first for first, last in spikes.parts)
        return (*spikes.notes, *self._lengths.notes(longest))

    def _no_trials(self) -> tuple[str, ...]:
        names = [channel.name for channel in self.student.channels if channel.per_trial]
        if not names:
            return ()
        return (f"{some(names)}: one value a trial, and there are no trials here: missing.",)

    def _check_forward(self, n_bins: int, lengths: NDArray[np.int64] | None) -> None:
        spec = self.student.spec
        if spec.t_in == spec.t_out:
            return
        if lengths is not None:
            raise InputError(
                f"{self.where}: trials differ in length, but the run has forward bins, which "
                "follow trials of one length"
            )
        if n_bins not in (spec.t_in, spec.t_out):
            raise InputError(
                f"{self.where}: found {n_bins} bins, wanted trials of {spec.t_in} of "
                f"{spec.bin_s:g} s: the run has forward bins, which follow trials of the length "
                "that it was trained on"
            )
