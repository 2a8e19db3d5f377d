"""From outputs of a linear read-out to behavior, in terms that an exported network can hold.

Shape legend: ``D`` behavior channels, ``P`` outputs a bin, ``Q`` outputs a trial, ``S`` segments of
a trial, ``T`` bins.
"""

import numpy as np
import torch
from torch import Tensor, nn

from neuroblend.data.channel import FULL_TURN
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.lagged import segment_means
from neuroblend.evaluation.link import LARGEST_LOG, Link


class Linked(nn.Module):
    """What :class:`~neuroblend.evaluation.decoder.Decoder` does after its linear map.

    Args:
        decoder: The read-out.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.links = decoder.links
        shares = [
            torch.tensor(link.log_share, dtype=torch.float64)
            for link in self.links
            if link.channel.kind == "discrete"
        ]
        self.shares = shares

    def forward(self, of_bins: Tensor, of_trials: Tensor | None = None) -> Tensor:
        """Return (..., D) behavior from (..., P) outputs of bins and (..., Q) of trials."""
        if not self.links:
            return of_bins
        shares = iter(self.shares)
        columns = []
        for link in self.links:
            outputs = of_trials if link.channel.per_trial else of_bins
            assert outputs is not None
            share = next(shares) if link.channel.kind == "discrete" else None
            columns.append(_value(link, outputs[..., link.start : link.stop], share))
        return torch.stack(columns, dim=-1)


def _value(link: Link, own: Tensor, share: Tensor | None) -> Tensor:
    match link.channel.kind:
        case "circular":
            period = link.channel.period
            single = own.float()  # onnxruntime has no arc tangent in double precision
            turn = torch.atan2(single[..., 1], single[..., 0]) / FULL_TURN * period - link.low
            return (turn - period * torch.floor(turn / period) + link.low).to(own.dtype)
        case "discrete":
            assert share is not None
            return (own - share).argmax(dim=-1).to(own.dtype)
        case "events":
            return own[..., 0].clamp_max(LARGEST_LOG).exp()
        case _:
            return own[..., 0]


class OfTrials(nn.Module):
    """Outputs of a read-out that has one value a trial, the same in each of its bins.

    Args:
        decoder: The read-out, with ``trial_weights``.
        n_bins: Bins of a trial.
    """

    def __init__(self, decoder: Decoder, n_bins: int) -> None:
        super().__init__()
        assert decoder.trial_weights is not None and decoder.trial_offset is not None
        n_segments = len(decoder.trial_weights)
        means = segment_means(np.eye(n_bins)[None], n_segments)[0]
        self.means = torch.from_numpy(means)  # (S, T)
        self.weights = torch.from_numpy(np.asarray(decoder.trial_weights, dtype=np.float64))
        self.offset = torch.from_numpy(np.asarray(decoder.trial_offset, dtype=np.float64))

    def forward(self, signal: Tensor) -> Tensor:
        """Return (B, T, Q) outputs from a (B, T, N) signal."""
        segments = torch.matmul(self.means, signal.double())  # (B, S, N)
        flat = segments.flatten(1) @ self.weights.flatten(0, 1) + self.offset
        return flat[:, None].expand(-1, signal.shape[1], -1)
