"""The objective that a model is trained on: explain the spikes, and follow a teacher.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from neuroblend.distill.pair import DistillLoss, Fitted, Output, Pair, Prepared
from neuroblend.distill.reduce import mean_over
from neuroblend.distill.terms import Terms, as_terms
from neuroblend.distributed import summed_over_processes
from neuroblend.errors import InputError, blamed_on, nearest
from neuroblend.privilege.roles import AddsBins, Teacher
from neuroblend.task.batch import Batch

SMOOTHING = 0.95  # of the balance from one step to the next
SCALE = 2.0**14  # of gradients that are compared, which fp16 would lose
OWN_WEIGHT = 0.1  # of a term that wants no teacher, against task and guidance of weight one


def poisson_nll(log_rates: Tensor, target: Tensor, scored: Tensor) -> Tensor:
    """Return the mean Poisson negative log-likelihood in nats of the scored entries.

    The term that depends on counts alone is left out. All arguments are (B, T, N).
    """
    log_rates = log_rates.float()  # mixed precision is too coarse for a mean over so many
    return mean_over(torch.addcmul(log_rates.exp(), target, log_rates, value=-1), scored)


def squared_error(predicted: Tensor, target: Tensor, scored: Tensor) -> Tensor:
    """Return the mean squared error of the scored entries. All arguments are (B, T, N)."""
    return mean_over((predicted.float() - target).square(), scored)


TaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(predicted, target, scored) -> scalar``, such as :func:`poisson_nll`."""


@runtime_checkable
class HasOwnLosses(Protocol):
    """A network with loss terms of its own, such as a divergence or a contrast."""

    def own_losses(self, progress: float) -> Mapping[str, Tensor]:
        """Return weighted terms of the last call in training mode, scalars in nats/entry.

        Args:
            progress: Share of training that is done, 0 to 1, for weights that rise or fall.
        """
        ...


def own_losses(model: nn.Module, progress: float = 1.0) -> dict[str, Tensor]:
    """Return the terms that the network of a role brings; none where it brings none.

    They belong to a call in training mode: in eval mode there are none either.
    """
    net = getattr(model, "net", model)
    if not model.training or not isinstance(net, HasOwnLosses):
        return {}
    given: object = net.own_losses(progress)
    if not isinstance(given, Mapping):
        raise InputError(
            f"own_losses: found {type(given).__name__}, wanted scalar tensors by name, as in "
            "{'kl': ...}"
        )
    own = dict(given)
    for name, value in own.items():
        if name in ("loss", "task") or not isinstance(value, Tensor) or value.ndim:
            shape = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value)
            raise InputError(
                f"own_losses: found '{name}' ({shape}), wanted scalar tensors by names other than "
                "'loss' and 'task'"
            )
    return own


def of_shape(predicted: object, target: Tensor) -> Tensor:
    """Return what a network gave, if it is what a loss takes: broadcasting would hide mistakes.

    Raises:
        InputError: It is no tensor, or has another shape than the target.
    """
    if not isinstance(predicted, Tensor):
        raise InputError(
            f"model: found output of type {type(predicted).__name__}, wanted a tensor "
            f"{tuple(target.shape)} of (trial, bin, neuron) log rates"
        )
    if predicted.shape != target.shape:
        raise InputError(
            f"model: found output {tuple(predicted.shape)}, wanted {tuple(target.shape)}, "
            "(trial, bin, neuron) log rates"
        )
    return predicted


