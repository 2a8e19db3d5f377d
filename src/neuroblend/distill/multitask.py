"""Multitask learning (Caruana 1997): behavior as a further output, the control to distillation."""

from collections.abc import Sequence

from torch import Tensor, nn

from neuroblend.distill.behavior_loss import behavior_loss
from neuroblend.distill.pair import Pair


class Multitask(nn.Module):
    """Error of behavior read out linearly from a layer of the student; no teacher takes part.

    The read-out is learned with the student and thrown away with the objective: a trained student
    is as blind to behavior as any other.

    Args:
        layer: The student's layer whose features are read.
    """

    wants_teacher = False

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layers: Sequence[tuple[str, str | None]] = ((layer, None),)
        self.readout: nn.Module = nn.Identity()

    def prepare(self, pair: Pair) -> None:
        """Make the read-out, for the sizes found in ``pair``."""
        if pair.batch.behavior is None:
            raise ValueError("multitask learning needs behavior")
        n_features = pair.student.features[self.layers[0][0]].shape[2]
        self.readout = nn.Linear(n_features, pair.batch.behavior.values.shape[2])

    def forward(self, pair: Pair) -> Tensor:
        """Return the error of what is read out, in units of chance."""
        features = pair.student.features[self.layers[0][0]]
        if pair.batch.behavior is None:
            raise ValueError("multitask learning needs behavior")
        return behavior_loss(self.readout(features), pair.batch.behavior)
