"""NeuPRINT (Mi et al., NeurIPS 2023): what a neuron is, from how it moves with its population.

Shape legend: ``B`` windows, ``T`` frames, ``N`` neurons, ``C`` cells, ``E`` features of an
embedding, ``P`` pooled averages, ``D`` behavior channels, ``F`` features of the population's state.

Each cell has a learned embedding that does not change in time. One network, the same for all cells,
predicts a cell's activity from its own past, its neighbours, the state of the population, and that
embedding; activity is all there is to learn from. The embeddings of cells that it never saw are
then fitted with the network frozen (:mod:`neuroblend.experiments.identity.embed`).

The *state of the population* is a function of time alone: mean and standard deviation of activity,
``P`` learned averages in which each cell weighs as its embedding says, and (for a teacher)
behavior. A convolution over a few frames turns them into ``F`` features.

Differences from the paper and its code (lumimim/NeuPRINT). There, the state is mean, standard
deviation and behavior of the same frame, and enters as it is; with ``n_pooled=0`` and
``context_frames=0`` it is made of the same, but still passes two layers. Everything is standardised
and neighbours are within 65 units, as there. What depends on time alone, on cells alone, or on
both, is multiplied by its own weights before it is added up (there it is concatenated for each cell
and frame first): the same sums for a fraction of the arithmetic. Attention looks at the frame
itself and the one before, as there, but is computed for those two alone. Only hidden entries are
asked for. Named settings of :class:`Attention` bring back the rest of the code's transformer; not
offered are its masking (of hidden entries a tenth is left and a tenth drawn at random, and the last
neuron is always hidden), its uniform initial embeddings, and its linear and recurrent forms.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neuroblend.errors import InputError, nearest
from neuroblend.models.parts.dropout import Dropout
from neuroblend.models.parts.positions import sinusoids

RADIUS = 65.0  # within which cells are neighbours, in the unit of positions, as in the public code


@dataclass(frozen=True)
class CellSpec:
    """The sizes of a task on cells, derived from data.

    Attributes:
        n_cells: Rows of the table of embeddings, ``C``.
        n_behavior: Behavior channels that the network sees, ``D``; 0 for a student.
        reference: (C,) whether a cell is one of those that represent the population. Cells that are
            not are predicted, and nothing is predicted from them.
        position: (C, 2 or 3) where each cell is, NaN for one without neighbours; ``None`` where
            none is known.
    """

    n_cells: int
    n_behavior: int
    reference: Tensor
    position: Tensor | None = None

    @property
    def n_neighbors(self) -> int:
        """Number of statistics of a cell's neighbours."""
        return 0 if self.position is None else 2


