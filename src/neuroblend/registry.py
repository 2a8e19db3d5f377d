"""Names -> builders, for the command line and config files; nothing else looks up by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from neuroblend.errors import InputError, nearest


@dataclass(frozen=True)
class Model:
    """A network that a name stands for.

    Attributes:
        target: ``module:attribute`` of its builder ``(spec, **settings) -> nn.Module``.
        layer: Layer whose output, (B, T, H), is distilled and read out; ``None`` where unknown.
    """

    target: str
    layer: str | None


@dataclass(frozen=True)
class Strategy:
    """A loss term that a name stands for.

    Attributes:
        target: ``module:attribute`` of its class.
        takes: What it is given of ``layer``, ``layers`` and ``normalisation``.
        wants_teacher: Whether it compares with a teacher.
    """

    target: str
    takes: tuple[str, ...]
    wants_teacher: bool = True


MODELS = {
    "ndt": Model("neuroblend.models.ndt:NDT", layer="norm"),
    "stndt": Model("neuroblend.models.stndt:STNDT", layer="norm"),
    "lfads": Model("neuroblend.models.lfads:LFADS", layer="factors"),
    "gru": Model("neuroblend.models.gru:GRU", layer="norm"),
}

REFERENCES = {
    "smoothing": Model("neuroblend.models.references.smoothing:Smoothing", layer="smoothed"),
    "factor_analysis": Model(
        "neuroblend.models.references.factor_analysis:FactorAnalysis", layer="factors"
    ),
}
"""Models that are fitted without gradients, on spikes alone: what any network should beat."""

STRATEGIES = {
    "hard": Strategy("neuroblend.distill.hard:Hard", takes=()),
    "soft": Strategy("neuroblend.distill.soft:Soft", takes=("normalisation",)),
    "feature": Strategy("neuroblend.distill.feature:Feature", takes=("layers", "normalisation")),
    "correlation": Strategy("neuroblend.distill.correlation:Correlation", takes=("normalisation",)),
    "multitask": Strategy(
        "neuroblend.distill.multitask:Multitask", ("layer",), wants_teacher=False
    ),
}

CELL_STRATEGIES = STRATEGIES | {
    "embedding": Strategy("neuroblend.distill.embedding:Embedding", takes=()),
}
"""Strategies for models that have an embedding of each cell."""


def find_model(name: str) -> Model:
    """Return the model called ``name``, or the user's own for ``package.module:builder``.

    Raises:
        InputError: There is no such model.
    """
    if ":" in name:
        load(name)
        return Model(name, layer=None)
    if name in REFERENCES:
        raise InputError(
            f"model '{name}' is fitted without gradients, so that nothing can be distilled into "
            f"it; --references {name} scores it beside the arms of a run"
        )
    if name not in MODELS:
        raise InputError(
            f"unknown model '{name}': {nearest(name, MODELS)}; or package.module:builder"
        )
    return MODELS[name]


def find_reference(name: str) -> Model:
    """Return the model without gradients that is called ``name``.

    Raises:
        InputError: There is no such model.
    """
    if name not in REFERENCES:
        raise InputError(f"unknown reference '{name}': {nearest(name, REFERENCES)}")
    return REFERENCES[name]


def find_strategies(
    arm: str, known: Mapping[str, Strategy] = MappingProxyType(STRATEGIES)
) -> dict[str, Strategy]:
    """Return the strategies of ``arm``, names joined by ``+``.

    Raises:
        InputError: A name is unknown or stands twice.
    """
    names = arm.split("+")
    for name in names:
        if name not in known:
            raise InputError(f"unknown strategy '{name}': {nearest(name, known)}")
    if len(set(names)) != len(names):
        raise InputError(f"strategy '{arm}': a name stands twice")
    return {name: known[name] for name in names}


def load(target: str) -> Callable[..., Any]:
    """Return the attribute that ``module:attribute`` names.

    Raises:
        InputError: The module or attribute is not there, or cannot be called.
    """
    module_name, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise InputError(f"'{target}': wanted package.module:attribute")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(f"{target}: cannot import '{module_name}' ({error})") from None
    if not callable(found := getattr(module, attribute, None)):
        names = [name for name in vars(module) if not name.startswith("_")]
        raise InputError(f"{target}: no '{attribute}' to call; {nearest(attribute, names)}")
    built: Callable[..., Any] = found
    return built
