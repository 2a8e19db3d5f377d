"""Spatiotemporal Neural Data Transformer (Le & Shlizerman, NeurIPS 2022).

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``W`` slots, one for
each neuron (or feature) and as many more as make a round number.

As :mod:`neuroblend.models.ndt`, but a token's features are neurons, and each layer also
attends over neurons: a neuron's token is its time course, the weights (mean over heads) mix the
neurons of every bin's token, and a second perceptron follows. In training, a contrastive term pulls
together the embeddings, over time and over neurons, of two corrupted views of a trial and pushes
apart those of different trials (InfoNCE), as the published settings for the maze do.

Differences from the published code (trungle93/STNDT): embeddings are not multiplied by the square
root of their width; layers have their own initial weights; time courses are embedded and projected
to as many features as there are bins, padded to the heads; positions are learned; what a masked
entry leaves is scaled up (coordinated dropout); random counts are drawn from the neuron's own, and
views hide no spans; views corrupt what the masked model is given,
so that no hidden count leaks through them; attention over the values of neurons' tokens, whose
result that code throws away, is not computed.

With ``causal``, which is ours: a neuron's time course, which that attention looks at, is not that
of the trial but 16 running means, with time constants from 20 ms to 1 s, of what the neuron (in
later layers, the token's feature) has done so far, to each of which a slot's own learned value is
added. They are taken every 0.1 s, and serve the bins up to the next time, so that there is a matrix
of weights for each 0.1 s and not for each bin. Positions are rotary (:mod:`neuroblend.models.ndt`),
so that trials may be of any length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from neuroblend.distributed import as_share, of_whole_batch
from neuroblend.errors import InputError
from neuroblend.models.parts.attention import EncoderLayer, Perceptron, rounded
from neuroblend.models.parts.dropout import Dropout
from neuroblend.models.parts.past import Past
from neuroblend.models.parts.streams import State
from neuroblend.models.parts.window import Reach, Window, check_length
from neuroblend.task.spec import TaskSpec

PRESETS = {
    "mc_maze": {  # trungle93/STNDT, configs/mc_maze.yaml
        "model": {
            "n_layers": 4, "n_heads": 2, "feedforward": 128, "contrast_weight": 0.1,
            "contrast_ratio": 0.05,
        },
        "training": {
            "batch_size": 64, "weight_decay": 5e-5, "mask": {"kind": "entries", "ratio": 0.25},
        },
    },
}  # fmt: skip
"""As published; what was searched there (dropout, context, learning rate) is ours."""

TAUS_S = tuple(0.02 * 50 ** (i / 15) for i in range(16))  # of running means, in seconds
UPDATE_S = 0.1  # between two looks of a causal network at its running means


class STNDT(nn.Module):
    """Encoder over time bins and neurons.

    Args:
        spec: Sizes of the task.
        n_layers: Encoder layers.
        n_heads: Attention heads, over time and over neurons.
        feedforward: Hidden units of each perceptron.
        dropout: In each layer's branches.
        dropout_embedding: On embedded tokens.
        dropout_rates: On the features that the read-out takes.
        context_forward_s: How far ahead a bin may attend, in seconds; ``None`` for all bins.
            Attention over neurons looks at whole trials all the same. A causal network takes 0.
        context_backward_s: How far back a bin may attend, in seconds; ``None`` for all bins.
        contrast_weight: Of the contrastive term, in nats/entry for each nat; 0 for none.
        contrast_temperature: Of its softmax.
        contrast_ratio: Share of entries that a view corrupts, half of them to 0 and a quarter to
            the neuron's count in another bin.
        causal: Whether no rate may depend on later spikes.

    Raises:
        InputError: A number is out of range.
    """

    def __init__(
        self,
        spec: TaskSpec,
        n_layers: int = 2,
        n_heads: int = 2,
        feedforward: int = 128,
        dropout: float = 0.3,
        dropout_embedding: float = 0.2,
        dropout_rates: float = 0.2,
        context_forward_s: float | None = 0.16,
        context_backward_s: float | None = 0.16,
        contrast_weight: float = 0.1,
        contrast_temperature: float = 0.07,
        contrast_ratio: float = 0.05,
        causal: bool = False,
    ) -> None:
        if min(n_layers, n_heads, feedforward) < 1:
            raise InputError(
                f"stndt: found {n_layers} layers, {n_heads} heads and feedforward {feedforward}, "
                "wanted 1 or more of each"
            )
        if contrast_weight < 0 or contrast_temperature <= 0 or not 0 < contrast_ratio < 1:
            raise InputError(
                f"stndt: found contrast_weight {contrast_weight:g}, contrast_temperature "
                f"{contrast_temperature:g} and contrast_ratio {contrast_ratio:g}, wanted 0 or "
                "more, above 0, and a fraction between 0 and 1"
            )
        super().__init__()
        self.t_out = spec.t_out
        self.n_forward = spec.t_out - spec.t_in
        self.width = rounded(max(spec.n_in, spec.n_out), math.lcm(8, n_heads))
        self.contrast_weight = contrast_weight
        self.contrast_temperature = contrast_temperature
        self.contrast_ratio = contrast_ratio
        self.embed = nn.Linear(spec.n_in, self.width)
        self.position = None
        if not causal:
            self.position = nn.Parameter(torch.randn(spec.t_out, self.width) * 0.02)
        n_course = len(TAUS_S) if causal else spec.t_out
        self.embed_course = nn.Linear(n_course, n_course)
        self.slot = nn.Parameter(torch.randn(self.width, n_course) * 0.02)
        self.drop_embedding = Dropout(dropout_embedding)
        self.layers = nn.ModuleList(
            _Layer(n_course, self.width, n_heads, feedforward, dropout, n_layers)
            for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(self.width)
        self.drop_rates = Dropout(dropout_rates)
        self.readout = nn.Linear(self.width, spec.n_out)
        nn.init.uniform_(self.readout.weight, -0.1, 0.1)
        with torch.no_grad():
            self.readout.bias.copy_(torch.tensor(spec.log_rate))
        ahead_s = 0.0 if causal else context_forward_s
        self.window = Window.of("stndt", spec, ahead_s, context_backward_s)
        self.past = Past("stndt", self.window, n_heads, self.width) if causal else None
        self.running = _Running(spec.bin_s) if causal else None
        self.longest, self.period = None, self.running.n_bins if self.running else 1  # of a stream
        self._views: tuple[Tensor, Tensor | None] | None = None

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        """Return (B, T, N) log expected counts/bin from (B, T_in, N_in) counts/bin.

        ``present`` is (B, T) bool, False for padding; ``None`` where all trials have all bins.
        """
        if self.past is not None and self.running is not None:
            return self._causal(spikes, present, self.past, self.running)
        n_missing = self.t_out - self.n_forward - spikes.shape[1]
        check_length("stndt", self.t_out - n_missing, self.t_out)
        spikes = nn.functional.pad(spikes, (0, 0, 0, n_missing + self.n_forward))
        if n_missing:  # shorter trials are padded ones: a time course has a fixed number of bins
            if present is None:
                present = spikes.new_ones(len(spikes), self.t_out - n_missing, dtype=torch.bool)
            present = nn.functional.pad(present, (0, n_missing))
        if present is not None:
            spikes = spikes.where(present[:, :, None], 0.0)
        assert self.position is not None
        tokens = self.drop_embedding(self.embed(spikes) + self.position)
        courses = self.drop_embedding(self._courses(spikes) + self.slot)
        reach = self.window(present, self.t_out)
        for layer in self.layers:
            tokens = layer(tokens, courses, reach)
            kept = tokens if present is None else tokens.where(present[:, :, None], 0.0)
            courses = kept.transpose(1, 2)
        if self.training and self.contrast_weight:
            self._views = (spikes, present)
        log_rates = self.readout(self.drop_rates(self.norm(tokens)))
        return log_rates[:, : self.t_out - n_missing]

    def _causal(
        self, spikes: Tensor, present: Tensor | None, past: Past, running: _Running
    ) -> Tensor:
        spikes = nn.functional.pad(spikes, (0, 0, 0, self.n_forward))
        if present is not None:  # for the contrast; padding comes after all that may see it
            spikes = spikes.where(present[:, :, None], 0.0)
        n_trials, n_bins, _ = spikes.shape
        tokens = self.drop_embedding(self.embed(spikes))
        courses = self.drop_embedding(self._courses(spikes) + self.slot)
        reach = past.turned(self.window(None, n_bins), n_bins)
        for i, layer in enumerate(self.layers):
            if i:
                courses = running(tokens) + self.slot
            assert isinstance(layer, _Layer)
            tokens = running.divided(layer.over_time(tokens, reach))
            tokens = layer.over_neurons(tokens, courses.flatten(0, 1))
            tokens = tokens.view(n_trials, -1, self.width)[:, :n_bins]
        if self.training and self.contrast_weight:
            self._views = (spikes, present)
        log_rates: Tensor = self.readout(self.drop_rates(self.norm(tokens)))
        return log_rates

    def begin(self, n_streams: int) -> State:
        """Return the state before the first bin: time, attention over time, then over neurons.

        The latter is, for each layer, the running means and those that were last looked at.

        Raises:
            InputError: The network is not causal, or looks back without end.
        """
        if self.past is None:
            raise InputError(
                "stndt: as built, it looks at whole trials, and a stream has no later bins; train "
                "it with --causal"
            )
        courses = self.slot.new_zeros(n_streams, 2, self.width, len(TAUS_S))
        n_layers = len(self.layers)
        time = self.slot.new_zeros(n_streams)
        return time, *self.past.empty(n_streams, n_layers), *(courses.clone() for _ in self.layers)

    def step(self, spikes: Tensor, state: State) -> tuple[Tensor, State]:
        """Return (B, N) log expected counts/bin and the next state from (B, N_in) counts/bin."""
        assert self.past is not None and self.running is not None
        n_layers = len(self.layers)
        time, kept, means = state[0], state[1 : n_layers + 2], state[n_layers + 2 :]
        is_due = (time == 0)[:, None, None]
        recent = self.past.recent(kept)
        given = nn.functional.pad(spikes, (0, self.width - spikes.shape[1]))
        tokens, after = self.embed(spikes[:, None]), []
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, _Layer)
            now, looked = means[i].unbind(dim=1)
            looked = torch.where(is_due, now, looked)
            after.append(torch.stack([self.running.after(now, given), looked], dim=1))
            courses = (looked if i else self.embed_course(looked)) + self.slot
            tokens = layer.over_neurons(layer.over_time(tokens, recent[i]), courses)
            given = tokens[:, 0]
        log_rates = self.readout(self.drop_rates(self.norm(tokens)))
        next_time = torch.where(time + 1 < self.running.n_bins, time + 1, 0.0)
        return log_rates[:, 0], (next_time, *self.past.state(recent), *after)

    def own_losses(self, progress: float) -> Mapping[str, Tensor]:
        """Return the weighted contrastive term of the last call in training mode.

        Args:
            progress: Share of training that is done; the weight does not follow it.
        """
        if not self.contrast_weight:
            return {}
        if self._views is None:
            raise ValueError("own_losses was asked for before a call in training mode")
        (spikes, present), self._views = self._views, None
        views = [self._corrupted(spikes, present) for _ in range(2)]
        over_time = self._contrast([self.embed(view) for view in views])
        over_neurons = self._contrast([self._courses(view) for view in views])
        return {"contrast": self.contrast_weight * (over_time + over_neurons)}

    def _courses(self, spikes: Tensor) -> Tensor:
        """Return (B, W, T) embedded time courses, those of slots without a neuron among them.

        In a causal network (B, looks, W, 16), from running means.
        """
        if self.running is not None:
            spikes = nn.functional.pad(spikes, (0, self.width - spikes.shape[2]))
            return self.embed_course(self.running(spikes))
        courses = spikes.transpose(1, 2)
        courses = nn.functional.pad(courses, (0, 0, 0, self.width - courses.shape[1]))
        return self.embed_course(courses)

    def _corrupted(self, spikes: Tensor, present: Tensor | None) -> Tensor:
        """Return a view of (B, T, N_in) counts with a fraction of its entries changed."""
        draw = torch.rand_like(spikes)
        swapped = (draw >= self.contrast_ratio / 2) & (draw < self.contrast_ratio * 3 / 4)
        view = spikes.masked_fill(draw < self.contrast_ratio / 2, 0.0)
        feature = swapped.nonzero()[:, 2]  # another sample of the same feature
        rows = spikes.flatten(0, 1) if present is None else spikes[present]
        view[swapped] = rows[torch.randint(len(rows), feature.shape, device=spikes.device), feature]
        return view if present is None else view.where(present[:, :, None], 0.0)

    def _contrast(self, views: list[Tensor]) -> Tensor:
        """Return InfoNCE (van den Oord et al. 2018) between trials of two views, in nats.

        Each of the 2 B embeddings has to find its other view among the 2 B - 1 others, with several
        processes those of all of them.
        """
        views = [of_whole_batch(view) for view in views]
        unit = nn.functional.normalize(torch.cat(views).flatten(1).float(), dim=1)
        similarity = (unit @ unit.T / self.contrast_temperature).fill_diagonal_(-torch.inf)
        n_trials = len(views[0])
        partner = torch.arange(2 * n_trials, device=unit.device).roll(n_trials)
        return as_share(nn.functional.cross_entropy(similarity, partner))


class _Running(nn.Module):
    """Running means of a causal network, without weights.

    Attributes:
        n_bins: Bins between two looks at them, ``S``.
    """

    keep: Tensor

    def __init__(self, bin_s: float) -> None:
        super().__init__()
        self.n_bins = max(1, round(UPDATE_S / bin_s))
        keep = torch.tensor([math.exp(-bin_s / tau) for tau in TAUS_S])
        self.register_buffer("keep", keep, persistent=False)

    def divided(self, x: Tensor) -> Tensor:
        """Return (B looks, S, W) parts of (B, T, W), the last filled up with 0."""
        missing = -x.shape[1] % self.n_bins
        return nn.functional.pad(x, (0, 0, 0, missing)).view(-1, self.n_bins, x.shape[2])

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, looks, W, 16) running means of (B, T, W) before each part of S bins."""
        ages = torch.arange(self.n_bins, device=x.device).flip(0)
        weights = (1 - self.keep) * self.keep ** ages[:, None]  # (S, 16)
        added = self.divided(x).transpose(1, 2) @ weights.to(x.dtype)
        added = added.view(x.shape[0], -1, *added.shape[1:])
        mean, means = torch.zeros_like(added[:, 0]), []
        for part in added.unbind(dim=1):
            means.append(mean)
            mean = mean * self.keep**self.n_bins + part
        return torch.stack(means, dim=1)

    def after(self, mean: Tensor, x: Tensor) -> Tensor:
        """Return (B, W, 16) running means from those before a bin and its (B, W) values."""
        return mean * self.keep + (1 - self.keep) * x[:, :, None]


