"""Poisson regression of many neurons on the same features, and a read-out of log rates made of it.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen, ``F`` forward), ``N`` neurons, ``P``
features, ``R`` samples (bins of all trials), ``Q`` outputs of a regression. ``present`` is (B, T)
bool, True for bins that exist; ``None`` stands for all of them.

A generalised linear model with log link and ridge penalty (McCullagh & Nelder 1989), as the
baselines of the Neural Latents Benchmark fit to each held-out neuron (Pei et al. 2021). Neurons
share their features, so all are fitted at once by L-BFGS (scipy), in coordinates in which the
curvature at each neuron's mean rate is 1: features along their principal axes, scaled.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.task.spec import TaskSpec

Array = NDArray[np.float64]
Setting = TypeVar("Setting")

PENALTIES = np.logspace(1, -5, 13)  # from strong to weak: a strong one is quickest to fit
N_FOLDS = 5
PATIENCE = 2  # weaker penalties that are tried though they do not help
MOST_SAMPLES = 20_000  # that cross-validation looks at; neighbouring bins say much the same
MOST_FORWARD = 4  # forward bins that it looks at
MOST_ITERATIONS = 1000
COARSE = 3e-3  # tolerance of cross-validation
CACHED = 2**16  # numbers that are worked on at a time
MOST_LOG_RATIO = 50.0  # of a rate to its mean, so that no trial step of the optimiser overflows


@dataclass(frozen=True, eq=False)
class PoissonGLM:
    """Log rates that are linear in features.

    Attributes:
        weights: (P, Q) change of log counts/bin per unit of a feature.
        offset: (Q,) log counts/bin.
    """

    weights: Array
    offset: Array

    def __call__(self, features: Array) -> Array:
        """Return (R, Q) log expected counts/bin from (R, P) features."""
        return features @ self.weights + self.offset


def fit_poisson(
    features: Array, counts: Array, penalty: float, tolerance: float = 1e-4
) -> PoissonGLM:
    """Minimise ``mean(rate - counts * log_rate) + penalty / 2 * |weights|^2`` for each output.

    The loss is that of scikit-learn's ``PoissonRegressor`` with ``alpha=penalty``, in nats/bin; the
    offset is not penalised. An output without spikes counts as half a spike, spread evenly.

    Args:
        features: (R, P).
        counts: (R, Q) counts/bin; they need not be whole.
        penalty: Of squared weights, above 0.
        tolerance: Largest gradient left, in nats/spike per scaled unit; the loss is then within
            about ``P / 2`` times its square of the smallest. Rounding allows for about 1e-7.

    Raises:
        InputError: The fit does not converge, which a penalty near 0 can cause.
    """
    problem = _Problem(features, counts)
    return problem.in_features(problem.solve(penalty, tolerance))


def choose_penalty(
    features: Array, counts: Array, trial: NDArray[np.int64], penalties: Array = PENALTIES
) -> tuple[float, float]:
    """Return the log-likelihood of trials left out, and the penalty that makes it largest.

    Trial ``i`` is left out in fold ``i % 5``, as in the sweeps of Pei et al. 2021; some bins stand
    for all where there are many. The search ends where weaker penalties do not help.

    Args:
        features: (R, P).
        counts: (R, Q) counts/bin.
        trial: (R,) which trial a sample is of, from 0 up.
        penalties: Candidates, from strong to weak.

    Returns:
        The log-likelihood in nats/bin, summed over outputs, without factorials; the penalty.

    Raises:
        InputError: There are fewer than two trials.
    """
    if trial.min() == trial.max():
        raise InputError("cross-validation: found one trial, wanted two or more; give a penalty")
    keep = spread(len(features), MOST_SAMPLES)
    features, counts, fold = features[keep], counts[keep], trial[keep] % N_FOLDS
    folds = [
        (_Problem(features[fold != k], counts[fold != k]), features[fold == k], counts[fold == k])
        for k in np.unique(fold)
    ]
    starts: list[Array | None] = [None] * len(folds)
    scores: list[float] = []
    for penalty in penalties:
        total = 0.0
        for i, (problem, left_features, left_counts) in enumerate(folds):
            starts[i] = solution = problem.solve(penalty, COARSE, starts[i])
            log_rates = np.minimum(problem.in_features(solution)(left_features), MOST_LOG_RATIO)
            total += float((left_counts * log_rates - np.exp(log_rates)).sum())
        scores.append(total / len(features))
        if len(scores) - int(np.argmax(scores)) > PATIENCE:
            break
    best = int(np.argmax(scores))
    return scores[best], float(penalties[best])


def choose(
    settings: Iterable[Setting],
    features_of: Callable[[Setting], Tensor],
    counts: Tensor,
    present: Tensor | None,
    penalty: float | None,
) -> tuple[Setting, float]:
    """Return the setting and the penalty that predict trials left out best.

    ``features_of`` makes (B, T_in, P) features of a setting, to predict (B, T_in, Q) counts/bin;
    a ``penalty`` that is given is kept.

    Raises:
        InputError: There are fewer than two trials.
    """
    penalties = PENALTIES if penalty is None else np.array([penalty])
    found = (
        (setting, *choose_penalty(*samples(features_of(setting), counts, present), penalties))
        for setting in settings
    )
    setting, _, best = max(found, key=lambda each: each[1])
    return setting, best


class _Problem:
    """A regression in scaled coordinates; a solution is (1 + P, Q), offsets first.

    Rates are in units of each output's mean, so that losses are in nats/spike, and features are
    centred and along their principal axes. The curvature at the mean rate is then diagonal: 1 for
    the offset, and an axis's variance plus the penalty for its weight.
    """

    def __init__(self, features: Array, counts: Array) -> None:
        n, n_outputs = counts.shape
        mean = counts.mean(axis=0)
        self.rate = np.where(mean > 0, mean, 0.5 / n)
        self.centre = features.mean(axis=0)
        centred = features - self.centre
        variance, self.axes = np.linalg.eigh(centred.T @ centred / n)
        self.curvature = np.append(1.0, np.maximum(variance, 0.0))[:, None]
        design = np.hstack([np.ones((n, 1)), centred @ self.axes])
        self.slope = design.T @ counts / n / self.rate
        self.slope[0] = 1.0
        # few rows at a time, so that what is made of them stays in the processor's cache
        step = max(1, CACHED // max(1, n_outputs))
        self.blocks = [torch.from_numpy(design[i : i + step]) for i in range(0, n, step)]
        self.n = n

    def solve(self, penalty: float, tolerance: float, start: Array | None = None) -> Array:
        """Return the solution, from that of another penalty where one is given."""
        ridge = np.outer(np.arange(len(self.curvature)) > 0, penalty / self.rate)
        if ridge.size == 0:
            return np.zeros(ridge.shape)
        scale = np.sqrt(self.curvature + ridge)

        def loss(scaled: Array) -> tuple[float, Array]:
            value, gradient = self._loss(scaled.reshape(scale.shape) / scale, ridge)
            return value, (gradient / scale).reshape(-1)

        found = minimize(
            loss,
            np.zeros(scale.size) if start is None else (start * scale).reshape(-1),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MOST_ITERATIONS, "gtol": tolerance, "ftol": 0.0},
        )
        if not np.abs(found.jac).max() <= 10 * tolerance:  # rounding may end a search early
            raise InputError(
                f"Poisson regression: no convergence with a penalty of {penalty:g}; give a larger"
            )
        return found.x.reshape(scale.shape) / scale

    def in_features(self, solution: Array) -> PoissonGLM:
        """Return the solution in the units of features and counts."""
        weights = self.axes @ solution[1:]
        return PoissonGLM(weights, solution[0] + np.log(self.rate) - self.centre @ weights)

    def _loss(self, solution: Array, ridge: Array) -> tuple[float, Array]:
        """Return the loss of all outputs together and its gradient."""
        given = torch.from_numpy(solution)
        total = torch.zeros_like(given)
        for block in self.blocks:
            total.addmm_(block.T, (block @ given).clamp_(max=MOST_LOG_RATIO).exp_())
        mean = total.numpy() / self.n
        gradient = mean - self.slope + ridge * solution
        loss = mean[0].sum() - (solution * (self.slope - ridge * solution / 2)).sum()
        return float(loss), gradient


class PoissonReadout(nn.Module):
    """Log rates of a bin from its features, and of forward bins from those of the last seen bin.

    Everything fitted is a buffer. A forward bin has weights and offset of its own for each neuron,
    fitted to counts that are smoothed over the forward bins, and to one trial more at each neuron's
    mean rate, since single bins hold few spikes.

    Args:
        spec: Sizes of the task.
        n_features: Features of a bin, ``P``.
        first: First neuron whose rate in seen bins is wanted; in forward bins, all are.
    """

    weight: Tensor
    bias: Tensor
    forward_weight: Tensor
    forward_bias: Tensor
    ceiling: Tensor

    def __init__(self, spec: TaskSpec, n_features: int, first: int = 0) -> None:
        super().__init__()
        self.first = first
        n_forward = spec.t_out - spec.t_in
        log_rate = torch.tensor(spec.log_rate)
        self.register_buffer("weight", torch.zeros(n_features, spec.n_out - first))
        self.register_buffer("bias", log_rate[first:].clone())
        self.register_buffer("forward_weight", torch.zeros(n_features, n_forward, spec.n_out))
        self.register_buffer("forward_bias", log_rate.repeat(n_forward, 1))
        # no bin is expected to hold more spikes than any bin did
        self.register_buffer("ceiling", torch.full((spec.n_out,), torch.inf))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, T_in, N - first) and (B, F, N) log expected counts/bin, from (B, T_in, P)."""
        seen = features @ self.weight + self.bias
        weighted = torch.einsum("bp,pfn->bfn", features[:, -1], self.forward_weight)
        ahead = weighted + self.forward_bias
        return seen.minimum(self.ceiling[self.first :]), ahead.minimum(self.ceiling)

    def fit_to(
        self,
        features: Tensor,
        target: Tensor,
        present: Tensor | None,
        penalty: float,
        forward_penalty: float | None,
        smoother: Callable[[Tensor], Tensor],
    ) -> None:
        """Fit in float64, from (B, T_in, P) features to (B, T, N) counts/bin.

        ``penalty`` is of the weights of seen bins and ``forward_penalty`` of those of forward bins,
        ``None`` to cross-validate it; ``smoother`` smooths (B, F, N) counts over forward bins.
        """
        rate, silent = mean_rate(target, present)
        target = torch.where(silent, rate, target.double())  # its mean in every bin
        self.ceiling.copy_(target.flatten(0, 1).amax(0).log())
        t_in = features.shape[1]
        x, y, _ = samples(features, target[:, :t_in, self.first :], present)
        _keep(fit_poisson(x, y, penalty), self.weight, self.bias)
        if len(self.forward_bias):
            n = len(target)
            ahead = (smoother(target[:, t_in:]) * n + rate) / (n + 1)
            self._fit_ahead(features[:, -1], torch.where(silent, rate, ahead), forward_penalty)

    def _fit_ahead(self, features: Tensor, ahead: Tensor, penalty: float | None) -> None:
        """Fit (B, F, N) counts/bin of forward bins to (B, P) features of the last seen bin."""
        x = features.double().numpy()
        if penalty is None:
            few = ahead[:, torch.from_numpy(spread(ahead.shape[1], MOST_FORWARD))]
            _, penalty = choose_penalty(x, few.flatten(1).numpy(), np.arange(len(x)))
        glm = fit_poisson(x, ahead.flatten(1).numpy(), penalty)
        _keep(glm, self.forward_weight, self.forward_bias)


