"""Behavior as features of each seen bin, with a learned token for what of it is missing.

Shape legend: ``B`` trials, ``T_in`` seen bins, ``P`` features that behavior is encoded as, ``W``
features it is read in as.
"""

import torch
from torch import Tensor, nn

from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec


class ReadIn(nn.Module):
    """A linear map of behavior, to which a missing sample adds a learned vector of its own.

    A missing sample is 0, a channel's mean, to the map; what its absence means is learned. The
    vectors start at 0, and there are none where no sample is missing.

    Args:
        spec: Sizes of the student's task.
        width: ``W``; ``None`` leaves behavior as it is encoded, so that ``W`` is ``P``.
    """

    def __init__(self, spec: TaskSpec, width: int | None = None) -> None:
        super().__init__()
        self.t_in = spec.t_in
        self.linear = nn.Identity() if width is None else nn.Linear(spec.n_behavior, width)
        self.absent: Tensor | None = None
        if spec.behavior_gaps:
            self.absent = nn.Parameter(torch.zeros(spec.n_behavior, width or spec.n_behavior))

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, T_in, W) features, 0 after the end of a shorter trial."""
        if batch.behavior is None:
            raise ValueError("a teacher was called on a batch without behavior")
        values, present = (part[:, : self.t_in] for part in batch.behavior[:2])
        features: Tensor = self.linear(values)
        if self.absent is not None:
            features = features + (~present).to(features.dtype) @ self.absent
        return within_trials(features, batch.present)


def within_trials(features: Tensor, present: Tensor | None) -> Tensor:
    """Return (B, T_in, W) features, 0 in bins that (B, T) ``present`` says are none of a trial."""
    if present is None:
        return features
    return features.where(present[:, : features.shape[1], None], 0.0)
