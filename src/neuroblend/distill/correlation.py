"""Correlation distillation (Guo et al., ICLR 2025): match how neurons move together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from neuroblend.distill.pair import Normalisation, Pair

FLAT = 1e-6  # variance of log rates below which a neuron correlates with nothing


class Correlation:
    """Mean squared difference of the neuron x neuron correlations of log rates, trial by trial.

    A neuron whose predicted rate does not move in a trial has no correlation there: its row is 0,
    where the released code gives NaN. The mean is over pairs of different neurons. Correlations
    over few bins are noisier, so that noise between student and teacher costs more in short trials.

    Args:
        normalisation: ``"released"`` averages over all pairs, a neuron with itself included, and
            adds the hard term, as the released code does.
    """

    layers: Sequence[tuple[str, str | None]] = ()
    wants_teacher = True

    def __init__(self, normalisation: Normalisation = "element") -> None:
        self.normalisation = normalisation

    def __call__(self, pair: Pair) -> Tensor:
        """Return the loss in squared correlation units (plus, if released, the hard term)."""
        student, teacher = pair.student.log_rates, pair.guide.log_rates
        squares = (correlations(student) - correlations(teacher)).square()
        if self.normalisation == "released":
            return squares.mean() + functional.mse_loss(student, teacher)
        n_trials, n_neurons, _ = squares.shape
        return squares.sum() / (n_trials * n_neurons * max(n_neurons - 1, 1))


def correlations(log_rates: Tensor) -> Tensor:
    """Return (B, N, N) correlations over bins of (B, T, N) log rates."""
    centred = log_rates - log_rates.mean(dim=1, keepdim=True)
    unit = centred / (centred.square().sum(dim=1, keepdim=True) + FLAT * centred.shape[1]).sqrt()
    return unit.transpose(1, 2) @ unit
