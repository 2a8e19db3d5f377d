"""Smoothed spikes and a Poisson regression, the plainest baseline of the Neural Latents Benchmark.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons (``N_in`` seen).
``spikes`` are (B, T_in, N_in) and ``target`` (B, T, N) counts/bin; ``present`` is (B, T) bool, True
for bins that exist, and ``None`` stands for all of them.

Pei, Ye et al. (NeurIPS Datasets and Benchmarks 2021), "smoothing": counts of held-in neurons are
smoothed by a Gaussian, which are their rates; the rates of each held-out neuron are a Poisson
regression on the logs of those, with a ridge penalty. Nothing is trained by gradient descent.

Differences from their code (neurallatents/nlb_tools, ``examples/baselines/smoothing``): the kernel
is normalised over the bins that exist, so that rates do not fall towards the ends of a trial; it is
not cut off at three standard deviations; features are standardised before the penalty applies; what
is added to a smoothed count before its log is larger (see ``offset``); penalty and width can be
cross-validated on training trials. Their baseline has no forward bins; see
:class:`~neuroblend.models.references.poisson_glm.PoissonReadout` for ours.
"""

from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.models.references.poisson_glm import PoissonReadout, choose, mean_rate
from neuroblend.task.spec import TaskSpec

KERNELS_S = (0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
FLOOR_HZ = 0.02  # added to held-in rates: 1e-4 counts per 5 ms, as in the code of Pei et al.
FLAT = 1e-6  # spread relative to size under which float32 features are constant
PRETENDED = 4  # where nothing is held out, every so many neurons play held-out in a choice


class Smoothing(nn.Module):
    """Smoothed counts as rates of held-in neurons, and regressions on them for all else.

    For counts of neurons alone, so it can be no teacher. Before :meth:`fit_to`, what is regressed
    is each neuron's mean.

    Args:
        spec: Sizes of the task.
        kernel_s: Standard deviation of the Gaussian in seconds; ``None`` to cross-validate.
        penalty: Ridge penalty of the regressions, on standardised features, in nats/bin; ``None``
            to cross-validate, for forward bins apart.
        offset: Added to a smoothed count before its log, as a fraction of the neuron's mean. The
            benchmark's code adds 1e-4 counts per 5 ms, about 0.005 for a neuron of 4 Hz: the
            largest difference is then between no spike nearby and one far away. With 1, held-out
            neurons are predicted better (0.078 against 0.064 bits/spike on the built-in recording).
        causal: Whether the Gaussian is cut to its past half, the bin itself included.

    Raises:
        InputError: A number is out of range.
    """

    kernel_s: Tensor
    mean: Tensor
    silent: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        spec: TaskSpec,
        kernel_s: float | None = 0.05,
        penalty: float | None = None,
        offset: float = 1.0,
        causal: bool = False,
    ) -> None:
        check_positive("smoothing", kernel_s=kernel_s, penalty=penalty, offset=offset)
        super().__init__()
        self.spec = spec
        self.offset = offset
        self.causal = causal
        self.given = (kernel_s, penalty)
        self.register_buffer("kernel_s", torch.tensor(kernel_s or KERNELS_S[0]))
        self.register_buffer("mean", torch.tensor(spec.log_rate[: spec.n_in]).exp())
        self.register_buffer("silent", torch.zeros(spec.n_in, dtype=torch.bool))
        self.register_buffer("centre", torch.zeros(spec.n_in))
        self.register_buffer("scale", torch.ones(spec.n_in))
        self.smoothed = nn.Identity()
        self.readout = PoissonReadout(spec, spec.n_in, first=spec.n_in)

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        """Return (B, T, N) log expected counts/bin.

        The layer ``smoothed`` gives (B, T, N_in) counts/bin, in forward bins those of the last bin
        that was seen.
        """
        smoothed = smooth(spikes, self.kernel_s, self.spec.bin_s, present, self.causal)
        smoothed = self.smoothed(held(smoothed, self.spec))[:, : spikes.shape[1]]
        own = (smoothed + FLOOR_HZ * self.spec.bin_s).log()
        own = torch.where(self.silent, self.mean.log(), own)
        others, ahead = self.readout((self._logs(smoothed) - self.centre) / self.scale)
        return torch.cat([torch.cat([own, others], dim=2), ahead], dim=1)

    @torch.no_grad()
    def fit_to(self, spikes: Tensor, target: Tensor, present: Tensor | None = None) -> Self:
        """Fit to training trials, the same way every time, and return the module.

        Raises:
            InputError: Shapes do not fit the task, ``spikes`` are not those of the first neurons
                of ``target``, or there are too few trials to cross-validate.
        """
        check_shapes("smoothing", self.spec, spikes, target)
        if not torch.equal(spikes, target[:, : self.spec.t_in, : self.spec.n_in]):
            raise InputError(
                "smoothing: found input that is not the counts of the first neurons of the target, "
                "which are its rates here; it can be no teacher"
            )
        rate, silent = mean_rate(target[:, :, : self.spec.n_in], present)
        self.mean.copy_(rate)
        self.silent.copy_(silent)
        kernel_s, penalty = self._choose(spikes, target, present)
        self.kernel_s.fill_(kernel_s)
        smoothed = smooth(spikes, self.kernel_s, self.spec.bin_s, present, self.causal)
        features, self.centre[:], self.scale[:] = standardised(self._logs(smoothed), present)
        smoother = partial(smooth, kernel_s=self.kernel_s, bin_s=self.spec.bin_s)
        self.readout.fit_to(features, target, present, penalty, self.given[1], smoother)
        return self

    def _logs(self, smoothed: Tensor) -> Tensor:
        return (smoothed / self.mean + self.offset).log()

    def _choose(
        self, spikes: Tensor, target: Tensor, present: Tensor | None
    ) -> tuple[float, float]:
        """Return the width and the penalty that predict held-out neurons of trials left out."""
        kernel_s, penalty = self.given
        seen, predicted = neurons_to_choose_by(self.spec)
        if kernel_s is not None and (penalty is not None or self.spec.n_in == self.spec.n_out):
            return kernel_s, penalty or 1.0  # without held-out neurons it penalises nothing

        def features_of(width: float) -> Tensor:
            smoothed = smooth(spikes, width, self.spec.bin_s, present, self.causal)
            return standardised(self._logs(smoothed), present)[0][:, :, seen]

        counts = target[:, : spikes.shape[1], predicted]
        widths = KERNELS_S if kernel_s is None else (kernel_s,)
        return choose(widths, features_of, counts, present, penalty)


