"""Feature distillation (Guo et al., ICLR 2025): match intermediate representations."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neuroblend.distill.pair import Normalisation, Pair, squared_difference
from neuroblend.distill.reduce import bins, mean_over, variance_over


class Feature(nn.Module):
    """Mean squared difference of features, layer by layer, student's mapped to the teacher's width.

    The map is linear and learned with the student (Romero et al. 2015, FitNets); it starts as the
    identity, cut or padded to size. Each layer's difference is divided by the variance of the
    teacher's features, so that it is 1 for a student that knows nothing but their mean, whatever
    the layer's scale.

    The paper's term alone; the released code adds the hard term, which ``hard+feature`` does here.

    Args:
        layers: (student layer, teacher layer) names.
        normalisation: ``"released"`` sums the plain squared differences of the layers and adds the
            hard term, as the released code means to (there, no features reach the loss).
    """

    wants_teacher = True

    def __init__(
        self, layers: Sequence[tuple[str, str | None]], normalisation: Normalisation = "element"
    ) -> None:
        super().__init__()
        self.layers: Sequence[tuple[str, str | None]] = tuple(layers)
        self.normalisation = normalisation
        self.maps = nn.ModuleList()

    def prepare(self, pair: Pair) -> None:
        """Make the maps, for the widths found in ``pair``."""
        self.maps = nn.ModuleList(
            identity_map(student.shape[2], teacher.shape[2])
            for student, teacher in self._features(pair)
        )

    def forward(self, pair: Pair) -> Tensor:
        """Return the loss, in units of the teacher's variance (or, if released, as it is there)."""
        losses = []
        for to_teacher, (student, teacher) in zip(self.maps, self._features(pair), strict=True):
            squares = (to_teacher(student) - teacher).square()
            present = pair.batch.present
            difference = mean_over(squares, bins(present))
            if self.normalisation == "element":
                difference = difference / variance_over(teacher, present).clamp_min(1e-8)
            losses.append(difference)
        total = torch.stack(losses)
        if self.normalisation == "element":
            return total.mean()
        return total.sum() + squared_difference(pair)

    def _features(self, pair: Pair) -> list[tuple[Tensor, Tensor]]:
        return [
            (pair.student.features[student], pair.guide.features[teacher])
            for student, teacher in self.layers
            if teacher is not None
        ]


def identity_map(n_in: int, n_out: int) -> nn.Linear:
    """Return a linear map that starts as the identity, cut or padded to size."""
    linear = nn.Linear(n_in, n_out)
    nn.init.eye_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
