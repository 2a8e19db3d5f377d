"""A causal student, called bin by bin while the recording goes on.

Shape legend: ``N`` neurons (``N_in`` of them seen), ``H`` features of a layer, ``D`` behavior
channels, ``L`` lags of a read-out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from neuroblend.deploy.counts import checked_counts
from neuroblend.deploy.direct import DECODED, DirectDecoder
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.windowed import Windowed
from neuroblend.errors import InputError, nearest
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.readout import FEATURES, LOG_RATES, RATES, log_of
from neuroblend.models.parts.streams import State, Streams
from neuroblend.privilege.roles import Student
from neuroblend.task.spec import TaskSpec

NO_CATEGORIES: Mapping[str, NDArray[np.float64]] = MappingProxyType({})


class Step(NamedTuple):
    """What a student says of one bin.

    Attributes:
        rates: (N,) expected counts/bin, held-out neurons among them; ``None`` of a network that
            decodes behavior and predicts no rates.
        latents: (H,) features of the layer.
        behavior: (D,) decoded behavior, in the units of training (numbers of categories for
            discrete channels, events to expect), NaN for channels with one value a trial; ``None``
            without a read-out.
        probabilities: (K,) of the categories of each discrete channel, by name.
    """

    rates: NDArray[np.float32] | None
    latents: NDArray[np.float32]
    behavior: NDArray[np.float64] | None
    probabilities: Mapping[str, NDArray[np.float64]] = NO_CATEGORIES


class Stream:
    """A student that carries what it needs of the past, of a size that does not grow.

    It holds a copy of the weights, as they are when it is made; a copy of a stream, or one from a
    pickle, goes on from where it was, by itself. What a step gives equals what the
    same student gives for the whole recording at once, to about 1e-6.

    Args:
        model: A student, or the network of one; causal.
        spec: Sizes of its task.
        layer: Layer whose output are the latents, as for distillation; of a network trained on
            behavior, its own.
        decoder: Read-out of behavior; bins before the first are taken for the first.
        signal: What it reads: ``"rates"``, ``"log rates"`` or ``"features"``; of a network trained
            on behavior, ``"decoded"``.
        order: (N,) the model's order of neurons (``split.order``), for rates as they were recorded;
            ``None`` for the model's own, held-in neurons first.
        neurons: The neurons that it knows, for their names.

    Attributes:
        spec: As given.
        unit_id: (N_in,) names of the neurons that the counts of a step are of, in their order;
            ``None`` where unknown.
        n_steps: Bins since the start, or since the last :meth:`reset`.

    Raises:
        InputError: The network or the read-out looks ahead, the network needs all of the past, or
            there is no such layer or signal.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: TaskSpec,
        layer: str,
        decoder: Decoder | None = None,
        signal: str = RATES,
        order: NDArray[np.integer] | None = None,
        neurons: KnownNeurons | None = None,
    ) -> None:
        self.spec = spec
        self.unit_id = None if neurons is None else neurons.seen
        self.n_steps = 0
        student, self._readout, layer = as_student(model, layer)
        net = student.net
        self._caught = _hooked(net, layer)
        self._net: Streams = net if isinstance(net, Streams) else Windowed(student, spec, layer)
        self._start = self._net.begin(1)
        self._state: State = self._start
        self._place = None if order is None else np.argsort(order)
        self._decode = None
        if decoder is not None:
            signals = (RATES, LOG_RATES, FEATURES) if self._readout is None else (DECODED,)
            if signal not in signals:
                raise InputError(f"stream: no signal '{signal}': {nearest(signal, signals)}")
            self._decode = History(decoder)
        self._signal = signal
        with torch.inference_mode():  # what cannot work fails now
            self._net.step(torch.zeros(1, spec.n_in), self._state)
        latents = self._caught.features
        if latents.ndim != 3:
            found = tuple(latents.shape) if latents.numel() else "nothing"
            raise InputError(
                f"stream: layer '{layer}' gives {found} in a step, wanted (trial, bin, feature)"
            )

    def step(self, counts: ArrayLike) -> Step:
        """Return what the student says of the next bin.

        Args:
            counts: (N_in,) counts/bin of the neurons that it sees.

        Raises:
            InputError: The counts are of other neurons, or no counts; or the network knows the time
                in a trial and the trial is over.
        """
        given = torch.from_numpy(checked_counts(counts, self.spec.n_in).astype(np.float32)[None])
        longest = self._net.longest
        if longest is not None and self.n_steps >= longest:
            raise InputError(
                f"stream: found a bin after the {longest} of a trial, whose times the network "
                "knows; wanted reset() where a trial begins, or a network with rotary positions"
            )
        self.n_steps += 1
        with torch.inference_mode():
            log_rates, self._state = self._net.step(given, self._state)
            latents = self._caught.features[
                0, self._net.at if isinstance(self._net, Windowed) else 0
            ]
            signals = {FEATURES: latents.numpy().copy()}
            if self._readout is None:
                rates = log_rates[0].exp().numpy()
                signals[RATES] = rates if self._place is None else rates[self._place]
                if self._signal == LOG_RATES:
                    signals[LOG_RATES] = log_of(signals[RATES])
            else:
                signals[DECODED] = self._readout(latents).numpy()
        if self._decode is None:
            return Step(signals.get(RATES), signals[FEATURES], None)
        return Step(signals.get(RATES), signals[FEATURES], *self._decode(signals[self._signal]))

    def reset(self) -> None:
        """Forget the past: the next bin is the first one."""
        self._state, self.n_steps = self._start, 0
        if self._decode is not None:
            self._decode.reset()

    def __repr__(self) -> str:
        what = "no behavior" if self._decode is None else ", ".join(self.spec.behavior)
        return (
            f"Stream({self.spec.n_in} neurons in bins of {self.spec.bin_s * 1000:g} ms to rates of "
            f"{self.spec.n_out} and {what}; {self.n_steps} bins so far)"
        )


