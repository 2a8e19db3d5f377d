"""Which axis of an array of spikes is which, told by the sizes of what was recorded beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from neuroblend.errors import InputError

AXES = ("trial", "bin", "neuron")
Order = tuple[str, ...]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Clue:
    """What an array beside the spikes says of the sizes of their axes.

    Attributes:
        what: The array, for the user.
        shapes: Its shape; of a cell or list of trials, that of each.
        axes: What its axes are; where ``None``, those of spikes in their order, ``channel`` in
            place of ``neuron`` or left out.
    """

    what: str
    shapes: Sequence[Shape]
    axes: Order | None = None

    def fits(self, order: Order, spikes: Sequence[Shape]) -> bool:
        """Whether it has the sizes that spikes of this order of axes want."""
        if self.axes is not None:
            axes = self.axes
        else:
            axes = tuple("channel" if axis == "neuron" else axis for axis in order)
        if len(self.shapes[0]) < len(axes):  # of one channel
            axes = tuple(axis for axis in axes if axis != "channel")
        shapes = [self.shapes[0]] * len(spikes) if len(self.shapes) == 1 else self.shapes
        if len(shapes) != len(spikes) or any(len(shape) != len(axes) for shape in shapes):
            return True  # which is an error of its own, and says nothing of the order
        pairs = (dict(zip(order, shape, strict=True)) for shape in spikes)
        return all(
            wanted.get(axis, size) == size
            for wanted, shape in zip(pairs, shapes, strict=True)
            for axis, size in zip(axes, shape, strict=True)
        )


def fitting(spikes: Sequence[Shape], clues: Sequence[Clue]) -> list[Order]:
    """Return the orders of axes that all clues fit.

    Args:
        spikes: Shape of an array with all of :data:`AXES`, or shapes of trials with ``bin`` and
            ``neuron``, of which the latter are as many in each.
        clues: What else there is.

    >>> fitting([(4, 6, 8)], [Clue("choice", [(8,)], ("trial",)), Clue("vel", [(2, 6, 8)])])
    [('neuron', 'bin', 'trial')]
    """
    named = AXES[-len(spikes[0]) :]
    orders = [order for order in permutations(named) if _is_even(order, spikes)]
    return [order for order in orders if all(clue.fits(order, spikes) for clue in clues)]


def _is_even(order: Order, spikes: Sequence[Shape]) -> bool:
    at = order.index("neuron")
    return len({shape[at] for shape in spikes}) == 1


def check_order(spikes: Any, behavior: Any, **labels: Any) -> None:
    """Refuse spikes whose axes stand in another order, as what is beside them shows.

    Args:
        spikes: Wanted as (trial, bin, neuron); what is no array of three axes is left to others.
        behavior: As :meth:`~neuroblend.data.trials.Trials.from_arrays` takes it.
        labels: Of each trial (``condition``, ``split``) or neuron (``region``, ``held_out``,
            ``unit_id``).

    Raises:
        InputError: Sizes fit another order, and not this one.
    """
    shape = np.shape(spikes) if isinstance(spikes, np.ndarray) else ()
    if len(shape) != len(AXES) or 0 in shape:
        return
    clues = [*_of_behavior(behavior), *_of_labels(labels)]
    told = [clue for clue in clues if not clue.fits(AXES, [shape])]
    if not told or len(orders := fitting([shape], clues)) != 1:
        return
    (order,) = orders
    axes = tuple(order.index(axis) for axis in AXES)
    raise InputError(
        f"spikes: found shape {shape} beside {told[0].what} of shape {told[0].shapes[0]}, wanted "
        f"({', '.join(AXES)}); if they are ({', '.join(order)}), give spikes.transpose{axes}"
    )


def _of_behavior(behavior: Any) -> Iterator[Clue]:
    """Yield a clue for each array of behavior, whose axes begin with trial and bin."""
    given = behavior if isinstance(behavior, Mapping) else {None: behavior}
    for name, values in given.items():
        if isinstance(values, np.ndarray) and 0 < values.ndim <= len(AXES):
            axes = ("trial", "bin", "channel")[: values.ndim]
            yield Clue("behavior" if name is None else f"'{name}'", [values.shape], axes)


def _of_labels(labels: Mapping[str, Any]) -> Iterator[Clue]:
    for name, values in labels.items():
        if values is not None and np.ndim(values) == 1:
            of = "trial" if name in ("condition", "split", "lengths") else "neuron"
            yield Clue(name, [np.shape(values)], (of,))
