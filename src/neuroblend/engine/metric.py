"""How a score is called, explained and judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from neuroblend.errors import InputError, nearest


@dataclass(frozen=True)
class Metric:
    """A score of an experiment.

    Attributes:
        label: Short name.
        meaning: What it is, in a sentence without a full stop.
        headline: Whether it is in the first table.
        deciding: Whether the verdict looks at it.
        bounds: Smallest and largest value that it can have.
        higher_is_better: Whether it is; a metric of which this is false decides nothing.
        may_be_constant: Whether a score that is the same in every replicate is trusted. One that
            is not, such as the recall of a class that is never found, then has no interval.
    """

    label: str
    meaning: str
    headline: bool = True
    deciding: bool = False
    bounds: tuple[float, float] = (-inf, inf)
    may_be_constant: bool = True
    higher_is_better: bool = True


def metric_of(name: str, metrics: Mapping[str, Metric]) -> Metric:
    """Return the metric that the score ``name`` is of, such as ``behavior_r2/hand_x``.

    What follows an ``@`` says of which part of the data it is, such as a session.

    Raises:
        InputError: It is of none.
    """
    for part in name.split("/"):
        for known in (part, part.partition("@")[0]):
            if known in metrics:
                return metrics[known]
    raise InputError(f"score '{name}': of no metric of the experiment; {nearest(name, metrics)}")
