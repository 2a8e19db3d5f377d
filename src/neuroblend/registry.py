"""Names -> builders, for the command line and config files; nothing else looks up by name."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from neuroblend.errors import InputError, nearest


@dataclass(frozen=True)
class Model:
    """A network that a name refers to.

    Attributes:
        target: ``module:attribute`` of its builder ``(spec, **settings) -> nn.Module``.
        layer: Layer whose output, (B, T, H), is distilled and read out; ``None`` where unknown.
        multitask_weight: Weight of a behavior read-out beside the task, where none is given.
        causal: Settings with which no rate depends on later spikes; ``None`` where unknown.
        causal_defaults: Further settings of a causal network, where others are not given.
    """

    target: str
    layer: str | None
    multitask_weight: float = 0.1
    causal: Mapping[str, Any] | None = None
    causal_defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Strategy:
    """A loss term that a name refers to.

    Attributes:
        target: ``module:attribute`` of its class.
        takes: What its class is given of ``layer``, ``layers`` and ``normalisation``.
        wants_teacher: Whether it compares with a teacher.
    """

    target: str
    takes: tuple[str, ...] = ()
    wants_teacher: bool = True


EXPERIMENTS = {
    "decoding": "neuroblend.experiments.decoding.experiment:Decoding",
    "sessions": "neuroblend.experiments.decoding.sessions.experiment:DecodingSessions",
    "identity": "neuroblend.experiments.identity.experiment:Identity",
}

MODELS = {
    "ndt": Model(
        "neuroblend.models.ndt:NDT",
        layer="norm",
        causal={"context_forward_s": 0.0},
        causal_defaults={"context_backward_s": 0.5, "positions": "rotary"},
    ),
    "stndt": Model(
        "neuroblend.models.stndt:STNDT",
        layer="norm",
        causal={"causal": True},
        causal_defaults={"context_backward_s": 0.5},
    ),
    "lfads": Model("neuroblend.models.lfads:LFADS", layer="factors", causal={"causal": True}),
    # chosen on monkey_m1, ibl_wheel and the simulation: at 0.1 its direct decoder is ahead of it
    "gru": Model(
        "neuroblend.models.gru:GRU",
        layer="norm",
        multitask_weight=0.3,
        causal={"bidirectional": False},
    ),
}

REFERENCES = {
    "smoothing": Model(
        "neuroblend.models.references.smoothing:Smoothing",
        layer="smoothed",
        causal={"causal": True},
    ),
    "factor_analysis": Model(
        "neuroblend.models.references.factor_analysis:FactorAnalysis",
        layer="factors",
        causal={"causal": True},
    ),
}
"""Models that are fitted without gradients, on spikes alone: what any network should beat."""

FUSIONS = {
    "concat": "neuroblend.privilege.concat:Concat",
    "film": "neuroblend.privilege.film:Film",
    "gated": "neuroblend.privilege.gated:Gated",
    "cross-attention": "neuroblend.privilege.cross_attention:CrossAttention",
    "tokens": "neuroblend.privilege.tokens:Tokens",
}
"""How behavior reaches a teacher."""

STRATEGIES = {
    "hard": Strategy("neuroblend.distill.hard:Hard"),
    "soft": Strategy("neuroblend.distill.soft:Soft", ("normalisation",)),
    "feature": Strategy("neuroblend.distill.feature:Feature", ("layers", "normalisation")),
    "correlation": Strategy("neuroblend.distill.correlation:Correlation", ("normalisation",)),
    "subspace": Strategy("neuroblend.distill.subspace:Subspace", ("layers",)),
    "denoised": Strategy("neuroblend.distill.denoised:Denoised", ("layers",)),
    "multitask": Strategy("neuroblend.distill.multitask:Multitask", ("layer",), False),
    "two-heads": Strategy("neuroblend.distill.two_heads:TwoHeads", ("layer",), False),
    "masked-modalities": Strategy(
        "neuroblend.distill.masked_modalities:MaskedModalities", ("layer",), False
    ),
}

_OF_CELLS = ("hard", "soft", "feature", "correlation", "multitask")
CELL_STRATEGIES = {name: STRATEGIES[name] for name in _OF_CELLS} | {
    "embedding": Strategy("neuroblend.distill.embedding:Embedding")
}
"""Strategies for models that have an embedding of each cell."""

OWN = "; or package.module:attribute"
Entry = TypeVar("Entry")

TERM_SETTINGS = ("layer", "layers", "normalisation")
"""What the class of a strategy may be given, by name."""


def find_experiment(kind: str) -> str:
    """Return the target of the experiment called ``kind``, or the user's own.

    Raises:
        InputError: There is no such experiment.
    """
    return kind if ":" in kind else _known("kind of experiment", kind, EXPERIMENTS)


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
    return _known("model", name, MODELS, "; or package.module:builder")


def find_reference(name: str) -> Model:
    """Return the model without gradients that is called ``name``.

    Raises:
        InputError: There is no such model.
    """
    return _known("reference", name, REFERENCES)


def find_fusion(name: str) -> str:
    """Return the target of the fusion called ``name``, or the user's own.

    Raises:
        InputError: There is no such fusion.
    """
    return name if ":" in name else _known("fusion", name, FUSIONS, OWN)


def _known(what: str, name: str, known: Mapping[str, Entry], own: str = "") -> Entry:
    if name not in known:
        raise InputError(f"unknown {what} '{name}': {nearest(name, known)}{own}")
    return known[name]


def find_strategies(
    arm: str, known: Mapping[str, Strategy] = MappingProxyType(STRATEGIES)
) -> dict[str, Strategy]:
    """Return the strategies of ``arm``, names joined by ``+``, the user's own among them.

    Raises:
        InputError: A name is unknown or appears twice.
    """
    names = arm.split("+")
    if len(set(names)) != len(names):
        raise InputError(f"strategy '{arm}': a name appears twice")
    return {name: _find_strategy(name, known) for name in names}


def _find_strategy(name: str, known: Mapping[str, Strategy]) -> Strategy:
    if ":" not in name:
        return _known("strategy", name, known, OWN)
    target = load(name)
    wants = getattr(target, "wants_teacher", None)
    if not isinstance(wants, bool):
        raise InputError(
            f"strategy {name}: found wants_teacher {wants!r}, wanted a class with an attribute "
            "wants_teacher, True if it compares with a teacher"
        )
    parameters = inspect.signature(target).parameters.values()
    for parameter in parameters:
        named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if named and parameter.default is parameter.empty and parameter.name not in TERM_SETTINGS:
            raise InputError(
                f"strategy {name}: needs '{parameter.name}', which nothing gives; a strategy may "
                f"take {', '.join(TERM_SETTINGS)}, and has defaults for the rest"
            )
    takes = tuple(p.name for p in parameters if p.name in TERM_SETTINGS)
    return Strategy(name, takes, wants)


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
    except (Exception, SystemExit) as error:  # a user's module may do anything
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{target}: cannot import '{module_name}' ({why})") from error
    if not callable(found := getattr(module, attribute, None)):
        names = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise InputError(f"{target}: no '{attribute}' to call; {nearest(attribute, names)}")
    return found