class _Layer(nn.Module):
    """Attention over time with a perceptron, then over neurons with another."""

    def __init__(
        self, n_bins: int, width: int, n_heads: int, feedforward: int, dropout: float, n_layers: int
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.over_time = EncoderLayer(width, n_heads, feedforward, dropout, n_layers)
        self.norm_courses = nn.LayerNorm(n_bins)
        self.query_key = nn.Linear(n_bins, 2 * rounded(n_bins, n_heads))
        self.norm_mixed = nn.LayerNorm(width)
        self.drop = Dropout(dropout)
        self.perceptron = Perceptron(width, feedforward, dropout, n_layers)
        nn.init.xavier_uniform_(self.query_key.weight)
        nn.init.zeros_(self.query_key.bias)

    def forward(self, tokens: Tensor, courses: Tensor, reach: Reach) -> Tensor:
        """Return (B, T, W) tokens from (B, T, W) ones and (B, W, T) time courses."""
        return self.over_neurons(self.over_time(tokens, reach), courses)

    def over_neurons(self, tokens: Tensor, courses: Tensor) -> Tensor:
        """Return (B, T, W) tokens, mixed as (B, W, F) time courses attend to one another."""
        n_trials, width, _ = courses.shape
        pairs = self.query_key(self.norm_courses(courses))
        query, key = pairs.view(n_trials, width, 2, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        # the query is scaled, and the mixed tokens averaged over heads: both are much smaller than
        # the weights of all pairs of neurons
        scores = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3)
        weights = scores.softmax(dim=3).sum(dim=1)
        mixed = (self.norm_mixed(tokens) / self.n_heads) @ weights.transpose(1, 2)
        return self.perceptron(tokens + self.drop(mixed))
