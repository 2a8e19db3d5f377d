"""A student as an ONNX file, which other programs run without PyTorch and without this package.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons (``N_in`` of them seen), ``H`` features of a
layer, ``D`` behavior channels, ``L`` lags of a read-out and ``S`` channels of what it reads.

Both files are checked by onnxruntime against PyTorch before they appear. torch's older exporter
makes them, since the newer one takes a minute over a recurrent network.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroblend._version import __version__
from neuroblend.data.channel import Channel
from neuroblend.deploy.direct import DECODED
from neuroblend.deploy.linked import Linked, OfTrials
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.stream import Stream, as_student
from neuroblend.distill.objective import captured
from neuroblend.errors import InputError, blamed_on
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.predict import in_recorded_order, rates_and_features
from neuroblend.evaluation.readout import FEATURES, LOG_RATES, NEVER_SILENT, RATES, log_of
from neuroblend.files import write_whole
from neuroblend.models.parts.streams import Streams
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

OPSET = 17
TOLERANCE = 1e-4  # of how much a channel varies, so that its units do not count
LEAST_SPREAD = (1e-2, 1e-3)  # of a channel's size, and of the largest channel's spread
N_CHECKED = 60  # bins that the step form is checked on


def export_step(
    path: str | Path,
    model: nn.Module,
    spec: TaskSpec,
    layer: str,
    decoder: Decoder | None = None,
    signal: str = RATES,
    order: NDArray[np.integer] | None = None,
    neurons: KnownNeurons | None = None,
    channels: Sequence[Channel] = (),
) -> list[str]:
    """Write a causal student that is called bin by bin, and return the names of what it gives.

    Inputs are ``counts`` (1, N_in) float32 in counts/bin, ``begin`` (1,) bool, True for the first
    bin, and ``state_0``, ``state_1``, ... float32: anything finite at first (zeros), then what the
    last step gave. Outputs are ``rates`` (1, N) expected counts/bin, ``latents`` (1, H),
    ``behavior`` (1, D) with a decoder, and the next states, ``next_0``, ... Positions of a trial,
    where a network has them, stay at the last one after the trial's end. Other arguments are those
    of :class:`~neuroblend.deploy.stream.Stream`, and the D ``channels`` of behavior for the
    file's properties, which also hold ``unit_id``, names of the N neurons of rates, and
    ``unit_id_seen``, of the N_in of counts; null where they are not known.

    Raises:
        InputError: onnx and onnxruntime are not installed; the network looks ahead, has no
            methods ``begin`` and ``step``, or cannot be exported; or onnxruntime gives other
            numbers than PyTorch.
    """
    if decoder is not None and any(link.channel.per_trial for link in decoder.links):
        raise InputError(
            "onnx: found behavior with one value a trial, which no single bin tells; wanted "
            "form='trials'"
        )
    stream = Stream(model, spec, layer, decoder, signal, order)
    student, _, layer = as_student(model, layer)
    if not isinstance(student.net, Streams):
        raise InputError("onnx: found a network without begin and step, wanted one with both")
    module = _Step(model, layer, decoder, signal, order)
    given = (torch.zeros(1, spec.n_in), torch.ones(1, dtype=torch.bool), *module.zeros())
    n_states = len(given) - 2
    names = ["counts", "begin", *(f"state_{i}" for i in range(n_states))]
    outputs = [*module.names, *(f"next_{i}" for i in range(n_states))]
    longest = student.net.longest
    counts = _some_counts((min(N_CHECKED, longest or N_CHECKED), spec.n_in))

    def check(session: Any) -> None:
        state = {name: each.numpy() for name, each in zip(names[2:], given[2:], strict=True)}
        of_steps = []
        for t, each in enumerate(counts):
            first = np.array([t == 0])
            found = session.run(None, {"counts": each[None], "begin": first, **state})
            state = dict(zip(state, found[len(module.names) :], strict=True))
            of_steps.append([one[0] for one in found[: len(module.names)]])
        wanted = [stream.step(each) for each in counts]
        for name, gave in zip(module.names, zip(*of_steps, strict=True), strict=True):
            _compare(name, np.stack(gave), np.stack([getattr(step, name) for step in wanted]))

    about = _about(spec, layer, neurons, channels)
    _export(path, module, given, names, outputs, {}, about, check)
    return outputs


def export_trials(
    path: str | Path,
    model: nn.Module,
    spec: TaskSpec,
    layer: str,
    decoder: Decoder | None = None,
    signal: str = RATES,
    order: NDArray[np.integer] | None = None,
    neurons: KnownNeurons | None = None,
    channels: Sequence[Channel] = (),
) -> list[str]:
    """Write a student that is called on whole trials, and return the names of what it gives.

    The input is ``counts`` (B, T, N_in) float32 in counts/bin, any number of trials of the length
    that the student was trained on. Outputs are ``log_rates`` (B, T, N), ``latents`` (B, T, H) and,
    with a decoder, ``behavior`` (B, T, D). Arguments are as for :func:`export_step`; the student
    may look ahead.

    Raises:
        InputError: As :func:`export_step`, but for networks that look ahead.
    """
    module = _Whole(model, spec, layer, decoder, signal, order)
    counts = torch.from_numpy(_some_counts((3, spec.t_in, spec.n_in)))
    wanted = _offline(model, counts, layer, decoder, signal, order)

    def check(session: Any) -> None:
        for n in (3, 1):
            found = session.run(None, {"counts": counts[:n].numpy()})
            for name, one in zip(module.names, found, strict=True):
                _compare(name, one, wanted[name][:n])

    axes = {name: {0: "trials"} for name in ("counts", *module.names)}
    about = _about(spec, layer, neurons, channels)
    _export(path, module, (counts,), ["counts"], module.names, axes, about, check)
    return module.names


def _offline(
    model: nn.Module,
    counts: Tensor,
    layer: str,
    decoder: Decoder | None,
    signal: str,
    order: NDArray[np.integer] | None,
) -> dict[str, NDArray[Any]]:
    """Return what a run would make of (B, T, N_in) counts, by the names of the file's outputs."""
    student, direct, layer = as_student(model, layer)
    rates, latents = rates_and_features(student, Batch(counts), layer)
    rates = rates if order is None else in_recorded_order(rates, np.asarray(order))
    signals: dict[str, NDArray[Any]] = {RATES: rates, LOG_RATES: log_of(rates), FEATURES: latents}
    if direct is not None:
        signals[DECODED] = direct(torch.from_numpy(latents)).numpy()
    found = {"log_rates": np.log(rates), "latents": latents}
    return found if decoder is None else found | {"behavior": decoder(signals[signal])}