class Objective(nn.Module):
    """``alpha * task / counts_per_entry + (1 - alpha) * guidance + sum(weight * other terms)``.

    Terms are given the trials of a batch that have some behavior, on which alone a teacher was
    trained; of the others the task remains, which is of all trials.

    The task is the Poisson loss of the scored entries in nats/entry, with what a network brings of
    its own (:class:`HasOwnLosses`) added, and guidance the mean of the
    distillation terms. Divided by the mean counts of an entry, the task is in nats/spike: in nats
    per entry it shrinks with rates and bin width, and alpha would mean something else on every
    recording. With ``balance``, guidance is multiplied by the ratio of the task's to its own
    gradient at a layer of the student, a moving average over steps (after GradNorm, Chen et al.
    2018, which learns it): what there is to learn of a task differs between recordings,
    and what a teacher's terms are worth does not follow it.
    Without distillation terms, alpha takes no part. A plain callable:
    ``objective(model, batch) -> {"loss": ..., "task": ..., name: ...}``.

    Args:
        terms: Loss terms by name; or one or several of them, each an object or the name of a
            strategy (see :func:`~neuroblend.distill.terms.as_terms`); none for a baseline or a
            teacher.
        teacher: A trained teacher, which is frozen; wanted if and only if a term wants it.
        alpha: Weight of the task against the distillation terms, 0 to 1.
        weights: Weight of each term that wants no teacher, by name; 0.1 where not given.
        counts_per_entry: Mean counts/bin in training trials (``TaskSpec.mean_count``); 1 leaves the
            task in nats/entry, as in the released code.
        cache: Whether the teacher looks at each training trial once, unmasked, before training
            begins. Much cheaper; it then guides with what it makes of all spikes, rather than of
            those that the student sees at the time.
        task_loss: What the task is: the Poisson loss of log rates, or ``squared_error`` for
            activity that is no count.
        layer: Layer of student and teacher that terms given by name look at, where they look at
            one.
        balance: Layer of the student at which gradients are compared; ``None`` for weights by
            ``alpha`` alone.

    Attributes:
        progress: Share of training that is done, 0 to 1, which a training loop may set; networks
            with loss terms of their own are given it.

    Raises:
        InputError: ``alpha`` is out of range, or teacher and terms do not go together.
    """

    def __init__(
        self,
        terms: Terms | None = None,
        teacher: Teacher | None = None,
        alpha: float = 0.2,
        weights: Mapping[str, float] | None = None,
        counts_per_entry: float = 1.0,
        cache: bool = False,
        task_loss: TaskLoss = poisson_nll,
        layer: str | None = None,
        balance: str | None = None,
    ) -> None:
        super().__init__()
        self.task_loss = task_loss
        self.balance = balance
        self.ratio: Tensor
        self.register_buffer("ratio", torch.tensor(math.nan))  # no step yet
        self.progress = 1.0
        self.terms = as_terms(terms, layer)
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha: found {alpha:g}, wanted 0 to 1")
        guided = [name for name, term in self.terms.items() if term.wants_teacher]
        if bool(guided) != (teacher is not None):
            found = (
                f"terms {guided} without a teacher" if guided else "a teacher that no term wants"
            )
            raise InputError(f"objective: found {found}")
        self.alpha = alpha
        self.counts_per_entry = counts_per_entry
        unguided = [name for name in self.terms if name not in guided]
        for name in weights or {}:
            if name not in unguided:
                raise InputError(f"objective: no term '{name}' to weigh: {nearest(name, unguided)}")
        self.weights = dict.fromkeys(unguided, OWN_WEIGHT) | dict(weights or {})
        self.guided = tuple(guided)
        self.modules_of_terms = nn.ModuleList(
            term for term in self.terms.values() if isinstance(term, nn.Module)
        )
        # kept out of this module's own weights: a teacher is no part of what is trained or saved
        self._teacher = [] if teacher is None else [teacher.freeze()]
        self._wants_cache = cache and teacher is not None
        self._cached: Output | None = None
        self._place = torch.empty(0, dtype=torch.int64)  # of each trial among those that are cached

    @property
    def teacher(self) -> Teacher | None:
        """The frozen teacher, if any."""
        return self._teacher[0] if self._teacher else None

    def prepare(self, model: nn.Module, batch: Batch) -> None:
        """Make the weights that terms own, before the optimiser exists; ask a teacher to cache.

        Args:
            model: What will be trained.
            batch: All training trials, unmasked; two are enough where nothing is cached or fitted.

        Raises:
            InputError: A layer that a term wants is not there.
        """
        was_training = model.training
        model.eval()
        self._cached = None
        self.ratio.fill_(math.nan)
        paired = batch.with_behavior()
        with torch.no_grad():
            pair = self._pairs(model, paired.take(slice(2))).pair
            if self._wants_cache and self.teacher is not None:
                self._cached = cached_output(self.teacher, batch, self._layers(1))
                self._place = _places(batch)
            fitted = [name for name, term in self.terms.items() if isinstance(term, Fitted)]
            guide = self._cached if paired is batch else None
            if fitted and guide is None and self.teacher is not None:
                guide = cached_output(self.teacher, paired, self._layers(1))
        model.train(was_training)
        for name in fitted:
            term = self.terms[name]
            if isinstance(term, Fitted) and guide is not None:
                with blamed_on(f"strategy {name}: in fit,"):
                    term.fit(paired, guide)
        for name, term in self.terms.items():
            if isinstance(term, nn.Module) and isinstance(term, Prepared):
                with blamed_on(f"strategy {name}: in prepare,"):
                    term.prepare(pair)

    def forward(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the loss to follow, the task's and each term's, all scalars; ``balance`` too."""
        pairs = self._pairs(model, batch)
        if batch.target is None or batch.scored is None:
            raise ValueError("an objective was called on a batch without targets")
        predicted = of_shape(pairs.student.log_rates, batch.target)
        parts = {"task": self.task_loss(predicted, batch.target, batch.scored)}
        own = own_losses(model, self.progress)
        if both := set(own) & set(self.terms):
            raise InputError(f"own_losses: '{min(both)}' is a term of the objective too; rename it")
        loss = torch.stack([parts["task"], *own.values()]).sum() / self.counts_per_entry
        parts |= own | {name: pairs.value(name, term) for name, term in self.terms.items()}
        if self.guided:
            guidance = torch.stack([parts[name] for name in self.guided]).mean()
            if self.balance is not None:
                parts["balance"] = self._balanced(loss, guidance, pairs)
                guidance = guidance * parts["balance"]
            loss = self.alpha * loss + (1 - self.alpha) * guidance
        for name, weight in self.weights.items():
            loss = loss + weight * parts[name]
        return {"loss": loss, **parts}

    def _balanced(self, task: Tensor, guidance: Tensor, pairs: _Pairs) -> Tensor:
        """Return the ratio of the task's gradient to that of guidance, smoothed over steps.

        Each is that of a trial, since guidance may be of fewer trials than the task is.
        """
        features = pairs.student.features[self.balance or ""]
        if features.requires_grad:
            found = (
                torch.autograd.grad(
                    loss,
                    features,
                    torch.full_like(loss, SCALE),
                    retain_graph=True,
                    allow_unused=True,
                )[0]
                for loss in (task, guidance)
            )
            # trials of a batch may lie on several processes, and their squares add up
            squares = [torch.zeros(()) if g is None else g.float().square().sum() for g in found]
            sizes = [task.new_tensor(float(n)) for n in (len(features), pairs.n_paired)]
            sums = torch.stack([part.to(task.device) for part in (*squares, *sizes)])
            own, other, n_trials, n_paired = summed_over_processes(sums)
            ratio = (own * n_trials / (other * n_paired)).sqrt()
            if own > 0 and torch.isfinite(ratio):
                kept = SMOOTHING * self.ratio + (1 - SMOOTHING) * ratio
                self.ratio.copy_(torch.where(self.ratio.isnan(), ratio, kept))
        return self.ratio.nan_to_num(1.0)

    def _pairs(self, model: nn.Module, batch: Batch) -> _Pairs:
        paired = batch.paired if self.terms else None
        n_paired = batch.n_trials if paired is None else int(paired.sum())
        if paired is not None and not n_paired:
            paired = torch.arange(len(paired), device=paired.device) == 0
        asked = batch if paired is None else batch.take(paired)
        guide = self._guide(asked)  # first: what it needs is free again before the student's graph
        student = output_of(model, batch, self._layers(0))
        own = student if paired is None else student.take(paired)
        pair = Pair(asked, own, guide, model, self.counts_per_entry)
        return _Pairs(student, pair, n_paired)

    def _guide(self, batch: Batch) -> Output | None:
        if self.teacher is None:
            return None
        if self._cached is not None:
            if batch.trial is None:
                raise ValueError("cached guidance wants batches that know their trials")
            return self._cached.take(self._place[batch.trial])
        self.teacher.eval()  # whatever was done to its parts since it was frozen
        with torch.no_grad():
            return output_of(self.teacher, batch, self._layers(1))

    def _layers(self, side: int) -> list[str]:
        """Return the layers that terms want of the student (0) or the teacher (1)."""
        pairs = [pair for term in self.terms.values() for pair in term.layers]
        if self.balance is not None and self.guided:
            pairs.append((self.balance, None))
        return [name for name in (pair[side] for pair in pairs) if name is not None]

    def _apply(self, fn: Any, recurse: bool = True) -> Objective:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for teacher in self._teacher:  # it follows to the device, though it is no submodule
            teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self._cached is not None:
            self._cached = self._cached.map(fn)
            self._place = fn(self._place)
        return self


@dataclass(frozen=True)
class _Pairs:
    """What there is to compare in a batch.

    Attributes:
        student: Output of the student for all trials.
        pair: Student and teacher on the trials with behavior; where there are none, on one that
            stands for them and counts nothing, since other processes may wait for this one.
        n_paired: Number of trials with behavior.
    """

    student: Output
    pair: Pair
    n_paired: int

    def value(self, name: str, term: DistillLoss) -> Tensor:
        """Return what a term gives."""
        value = _value(name, term, self.pair)
        return value if self.n_paired else value * 0


def _places(batch: Batch) -> Tensor:
    """Return by trial of the recording, up to the last of ``batch``, its place in ``batch``."""
    order = torch.arange(batch.n_trials, device=batch.spikes.device)
    if batch.trial is None:
        return order
    places = order.new_zeros(int(batch.trial.max()) + 1)
    places[batch.trial] = order
    return places


def _value(name: str, term: DistillLoss, pair: Pair) -> Tensor:
    """Return what a term gives, which may be a user's and do anything.

    Raises:
        InputError: It fails, or gives no scalar tensor.
    """
    with blamed_on(f"strategy {name}:"):
        value: object = term(pair)
    if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
        found = type(value).__name__
        if isinstance(value, Tensor):
            found = f"shape {tuple(value.shape)} of {value.dtype}"
        raise InputError(f"strategy {name}: found {found}, wanted a scalar tensor of floats")
    return value


def cached_output(teacher: Teacher, batch: Batch, layers: Sequence[str], size: int = 64) -> Output:
    """Return what a frozen teacher gives for all trials of ``batch``, ``size`` at a time."""
    teacher.eval()
    with torch.no_grad():
        parts = [
            output_of(teacher, batch.take(slice(start, start + size)), layers)
            for start in range(0, batch.n_trials, size)
        ]
    features = {name: torch.cat([part.features[name] for part in parts]) for name in layers}
    return Output(torch.cat([part.log_rates for part in parts]), features)


def output_of(model: nn.Module, batch: Batch, layers: Sequence[str] = ()) -> Output:
    """Call ``model`` and return its log rates and the output of ``layers`` of its network."""
    with captured(model, layers) as features:
        log_rates = model(batch)
    return Output(log_rates, features)


@contextmanager
def captured(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Catch what the named layers of ``model.net`` give while the context lasts.

    A name that ends in ``":in"`` catches what that layer is given instead.

    Raises:
        InputError: A layer does not exist.
    """
    features: dict[str, Tensor] = {}
    net = model.net
    assert isinstance(net, nn.Module)
    named = dict(net.named_modules())
    handles = []
    for name in dict.fromkeys(layers):
        layer, _, side = name.partition(":")
        if layer not in named or side not in ("", "in"):
            raise InputError(f"no layer '{name}': {nearest(layer, [key for key in named if key])}")

        def catch(_: nn.Module, given: Any, gave: Any, name: str = name, side: str = side) -> None:
            caught = given if side else gave
            caught = caught[0] if isinstance(caught, tuple) else caught
            features[name] = model.of_spikes(caught) if isinstance(model, AddsBins) else caught

        handles.append(named[layer].register_forward_hook(catch))
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()
