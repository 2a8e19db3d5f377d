"""Several teachers as one (Yang et al., NeurIPS 2022: a student profits if its targets vary less).

Shape legend: ``K`` members, ``B`` trials, ``T`` bins, ``N`` neurons, ``H`` features of a layer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neuroblend.distill.objective import cached_output, output_of
from neuroblend.privilege.roles import Teacher
from neuroblend.task.batch import Batch

LAYER = "features"
RIDGE = 1e-3  # of the maps to common features, relative to the mean variance of a feature


class Committee(nn.Module):
    """The network of a teacher that is made of teachers, trained one after the other.

    Log rates are averaged over members. Features are not: networks that began with other weights
    have features that agree at best up to a linear map, and a mean of the first of one and the
    first of another means nothing. So the layer ``features`` has them side by side, (B, T, K * H),
    and a student's map finds what they share.

    Where members are cross-fitted, the target of a training trial is of the one member that did not
    train on it, and features of different members must mean the same. :meth:`align` maps each
    linearly to common ones, the leading H principal components of all side by side; trials that no
    member trained on get the mean over members.

    Args:
        teachers: K teachers of the same sizes.
        layer: The layer of each whose features are distilled.
        left_out: (trials of the recording,) which member did not train on a trial, -1 where none
            did; ``None`` where each trained on all of them.
        example: Two trials, from which H is found; wanted with ``left_out``.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        layer: str,
        left_out: Tensor | None = None,
        example: Batch | None = None,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(teachers)
        self.layer = layer
        self.features = nn.Identity()
        self.left_out: Tensor | None
        self.to_common: Tensor
        self.offset: Tensor
        self.register_buffer("left_out", left_out)
        if left_out is not None:
            assert example is not None
            width = cached_output(teachers[0], example, [layer]).features[layer].shape[2]
            self.register_buffer("to_common", torch.eye(width).repeat(len(teachers), 1, 1))
            self.register_buffer("offset", torch.zeros(len(teachers), width))

    @property
    def default_mask(self) -> str:
        """What is hidden in training: as the members' networks have it."""
        return getattr(self.members[0].net, "default_mask", "bins")

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin."""
        outputs = [output_of(member, batch, [self.layer]) for member in self.members]
        log_rates = torch.stack([output.log_rates for output in outputs])
        features = [output.features[self.layer] for output in outputs]
        if self.left_out is None:
            self.features(torch.cat(features, dim=2))
            return log_rates.mean(dim=0)
        common = torch.stack(features) @ self.to_common[:, None] + self.offset[:, None, None]
        weights = self._weights(batch, self.left_out)[:, :, None, None].to(log_rates.dtype)
        self.features((weights * common).sum(dim=0))
        return (weights * log_rates).sum(dim=0)

    @torch.no_grad()
    def align(self, batch: Batch) -> None:
        """Fit the maps to common features, where members are cross-fitted.

        All members see all of ``batch``, the training trials, unmasked, those that they trained on
        among them: a map has as many weights as features squared, and is held back by a ridge.
        """
        if self.left_out is None:
            return
        flat = []
        for member in self.members:
            assert isinstance(member, Teacher)
            features = cached_output(member, batch, [self.layer]).features[self.layer].double()
            n_bins = features.shape[1]
            there = features.new_ones(features.shape[:2], dtype=torch.bool)
            if batch.present is not None:
                there = batch.present[:, :n_bins]
            flat.append(features[there])
        means = [part.mean(dim=0) for part in flat]
        centred = [part - mean for part, mean in zip(flat, means, strict=True)]
        spread = [part.square().mean().sqrt().clamp_min(1e-8) for part in centred]
        together = torch.cat([p / s for p, s in zip(centred, spread, strict=True)], dim=1)
        _, vectors = torch.linalg.eigh(together.T @ together)
        width = centred[0].shape[1]
        common = together @ vectors[:, -width:]
        for i, (part, mean) in enumerate(zip(centred, means, strict=True)):
            gram = part.T @ part
            penalty = RIDGE * gram.diagonal().mean().clamp_min(1e-8)
            eye = torch.eye(width, dtype=gram.dtype, device=gram.device)
            found = torch.linalg.solve(gram + penalty * eye, part.T @ common)
            self.to_common[i] = found
            self.offset[i] = -mean @ found

    def _weights(self, batch: Batch, left_out: Tensor) -> Tensor:
        """Return (K, B) how much of each trial's target is each member's."""
        if batch.trial is None:
            raise ValueError("cross-fitted teachers want batches that know their trials")
        own = left_out[batch.trial]
        n_members = len(self.members)
        chosen = own == torch.arange(n_members, device=own.device)[:, None]
        return chosen.double().where(own >= 0, 1 / n_members)


def on_batch(net: nn.Module, batch: Batch) -> Tensor:
    """Call a committee on spikes and behavior."""
    return net(batch)