class _Step(nn.Module):
    """A step with its read-out, and a state that also holds the read-out's bins."""

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        decoder: Decoder | None,
        signal: str,
        order: NDArray[np.integer] | None,
    ) -> None:
        super().__init__()
        self.student, self.direct, self.layer = as_student(model, layer)
        _with_plain_cells(self.student)
        self.out = _ReadOut(self.direct, decoder, signal, order)
        self.start = self._net().begin(1)
        self.n_back = 0 if decoder is None else 1 - int(decoder.lags.min())
        names = {RATES: "rates", FEATURES: "latents"}
        self.names = [names[name] for name in self.out.signals if name in names]
        self.names += ["behavior"] if decoder is not None else []

    def _net(self) -> Streams:
        net = self.student.net
        assert isinstance(net, Streams)
        return net

    def zeros(self) -> list[Tensor]:
        """Return the states to begin with, which ``begin`` has it ignore."""
        states = [torch.zeros_like(each) for each in self.start]
        if self.n_back > 1:
            states.append(torch.zeros(1, self.n_back - 1, self.out.n_signal))
        return states

    def forward(self, counts: Tensor, begin: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        n = len(self.start)
        state = tuple(
            torch.where(begin.view(-1, *[1] * (start.ndim - 1)), start, each)
            for start, each in zip(self.start, states[:n], strict=True)
        )
        with captured(self.student, [self.layer]) as features:
            log_rates, after = self._net().step(counts, state)
        signals = self.out.signals_of(log_rates, features[self.layer][:, 0])
        given = [signals[name] for name in self.out.signals if name != DECODED]
        if self.out.decoder is not None:
            now = signals[self.out.signal][:, None]
            if self.n_back > 1:
                first = now.expand(-1, self.n_back - 1, -1)
                kept = torch.where(begin[:, None, None], first, states[n])
                now = torch.cat([kept, now], dim=1)
                after = (*after, now[:, 1:])
            given.append(self.out.behavior(now.flatten(1)))
        return (*given, *after)


class _Whole(nn.Module):
    """A call on whole trials with its read-out."""

    def __init__(
        self,
        model: nn.Module,
        spec: TaskSpec,
        layer: str,
        decoder: Decoder | None,
        signal: str,
        order: NDArray[np.integer] | None,
    ) -> None:
        super().__init__()
        self.student, self.direct, self.layer = as_student(model, layer)
        _with_plain_cells(self.student)
        self.out = _ReadOut(self.direct, decoder, signal, order)
        self.lagged = self.of_trials = None
        if decoder is not None and decoder.trial_weights is not None:
            self.of_trials = OfTrials(decoder, spec.t_out)
        if decoder is not None:
            at = np.arange(spec.t_out)[:, None] + np.sort(decoder.lags)
            self.lagged = torch.from_numpy(np.clip(at, 0, spec.t_out - 1))
        names = {RATES: "log_rates", FEATURES: "latents"}
        self.names = [names[name] for name in self.out.signals if name in names]
        self.names += ["behavior"] if decoder is not None else []

    def forward(self, counts: Tensor) -> tuple[Tensor, ...]:
        with captured(self.student, [self.layer]) as caught:
            log_rates = self.student(Batch(counts))
        features = caught[self.layer]
        missing = log_rates.shape[1] - features.shape[1]
        features = torch.cat([features, features[:, -1:].expand(-1, missing, -1)], dim=1)
        signals = self.out.signals_of(log_rates, features)
        given = [features]
        if self.direct is None:
            place = self.out.place
            given.insert(0, log_rates if place is None else log_rates[..., place])
        if self.lagged is not None:
            signal = signals[self.out.signal]
            once = None if self.of_trials is None else self.of_trials(signal)
            given.append(self.out.behavior(signal[:, self.lagged].flatten(2), once))
        return tuple(given)


class _ReadOut(nn.Module):
    """What is read out of a bin: rates as they were recorded, latents and behavior."""

    def __init__(
        self,
        direct: nn.Linear | None,
        decoder: Decoder | None,
        signal: str,
        order: NDArray[np.integer] | None,
    ) -> None:
        super().__init__()
        self.direct, self.signal, self.decoder = direct, signal, decoder
        self.signals = [RATES, FEATURES] if direct is None else [FEATURES, DECODED]
        self.place = None if order is None else torch.from_numpy(np.argsort(order))
        self.n_signal = 0
        self.linked = None if decoder is None else Linked(decoder)
        if decoder is not None:
            inner = np.zeros((int(np.ptp(decoder.lags)) + 1, *decoder.weights.shape[1:]))
            inner[decoder.lags - decoder.lags.min()] = decoder.weights
            self.n_signal = inner.shape[1]
            self.weights = torch.from_numpy(
                inner.reshape(len(inner) * inner.shape[1], inner.shape[2])
            )
            self.offset = torch.from_numpy(np.asarray(decoder.offset, dtype=np.float64))

    def signals_of(self, log_rates: Tensor, features: Tensor) -> dict[str, Tensor]:
        """Return (..., S) of each signal, from (..., N) log rates and (..., H) features."""
        if self.direct is not None:
            return {FEATURES: features, DECODED: self.direct(features)}
        rates = log_rates.exp()
        rates = rates if self.place is None else rates[..., self.place]
        logs = rates.clamp_min(NEVER_SILENT).log()
        return {RATES: rates, LOG_RATES: logs, FEATURES: features}

    def behavior(self, signal: Tensor, of_trials: Tensor | None = None) -> Tensor:
        """Return (..., D) from (..., L S), in double precision within.

        Args:
            signal: Around each bin.
            of_trials: (..., Q) outputs for what has one value a trial.
        """
        assert self.linked is not None
        outputs = signal.double() @ self.weights + self.offset
        return self.linked(outputs, of_trials).float()


class _PlainCell(nn.Module):
    """A recurrent cell in terms that the exporter knows; its numbers are those of the other."""

    def __init__(self, cell: nn.GRUCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        cell = self.cell
        given = nn.functional.linear(x, cell.weight_ih, cell.bias_ih).chunk(3, dim=1)
        own = nn.functional.linear(state, cell.weight_hh, cell.bias_hh).chunk(3, dim=1)
        reset, keep = torch.sigmoid(given[0] + own[0]), torch.sigmoid(given[1] + own[1])
        new = torch.tanh(given[2] + reset * own[2])
        return new + keep * (state - new)


def _with_plain_cells(module: nn.Module) -> None:
    for child in list(module.modules()):
        for name, part in list(child.named_children()):
            if isinstance(part, nn.GRUCell):
                setattr(child, name, _PlainCell(part))


def _export(
    path: str | Path,
    module: nn.Module,
    given: Sequence[Tensor],
    inputs: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
    about: Mapping[str, Any],
    check: Callable[[Any], None],
) -> None:
    try:
        import onnx  # noqa: PLC0415  # an extra
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"onnx: {error.name} is not installed; pip install 'neuroblend[onnx]'"
        ) from None

    def write(partial: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad(), blamed_on("onnx: exported,"):
            warnings.simplefilter("ignore")  # of tracing: what is fixed is meant to be
            torch.onnx.export(
                module.eval(),
                tuple(given),
                str(partial),
                input_names=inputs,
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
        graph = onnx.load(str(partial))
        onnx.helper.set_model_props(graph, {key: json.dumps(each) for key, each in about.items()})
        onnx.checker.check_model(graph)
        onnx.save(graph, str(partial))
        with blamed_on("onnx: called by onnxruntime,"):
            check(session_of(onnxruntime, partial))

    write_whole(path, write)


def _about(
    spec: TaskSpec, layer: str, neurons: KnownNeurons | None, channels: Sequence[Channel]
) -> dict[str, Any]:
    """Return what a file's properties say, each as JSON."""
    return {
        "neuroblend": __version__,
        "bin_s": spec.bin_s,
        "layer": layer,
        "behavior": list(spec.behavior),
        "behavior_units": [channel.unit for channel in channels],
        "behavior_kinds": [channel.kind for channel in channels],
        "behavior_categories": [list(channel.categories) for channel in channels],
        "n_in": spec.n_in,
        "n_out": spec.n_out,
        "unit_id": None if neurons is None else neurons.unit_id.tolist(),
        "unit_id_seen": None if neurons is None else neurons.seen.tolist(),
    }


def session_of(onnxruntime: Any, path: str | Path) -> Any:
    """Return a file as onnxruntime calls it on one thread, which is fastest for what is small."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _compare(name: str, found: NDArray[Any], wanted: NDArray[Any]) -> None:
    """Check (..., C) numbers; a channel's error is a share of how much it varies there."""
    if found.shape != wanted.shape:
        raise InputError(
            f"onnx: found {name} of shape {found.shape}, wanted PyTorch's {wanted.shape}; nothing "
            "was written"
        )
    channels = wanted.reshape(-1, wanted.shape[-1]).astype(np.float64)
    spread, size = channels.std(axis=0), np.sqrt(np.square(channels).mean(axis=0))
    scale = np.maximum(spread, LEAST_SPREAD[0] * size)
    scale = np.maximum(scale, LEAST_SPREAD[1] * scale.max(initial=0.0))
    difference = np.abs(found - wanted) / np.maximum(scale, np.finfo(np.float32).tiny)
    if not (difference.max(initial=0.0) <= TOLERANCE):
        raise InputError(
            f"onnx: found {name} that differ from PyTorch's by {difference.max():.2g} of how much "
            f"they vary, wanted {TOLERANCE:g} or less; nothing was written"
        )


def _some_counts(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(0).poisson(0.5, shape).astype(np.float32)
