"""A student taken to another day: other neurons, no behavior.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``H`` features of a
layer, ``W`` bins of a trial of training.

After NoMAD (Karpowicz et al., bioRxiv 2022; Nature Communications 2025), which carries LFADS from
day to day: dynamics and decoder are kept, and a read-in of the new neurons is trained so that their
spikes are explained and latents are distributed as on the first day. Here for any network. Weights
whose shapes follow the number of neurons are trained, all others are frozen. Latents are aligned by
mean and covariance (CORAL: Sun & Saenko 2016, arXiv 1607.01719), where NoMAD has the divergence of
two Gaussians; there is no layer of alignment before the read-in, whose weights the new neurons have
to themselves. What a neuron is known to do is kept as the start of its weights (as the stabiliser
of Degenhart et al. 2020 ties days together by neurons that stay).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neuroblend.config import TrainingConfig, parse_settings
from neuroblend.data.spikes import ContinuousSpikes, Spikes, as_spikes
from neuroblend.data.split import split_trials
from neuroblend.data.trials import Trials
from neuroblend.data.unit_ids import UnitIds
from neuroblend.deploy.latents import KnownLatents
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.signals import StudentSignals
from neuroblend.deploy.student import TrainedStudent
from neuroblend.distill.objective import Objective, output_of, poisson_nll
from neuroblend.distill.pair import Pair
from neuroblend.errors import InputError, blamed_on, some
from neuroblend.evaluation.readout import FEATURES
from neuroblend.files import errors_of
from neuroblend.models.build import build_network
from neuroblend.privilege.roles import Student
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec
from neuroblend.task.task import Task

if TYPE_CHECKING:
    import pandas as pd

MATCHES = ("auto", "none")
SHARES = (0.8, 0.2, 0.0)  # of the new trials: trained on, validating
WIDER = 64  # neurons more, that tell which weights follow their number
ALIGNMENT = 0.1  # weight beside the task in nats/spike; see docs/adapt.md
ALL_NEW = (
    "No neuron has the id of one of training. Latents may come out turned or mirrored, which "
    "spikes alone cannot tell, and decoded behavior with them: compare it with some behavior that "
    "is known (docs/adapt.md)."
)
TRAINING = {"batch_size": 32, "lr": 1e-2, "weight_decay": 0.0}


def adapt_student(
    student: TrainedStudent,
    spikes: object,
    lengths: ArrayLike | None = None,
    unit_id: ArrayLike | None = None,
    *,
    match: str = "auto",
    settings: TrainingConfig | Mapping[str, Any] | None = None,
    seed: int = 0,
    starts: int = 1,
    weight: float = ALIGNMENT,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedStudent:
    """Return the student for the neurons of another day, learned from their spikes alone.

    Trials of the training's length are taken as they are, longer ones and recordings are cut into
    windows of it side by side (a rest is left out), shorter ones are padded. All neurons that fire
    are seen; a fifth of the trials, or of the windows in blocks, says when to stop. Behavior is
    decoded from latents, by what was fitted where behavior was known.

    Args:
        student: A student with latents: of a run, or of a file that ``neuroblend export`` wrote.
        spikes: As :func:`~neuroblend.data.spikes.as_spikes` takes them.
        lengths: (B,) bins of each trial where they differ, for an array.
        unit_id: (N,) names of the neurons of an array.
        match: ``"auto"``: a neuron of the same id as one of training is the same neuron, and starts
            with its weights; ``"none"``: all neurons are others, whatever their ids (numbers that
            a spike sorter gives out anew each day). Without ids, all are.
        settings: How to train: :class:`~neuroblend.config.TrainingConfig`, or those of its settings
            that are to differ from the defaults here, by name.
        seed: Decides what validates, initial weights of new neurons, order and masks.
        starts: How often to train, from other initial weights each time; what validates best is
            kept.
        weight: Of the alignment of latents, whose unit is their variance, beside the task in
            nats/spike; 0 for none.
        progress: Called with (epochs done, most epochs) in each start.

    Raises:
        InputError: The student has no latents or a network whose latents follow the number of
            neurons, the spikes cannot be used or are too few, or their neurons are those of
            training.
    """
    latents = _latents(student)
    where = str(spikes) if isinstance(spikes, (str, Path)) else getattr(spikes, "name", "spikes")
    if match not in MATCHES:
        raise InputError(f"match: found '{match}', wanted one of {some(MATCHES)}")
    for name, number in (("weight", weight), ("seed", seed)):
        if not (np.isfinite(number) and number >= 0):
            raise InputError(f"adapt: found {name} {number}, wanted 0 or more")
    if starts < 1:
        raise InputError(f"adapt: found {starts} starts, wanted 1 or more")
    settings = _training(settings)
    given = as_spikes(spikes, student.spec.bin_s, lengths, unit_id)
    known = match == "auto" and given.unit_id is not None and student.neurons.are_named
    with errors_of(where):
        trials = _trials(given, student.spec)
        neurons = KnownNeurons.of(trials, np.zeros(trials.n_neurons, dtype=bool))
        at = _Places.of(student.neurons, neurons.unit_id, known)
        n_forward = student.spec.t_out - student.spec.t_in
        task = Task.of(trials, split_trials(trials, seed, 0.0, n_forward, shares=SHARES))
    old, new = student.spec, task.spec
    spec = replace(old, n_in=new.n_in, n_out=new.n_out, log_rate=new.log_rate)
    assert student.layer is not None
    align, valid, best = Align(latents, student.layer), task.batch("valid"), np.inf
    for start in range(starts):
        drawn = seed if start == 0 else mixed_seed(seed, 33, start)
        tried = _built(student, spec, at, drawn)
        with torch.no_grad(), blamed_on(f"adapt: on spikes of shape {tuple(valid.spikes.shape)},"):
            align.distance(tried, valid)  # a network may take no padding
        history = _trained(tried, task, align, weight, settings, drawn, progress)
        if start == 0 or float(history["valid"].min()) < best:
            model, best, n_epochs = tried, float(history["valid"].min()), len(history)
    n_known = int((at.seen >= 0).sum())
    model.requires_grad_(True)
    about = {
        "adapted": {
            "from": dict(student.about),
            "data": where,
            "data_hash": f"sha256:{hashlib.sha256(trials.spikes.tobytes()).hexdigest()}",
            "behavior_seen": False,
            "n_trials": trials.n_trials,
            "n_neurons": trials.n_neurons,
            "n_known_neurons": n_known,
            "seed": seed,
            "weight": weight,
            "starts": starts,
            "epochs": n_epochs,
            "valid": best,
            "notes": [*trials.notes, *([] if n_known else [ALL_NEW])],
        }
    }
    return replace(
        student,
        spec=spec,
        neurons=neurons,
        signals=StudentSignals(model, student.layer, neurons.held_out),
        decoder=latents.decoder,
        readout=(FEATURES, latents.family),
        model=model,
        task=None,
        about=about,
        known_reach=student.reach,
        latents=latents,
    )


def _trained(
    model: Student,
    task: Task,
    align: Align,
    weight: float,
    settings: TrainingConfig,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Train what is not frozen, until the same loss of validation trials falls no more."""
    from neuroblend.training.train import train  # noqa: PLC0415  # lightning takes seconds

    per_entry, valid = task.spec.mean_count, task.batch("valid")

    def yardstick(predicted: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        loss = poisson_nll(predicted, target, scored) / per_entry
        if weight:
            loss = loss + weight * align.distance(model, valid.to(predicted.device))
        return loss

    objective = Objective(
        {"align": align} if weight else None,
        weights={"align": weight} if weight else None,
        counts_per_entry=per_entry,
    )
    drawn = mixed_seed(seed, 31)
    return train(model, task, objective, settings, drawn, progress=progress, yardstick=yardstick)


class Align:
    """How far latents are from where they were: CORAL, and the same of means.

    ``|m - m0|^2 / H + |C - C0|_F^2 / H``, features in units of their standard deviation on the
    first day. Sun & Saenko (2016) divide by ``4 H^2`` and have no means. Latents are those of all
    spikes, without dropout, as they are when behavior is read out.

    Args:
        latents: Those of the first day.
        layer: Where the network gives them.
    """

    wants_teacher = False
    layers: Sequence[tuple[str, str | None]] = ()

    def __init__(self, latents: KnownLatents, layer: str) -> None:
        spread = np.sqrt(np.diag(latents.covariance))
        scale = np.where(spread > 1e-6 * spread.max(), spread, np.inf)  # what never moved is left
        self.layer = layer
        self.n_features = max(1, int(np.isfinite(scale).sum()))
        self.scale, self.mean = _floats(scale), _floats(latents.mean)
        self.covariance = _floats(latents.covariance / np.outer(scale, scale))

    def __call__(self, pair: Pair) -> Tensor:
        """Return the distance of a pair's batch, as a term of an objective."""
        assert pair.model is not None
        return self.distance(pair.model, pair.batch)

    def distance(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the distance of the latents of a batch, masked or not, a scalar."""
        assert batch.target is not None
        n_bins, n_in = batch.spikes.shape[1:]
        plain = Batch(batch.target[:, :n_bins, :n_in].contiguous(), present=batch.present)
        was_training = model.training
        model.eval()
        # recurrent layers of cuDNN have no gradient in eval mode
        with torch.backends.cudnn.flags(enabled=False):
            features = output_of(model, plain, [self.layer]).features[self.layer].float()
        model.train(was_training)
        mean, scale = self.mean.to(features.device), self.scale.to(features.device)
        features = ((features - mean) / scale)[:, :n_bins]
        flat = features.flatten(0, 1)
        if batch.present is not None:
            flat = features[batch.present[:, : features.shape[1]]]
        shift = flat.mean(dim=0)
        spread = (flat - shift).T @ (flat - shift) / max(len(flat) - 1, 1)
        moved = spread - self.covariance.to(features.device)
        return (shift.square().sum() + moved.square().sum()) / self.n_features


@dataclass(frozen=True)
class _Places:
    """Where neurons of another day were, -1 for those that were not there.

    Attributes:
        seen: (N,) among the neurons that the student sees, in its order.
        predicted: (N,) among those that it predicts, in its order.
    """

    seen: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @classmethod
    def of(cls, old: KnownNeurons, unit_id: UnitIds, known: bool) -> _Places:
        order = old.unit_id[np.argsort(old.held_out, kind="stable")]

        def among(ids: UnitIds) -> NDArray[np.int64]:
            at = {str(each): i for i, each in enumerate(ids)} if known else {}
            return np.array([at.get(str(each), -1) for each in unit_id], dtype=np.int64)

        found = cls(among(old.seen), among(order))
        if np.isin(np.arange(old.n_seen), found.seen).all() and (found.predicted >= 0).all():
            raise InputError(
                f"the {unit_id.size} neurons have the ids of training, so that nothing has to be "
                "adapted: predict takes these spikes as they are; where ids are numbers that were "
                "given out anew, --match none"
            )
        return found


def _latents(student: TrainedStudent) -> KnownLatents:
    """Return how a student's latents lay.

    Raises:
        InputError: It has none, or this is not known.
    """
    if student.layer is None or student.network is None:
        raise InputError(
            f"adapt: {student.arm} has no latents that other neurons could be led to; wanted a "
            "student or the baseline of a run"
        )
    if student.known_latents is None:
        raise InputError(
            f"adapt: {student.arm} comes without statistics of its latents and a read-out of them "
            "(direct has none, nor has a file that an earlier neuroblend wrote); export a student "
            "or the baseline of its run again"
        )
    return student.known_latents


def _training(given: TrainingConfig | Mapping[str, Any] | None) -> TrainingConfig:
    settings = given
    if not isinstance(settings, TrainingConfig):
        settings = parse_settings(TrainingConfig, TRAINING | dict(settings or {}), "adapt")
    if settings.devices > 1:  # latents of a batch are compared as a whole
        raise InputError(f"adapt: found devices {settings.devices}, wanted 1")
    return settings


def _trials(given: Spikes, spec: TaskSpec) -> Trials:
    """Return spikes in trials or windows of the training's length.

    Raises:
        InputError: No neuron fires, ids cannot be used, or trials with forward bins have another
            length.
    """
    width = spec.t_out
    if isinstance(given, ContinuousSpikes):
        stretches = [given.read(first, last) for first, last in given.parts]
    else:
        n_bins = given.counts.shape[1]
        ends = [n_bins] * len(given.counts) if given.lengths is None else given.lengths
        stretches = [trial[:n] for trial, n in zip(given.counts, ends, strict=True)]
    windows: list[NDArray[Any]] = []
    places: list[int] = []
    at = 0
    for stretch in stretches:
        n_here = max(1, len(stretch) // width)
        windows += [stretch[i * width : (i + 1) * width] for i in range(n_here)]
        places += range(at, at + n_here)
        at += n_here + 1  # so that windows of two stretches are not side by side
    lengths = np.array([len(window) for window in windows])
    if spec.t_in < width and (lengths < width).any():
        raise InputError(
            f"found trials of {lengths.min()} bins, wanted {width} of {spec.bin_s:g} s or more: "
            "the student has forward bins, which follow trials of the length it was trained on"
        )
    is_cut = isinstance(given, ContinuousSpikes) or len(windows) > len(stretches)
    return Trials.from_arrays(
        np.stack([np.pad(w, ((0, width - len(w)), (0, 0))) for w in windows]),
        spec.bin_s,
        lengths=None if (lengths == width).all() else lengths,
        window_id=places if is_cut else None,
        unit_id=given.unit_id,
        start_s=0.0 if is_cut else given.start_s,
        name="spikes",
    )


def _built(student: TrainedStudent, spec: TaskSpec, at: _Places, seed: int) -> Student:
    """Return the student's network for other neurons; what is not of neurons is kept and frozen.

    Raises:
        InputError: Its latents are as many as neurons, or no weight is of neurons.
    """
    assert student.network is not None and student.model is not None
    (name, settings), layer = student.network, str(student.layer)
    more = tuple(np.resize(spec.log_rate, spec.n_out + WIDER).tolist())
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 32))
        model = Student(build_network(name, settings, spec)).eval()
        wide_in = Student(build_network(name, settings, replace(spec, n_in=spec.n_in + WIDER)))
        wide_out = Student(
            build_network(name, settings, replace(spec, n_out=spec.n_out + WIDER, log_rate=more))
        )
    with torch.no_grad():
        widths = [
            output_of(each.eval(), Batch(torch.zeros(2, spec.t_in, n)), [layer])
            .features[layer]
            .shape[2]
            for each, n in ((model, spec.n_in), (wide_in, spec.n_in + WIDER), (wide_out, spec.n_in))
        ]
    if len(set(widths)) > 1:
        raise InputError(
            f"adapt: the latents of {name} ({layer}) are as many as its neurons, so that those of "
            "other neurons are no longer the ones that behavior is read out of; wanted a network "
            "of a width of its own, such as ndt with a width, gru or lfads"
        )
    if not _kept(model, student.model, wide_in, wide_out, at):
        raise InputError(f"adapt: no weight of {name} is of its neurons; wanted some to train")
    return model


@torch.no_grad()
def _kept(
    model: nn.Module, old: nn.Module, wide_in: nn.Module, wide_out: nn.Module, at: _Places
) -> int:
    """Copy and freeze what is not of neurons, copy what is of known ones; return how much is left.

    Args:
        model: For the new neurons.
        old: For those of training.
        wide_in: For more neurons to see than ``model``'s.
        wide_out: For more neurons to predict.
        at: Where the new neurons were.
    """
    before, in_wide, out_wide = (each.state_dict() for each in (old, wide_in, wide_out))
    learned, n_left = dict(model.named_parameters()), 0
    for key, value in model.state_dict().items():
        in_axes, out_axes = _differing(value, in_wide[key]), _differing(value, out_wide[key])
        if not in_axes and not out_axes:
            value.copy_(before[key])
            if key in learned:
                learned[key].requires_grad_(False)
            continue
        n_left += key in learned
        for axes, places in ((in_axes, at.seen), (out_axes, at.predicted)):
            if len(axes) != 1 or value.shape[axes[0]] != places.size:
                continue  # not one entry a neuron
            by_neuron, known = value.movedim(axes[0], 0), before[key].movedim(axes[0], 0)
            if axes is in_axes:
                by_neuron.zero_()  # as if it were silent, where training begins
            if known.shape[1:] == by_neuron.shape[1:]:
                by_neuron[places >= 0] = known[places[places >= 0]]
    return n_left


def _differing(value: Tensor, other: Tensor) -> list[int]:
    """Return the axes along which two tensors differ in size."""
    if value.ndim != other.ndim:
        return [-1, -1]
    return [i for i in range(value.ndim) if value.shape[i] != other.shape[i]]


def _floats(values: NDArray[np.floating[Any]]) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
