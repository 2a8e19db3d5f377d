"""Recurrent layers over trials of different length.

Shape legend: ``B`` trials, ``T`` bins, ``H`` states of all directions.
"""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def states_of(recurrent: nn.GRU, features: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return (B, T, H) states, 0 in padding, and each layer's and direction's last one.

    Args:
        recurrent: With ``batch_first``.
        features: (B, T, F) of each bin.
        present: (B, T) bool, False for padding, in which no direction begins or ends; ``None``
            where all trials have all bins.
    """
    if present is None:
        states, last = recurrent(features)
        return states, last
    lengths = present.sum(dim=1).cpu()
    packed = pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
    states, last = recurrent(packed)
    return pad_packed_sequence(states, True, total_length=features.shape[1])[0], last
