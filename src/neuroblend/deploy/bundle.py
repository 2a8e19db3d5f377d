"""A student in one file: safetensors with a header of JSON, which loads without its run.

The header has one entry, ``neuroblend``: JSON with everything but arrays, among it the version of
the layout and a checksum of all that the file holds. Nothing that is read is run or unpickled; a
network of the user's own is built by the ``package.module:builder`` that the header names, which
must be importable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from neuroblend._version import __version__
from neuroblend.data.channel import Channel
from neuroblend.deploy.direct import DECODED, DirectDecoder, direct_signals
from neuroblend.deploy.header import as_json, check_header, plain
from neuroblend.deploy.latents import KnownLatents
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.signals import StudentSignals
from neuroblend.deploy.student import TrainedStudent
from neuroblend.deploy.windows import Margins
from neuroblend.errors import InputError
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.readout import FEATURES, LOG_RATES, RATES
from neuroblend.files import write_whole
from neuroblend.models.build import build_network
from neuroblend.privilege.roles import Student
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec

FORMAT, VERSION = "neuroblend student", 1
SUFFIX = ".nbm"
WEIGHT = "weight/"
KEY = "neuroblend"
LATENTS = "latents"
DECODER = ("weights", "offset", "lags")


def save_student(student: TrainedStudent, path: str | Path) -> None:
    """Write a student to one file; it appears whole or not at all.

    Raises:
        InputError: The student has no network, so that there is nothing to take along, or a
            setting, a score or what else is known of it is nothing that JSON can hold.
    """
    if student.model is None or student.network is None or student.layer is None:
        raise InputError(
            f"export: {student.arm} has no network that a file could hold; wanted a student, "
            "baseline or direct"
        )
    seen: set[int] = set()
    tensors: dict[str, Tensor] = {}
    for name, value in student.model.state_dict().items():
        tied = value.data_ptr() in seen  # safetensors wants each of tied weights by itself
        seen.add(value.data_ptr())
        tensors[WEIGHT + name] = (value.clone() if tied else value).detach().cpu().contiguous()
    arrays = _decoder_arrays("decoder", student.decoder) | {
        "neurons/unit_index": student.neurons.unit_index,
        "neurons/held_out": student.neurons.held_out,
    }
    latents = student.known_latents
    if latents is not None:
        arrays |= _decoder_arrays(f"{LATENTS}/decoder", latents.decoder) | {
            f"{LATENTS}/mean": latents.mean,
            f"{LATENTS}/covariance": latents.covariance,
        }
    for name, array in arrays.items():
        tensors[name] = torch.tensor(array)  # a copy: none may share memory
    content = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": __version__,
        "arm": student.arm,
        "seed": student.seed,
        "network": {"name": student.network[0], "settings": dict(student.network[1])},
        "layer": student.layer,
        "role": "decoder" if isinstance(student.model.net, DirectDecoder) else "student",
        "spec": asdict(student.spec),
        "unit_id": student.neurons.unit_id.tolist(),
        "n_source_neurons": student.neurons.n_source,
        "has_unit_ids": student.neurons.are_named,
        "readout": list(student.readout),
        "latents": None if latents is None else latents.family,
        "behavior_units": list(student.behavior_units),
        "channels": [channel.to_json() for channel in student.channels],
        "reach": asdict(student.reach),
        "about": dict(student.about),
    }
    content = plain(content, "export")
    content["checksum"] = _checksum(content, tensors)
    header = {KEY: as_json(content)}
    write_whole(path, lambda partial: save_file(tensors, partial, metadata=header))


def load_student(path: str | Path) -> TrainedStudent:
    """Read a student from the file that :func:`save_student` wrote.

    Raises:
        InputError: There is no such file, it is of another version or another kind, truncated or
            changed since, or names a model that is not there.
    """
    path = Path(path)
    content, tensors = _read(path)
    try:
        if content.get("checksum") != _checksum(content, tensors):
            raise InputError(
                "changed since it was written (its checksum is another); export it again"
            )
        check_header(content)
        return _built(content, tensors)
    except InputError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    except Exception as error:  # a header may ask anything of a network's builder
        first = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path}: cannot be built ({type(error).__name__}: {first})") from None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: truncated, or not a student that `neuroblend export` wrote ({error})"
        ) from None
    try:
        content = json.loads(header.get(KEY, "null"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its header is damaged ({error})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: safetensors, but not a student that `neuroblend export` wrote")
    if content.get("version") != VERSION:
        raise InputError(
            f"{path}: a student of version {content.get('version')} (written by neuroblend "
            f"{content.get('written_by')}), wanted version {VERSION}; export it again with this "
            f"neuroblend, {__version__}"
        )
    return content, tensors


def _built(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TrainedStudent:
    arrays = {name: value.numpy() for name, value in tensors.items() if WEIGHT not in name}
    sizes = content["spec"]
    spec = TaskSpec(
        **sizes | {"behavior": tuple(sizes["behavior"]), "log_rate": tuple(sizes["log_rate"])}
    )
    name, settings = content["network"]["name"], content["network"]["settings"]
    layer, is_decoder = content["layer"], content["role"] == "decoder"
    net: nn.Module = build_network(name, settings, spec)
    if is_decoder:
        zeros = torch.zeros(2, spec.t_in, spec.n_in)
        net = DirectDecoder(net, layer, spec.n_behavior, Batch(zeros))
    model = Student(net)
    model.load_state_dict(
        {k.removeprefix(WEIGHT): v for k, v in tensors.items() if k.startswith(WEIGHT)}
    )
    model.eval()
    held_out, decoder = arrays["neurons/held_out"], _decoder("decoder", arrays)
    named = {each for each, _ in net.named_modules() if each}
    if not is_decoder and layer.partition(":")[0] not in named:
        raise InputError(f"its network {name} has no layer '{layer}'")
    channels = _channels(content, spec.behavior)
    signal = content["readout"][0]
    if signal not in ((DECODED,) if is_decoder else (RATES, LOG_RATES, FEATURES)):
        raise InputError(f"its header is damaged (readout: there is no signal '{signal}')")
    sizes_of = {
        "neurons": (spec.n_out, held_out.size, len(content["unit_id"]), len(spec.log_rate)),
        "neurons that are seen": (spec.n_in, int((~held_out).sum())),
        "channels": (len(spec.behavior), decoder.n_channels, len(channels)),
        "outputs": (decoder.offset.size, decoder.weights.shape[2]),
    }
    for what, found in sizes_of.items():
        if len(set(found)) > 1:
            raise InputError(f"its header is damaged (numbers of {what} differ: {found})")
    signals = direct_signals(model) if is_decoder else StudentSignals(model, layer, held_out)
    return TrainedStudent(
        arm=content["arm"],
        seed=content["seed"],
        spec=spec,
        neurons=KnownNeurons(
            np.array(content["unit_id"]),
            arrays["neurons/unit_index"],
            held_out,
            content["n_source_neurons"],
            content["has_unit_ids"],
        ),
        signals=signals,
        decoder=decoder,
        readout=(content["readout"][0], content["readout"][1]),
        channels=channels,
        model=model,
        layer=layer,
        network=(name, settings),
        about=content["about"],
        known_reach=Margins(**content["reach"]),
        latents=_latents(content.get("latents"), arrays),
    )


def _channel(text: str) -> Channel:
    try:
        return Channel.from_json(text)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(f"its header is damaged (not a channel of behavior: {text})") from None


def _channels(content: Mapping[str, Any], names: Sequence[str]) -> tuple[Channel, ...]:
    """Return the channels of behavior; files of before there were kinds have units alone."""
    if "channels" in content:
        return tuple(map(_channel, content["channels"]))
    units = content["behavior_units"] or [""] * len(names)
    if len(units) != len(names):
        raise InputError("its header is damaged (not a unit for each channel of behavior)")
    return tuple(Channel(name, unit=unit) for name, unit in zip(names, units, strict=True))


def _decoder_arrays(name: str, decoder: Decoder) -> dict[str, NDArray[Any]]:
    return {f"{name}/{part}": array for part, array in decoder.to_arrays().items()}


def _decoder(name: str, arrays: Mapping[str, NDArray[Any]]) -> Decoder:
    of = f"{name}/"
    return Decoder.from_arrays(
        {key.removeprefix(of): array for key, array in arrays.items() if key.startswith(of)}
    )


def _latents(family: str | None, arrays: Mapping[str, NDArray[Any]]) -> KnownLatents | None:
    if family is None:
        return None
    mean, covariance = arrays[f"{LATENTS}/mean"], arrays[f"{LATENTS}/covariance"]
    return KnownLatents(mean, covariance, _decoder(f"{LATENTS}/decoder", arrays), family)


def _checksum(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 of everything but the checksum itself."""
    rest = {name: value for name, value in content.items() if name != "checksum"}
    digest = hashlib.sha256(as_json(rest).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        digest.update(
            value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
        )
    return digest.hexdigest()
