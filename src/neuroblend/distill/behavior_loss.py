"""The error of behavior that a network reads out, of any mix of kinds, in units of chance.

Shape legend: ``B`` trials, ``T`` bins, ``P`` features that behavior is encoded as.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from neuroblend.behavior.kind import Behavior, Group
from neuroblend.distill.reduce import mean_over

LARGEST_LOG = 10.0  # of a rate of events over its mean, so that no step of training overflows


def behavior_loss(outputs: Tensor, behavior: Behavior) -> Tensor:
    """Return the error of (B, T', P) outputs against the first T' bins of behavior, a scalar.

    Squared error for continuous and circular channels (of cosine and sine), cross-entropy of
    logits for discrete ones, and for events half the Poisson deviance, outputs being the log of
    the rate over its mean. Each is divided by what the best guess without spikes has, so that it
    is 1 where nothing is known, and channels weigh alike. A channel with one value a trial is
    compared once a trial, with the mean of outputs over the bins in which it is present.
    """
    values, present, groups = behavior
    n_bins = outputs.shape[1]
    values, present = values[:, :n_bins], present[:, :n_bins]
    outputs = outputs.float()
    if not groups:
        return mean_over((outputs - values).square(), present)
    return torch.stack([_of_group(outputs, values, present, group) for group in groups]).mean()


def loss_of(groups: tuple[Group, ...]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the loss of a network whose task is behavior: ``(predicted, target, scored)``.

    All three are (B, T, P), as :func:`behavior_loss` has them.
    """
    plain = all(group.kind == "continuous" and not group.per_trial for group in groups)

    def loss(predicted: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        return behavior_loss(predicted, Behavior(target, scored, () if plain else groups))

    return loss


def _of_group(outputs: Tensor, values: Tensor, present: Tensor, group: Group) -> Tensor:
    own = slice(group.start, group.stop)
    given, wanted, known = outputs[..., own], values[..., own], present[..., group.start]
    if group.per_trial:
        weight = known.to(given.dtype)[..., None]
        n = weight.sum(dim=1, keepdim=True)
        given = (given * weight).sum(dim=1, keepdim=True) / n.clamp_min(1)
        wanted = (wanted * weight).sum(dim=1, keepdim=True) / n.clamp_min(1)
        known = n[..., 0] > 0
    return mean_over(_errors(given, wanted, group), known) / group.chance


def _errors(given: Tensor, wanted: Tensor, group: Group) -> Tensor:
    """Return (B, T) losses, in the unit of the group's chance."""
    match group.kind:
        case "discrete":
            return -(functional.log_softmax(given, dim=2) * wanted).sum(dim=2)
        case "events":
            log_ratio = given[..., 0].clamp_max(LARGEST_LOG)
            count = (wanted[..., 0] * group.spread + group.mean).clamp_min(0)
            saturated = torch.xlogy(count, count / group.mean) - count
            return group.mean * log_ratio.exp() - count * log_ratio + saturated
        case _:
            return (given - wanted).square().sum(dim=2)
