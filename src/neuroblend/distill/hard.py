"""Hard distillation (Guo et al., ICLR 2025): match the teacher's log rates."""

from collections.abc import Sequence

from torch import Tensor

from neuroblend.distill.pair import Pair, squared_difference


class Hard:
    """Mean squared difference of student's and teacher's log rates, over all bins and neurons.

    The released code has the same form.
    """

    layers: Sequence[tuple[str, str | None]] = ()
    wants_teacher = True

    def __call__(self, pair: Pair) -> Tensor:
        """Return the loss in squared natural-log units."""
        return squared_difference(pair)