def mean_rate(target: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return (N,) means of (B, T, N) counts/bin in float64, and (N,) bool, True without spikes.

    Half a spike more than there is counts, as in ``TaskSpec.log_rate``.
    """
    target = target.double()
    there = target.new_ones(target.shape[:2]) if present is None else present.to(target)
    spikes = torch.einsum("btn,bt->n", target, there)
    return (spikes + 0.5) / there.sum(), spikes == 0


def samples(
    features: Tensor, target: Tensor, present: Tensor | None
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return the bins that exist as (R, P) features, (R, Q) counts/bin and (R,) their trials.

    From (B, T_in, P) features and (B, T_in, Q) counts/bin.
    """
    there = torch.ones(target.shape[:2], dtype=torch.bool)
    if present is not None:
        there = present[:, : target.shape[1]]
    trial = there.nonzero()[:, 0].numpy()
    return features[there].double().numpy(), target[there].double().numpy(), trial


def spread(n: int, most: int) -> NDArray[np.int64]:
    """Return up to ``most`` of ``n`` indices, evenly spread from the first to the last.

    >>> spread(9, 3).tolist(), spread(2, 3).tolist()
    ([0, 4, 8], [0, 1])
    """
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def _keep(glm: PoissonGLM, weight: Tensor, bias: Tensor) -> None:
    weight.copy_(torch.from_numpy(glm.weights).view_as(weight))
    bias.copy_(torch.from_numpy(glm.offset).view_as(bias))
