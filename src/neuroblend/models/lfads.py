"""LFADS (Pandarinath et al., Nature Methods 2018), as rebuilt by Sedler & Pandarinath (2023).

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``G`` generator
units, ``F`` factors, ``U`` inferred inputs.

A sequential variational autoencoder: a bidirectional encoder gives a posterior over the initial
condition of a recurrent generator, which rolls out alone but for inferred inputs; those come from a
controller that is fed a second encoder and the generator's own factors. Factors are a normalised
linear read-out of the generator, log rates a linear read-out of factors. In training, posteriors
are sampled, and the network brings two loss terms of its own: the divergence of posteriors from
priors, ramped up, and a penalty on recurrent weights. Coordinated dropout (Keshtkaran & Pandarinath
2019) is the mask of entries that it asks a training for (``default_mask``).

Differences from lfads-torch: gates are those of ``torch.nn.GRU`` (reset after the product), which
fuses the encoders' loops, encoders start at zero and are not clipped, and generator and controller
start by keeping their state; the divergence of an inferred input from its autoregressive prior,
given the input drawn in the bin before, is computed in closed form rather than from one more
sample; divergences are divided by the number of predicted entries, so that a weight of one is the
evidence lower bound in nats/entry where all entries are scored; factors given to the controller
have no dropout; recurrent weights of encoders have no penalty; the read-out's rows are not
normalised and its bias starts at each neuron's mean log rate. Initial conditions for a separate
leading segment, external inputs and read-ins of several sessions are left out.

With ``causal``, what of this can do without later spikes: every trial starts from one learned
initial condition, which has no posterior, and the controller is fed a forward encoder, the bin's
own counts included, where else it sees those around a bin and not its own. Lost is what makes
LFADS what it is, the inference of a trial's initial condition from all of the trial: the generator
is an autonomous one no more, but a recurrent filter steered by its inputs, and what differs between
trials has to come through these, from their first bins on. It stays anchored to trials: a stream
starts where a trial does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuroblend.distributed import share_of
from neuroblend.errors import InputError
from neuroblend.models.parts.dropout import Dropout
from neuroblend.models.parts.recurrent import states_of
from neuroblend.models.parts.streams import State
from neuroblend.task.spec import TaskSpec

_TRAINING = {"lr": 4e-3, "weight_decay": 0.0, "mask": {"kind": "entries", "ratio": 0.3}}
PRESETS = {
    "mc_maze": {  # lfads-torch, configs/model/nlb_mc_maze.yaml: 20 ms bins
        "model": {
            "generator": 200, "factors": 100, "encoder": 64, "controller": 64, "inputs": 4,
            "initial": 64, "dropout": 0.3, "prior_tau_s": 0.2, "kl_ramp": 0.08,
        },
        "training": _TRAINING | {"batch_size": 256},
    },
    "mc_maze_small": {  # lfads-torch, configs/model/nlb_mc_maze_small.yaml: 5 ms bins
        "model": {
            "generator": 100, "factors": 40, "encoder": 100, "encoder_inputs": 80,
            "controller": 80, "inputs": 4, "initial": 100, "dropout": 0.02, "prior_tau_s": 0.05,
            "kl_ramp": 0.08,
        },
        "training": _TRAINING | {"batch_size": 64},
    },
}  # fmt: skip
"""Sizes and training as published, but for what was searched there or has no counterpart here:
weights of divergences; learning rates that fall when validation does not improve (here a cosine);
gradients clipped at a norm of 200, of a loss that is 10,000 times as large; at most 1,000 epochs.
"""

LEAST_VARIANCE = 1e-4  # of the posterior of the initial condition, as in lfads-torch
PRIOR_VARIANCE = 0.1  # of the initial condition, as in lfads-torch
CLIP = 5.0  # largest state of generator and controller
SAMPLE_SEED = 0  # of posterior samples in eval mode


class LFADS(nn.Module):
    """Encoder, controller and generator.

    Args:
        spec: Sizes of the task.
        generator: Units of the generator, ``G``.
        factors: Factors, ``F``.
        encoder: Units of the encoder of the initial condition in each direction.
        encoder_inputs: Units of the controller's encoder in each direction; ``None`` for as many.
        controller: Units of the controller; unused where ``inputs`` is 0.
        inputs: Inferred inputs, ``U``; 0 for an autonomous generator.
        initial: Dimensions of the initial condition.
        dropout: On spikes, encodings and generator states.
        kl_initial: Weight of the initial condition's divergence; 1 is the evidence lower bound.
        kl_inputs: Weight of the inferred inputs' divergence.
        kl_ramp: Share of training over which both weights rise from 0.
        l2_generator: Weight of half the generator's mean squared recurrent weight.
        l2_controller: Weight of half the controller's.
        prior_tau_s: Time constant at which the prior of inferred inputs starts, in seconds.
        n_samples: Posterior samples that rates are averaged over in eval mode; 0 takes the
            posterior mean. Samples are the same at every call.
        causal: Whether no rate may depend on later spikes. ``encoder``, ``initial`` and
            ``kl_initial`` then take no part.

    Raises:
        InputError: A number is out of range, or a causal network has no inferred inputs, through
            which alone it sees spikes.
    """

    default_mask = "entries"

    def __init__(
        self,
        spec: TaskSpec,
        generator: int = 64,
        factors: int = 32,
        encoder: int = 48,
        encoder_inputs: int | None = None,
        controller: int = 32,
        inputs: int = 2,
        initial: int = 32,
        dropout: float = 0.2,
        kl_initial: float = 1.0,
        kl_inputs: float = 1.0,
        kl_ramp: float = 0.4,
        l2_generator: float = 0.0,
        l2_controller: float = 0.0,
        prior_tau_s: float = 0.1,
        n_samples: int = 0,
        causal: bool = False,
    ) -> None:
        encoder_inputs = encoder if encoder_inputs is None else encoder_inputs
        sizes = {"generator": generator, "factors": factors, "encoder": encoder, "initial": initial}
        sizes |= {"encoder_inputs": encoder_inputs, "controller": controller}
        for name, size in sizes.items():
            if size < 1:
                raise InputError(f"lfads: {name} {size}, wanted 1 or more")
        least = {"inputs": inputs, "n_samples": n_samples, "kl_initial": kl_initial}
        least |= {"kl_inputs": kl_inputs, "l2_generator": l2_generator}
        for name, value in (least | {"l2_controller": l2_controller}).items():
            if value < 0:
                raise InputError(f"lfads: {name} {value:g}, wanted 0 or more")
        if not (prior_tau_s > 0 and 0 <= kl_ramp <= 1):
            raise InputError(
                f"lfads: found prior_tau_s {prior_tau_s:g} and kl_ramp {kl_ramp:g}, wanted a time "
                "above 0 and a fraction of training from 0 to 1"
            )
        if causal and not inputs:
            raise InputError(
                "lfads: found inputs 0, wanted 1 or more: through inferred inputs alone does a "
                "causal network see spikes"
            )
        super().__init__()
        self.longest, self.period = None, 1  # of a stream
        self.n_forward = spec.t_out - spec.t_in
        self.t_out = spec.t_out
        self.causal = causal
        self.kl_weights = (kl_initial, kl_inputs)
        self.kl_ramp = kl_ramp
        self.l2_weights = (l2_generator, l2_controller)
        self.n_samples = n_samples
        self.drop = Dropout(dropout)
        self.encode_initial = self.initial_posterior = None
        if not causal:
            self.encode_initial = _Encoder(spec.n_in, encoder)
            self.initial_posterior = nn.Linear(2 * encoder, 2 * initial)
        self.initial_state = nn.Identity() if causal else nn.Linear(initial, generator)
        n_encoded = encoder_inputs * (1 if causal else 2)
        self.decoder = _Decoder(generator, factors, n_encoded, controller, inputs, dropout)
        self.encode_inputs = _Encoder(spec.n_in, encoder_inputs, causal) if inputs else None
        self.factors = nn.Identity()  # what the read-out takes, by a name that hooks can reach
        self.readout = nn.Linear(factors, spec.n_out)
        self.prior_mean = nn.Parameter(torch.zeros(generator if causal else initial))
        self.input_prior = _InputPrior(inputs, prior_tau_s / spec.bin_s) if inputs else None
        for linear in (self.initial_posterior, self.initial_state, self.readout):
            if isinstance(linear, nn.Linear):
                _by_fan_in(linear)
        with torch.no_grad():
            self.readout.weight *= 0.5
            self.readout.bias.copy_(torch.tensor(spec.log_rate))
        self._divergence: Tensor | None = None

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        """Return (B, T, N) log expected counts/bin from (B, T_in, N_in) counts/bin.

        ``present`` is (B, T) bool, False for padding; ``None`` where all trials have all bins.
        """
        if self.training:
            return self._rates(spikes, present, partial(torch.randn, device=spikes.device))
        if self.n_samples == 0:
            return self._rates(spikes, present, None)
        generator = torch.Generator(spikes.device).manual_seed(SAMPLE_SEED)

        def noise(n_bins: int, n_trials: int, n: int) -> Tensor:
            # the same for every trial and, in as many bins as there can be, for every length, so
            # that its rates do not depend on the batch it is in
            n_drawn = max(n_bins, self.t_out)
            drawn = torch.randn(n_drawn, 1, n, generator=generator, device=spikes.device)
            return drawn[:n_bins].expand(-1, n_trials, -1)

        draws = [self._rates(spikes, present, noise) for _ in range(self.n_samples)]
        return torch.stack(draws).logsumexp(dim=0) - math.log(self.n_samples)

    def own_losses(self, progress: float) -> Mapping[str, Tensor]:
        """Return the weighted terms of the last call in training mode, in nats/entry.

        Args:
            progress: Share of training that is done, 0 to 1.
        """
        ramp = min(1.0, progress / self.kl_ramp) if self.kl_ramp else 1.0
        cells = [self.decoder.generator, self.decoder.controller]
        l2 = torch.stack(
            [
                scale * cell.weight_hh.square().mean() / 2
                for scale, cell in zip(self.l2_weights, cells, strict=True)
                if cell is not None
            ]
        ).sum()
        if self._divergence is None:
            raise ValueError("own_losses was asked for before a call in training mode")
        divergence, self._divergence = self._divergence, None  # its graph is freed with the loss
        return {"kl": ramp * divergence, "l2": l2}

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: all but what belongs to one step."""
        return self.__dict__ | {"_divergence": None}

    def _rates(self, spikes: Tensor, present: Tensor | None, noise: _Noise | None) -> Tensor:
        seen = self.drop(spikes)
        drawn, initial = self.prior_mean.expand(spikes.shape[0], -1), None
        if self.encode_initial is not None and self.initial_posterior is not None:
            _, last = self.encode_initial(seen, present)
            posterior = self.initial_posterior(self.drop(last)).to(self.prior_mean.dtype)
            mean, log_variance = posterior.chunk(2, dim=1)
            initial, drawn = _Gaussian(mean, log_variance.exp() + LEAST_VARIANCE), mean
        encoded, n_bins = None, spikes.shape[1] + self.n_forward
        if self.encode_inputs is not None:
            encoded, _ = self.encode_inputs(seen, present)
            if self.causal:
                encoded = nn.functional.pad(encoded, (0, 0, 0, self.n_forward))
            else:
                encoded = _lagged(encoded, present, n_bins)
        if noise is not None and initial is not None:
            drawn = drawn + initial.variance.sqrt() * noise(1, *drawn.shape)[0]
        factors, inputs = self.decoder(self.initial_state(drawn), encoded, n_bins, noise)
        if self.training:
            self._divergence = self._divergences(initial, inputs, present, len(spikes))
        return self.readout(self.factors(factors))

    def begin(self, n_streams: int) -> State:
        """Return the state at the start of a trial: encoder, generator, controller and factors.

        Raises:
            InputError: The network is not causal, or averages over samples.
        """
        if not self.causal or self.n_samples:
            why = "it averages over n_samples" if self.causal else "it looks at whole trials"
            raise InputError(
                f"lfads: as built, {why}, which a stream cannot; train it with --causal"
            )
        assert self.encode_inputs is not None
        width = self.encode_inputs.recurrent.hidden_size
        start = self.initial_state(self.prior_mean.expand(n_streams, -1))
        return (self.prior_mean.new_zeros(n_streams, width), *self.decoder.began(start))

    def step(self, spikes: Tensor, state: State) -> tuple[Tensor, State]:
        """Return (B, N) log expected counts/bin and the next state from (B, N_in) counts/bin."""
        assert self.encode_inputs is not None
        encoded, last = self.encode_inputs.recurrent(spikes[:, None], state[0][None])
        carried = self.decoder.step(encoded[:, 0], state[1:])
        log_rates = self.readout(self.factors(carried[-1][:, None]))
        return log_rates[:, 0], (last[0], *carried)

    def _divergences(
        self, initial: _Gaussian | None, inputs: _Inputs | None, present: Tensor | None, n: int
    ) -> Tensor:
        """Return weighted divergences in nats per predicted entry of these ``n`` trials."""
        total = self.prior_mean.new_zeros(())
        if initial is not None:
            variance = initial.mean.new_tensor(PRIOR_VARIANCE)
            total = self.kl_weights[0] * _divergence(initial, self.prior_mean, variance).sum()
        if inputs is not None and self.input_prior is not None:
            each = self.input_prior.divergence(inputs)
            each = each if present is None else each.where(present, 0.0)
            total = total + self.kl_weights[1] * each.sum()
        n_here = n * self.t_out if present is None else present.sum()
        n_bins = share_of(torch.as_tensor(n_here, dtype=total.dtype, device=total.device))
        return total / (n_bins * self.readout.out_features)