class _Caught:
    """A hook that keeps what a layer gives, or is given; copied and pickled with its network.

    Args:
        is_given: Whether it keeps what the layer is given.

    Attributes:
        features: (1, T, H) of the last call; empty before the first.
    """

    def __init__(self, is_given: bool) -> None:
        self._is_given = is_given
        self.features = torch.zeros(0)

    def __call__(self, _: nn.Module, given: Any, gave: Any) -> None:
        caught = given if self._is_given else gave
        self.features = caught[0] if isinstance(caught, tuple) else caught


class History:
    """A read-out that keeps the bins it needs.

    Args:
        decoder: From a signal at lags up to now to behavior.

    Raises:
        InputError: It looks ahead, or all that it decodes has one value a trial.
    """

    def __init__(self, decoder: Decoder) -> None:
        if decoder.lags.max() > 0:
            raise InputError(
                "stream: found a read-out of history and future, wanted one of the same bin or of "
                "history; train with --causal"
            )
        if decoder.links and all(link.channel.per_trial for link in decoder.links):
            raise InputError(
                "stream: all behavior has one value a trial, known when the trial is over; predict "
                "on trials instead"
            )
        self._links = decoder.links
        n_back = 1 - int(decoder.lags.min())
        weights = np.zeros((n_back, *decoder.weights.shape[1:]))
        weights[decoder.lags - 1] = decoder.weights  # the oldest first, this bin last
        self._weights = weights.reshape(-1, weights.shape[2])
        self._offset = decoder.offset
        self._n = n_back
        self._kept = np.zeros((2 * n_back, weights.shape[1]))  # twice, so that a window is whole
        self._at = -1

    def __call__(
        self, signal: NDArray[Any]
    ) -> tuple[NDArray[np.float64], Mapping[str, NDArray[np.float64]]]:
        """Return (D,) behavior and probabilities of categories from the next bin's (N,) signal."""
        if self._at < 0:  # bins before the first are the first
            self._kept[:] = signal
            self._at = 0
        self._kept[self._at] = self._kept[self._at + self._n] = signal
        self._at = (self._at + 1) % self._n
        window = self._kept[self._at : self._at + self._n]
        outputs: NDArray[np.float64] = window.reshape(-1) @ self._weights + self._offset
        if not self._links:
            return outputs, NO_CATEGORIES
        behavior = [np.nan if k.channel.per_trial else k.values(outputs) for k in self._links]
        odds = {
            link.channel.name: np.exp(link.log_probabilities(outputs))
            for link in self._links
            if link.channel.kind == "discrete" and not link.channel.per_trial
        }
        return np.array(behavior, dtype=np.float64), odds

    def reset(self) -> None:
        """Forget the past."""
        self._at = -1


def as_student(model: nn.Module, layer: str) -> tuple[Student, nn.Linear | None, str]:
    """Return a copy of a student on the CPU, how it reads out behavior by itself, and its layer.

    Args:
        model: A student, or the network of one; of a network trained on behavior, the network
            within is returned, with its read-out and its layer.
        layer: The layer that was asked for.
    """
    student = model if isinstance(model, Student) else Student(model)
    student = copy.deepcopy(student).cpu().eval().requires_grad_(False)
    if isinstance(student.net, DirectDecoder):
        return Student(student.net.net), student.net.readout, student.net.layer
    return student, None, layer


def _hooked(net: nn.Module, layer: str) -> _Caught:
    """Return what will have caught what a layer gives, or with ``:in`` what it is given."""
    named = dict(net.named_modules())
    name, _, side = layer.partition(":")
    if name not in named or side not in ("", "in"):
        raise InputError(f"no layer '{layer}': {nearest(name, [key for key in named if key])}")
    caught = _Caught(side == "in")
    named[name].register_forward_hook(caught)
    return caught
