"""Networks from the names of models and their settings."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from neuroblend.errors import InputError, blamed_on, nearest
from neuroblend.registry import find_model, load
from neuroblend.task.spec import TaskSpec


def build_network(name: str, settings: Mapping[str, Any], spec: TaskSpec) -> nn.Module:
    """Build a network for ``spec``.

    Args:
        name: A registered model, or ``package.module:builder``.
        settings: Keyword arguments of its builder.
        spec: Sizes of the task.

    Raises:
        InputError: The builder does not take the settings, or does not give a module.
    """
    builder = load(find_model(name).target)
    known = inspect.signature(builder).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
    for key in settings:
        if key not in known and not takes_any:
            raise InputError(
                f"model {name} has no setting '{key}': {nearest(key, list(known)[1:])}"
            )
    with blamed_on(f"model {name}:"):
        net = builder(spec, **settings)
    if not isinstance(net, nn.Module):
        raise InputError(f"model {name}: the builder gave {type(net).__name__}, not a module")
    return net
