"""A contrastive encoder of neurons in their population, in the manner of NuCLR (Arora et al. 2025).

Shape legend: ``B`` windows, ``W`` frames of a window, ``T`` frames after striding, ``N`` neurons,
``F`` features, ``E`` features of an embedding.

Each neuron's window of activity becomes a vector, in the light of what the others do at the time;
vectors of one neuron at different times, in different company, are to be alike, and unlike those
of the other neurons of its population. No behavior takes part.

Differences from the paper: a convolution takes the place of the transformer over time, and the mean
over the other neurons' features that of attention over neurons, so that a session is encoded in a
fraction of a second on a CPU, which is where it is trained.
"""

import torch
from torch import Tensor, nn

KERNEL, STRIDE = 9, 4


class NuCLR(nn.Module):
    """Encode each neuron's window, given the population's.

    Args:
        n_features: Features of a neuron and frame, ``F``.
        n_embedding: Features of an embedding, ``E``.
    """

    def __init__(self, n_features: int = 32, n_embedding: int = 32) -> None:
        super().__init__()
        self.n_embedding = n_embedding
        self.own = nn.Conv1d(1, n_features, KERNEL, STRIDE, padding=KERNEL // 2)
        self.others = nn.Linear(n_features, n_features)
        self.joint = nn.Conv1d(2 * n_features, n_features, 3, padding=1)
        self.readout = nn.Sequential(
            nn.LayerNorm(2 * n_features),
            nn.Linear(2 * n_features, n_features),
            nn.GELU(),
            nn.Linear(n_features, n_embedding),
        )

    def forward(self, activity: Tensor, company: Tensor) -> Tensor:
        """Return (B, N, E) vectors of length 1.

        Args:
            activity: (B, W, N) standardised activity.
            company: (N,) bool, the neurons that represent the population; none of them for itself.
        """
        n_windows, _, n_neurons = activity.shape
        single = activity.transpose(1, 2).flatten(0, 1)[:, None]  # (B N, 1, W)
        own = nn.functional.gelu(self.own(single))
        own = own.view(n_windows, n_neurons, *own.shape[1:])  # (B, N, F, T)
        seen = self.others(own.transpose(2, 3)).transpose(2, 3)  # (B, N, F, T)
        weight = company.to(seen.dtype)[None, :, None, None]
        total = (seen * weight).sum(dim=1, keepdim=True) - seen * weight
        n_others = weight.sum(dim=1, keepdim=True) - weight
        others = nn.functional.gelu(total / n_others.clamp_min(1))
        joint = torch.cat([own, others], dim=2).flatten(0, 1)  # (B N, 2 F, T)
        joint = nn.functional.gelu(self.joint(joint))
        pooled = torch.cat([joint.mean(dim=2), joint.var(dim=2).add(1e-6).sqrt()], dim=1)
        vectors = self.readout(pooled).view(n_windows, n_neurons, -1)
        return nn.functional.normalize(vectors, dim=2)
