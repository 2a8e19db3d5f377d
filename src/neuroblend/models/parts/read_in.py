"""Where the read-ins of several sessions start: from what their mean responses have in common.

Shape legend: ``S`` sessions, ``M`` points of a mean response (bins of conditions), ``N`` neurons,
``W`` width, ``K`` common components.

After multi-session LFADS (Pandarinath et al., Nature Methods 2018): mean responses of all sessions,
bin by bin, side by side, have principal components, and each session's neurons are regressed on
them, so that a core begins with inputs that mean the same in each session. Here they fill the first
K of W inputs; the others are at random, as a linear layer begins. Standardising neurons for these
too would make of rare spikes the largest inputs, with weights that training is too short to change.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_COMPONENTS = 10
RIDGE = 0.1  # penalty over the mean variance of a neuron's mean response

Floats = NDArray[np.float64]


def read_in_weights(
    responses: Sequence[Floats] | None,
    spreads: Sequence[Floats],
    width: int,
    seed: int,
    learned: Sequence[int],
) -> list[Floats]:
    """Return a (W, N) matrix for each session.

    Args:
        responses: (M, N) mean counts/bin of each session, of the same M points; ``None`` where
            sessions have no points in common, and all is at random.
        spreads: (N,) standard deviations of each session's counts/bin.
        width: ``W``.
        seed: Of what is at random.
        learned: Sessions whose components are taken.
    """
    common = None if responses is None else _common(responses, spreads, width, learned)
    found = []
    for i, spread in enumerate(spreads):
        rng = np.random.default_rng([seed, i])
        n = spread.size
        own = common[i] if common is not None else np.zeros((n, 0))
        drawn = rng.uniform(-1, 1, size=(n, width - own.shape[1])) / np.sqrt(n)
        size = np.maximum(np.linalg.norm(own, axis=0), 1e-12)
        found.append(np.concatenate([own / size / spread[:, None], drawn], axis=1).T)
    return found


def _common(
    responses: Sequence[Floats], spreads: Sequence[Floats], width: int, learned: Sequence[int]
) -> list[Floats] | None:
    """Return (N, K) weights on standardised counts of each session; ``None`` where all is flat."""
    scaled = [(r - r.mean(axis=0)) / s for r, s in zip(responses, spreads, strict=True)]
    together = np.concatenate([scaled[i] / np.sqrt(scaled[i].shape[1]) for i in learned], axis=1)
    left, size, _ = np.linalg.svd(together, full_matrices=False)
    n = min(MOST_COMPONENTS, width, int((size > 1e-6 * max(size[0], 1e-12)).sum()))
    if not n or size[0] < 1e-12:
        return None
    target = left[:, :n] * size[:n]
    found = []
    for s in scaled:
        gram = s.T @ s
        penalty = RIDGE * max(float(np.trace(gram)) / len(gram), 1e-12)
        found.append(np.linalg.solve(gram + penalty * np.eye(len(gram)), s.T @ target))
    return found
