"""A run's trained students, used on spikes that come without behavior.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons, ``D`` channels.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neuroblend.data.arrays import read_spikes
from neuroblend.data.trials import checked_padded_counts
from neuroblend.engine.arm import TEACHER, Fit
from neuroblend.engine.folder import RunFolder
from neuroblend.engine.job import load_model
from neuroblend.errors import InputError, nearest
from neuroblend.evaluation.predict import in_recorded_order, rates_and_features
from neuroblend.evaluation.readout import FEATURES, RATES
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.experiment import Decoding, layer_of
from neuroblend.experiments.decoding.rivals import rival_signals
from neuroblend.experiments.decoding.settings import (
    BLIND,
    KALMAN,
    RIVALS,
    SHUFFLED_TEACHER,
    WIENER,
)
from neuroblend.files import new_h5, write_whole
from neuroblend.task.batch import Batch
from neuroblend.task.task import Task

SELECTED = "selected"


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a student says of some trials.

    Attributes:
        rates: (B, T, N) expected counts/bin of the run's neurons, held-out ones included;
            ``None`` of an arm that decodes behavior and predicts no rates.
        behavior: (B, T, D) decoded behavior, in the units that the run was given.
        behavior_names: D names.
        unit_id: (N,) index of each neuron in the run's source.
        bin_s: Width of a bin in seconds.
        arm: Which student.
        seed: Of which seed.
    """

    rates: NDArray[np.float32] | None
    behavior: NDArray[np.float32]
    behavior_names: tuple[str, ...]
    unit_id: NDArray[np.int64]
    bin_s: float
    arm: str
    seed: int

    def __repr__(self) -> str:
        n_trials, n_bins, _ = self.behavior.shape
        rates = "no rates" if self.rates is None else f"rates of {self.rates.shape[2]} neurons"
        return (
            f"Prediction(by {self.arm}, seed {self.seed}: {n_trials} trials x {n_bins} bins of "
            f"{self.bin_s * 1000:g} ms, {rates}, decoded: {', '.join(self.behavior_names)})"
        )

    def save(self, path: str | Path) -> None:
        """Write an HDF5 file; it appears whole or not at all."""

        def write(partial: Path) -> None:
            with new_h5(partial) as file:
                file.attrs.update(arm=self.arm, seed=self.seed, bin_s=self.bin_s)
                if self.rates is not None:
                    rates = file.create_dataset("rates", data=self.rates, compression="gzip")
                    rates.attrs.update(unit="counts/bin", axes="trial, bin, neuron")
                decoded = file.create_dataset("behavior", data=self.behavior, compression="gzip")
                decoded.attrs.update(unit="as in the training data", axes="trial, bin, channel")
                file["behavior_names"] = list(self.behavior_names)
                file["unit_id"] = self.unit_id

        write_whole(path, write)


