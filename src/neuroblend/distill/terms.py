"""Loss terms from the names of strategies."""

from collections.abc import Mapping, Sequence
from typing import Any

from neuroblend.distill.pair import DistillLoss, Normalisation
from neuroblend.errors import InputError, blamed_on
from neuroblend.registry import STRATEGIES, Strategy, find_strategies, load

Term = DistillLoss | str
Terms = Mapping[str, Term] | Sequence[Term] | Term


def as_terms(given: Terms | None, layer: str | None = None) -> dict[str, DistillLoss]:
    """Return loss terms by name.

    Args:
        given: A term, or several in a list or by name; each an object with ``layers`` and
            ``wants_teacher``, or strategies joined by ``+``.
        layer: The layer for those given by name that look at one.

    Raises:
        InputError: One is neither, or cannot be built.
    """
    if given is None:
        return {}
    several: Sequence[Any] = given if isinstance(given, (list, tuple)) else [given]
    names = [type(term).__name__.lower() for term in several]
    if isinstance(given, Mapping):
        names, several = list(given), list(given.values())
    terms: dict[str, DistillLoss] = {}
    for name, term in zip(names, several, strict=True):
        if isinstance(term, str):
            terms |= build_terms(term, layer)
        elif isinstance(term, type) or not isinstance(term, DistillLoss):
            found = f"the class {term.__name__}" if isinstance(term, type) else repr(term)
            raise InputError(
                f"objective: found {found} for '{name}', wanted a callable with attributes "
                "'layers' and 'wants_teacher', or the name of a strategy"
            )
        else:
            terms[name] = term
    return terms


def build_terms(
    names: str,
    layer: str | None = None,
    normalisation: Normalisation = "element",
    known: Mapping[str, Strategy] = STRATEGIES,
    guide: str | None = None,
) -> dict[str, DistillLoss]:
    """Build the terms of an arm.

    Args:
        names: Strategies joined by ``+``, each registered or ``package.module:class``; ``""`` for
            none.
        layer: The layer, of student and teacher alike, for terms that look at one.
        normalisation: For terms that take it.
        known: The registered strategies.
        guide: The teacher's layer, where it is another.

    Raises:
        InputError: A strategy is unknown, wants a layer where none is given, or cannot be built.
    """
    terms = {}
    given: dict[str, Any] = {"layer": layer, "layers": [(layer, guide or layer)]}
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
        try:
            pairs = [(str(student), teacher and str(teacher)) for student, teacher in term.layers]
        except (TypeError, ValueError):
            pairs = None
        if pairs is None or any(isinstance(pair, str) for pair in term.layers):
            raise InputError(
                f"strategy {name}: found layers {term.layers!r}, wanted pairs (student's, "
                "teacher's)"
            )
        terms[name] = term
    return terms
