"""Loss terms from the names of strategies."""

from collections.abc import Mapping
from typing import Any

from neuroblend.distill.pair import DistillLoss, Normalisation
from neuroblend.errors import InputError, blamed_on
from neuroblend.registry import STRATEGIES, Strategy, find_strategies, load


def build_terms(
    names: str,
    layer: str | None = None,
    normalisation: Normalisation = "element",
    known: Mapping[str, Strategy] = STRATEGIES,
) -> dict[str, DistillLoss]:
    """Build the terms of an arm.

    Args:
        names: Strategies joined by ``+``, each registered or ``package.module:class``; ``""`` for
            none.
        layer: The layer, of student and teacher alike, for terms that look at one.
        normalisation: For terms that take it.
        known: The registered strategies.

    Raises:
        InputError: A strategy is unknown, wants a layer where none is given, or cannot be built.
    """
    terms = {}
    given: dict[str, Any] = {"layer": layer, "layers": [(layer, layer)]}
    given["normalisation"] = normalisation
    for name, strategy in find_strategies(names, known).items() if names else ():
        if layer is None and {"layer", "layers"} & set(strategy.takes):
            raise InputError(f"strategy {name}: looks at a layer of the network; wanted layer=")
        with blamed_on(f"strategy {name}:"):
            term = load(strategy.target)(**{key: given[key] for key in strategy.takes})
        if not isinstance(term, DistillLoss):
            raise InputError(
                f"strategy {name}: found {type(term).__name__}, wanted a callable with attributes "
                "'layers' and 'wants_teacher'"
            )
        terms[name] = term
    return terms