def predict_run(
    run: str | Path | RunFolder,
    spikes: str | Path | NDArray[Any],
    arm: str = SELECTED,
    seed: int | None = None,
    lengths: NDArray[Any] | None = None,
) -> Prediction:
    """Predict rates and decoded behavior from spikes alone.

    Args:
        run: A run that has ended.
        spikes: (B, T, N) counts/bin, or a file with a key ``spikes``: of every neuron of the run's
            source, of the neurons that the run used, or of those that its students see, in the
            order of the source; in trials of the run's length, with forward bins or without.
        arm: A student's arm, ``"baseline"``, ``"selected"`` for the one that was selected, or what
            a lab would use instead, such as ``"wiener"``, which predicts no rates.
        seed: One of the run's seeds (they hold out different neurons); its first where ``None``.
            Of a run with folds, the student of the first fold predicts.
        lengths: (B,) bins of each trial, where they differ; a file has its own. Rates and
            behavior are NaN after the end of a trial.

    Raises:
        InputError: There is no such arm or seed, or the spikes do not fit.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    fit = find_fit(folder, arm, seed)
    task: Task = folder.task(fit)
    where = str(spikes) if isinstance(spikes, (str, Path)) else "spikes"
    counts, lengths = (
        read_spikes(spikes, task.spec.bin_s)
        if isinstance(spikes, (str, Path))
        else checked_padded_counts(spikes, lengths)
    )
    if counts.shape[1] not in (task.spec.t_in, task.spec.t_out):
        raise InputError(
            f"{where}: found trials of {counts.shape[1]} bins, wanted {task.spec.t_in} of "
            f"{task.spec.bin_s:g} s, as the run was trained on"
        )
    if lengths is not None and task.spec.t_in < task.spec.t_out:
        raise InputError(
            f"{where}: trials differ in length, but the run has forward bins, which follow trials "
            "of one length"
        )
    seen = _held_in(counts, task, where)[:, : task.spec.t_in].astype(np.float32)
    batch = Batch(torch.from_numpy(seen))
    if lengths is not None:
        present = np.arange(task.spec.t_out) < lengths[:, None]
        batch = batch._replace(present=torch.from_numpy(present))
    signals = _signals(folder, fit, task, batch)
    scored = Scored.load(folder.of(fit) / "test.h5")
    return Prediction(
        rates=signals.get(RATES),
        behavior=scored.decoder(signals[scored.readout[0]]).astype(np.float32),
        behavior_names=task.trials.behavior_names,
        unit_id=task.trials.unit_id,
        bin_s=task.spec.bin_s,
        arm=fit.arm.name,
        seed=fit.seed,
    )


def _signals(folder: RunFolder, fit: Fit, task: Task, batch: Batch) -> dict[str, Any]:
    """Return what behavior may be read out of, by name; among it the rates of a student."""
    rival = fit.arm.name in RIVALS["all"]
    model = None if fit.arm.name in (WIENER, KALMAN) else load_model(folder, fit, task)
    if rival or model is None:
        causal = folder.config().model.causal
        return rival_signals(fit.arm.name, model, task, batch, causal)
    layer = layer_of(folder.config(), fit.arm, model)
    rates, features = rates_and_features(model, batch, layer)
    rates = in_recorded_order(rates, task.split.order)
    if batch.present is not None:
        rates[~batch.present.numpy()] = np.nan
        features[~batch.present.numpy()] = np.nan
    return {RATES: rates, FEATURES: features}


def find_fit(folder: RunFolder, arm: str = SELECTED, seed: int | None = None) -> Fit:
    """Return the training of a student of a run; see :func:`predict_run`.

    Raises:
        InputError: There is no such arm or seed, or it has not been trained.
    """
    if folder.experiment.kind != Decoding.kind:
        raise InputError(
            f"{folder.path}: a run of kind {folder.experiment.kind}, wanted {Decoding.kind}"
        )
    if arm == SELECTED:
        arm = folder.results()["selected"]
    teachers = (TEACHER, BLIND, SHUFFLED_TEACHER)
    known = {fit.arm.name for fit in folder.fits()} - {*teachers}
    if arm not in known:
        why = "; a teacher needs behavior" if arm in teachers else ""
        raise InputError(f"no student '{arm}' in this run{why}: {nearest(arm, [SELECTED, *known])}")
    seeds = folder.config().all_seeds
    seed = seeds[0] if seed is None else seed
    if seed not in seeds:
        raise InputError(f"no seed {seed} in this run; there are {seeds[0]} to {seeds[-1]}")
    fit = next(fit for fit in folder.fits() if (fit.arm.name, fit.seed) == (arm, seed))
    if not folder.is_done(fit):
        raise InputError(f"{folder.path}: {fit.label} has not been trained; give the run again")
    return fit


def _held_in(counts: NDArray[Any], task: Task, where: str) -> NDArray[Any]:
    """Return the (B, T, N_in) counts that a student sees, however many neurons were given."""
    unit_id, held_out = task.trials.unit_id, task.split.held_out
    n_given = counts.shape[2]
    if n_given == task.spec.n_in:
        return counts
    if n_given == unit_id.size:
        return counts[:, :, ~held_out]
    if n_given == task.trials.n_source_neurons:
        return counts[:, :, unit_id[~held_out]]
    raise InputError(
        f"{where}: found {n_given} neurons, wanted the {task.trials.n_source_neurons} of the run's "
        f"source, the {unit_id.size} that it used or the {task.spec.n_in} that its students see"
    )
