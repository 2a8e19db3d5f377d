"""Soft distillation (Guo et al., ICLR 2025, after Hinton et al. 2015)."""

from collections.abc import Sequence

from torch import Tensor

from neuroblend.distill.pair import Normalisation, Pair
from neuroblend.distill.reduce import mean_over


class Soft:
    """Divergence of the student's distribution over neurons from the teacher's, in each bin.

    ``temperature**2 * KL(softmax(teacher / temperature) || softmax(student / temperature))``, the
    softmax over neurons, averaged over trials and bins, and multiplied by N / (N - 1) for the
    degree of freedom that the softmax takes. It is blind to a gain that all neurons share: adding
    a number to every log rate changes nothing.

    Args:
        temperature: Softens both distributions; 2 in the released code.
        normalisation: ``"released"`` sums over bins, so that it grows with trial length, and
            leaves the factor out.
    """

    layers: Sequence[tuple[str, str | None]] = ()
    wants_teacher = True

    def __init__(self, temperature: float = 2.0, normalisation: Normalisation = "element") -> None:
        self.temperature = temperature
        self.normalisation = normalisation

    def __call__(self, pair: Pair) -> Tensor:
        """Return the loss in nats (times squared temperature)."""
        student = (pair.student.log_rates / self.temperature).log_softmax(dim=2)
        teacher = (pair.guide.log_rates / self.temperature).log_softmax(dim=2)
        divergence = (teacher.exp() * (teacher - student)).sum(dim=2)
        per_bin = mean_over(divergence, pair.batch.present) * self.temperature**2
        n_bins, n_neurons = student.shape[1:]
        if self.normalisation == "released":
            present = pair.batch.present
            return per_bin * (n_bins if present is None else present.sum() / len(present))
        return per_bin * n_neurons / max(n_neurons - 1, 1)
