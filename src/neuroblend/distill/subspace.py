"""Feature distillation of that alone which behavior needs."""

import torch
from torch import Tensor, nn

from neuroblend.distill.followed import Followed, Layers, decoder_of, of_teacher, one_pair
from neuroblend.distill.pair import Output, Pair
from neuroblend.errors import InputError
from neuroblend.task.batch import Batch

FLAT = 1e-4  # of the largest singular value, under which a direction adds nothing


class Subspace(nn.Module):
    """Mean squared difference of features within the subspace that behavior is decoded from.

    A ridge regression from the teacher's features to behavior in the same bin, fitted on the
    training trials, spans as many directions as behavior has features; these are made orthonormal,
    so that each counts by the variance that the teacher gives it. All else that the teacher
    represents is the student's own affair.

    Close to the task-specific distillation of BrainDistill (Xie et al. 2026, arXiv 2601.17625),
    which too gives features that matter for decoding precedence by a supervised projection. There,
    a large decoder teaches a smaller one of the same input; here the projection is fitted in closed
    form, to a teacher that models spikes and sees behavior, and what it leaves out is no one's
    target.

    Args:
        layers: One pair (student layer, teacher layer).
    """

    wants_teacher = True

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.layers = one_pair("subspace", layers)
        self.followed = Followed()

    def fit(self, batch: Batch, guide: Output) -> None:
        """Find the subspace, from what the teacher gives for all training trials."""
        weights, _ = decoder_of(of_teacher(guide, self.layers), batch)
        directions, sizes, _ = torch.linalg.svd(weights, full_matrices=False)
        kept = directions[:, sizes > FLAT * sizes[0]]
        if not kept.shape[1]:
            raise InputError(
                "subspace: nothing of behavior can be decoded from the teacher's layer "
                f"'{self.layers[0][1]}', which has no subspace to match; name another with --layer"
            )
        self.followed.fix(kept, kept.new_zeros(kept.shape[1]))

    def prepare(self, pair: Pair) -> None:
        """Make the student's map, for the width found in ``pair``."""
        self.followed.prepare(pair, self.layers)

    def forward(self, pair: Pair) -> Tensor:
        """Return the loss, in units of the teacher's variance within the subspace."""
        return self.followed(pair, self.layers)
