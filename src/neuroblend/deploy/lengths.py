"""Signals of trials and recordings of any length, from a network trained on trials of one.

Shape legend: ``B`` trials, ``T`` bins, ``N_in`` neurons seen, ``C`` channels of a signal.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neuroblend.deploy.direct import DirectDecoder
from neuroblend.deploy.windows import (
    LONG,
    LONGEST,
    Carried,
    Margins,
    Signals,
    SignalsOf,
    Windows,
    margins_of,
    padded_signals,
)
from neuroblend.errors import InputError, blamed_on
from neuroblend.evaluation.reach import receptive_field
from neuroblend.models.parts.streams import Streams
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

FORGOTTEN = 1e-6  # difference in log rates and features
REMEMBERS = (
    f"The network remembers what was more than {LONGEST // 2} bins ago, so that what it gives for "
    "later bins depends on the windows that it is given, and is not quite that of a stream."
)


@dataclass(frozen=True, eq=False)
class Lengths:
    """A network that was trained on trials of one length, called on spikes of any.

    Attributes:
        signals_of: Gives (B, T, C) signals of a batch.
        spec: Sizes of the task that it was trained on.
        reach: How far around a bin it looks.
        model: The network in its role; ``None`` where signals come of something else.
    """

    signals_of: SignalsOf
    spec: TaskSpec
    reach: Margins
    model: nn.Module | None

    def windows(self, n_bins: int) -> Windows | Carried:
        """Return where windows lie in a stretch that is as long as a trial or longer."""
        streams = streams_in(self.model)
        if not self.reach.any_length or streams is None:
            return Windows(n_bins, self.spec.t_in, self.reach)
        return Carried(n_bins, self.reach.past, streams.period)

    def of_trials(
        self,
        counts: NDArray[np.float32],
        lengths: NDArray[np.int64],
        progress: Callable[[int, int], None] | None,
    ) -> tuple[Signals, tuple[str, ...]]:
        """Return (B, T, C) signals of trials of any length, NaN after their ends, and notes.

        Args:
            counts: (B, T, N_in) counts/bin.
            lengths: (B,) bins of each trial.
            progress: Called with (trials done, of how many), of those that are longer than those
                of training.
        """
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
            signals = self.of_short(counts[short, :n_kept], lengths[short])
            put(short, n_kept, {name: s[:, :n_kept] for name, s in signals.items()})
        long = np.flatnonzero(lengths > width)
        forgets = True
        for done, trial in enumerate(long):
            n_bins, of_trial = int(lengths[trial]), counts[trial]
            windows = self.windows(n_bins)

            def read(first: int, last: int, of_trial: Any = of_trial) -> NDArray[np.float32]:
                return np.asarray(of_trial[first:last])

            put(trial, n_bins, windows.signals(self.signals_of, read, 0, n_bins))
            forgets &= windows.agrees
            if progress is not None:
                progress(done + 1, long.size)
        gone = np.arange(longest) >= lengths[:, None]
        for values in whole.values():
            values[gone] = np.nan
        return whole, () if forgets else (REMEMBERS,)

    def of_short(
        self, counts: NDArray[np.float32], lengths: NDArray[np.int64]
    ) -> Mapping[str, NDArray[Any]]:
        """Return (B, T, C) signals of trials that are no longer than those of training.

        They are padded, and the network told so; one that knows nothing of padding is called on
        what there is.

        Raises:
            InputError: It cannot be called on so few bins.
        """
        if _takes_padding(self.model):
            return padded_signals(self.signals_of, counts, lengths, self.spec.t_in)
        whole: Signals = {}
        for n_bins in np.unique(lengths):
            trials = np.flatnonzero(lengths == n_bins)
            with blamed_on(f"student: on {n_bins} bins, trained on {self.spec.t_in},"):
                found = self.signals_of(Batch(as_tensor(counts[trials, :n_bins])))
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

    def of_stretch(
        self,
        windows: Windows | Carried,
        read: Callable[[int, int], NDArray[np.float32]],
        first: int,
        last: int,
    ) -> Signals:
        """Return (last - first, C) signals of some bins of one stretch of time.

        Args:
            windows: Where windows lie in it.
            read: Gives (n, N_in) counts/bin of the bins from a first to before a last.
            first: First bin.
            last: The bin after the last.
        """
        n_bins = windows.n_bins
        if n_bins >= self.spec.t_in:
            return windows.signals(self.signals_of, read, first, last)
        short = self.of_short(read(0, n_bins)[None], np.array([n_bins]))
        return {name: s[0, first:last] for name, s in short.items()}

    def notes(self, n_bins: int) -> tuple[str, ...]:
        """Return, in sentences, what to know of signals of so many bins."""
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


def found_reach(
    model: nn.Module | None,
    layer: str | None,
    spec: TaskSpec,
    signals_of: SignalsOf,
    known: Margins | None,
) -> Margins:
    """Return how far around a bin a student looks.

    Args:
        model: The network in its role, where there is one.
        layer: Its layer that is read out.
        spec: Sizes of the task that it was trained on.
        signals_of: Gives (B, T, C) signals of a batch.
        known: What was found before.
    """
    carries = _carries(model, spec)
    if known is not None and known.any_length == carries:
        return known
    if spec.t_in < spec.t_out:  # of trials of one length alone
        return Margins(spec.t_in // 4, spec.t_in // 4, is_bounded=False)
    if not carries:
        return margins_of(signals_of, spec.t_in, spec.n_in)
    assert model is not None and layer is not None
    layers = [] if isinstance(model.net, DirectDecoder) else [layer]
    past = receptive_field(model, LONG, spec.n_in, layers, 2, FORGOTTEN).past
    if past is None or past > LONG // 2:
        return Margins(LONG // 2, 0, is_bounded=False, any_length=True)
    return Margins(past, 0, any_length=True)


def streams_in(model: nn.Module | None) -> Streams | None:
    """Return the network of a student, where it can be called bin by bin."""
    net = _net_of(model)
    return net if isinstance(net, Streams) else None


def as_tensor(counts: NDArray[np.float32]) -> torch.Tensor:
    """Return counts/bin as a batch has them."""
    return torch.from_numpy(np.ascontiguousarray(counts, dtype=np.float32))


def _carries(model: nn.Module | None, spec: TaskSpec) -> bool:
    """Whether the network goes on from bin to bin for as long as there are spikes."""
    net = streams_in(model)
    if net is None or net.longest is not None or spec.t_in < spec.t_out:
        return False
    try:
        net.begin(1)
    except InputError:
        return False
    return True


def _takes_padding(model: nn.Module | None) -> bool:
    net = _net_of(model)
    if net is None:
        return True
    assert isinstance(net, nn.Module)
    known = inspect.signature(net.forward).parameters
    return "present" in known or any(p.kind is p.VAR_KEYWORD for p in known.values())


def _net_of(model: nn.Module | None) -> object:
    net = None if model is None else model.net
    return net.net if isinstance(net, DirectDecoder) else net
