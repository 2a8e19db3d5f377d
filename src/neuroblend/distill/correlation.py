"""Correlation distillation (Guo et al., ICLR 2025): match how neurons move together."""

from collections.abc import Sequence

from torch import Tensor

from neuroblend.distill.pair import Normalisation, Pair, squared_difference
from neuroblend.distill.reduce import bins, mean_over

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
        present = pair.batch.present
        student, teacher = (
            correlations(output.log_rates, present) for output in (pair.student, pair.guide)
        )
        squares = (student - teacher).square()
        if self.normalisation == "released":
            return mean_over(squares) + squared_difference(pair)
        n_neurons = squares.shape[1]
        return mean_over(squares) * n_neurons / max(n_neurons - 1, 1)


def correlations(log_rates: Tensor, present: Tensor | None = None) -> Tensor:
    """Return (B, N, N) correlations over bins of (B, T, N) log rates.

    ``present`` is (B, T) bool, True for the bins of a trial, ``None`` for all.
    """
    there = bins(present)
    if there is None:
        n_bins: Tensor | int = log_rates.shape[1]
        centred = log_rates - log_rates.mean(dim=1, keepdim=True)
    else:
        n_bins = there.sum(dim=1, keepdim=True)
        known = log_rates.where(there, 0.0)
        centred = (log_rates - known.sum(dim=1, keepdim=True) / n_bins).where(there, 0.0)
    unit = centred / (centred.square().sum(dim=1, keepdim=True) + FLAT * n_bins).sqrt()
    return unit.transpose(1, 2) @ unit
