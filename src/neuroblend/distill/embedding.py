"""Embedding distillation: match what a model has learned of each cell, not what it predicts.

Shape legend: ``N`` neurons, ``E`` features of an embedding.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from neuroblend.distill.feature import identity_map
from neuroblend.distill.pair import Pair


class Embedding(nn.Module):
    """Mean squared difference of embeddings, the student's mapped linearly to the teacher's width.

    For models that have a feature vector a cell. Divided by the variance of the teacher's
    embeddings over cells, so that it is 1 for a student that knows nothing but their mean.

    Args:
        layer: The layer of both networks that gives (N, E) embeddings.
    """

    wants_teacher = True

    def __init__(self, layer: str = "embedding") -> None:
        super().__init__()
        self.layers: Sequence[tuple[str, str | None]] = ((layer, layer),)
        self.to_teacher: nn.Module = nn.Identity()

    def prepare(self, pair: Pair) -> None:
        """Make the map, for the widths found in ``pair``."""
        student, teacher = self._embeddings(pair)
        self.to_teacher = identity_map(student.shape[1], teacher.shape[1])

    def forward(self, pair: Pair) -> Tensor:
        """Return the loss, in units of the teacher's variance."""
        student, teacher = self._embeddings(pair)
        variance = teacher.var(dim=0, unbiased=False).mean().clamp_min(1e-8)
        return (self.to_teacher(student) - teacher).square().mean() / variance

    def _embeddings(self, pair: Pair) -> tuple[Tensor, Tensor]:
        layer = self.layers[0][0]
        return pair.student.features[layer], pair.guide.features[layer]