class NeuPRINT(nn.Module):
    """Embeddings, state of the population, and dynamics.

    Args:
        spec: Sizes of the task.
        dynamics: ``"linear"``, ``"recurrent"`` or ``"attention"``.
        n_embedding: Features of an embedding, ``E``.
        n_pooled: Learned averages of the population, ``P``; 0 for mean and deviation alone.
        n_state: Features of the population's state, ``F``.
        context_frames: Frames before and after that the state looks at.
        radius: How far neighbours are, in the unit of positions.
        settings: Of the dynamics, which have no use for others.

    Raises:
        InputError: A number is out of range, or there are no such dynamics or settings.
    """

    reference: Tensor
    position: Tensor | None

    def __init__(
        self,
        spec: CellSpec,
        dynamics: str = "linear",
        n_embedding: int = 64,
        n_pooled: int = 8,
        n_state: int = 24,
        context_frames: int = 4,
        radius: float = RADIUS,
        **settings: float,
    ) -> None:
        super().__init__()
        if min(n_embedding, n_state) < 1 or min(n_pooled, context_frames) < 0 or radius <= 0:
            raise InputError(
                f"neuprint: found n_embedding {n_embedding}, n_state {n_state}, n_pooled "
                f"{n_pooled}, context_frames {context_frames} and radius {radius:g}, wanted 1 or "
                "more, 1 or more, 0 or more, 0 or more, and a distance above 0"
            )
        if dynamics not in DYNAMICS:
            raise InputError(f"neuprint: no dynamics '{dynamics}': {nearest(dynamics, DYNAMICS)}")
        self.radius = radius
        self.register_buffer("reference", spec.reference, persistent=False)
        self.register_buffer("position", spec.position, persistent=False)
        self.embedding = nn.Embedding(spec.n_cells, n_embedding)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.pool = nn.Linear(n_embedding, n_pooled, bias=False) if n_pooled else None
        n_signals = 2 + n_pooled + spec.n_behavior
        n_frames = 2 * context_frames + 1
        self.filter = nn.Conv1d(n_signals, n_state, n_frames, padding=context_frames)
        self.state = nn.Linear(n_state, n_state)
        try:
            self.dynamics = DYNAMICS[dynamics](
                1 + spec.n_neighbors, n_state, n_embedding, **settings
            )
        except TypeError as error:
            raise InputError(f"neuprint: {dynamics} dynamics: {error}") from None

    def forward(
        self,
        activity: Tensor,
        neurons: Tensor,
        behavior: Tensor | None = None,
        fresh: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """Return (B, T, N) predicted activity.

        Args:
            activity: (B, T, N) standardised activity, hidden entries 0.
            neurons: (N,) which cells the neurons are.
            behavior: (B, T, D) standardised behavior; ``None`` for a student.
            fresh: (N, E) embeddings to use instead of the table's. Those of reference cells, from
                which averages of the population are made, stay the table's; where no neuron is a
                reference cell, all of them represent the population, with new embeddings (which
                get no gradient from that).
            asked: (M,) which of the neurons to predict, as (B, T, M), population and neighbours
                being of the others alone; all of them, and of all of them, where ``None``.
        """
        known = self.embedding(neurons)
        embedding = known if fresh is None else fresh
        reference = self.reference[neurons]
        if not reference.any():
            reference, known = torch.ones_like(reference), embedding.detach()
        own_activity, n_all = activity, int(reference.sum())
        if asked is not None:
            reference = reference.clone()
            reference[asked] = False
            own_activity, embedding = activity[:, :, asked], embedding[asked]
        crowd = activity[:, :, reference]
        n_crowd = max(crowd.shape[2], 1)
        mean = crowd.sum(dim=2, keepdim=True) / n_crowd
        variance = (crowd - mean).square().sum(dim=2, keepdim=True) / n_crowd
        deviation = variance.add(1e-6).sqrt() - 1
        signals = [mean, deviation if crowd.shape[2] else torch.zeros_like(mean)]
        if self.pool is not None:
            weights = self.pool(known[reference])
            # what cells share stays as large when some of them are left out
            signals.append(crowd @ weights * (math.sqrt(n_all) / n_crowd))
        if behavior is not None:
            signals.append(behavior)
        filtered = self.filter(torch.cat(signals, dim=2).transpose(1, 2)).transpose(1, 2)
        state = self.state(torch.tanh(filtered))
        past = nn.functional.pad(own_activity, (0, 0, 1, 0))[:, :-1]
        own = [past, *self._neighbors(activity, neurons, reference, asked)]
        return self.dynamics(torch.stack(own, dim=3), state, embedding)

    def _neighbors(
        self, activity: Tensor, neurons: Tensor, reference: Tensor, asked: Tensor | None
    ) -> list[Tensor]:
        """Return mean and deviation, (B, T, N) each, of each neuron's reference neighbours."""
        if self.position is None:
            return []
        where = self.position[neurons]
        # by differences: products of matrices lose what is small against the coordinates
        distance = torch.cdist(where, where, compute_mode="donot_use_mm_for_euclid_dist")
        near = distance <= self.radius
        near &= reference[None, :]
        near.fill_diagonal_(fill_value=False)
        near = near if asked is None else near[asked]
        weights = near / near.sum(dim=1, keepdim=True).clamp_min(1)
        mean = activity @ weights.T
        square = activity.square() @ weights.T
        deviation = (square - mean.square()).clamp_min(0).add(1e-6).sqrt() - 1
        return [mean, deviation.where(near.any(dim=1), 0.0)]


class Bilinear(nn.Module):
    """A cell's embedding is what it takes of the population's state, its past and its neighbours.

    Linear in the state and in the embedding; all of it is products of matrices. (The public code's
    linear form adds the embedding up with the rest, so that it can use no more than a mean.)

    Args:
        n_own: Signals of a cell: its past, and statistics of its neighbours.
        n_state: Features of the population's state, ``F``.
        n_embedding: Features of an embedding, ``E``.
    """

    def __init__(self, n_own: int, n_state: int, n_embedding: int) -> None:
        super().__init__()
        self.of_state = nn.Linear(n_embedding, n_state)
        self.of_own = nn.Linear(n_embedding, n_own)
        self.offset = nn.Linear(n_embedding, 1)

    def forward(self, own: Tensor, state: Tensor, embedding: Tensor) -> Tensor:
        """Return (B, T, N) from (B, T, N, S) signals, (B, T, F) state and (N, E) embeddings."""
        weights = self.of_state(embedding) / math.sqrt(state.shape[2])
        from_own = (own * self.of_own(embedding)).sum(dim=3)
        return state @ weights.T + from_own + self.offset(embedding)[:, 0]


class _Tokens(nn.Module):
    """(B, T, N, W) sums of what depends on cell and frame, on the frame, and on the cell."""

    def __init__(self, n_own: int, n_state: int, n_embedding: int, width: int) -> None:
        super().__init__()
        self.own = nn.Linear(n_own, width)
        self.frame = nn.Linear(n_state, width, bias=False)
        self.cell = nn.Linear(n_embedding, width, bias=False)

    def forward(self, own: Tensor, state: Tensor, embedding: Tensor) -> Tensor:
        return self.own(own) + self.frame(state)[:, :, None] + self.cell(embedding)


class Recurrent(nn.Module):
    """A gated recurrent network for each cell, the same for all (Cho et al. 2014).

    Args:
        n_own: Signals of a cell.
        n_state: Features of the population's state.
        n_embedding: Features of an embedding.
        width: Hidden units, ``W``; 32 in the public code.
    """

    def __init__(self, n_own: int, n_state: int, n_embedding: int, width: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise InputError(f"neuprint: recurrent dynamics: found width {width}, wanted 1 or more")
        self.tokens = _Tokens(n_own, n_state, n_embedding, 3 * width)
        self.hidden = nn.Linear(width, 3 * width)
        self.readout = nn.Linear(width, 1)

    def forward(self, own: Tensor, state: Tensor, embedding: Tensor) -> Tensor:
        """Return (B, T, N) from (B, T, N, S) signals, (B, T, F) state and (N, E) embeddings."""
        given = self.tokens(own, state, embedding).unbind(dim=1)
        hidden = given[0].new_zeros(*given[0].shape[:2], self.hidden.in_features)
        states = []
        for gates in given:
            reset, update, new = gates.chunk(3, dim=2)
            reset_h, update_h, new_h = self.hidden(hidden).chunk(3, dim=2)
            keep = torch.sigmoid(update + update_h)
            fresh = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
            hidden = fresh + keep * (hidden - fresh)
            states.append(hidden)
        return self.readout(torch.stack(states, dim=1))[..., 0]


class Attention(nn.Module):
    """One transformer layer in which each frame attends to itself and the one before.

    With two frames to choose from, a softmax is a sigmoid of the difference of two scores, and what
    is mixed is one value and a fraction of the step to the other.

    Args:
        n_own: Signals of a cell.
        n_state: Features of the population's state.
        n_embedding: Features of an embedding.
        width: Features of a token, ``W``; 76 in the public code (all inputs side by side).
        n_heads: Attention heads; divides ``width``.
        feedforward: Hidden units of the perceptron; 2048 in the public code.
        dropout: In both branches; 0.1 in the public code.
        positions: Whether sinusoidal positions within the window are added, as in the public code.
        scale_tokens: Whether tokens are multiplied by the root of their width, as in the public
            code, before positions are added.
    """

    def __init__(
        self,
        n_own: int,
        n_state: int,
        n_embedding: int,
        width: int = 32,
        n_heads: int = 2,
        feedforward: int = 64,
        dropout: float = 0.0,
        positions: bool = False,
        scale_tokens: bool = False,
    ) -> None:
        super().__init__()
        if min(width, n_heads, feedforward) < 1 or width % n_heads:
            raise InputError(
                f"neuprint: attention dynamics: found width {width}, n_heads {n_heads} and "
                f"feedforward {feedforward}, wanted 1 or more, width a multiple of n_heads"
            )
        self.n_heads = n_heads
        self.positions = positions
        self.scale = math.sqrt(width) if scale_tokens else 1.0
        self.tokens = _Tokens(n_own, n_state, n_embedding, width)
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_perceptron = nn.LayerNorm(width)
        self.expand = nn.Linear(width, feedforward)
        self.contract = nn.Linear(feedforward, width)
        self.drop = Dropout(dropout)
        self.readout = nn.Linear(width, 1)

    def forward(self, own: Tensor, state: Tensor, embedding: Tensor) -> Tensor:
        """Return (B, T, N) from (B, T, N, S) signals, (B, T, F) state and (N, E) embeddings."""
        tokens = self.tokens(own, state, embedding) * self.scale
        if self.positions:
            tokens = tokens + sinusoids(tokens.shape[1], tokens.shape[3], tokens.device)[:, None]
        tokens = tokens + self.drop(self.project(self._mixed(self.norm_attention(tokens))))
        hidden = torch.relu(self.drop(self.expand(self.norm_perceptron(tokens))))
        tokens = tokens + self.drop(self.contract(hidden))
        return self.readout(tokens)[..., 0]

    def _mixed(self, tokens: Tensor) -> Tensor:
        """Return (B, T, N, W) values of this frame and the one before, as attention weighs them."""
        heads = self.qkv(tokens).unflatten(3, (3, self.n_heads, -1)).unbind(dim=3)
        query, key, value = heads
        step_key, step_value = key[:, 1:] - key[:, :-1], value[:, 1:] - value[:, :-1]
        score = (query[:, 1:] * step_key).sum(dim=4, keepdim=True) / math.sqrt(query.shape[4])
        later = value[:, :-1] + torch.sigmoid(score) * step_value
        return torch.cat([value[:, :1], later], dim=1).flatten(3)


DYNAMICS: dict[str, type[nn.Module]] = {
    "linear": Bilinear,
    "recurrent": Recurrent,
    "attention": Attention,
}