def smooth(
    counts: Tensor,
    kernel_s: Tensor | float,
    bin_s: float,
    present: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Return (B, T, N) counts/bin, each a mean over bins that exist, weighted by a Gaussian.

    Its standard deviation is ``kernel_s``, the width of a bin ``bin_s``, both in seconds. With
    ``causal`` the mean is over a bin and those before it.
    """
    time = torch.arange(counts.shape[1], device=counts.device, dtype=counts.dtype) * bin_s
    kernel = (-0.5 * ((time[:, None] - time) / kernel_s).square()).exp()
    if causal:
        kernel = kernel.tril()
    if present is None:
        return (kernel / kernel.sum(dim=1, keepdim=True)) @ counts
    there = present[:, : counts.shape[1], None].to(counts.dtype)
    # a bin that exists has a total weight of 1 or more; one far from any has none
    return kernel @ (counts * there) / (kernel @ there).clamp_min(1e-6)


def held(features: Tensor, spec: TaskSpec) -> Tensor:
    """Return (B, T, P) features from (B, T_in, P): forward bins have those of the last seen bin."""
    last = features[:, -1:].expand(-1, spec.t_out - spec.t_in, -1)
    return torch.cat([features, last], dim=1)


def standardised(features: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return (B, T, P) features of mean 0 and variance 1, and the (P,) means and scales."""
    flat = features.flatten(0, 1) if present is None else features[present[:, : features.shape[1]]]
    mean, scale = flat.mean(0), flat.std(0)
    scale = torch.where(scale > FLAT * mean.abs(), scale, 1.0)
    return (features - mean) / scale, mean, scale


def neurons_to_choose_by(spec: TaskSpec) -> tuple[list[int], list[int]]:
    """Return which neurons a choice predicts from, and which it predicts: those held out.

    Where none is, every fourth plays that part, so that no neuron is predicted from itself.
    """
    if spec.n_out > spec.n_in:
        return list(range(spec.n_in)), list(range(spec.n_in, spec.n_out))
    predicted = list(range(0, spec.n_in, PRETENDED))
    return [i for i in range(spec.n_in) if i not in predicted], predicted


def check_positive(name: str, **numbers: float | None) -> None:
    """Check the settings of a model.

    Raises:
        InputError: A number is 0 or below.
    """
    for key, value in numbers.items():
        if value is not None and not value > 0:
            raise InputError(f"{name}: found {key} {value:g}, wanted more than 0")


def check_shapes(name: str, spec: TaskSpec, spikes: Tensor, target: Tensor) -> None:
    """Check what a model is fitted to.

    Raises:
        InputError: Shapes are not those of the task.
    """
    wanted = (spec.t_in, spec.n_in), (spec.t_out, spec.n_out)
    found = tuple(spikes.shape[1:]), tuple(target.shape[1:])
    if found != wanted:
        raise InputError(
            f"{name}: found spikes and targets of (bin, neuron) shapes {found}, wanted {wanted}"
        )