class _Gaussian(NamedTuple):
    """A diagonal Gaussian: mean and variance, (B, ..., H) each."""

    mean: Tensor
    variance: Tensor


class _Inputs(NamedTuple):
    """Inferred inputs: (B, T, U) posterior, and what was drawn from it and rolled out."""

    posterior: _Gaussian
    drawn: Tensor


_Noise = Callable[..., Tensor]
"""``noise(n_bins, n_trials, n)`` draws standard normal numbers."""


class _Encoder(nn.Module):
    """Recurrent encoder, bidirectional unless ``causal``."""

    def __init__(self, n_in: int, width: int, causal: bool = False) -> None:
        super().__init__()
        self.recurrent = nn.GRU(n_in, width, batch_first=True, bidirectional=not causal)

    def forward(self, spikes: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return (B, T_in, 2 width) states and each direction's last one, (B, 2 width)."""
        states, last = states_of(self.recurrent, spikes, present)
        return states, last.transpose(0, 1).flatten(1)


def _lagged(encoded: Tensor, present: Tensor | None, n_bins: int) -> Tensor:
    """Return encodings one bin late in each direction, 0 where there is none, (B, T, 2 width).

    A bin's inferred input then depends on spikes before and after the bin, not on its own.
    """
    if present is not None:
        encoded = encoded.where(present[:, :, None], 0.0)
    forward, backward = encoded.chunk(2, dim=2)
    forward = nn.functional.pad(forward, (0, 0, 1, 0))[:, :-1]
    backward = nn.functional.pad(backward, (0, 0, 0, 1))[:, 1:]
    lagged = torch.cat([forward, backward], dim=2)
    if present is not None:
        return lagged.where(present[:, :, None], 0.0)
    return nn.functional.pad(lagged, (0, 0, 0, n_bins - lagged.shape[1]))


class _Decoder(nn.Module):
    """Roll-out of generator and controller."""

    def __init__(
        self, generator: int, factors: int, encoded: int, controller: int, inputs: int, drop: float
    ) -> None:
        super().__init__()
        self.generator = _cell(max(inputs, 1), generator)  # an autonomous one has a constant input
        self.factor_weight = nn.Parameter(torch.randn(factors, generator))
        self.drop = Dropout(drop)
        self.controller: nn.GRUCell | None = None
        if inputs:
            self.controller = _cell(encoded + factors, controller)
            self.posterior = nn.Linear(controller, 2 * inputs)
            self.start = nn.Parameter(torch.zeros(controller))
            _by_fan_in(self.posterior)

    def forward(
        self, state: Tensor, encoded: Tensor | None, n_bins: int, noise: _Noise | None
    ) -> tuple[Tensor, _Inputs | None]:
        """Return (B, T, F) factors and the (B, T, U) inferred inputs.

        Args:
            state: (B, G) state of the generator before the first bin.
            encoded: (B, T, E) what the controller is given; ``None`` without one.
            n_bins: Bins to roll out.
            noise: Draws standard normal numbers for inferred inputs; ``None`` for their means.
        """
        # states add up over many steps, which bfloat16 is too coarse for, and products are small
        with torch.autocast(state.device.type, enabled=False):
            weight = nn.functional.normalize(self.factor_weight, dim=1)
            state = state.to(weight.dtype).clamp(-CLIP, CLIP)
            kept = self.drop(state.new_ones(n_bins + 1, *state.shape))
            if self.controller is None or encoded is None:
                return self._autonomous(state, weight, kept), None
            encoded = self.drop(encoded.to(weight.dtype))
            return self._controlled(state, encoded, weight, kept, noise)

    def began(self, state: Tensor) -> State:
        """Return generator, controller and factors before the first bin, given the generator's."""
        state = state.clamp(-CLIP, CLIP)
        return state, self.start.expand(state.shape[0], -1), self._factor(state)

    def step(self, encoded: Tensor, state: State) -> State:
        """Return generator, controller and factors of the next bin, from its (B, E) encoding."""
        assert self.controller is not None
        generator, control, factor = state
        control = self.controller(torch.cat([encoded, factor], dim=1), control)
        inferred = self.posterior(control)[:, : self.posterior.out_features // 2]
        generator = self.generator(inferred, generator)
        return generator, control, self._factor(generator)

    def _factor(self, state: Tensor) -> Tensor:
        return nn.functional.linear(state, nn.functional.normalize(self.factor_weight, dim=1))

    def _autonomous(self, state: Tensor, weight: Tensor, kept: Tensor) -> Tensor:
        constant = state.new_ones(state.shape[0], 1)
        states = []
        for keep in kept[1:]:
            state = self.generator(constant, state)
            states.append(state * keep)
        return nn.functional.linear(torch.stack(states, dim=1), weight)

    def _controlled(
        self, state: Tensor, encoded: Tensor, weight: Tensor, kept: Tensor, noise: _Noise | None
    ) -> tuple[Tensor, _Inputs]:
        assert self.controller is not None
        control = self.start.expand(state.shape[0], -1)
        factor = nn.functional.linear(state * kept[0], weight)
        n_trials, n_bins, _ = encoded.shape
        n_inputs = self.posterior.out_features // 2
        drawn = None if noise is None else noise(n_bins, n_trials, n_inputs).unbind()
        factors, posteriors, inputs = [], [], []
        for t, step in enumerate(encoded.unbind(dim=1)):
            control = self.controller(torch.cat([step, factor], dim=1), control)
            posterior = self.posterior(control)
            inferred = posterior[:, :n_inputs]
            if drawn is not None:
                spread = (posterior[:, n_inputs:] / 2).exp()
                inferred = torch.addcmul(inferred, spread, drawn[t])
            state = self.generator(inferred, state)
            factor = nn.functional.linear(state * kept[t + 1], weight)
            factors.append(factor)
            posteriors.append(posterior)
            inputs.append(inferred)
        mean, log_variance = torch.stack(posteriors, dim=1).chunk(2, dim=2)
        posterior = _Gaussian(mean, log_variance.exp())
        return torch.stack(factors, dim=1), _Inputs(posterior, torch.stack(inputs, dim=1))


def _cell(n_in: int, width: int) -> nn.GRUCell:
    """Return a recurrent cell whose states, a mean of the last and a tanh, stay within the clip."""
    cell = nn.GRUCell(n_in, width)
    nn.init.normal_(cell.weight_ih, std=n_in**-0.5)
    nn.init.normal_(cell.weight_hh, std=width**-0.5)
    nn.init.zeros_(cell.bias_ih)
    nn.init.zeros_(cell.bias_hh)
    with torch.no_grad():
        cell.bias_ih[width : 2 * width] = 1.0  # starts by keeping its state
    return cell


class _InputPrior(nn.Module):
    """First-order autoregressive prior of each inferred input, time constant and noise learned."""

    def __init__(self, n_inputs: int, tau_bins: float) -> None:
        super().__init__()
        self.log_tau = nn.Parameter(torch.full((n_inputs,), tau_bins).log())
        self.log_noise = nn.Parameter(torch.full((n_inputs,), 0.1).log())

    def divergence(self, inputs: _Inputs) -> Tensor:
        """Return (B, T) divergences of the inputs' posteriors in nats, given the bin before.

        The posterior of a bin depends on what was drawn in the bins before, through the generator,
        so that what was drawn is what the prior goes on from.
        """
        keep = torch.exp(-1 / self.log_tau.exp())
        noise = self.log_noise.exp()
        mean = nn.functional.pad(inputs.drawn, (0, 0, 1, 0))[:, :-1] * keep
        variance = noise.expand_as(mean[0]).clone()
        variance[0] = noise / (1 - keep.square())
        return _divergence(inputs.posterior, mean, variance).sum(dim=2)


def _divergence(posterior: _Gaussian, mean: Tensor, variance: Tensor) -> Tensor:
    """Return the elementwise Kullback-Leibler divergence from N(mean, variance), in nats."""
    ratio = posterior.variance / variance
    return (ratio + (posterior.mean - mean).square() / variance - 1 - ratio.log()) / 2


def _by_fan_in(linear: nn.Linear) -> None:
    nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
