"""Multitask learning of behavior as the teacher has it, instead of as it was recorded."""

from torch import Tensor, nn

from neuroblend.distill.followed import Followed, Layers, decoder_of, of_teacher, one_pair
from neuroblend.distill.pair import Output, Pair
from neuroblend.task.batch import Batch


class Denoised(nn.Module):
    """Error of a read-out of behavior against behavior decoded from the teacher's features.

    The decoder is a ridge regression fitted on the training trials. What it gives is there in every
    bin, where samples are missing too, and lacks what neither spikes nor the teacher carry. Unlike
    ``multitask`` it needs a teacher, and shares the weight ``1 - alpha``. Against ``subspace``, a
    channel counts by what the teacher knows of it rather than by how much room it takes there.

    Args:
        layers: One pair (student layer, teacher layer).
    """

    wants_teacher = True

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.layers = one_pair("denoised", layers)
        self.followed = Followed()

    def fit(self, batch: Batch, guide: Output) -> None:
        """Fit the decoder, to what the teacher gives for all training trials."""
        self.followed.fix(*decoder_of(of_teacher(guide, self.layers), batch))

    def prepare(self, pair: Pair) -> None:
        """Make the student's read-out, for the width found in ``pair``."""
        self.followed.prepare(pair, self.layers)

    def forward(self, pair: Pair) -> Tensor:
        """Return the loss, in units of the variance of decoded behavior."""
        return self.followed(pair, self.layers)
