"""Factor analysis of smoothed spikes and a Poisson regression: a linear baseline with latents.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons (``N_in`` seen), ``K``
factors. ``spikes`` are (B, T_in, N_in) and ``target`` (B, T, N) counts/bin; ``present`` is (B, T)
bool, True for bins that exist, and ``None`` stands for all of them.

The two-stage method that GPFA is compared with by Yu et al. (J Neurophysiol 2009): counts are
smoothed by a Gaussian, then factor analysis finds what neurons share. Factors are posterior means,
linear in the smoothed counts; the rate of every neuron is a Poisson regression on them with a ridge
penalty, as the baselines of the Neural Latents Benchmark do it (Pei, Ye et al. 2021). Nothing is
trained by gradient descent.

Differences from Yu et al.: counts are not square-rooted first, since in short bins they are 0 or 1
(on the built-in recording it makes no difference); the number of factors is chosen by how well
neurons are predicted that were not among the analysed ones, rather than by the Gaussian likelihood.
"""

import warnings
from functools import partial
from typing import Self

import numpy as np
import torch
from sklearn.decomposition import FactorAnalysis as Analysis
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.models.references.poisson_glm import Array, PoissonReadout, choose, samples
from neuroblend.models.references.smoothing import (
    FLAT,
    KERNELS_S,
    check_positive,
    check_shapes,
    held,
    neurons_to_choose_by,
    smooth,
)
from neuroblend.task.spec import TaskSpec

CANDIDATES = (4, 8, 16, 32, 64)  # factors, of which there must be fewer than neurons
TOLERANCE = 1e-5  # gain in log-likelihood of an iteration at which to stop, nats/bin
MOST_ITERATIONS = 1000


