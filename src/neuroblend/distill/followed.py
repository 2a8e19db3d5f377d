"""What behavior needs of a teacher's features, and a student that follows that alone.

Shape legend: ``B`` trials, ``T`` bins, ``H`` features, ``D`` behavior features, ``K`` followed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neuroblend.distill.pair import Output, Pair
from neuroblend.distill.reduce import bins, mean_over, variance_over
from neuroblend.errors import InputError
from neuroblend.task.batch import Batch

RIDGE = 1e-2  # of the fit to behavior, relative to the mean variance of a feature

Layers = Sequence[tuple[str, str | None]]


class Followed(nn.Module):
    """A projection of the teacher's features, and the student's map to it.

    The projection is fixed before training; the map is linear, learned with the student, and starts
    as the projection itself, cut or padded to the student's width.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight: Tensor
        self.offset: Tensor
        self.register_buffer("weight", torch.empty(0, 0))
        self.register_buffer("offset", torch.empty(0))
        self.from_student: nn.Module = nn.Identity()

    def fix(self, weight: Tensor, offset: Tensor) -> None:
        """Set the projection: (H, K) weights and (K,) offset."""
        self.weight, self.offset = weight.float(), offset.float()

    def prepare(self, pair: Pair, layers: Layers) -> None:
        """Make the student's map, for the width found in ``pair``."""
        n_in = pair.student.features[layers[0][0]].shape[2]
        n_same = min(n_in, len(self.weight))
        linear = nn.Linear(n_in, self.weight.shape[1]).to(self.weight.device)
        with torch.no_grad():
            linear.weight.zero_()[:, :n_same] = self.weight[:n_same].T
            linear.bias.copy_(self.offset)
        self.from_student = linear

    def forward(self, pair: Pair, layers: Layers) -> Tensor:
        """Return the mean squared difference, in units of the variance of what is followed."""
        target = of_teacher(pair.guide, layers) @ self.weight + self.offset
        present = pair.batch.present
        squares = (self.from_student(pair.student.features[layers[0][0]]) - target).square()
        return mean_over(squares, bins(present)) / variance_over(target, present).clamp_min(1e-8)


def one_pair(strategy: str, layers: Layers) -> Layers:
    """Return ``layers``, if they are one (student layer, teacher layer).

    Raises:
        InputError: They are not.
    """
    if len(layers) != 1 or layers[0][1] is None:
        raise InputError(
            f"strategy {strategy}: found layers {list(layers)!r}, wanted one pair (student's, "
            "teacher's)"
        )
    return tuple(layers)


def of_teacher(guide: Output, layers: Layers) -> Tensor:
    """Return the teacher's (B, T, H) features."""
    return guide.features[str(layers[0][1])]


@torch.no_grad()
def decoder_of(features: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return ridge weights (H, D) and offset (D,) from (B, T, H) features to behavior.

    Each feature of behavior is fitted in the bins where it is known, in units of its standard
    deviation in training trials.
    """
    if batch.behavior is None:
        raise ValueError("following what behavior needs wants behavior")
    n_bins = features.shape[1]
    values, known = (part[:, :n_bins] for part in batch.behavior[:2])
    if batch.present is not None:
        known = known & batch.present[:, :n_bins, None]
    weights, offsets = [], []
    for channel in range(values.shape[2]):
        rows = known[:, :, channel]
        x, y = features[rows].double(), values[:, :, channel][rows].double()
        x_mean, y_mean = x.mean(dim=0), y.mean()
        gram = (x - x_mean).T @ (x - x_mean)
        penalty = RIDGE * gram.diagonal().mean().clamp_min(1e-8)
        eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        weight = torch.linalg.solve(gram + penalty * eye, (x - x_mean).T @ (y - y_mean))
        weights.append(weight)
        offsets.append(y_mean - x_mean @ weight)
    return torch.stack(weights, dim=1), torch.stack(offsets)
