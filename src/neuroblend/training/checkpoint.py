"""Weights and training states as safetensors plus JSON: nothing that is read is unpickled."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.files import write_whole


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write a module's weights and buffers."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in _unshared(model).items()}
    write_whole(path, lambda partial: save_file(tensors, partial))


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Fill ``model`` with what :func:`save_weights` wrote.

    Raises:
        InputError: The file is missing, damaged, or of another model.
    """
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})") from None
    except RuntimeError as error:
        raise InputError(
            f"{path}: weights of another model ({str(error).splitlines()[-1].strip()})"
        ) from None


def _unshared(model: nn.Module) -> dict[str, Tensor]:
    """Return a state dict in which tied weights are copies, as safetensors wants."""
    seen: set[int] = set()
    state = {}
    for name, value in model.state_dict().items():
        state[name] = value.clone() if value.data_ptr() in seen else value
        seen.add(value.data_ptr())
    return state


class SafetensorsIO(CheckpointIO):
    """Lightning's training state as one safetensors file whose header holds the rest as JSON."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint``; it appears whole or not at all."""
        tensors: dict[str, Tensor] = {}
        tree = json.dumps(_pack(checkpoint, tensors))
        write_whole(path, lambda partial: save_file(tensors, partial, metadata={"tree": tree}))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read what :meth:`save_checkpoint` wrote."""
        with safe_open(path, framework="pt") as file:
            tree = json.loads(file.metadata()["tree"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        unpacked: dict[str, Any] = _unpack(tree, tensors)
        return unpacked

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file."""
        Path(path).unlink(missing_ok=True)


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Replace tensors by references and containers by tagged lists, so that JSON can hold all."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"dict": [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_pack(item, tensors) for item in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a training state holds {type(value).__name__}, which is not stored")


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in content}
    items = [_unpack(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