class FactorAnalysis(nn.Module):
    """Factors of smoothed counts, and log rates that are linear in them.

    Before :meth:`fit_to`, rates are each neuron's mean.

    Args:
        spec: Sizes of the task.
        n_factors: Factors, ``K``; ``None`` to cross-validate among 4, 8, 16, 32 and 64.
        kernel_s: Standard deviation of the Gaussian in seconds; ``None`` to cross-validate.
        penalty: Ridge penalty of the regressions, on factors of prior variance 1, in nats/bin;
            ``None`` to cross-validate, for forward bins apart.
        causal: Whether the Gaussian is cut to its past half, the bin itself included.

    Raises:
        InputError: A number is out of range.
    """

    kernel_s: Tensor
    n_factors: Tensor
    mean: Tensor
    projection: Tensor

    def __init__(
        self,
        spec: TaskSpec,
        n_factors: int | None = None,
        kernel_s: float | None = 0.05,
        penalty: float | None = None,
        causal: bool = False,
    ) -> None:
        check_positive("factor analysis", n_factors=n_factors, kernel_s=kernel_s, penalty=penalty)
        if n_factors is not None and n_factors > spec.n_in:
            raise InputError(
                f"factor analysis: found {n_factors} factors, wanted 1 to {spec.n_in}, the neurons"
            )
        super().__init__()
        self.spec = spec
        self.causal = causal
        self.given = (n_factors, kernel_s, penalty)
        self.candidates = [k for k in CANDIDATES if k < spec.n_in] or [max(1, spec.n_in // 2)]
        width = n_factors or self.candidates[-1]
        self.register_buffer("kernel_s", torch.tensor(kernel_s or KERNELS_S[0]))
        self.register_buffer("n_factors", torch.tensor(width))
        self.register_buffer("mean", torch.zeros(spec.n_in))
        self.register_buffer("projection", torch.zeros(spec.n_in, width))
        self.factors = nn.Identity()
        self.readout = PoissonReadout(spec, width)

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        """Return (B, T, N) log expected counts/bin.

        The layer ``factors`` gives (B, T, K) factors, in forward bins those of the last bin that
        was seen. Where ``K`` was cross-validated, it is that of the largest candidate and factors
        that are not used are 0.
        """
        smoothed = smooth(spikes, self.kernel_s, self.spec.bin_s, present, self.causal)
        factors = self.factors(held((smoothed - self.mean) @ self.projection, self.spec))
        return torch.cat(self.readout(factors[:, : spikes.shape[1]]), dim=1)

    @torch.no_grad()
    def fit_to(self, spikes: Tensor, target: Tensor, present: Tensor | None = None) -> Self:
        """Fit to training trials, the same way every time, and return the module.

        Raises:
            InputError: Shapes do not fit the task, or there are too few trials to cross-validate.
        """
        check_shapes("factor analysis", self.spec, spikes, target)
        n_factors, kernel_s, penalty = self._choose(spikes, target, present)
        self.kernel_s.fill_(kernel_s)
        self.n_factors.fill_(n_factors)
        smoothed = smooth(spikes, self.kernel_s, self.spec.bin_s, present, self.causal)
        mean, projection = analysed(smoothed, present, n_factors)
        self.mean.copy_(mean)
        self.projection.zero_()[:, :n_factors] = projection
        features = (smoothed - self.mean) @ self.projection
        smoother = partial(smooth, kernel_s=self.kernel_s, bin_s=self.spec.bin_s)
        self.readout.fit_to(features, target, present, penalty, self.given[2], smoother)
        return self

    def _choose(
        self, spikes: Tensor, target: Tensor, present: Tensor | None
    ) -> tuple[int, float, float]:
        """Return the settings that predict neurons which were not analysed in trials left out.

        Factors come from all training trials, regressions from those that are not left out.
        """
        n_factors, kernel_s, penalty = self.given
        if n_factors is not None and kernel_s is not None and penalty is not None:
            return n_factors, kernel_s, penalty
        seen, predicted = neurons_to_choose_by(self.spec)

        def features_of(setting: tuple[int, float]) -> Tensor:
            n_factors, width = setting
            smoothed = smooth(spikes[:, :, seen], width, self.spec.bin_s, present, self.causal)
            mean, projection = analysed(smoothed, present, n_factors)
            return (smoothed - mean) @ projection

        widths = KERNELS_S if kernel_s is None else (kernel_s,)
        numbers = self.candidates if n_factors is None else (n_factors,)
        counts = target[:, : spikes.shape[1], predicted]
        settings = ((number, width) for width in widths for number in numbers)
        chosen, penalty = choose(settings, features_of, counts, present, penalty)
        return (*chosen, penalty)


def analysed(smoothed: Tensor, present: Tensor | None, n_factors: int) -> tuple[Tensor, Tensor]:
    """Return the mean (N,) of (B, T, N) smoothed counts and the (N, K) map to posterior means.

    Maximum likelihood by scikit-learn. It is given a few rows of the same mean and covariance as
    all bins, which give the same result in a fraction of the time. Neurons that do not vary have no
    part in it; where those that do are fewer than factors, the last factors are 0.
    """
    counts = samples(smoothed, smoothed, present)[0]
    scale = counts.std(axis=0)
    active = np.flatnonzero(scale > FLAT * np.abs(counts).max(axis=0))
    n_used = min(n_factors, active.size)
    projection = np.zeros((counts.shape[1], n_factors))
    if n_used:
        correlation = np.corrcoef(counts[:, active], rowvar=False).reshape(active.size, -1)
        projection[active, :n_used] = _posterior(correlation, n_used) / scale[active, None]
    mean = torch.from_numpy(counts.mean(axis=0))
    return mean.to(smoothed), torch.from_numpy(projection).to(smoothed)


def _posterior(correlation: Array, n_factors: int) -> Array:
    """Return the (N, K) map from (R, N) standardised samples to posterior means of factors."""
    variance, axes = np.linalg.eigh(correlation)
    root = (axes * np.sqrt(np.maximum(variance, 0.0) * len(correlation))).T
    rows = np.vstack([root, -root])
    analysis = Analysis(
        n_factors, tol=TOLERANCE * len(rows), max_iter=MOST_ITERATIONS, svd_method="lapack"
    )
    with warnings.catch_warnings():  # by then, iterations gain next to nothing
        warnings.simplefilter("ignore", ConvergenceWarning)
        analysis.fit(rows)
    precise: Array = analysis.components_ / analysis.noise_variance_
    inner = np.eye(n_factors) + precise @ analysis.components_.T
    return np.linalg.solve(inner, precise).T
