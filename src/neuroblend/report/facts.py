"""What was run, on what, and how to go on, in words and pairs for the page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuroblend.config import TrainingConfig
from neuroblend.engine.results import ORACLE
from neuroblend.report.view import View


def summary(view: View) -> str:
    """Return one paragraph on what was run."""
    trials, config = view.trials, view.config
    width = f"{trials.bin_s * 1000:g} ms"
    conditions = ""
    if trials.condition is not None:
        conditions = f" in {count(len(set(trials.condition)), 'condition')}"
    n_channels = len(trials.behavior_names)
    n_fits = len(view.folder.fits())
    strategies = [arm for arm in view.arms if arm in config.distill.strategies]
    return (
        f"The recording {trials.name} has {count(trials.n_trials, 'trial')}{conditions}, each of "
        f"{count(trials.n_bins, 'bin')} of {width} ({trials.n_bins * trials.bin_s:.3g} s), "
        f"{count(trials.n_neurons, 'neuron')} (median {np.median(trials.rate_hz):.2g} Hz) and "
        f"{count(n_channels, 'behavior channel')}: {', '.join(trials.behavior_names)}. "
        f"A teacher ({config.model.name}) was trained on spikes and behavior. Students of the same "
        f"architecture were trained on spikes alone: a baseline without a teacher, a multitask "
        f"control, and one for each strategy ({', '.join(strategies)}). "
        f"{_selection(view, len(strategies))}{_repeats(view)} All in all, "
        f"{count(n_fits, 'training')}. Every model is scored on test trials that "
        "nothing was trained or chosen on within its split."
    )


def _selection(view: View, n_strategies: int) -> str:
    if n_strategies == 1:
        return ""
    return (
        f"Of the {n_strategies} strategies, validation scores selected one, {view.selected}, for "
        "the verdict. "
    )


def _repeats(view: View) -> str:
    config, trials = view.config, view.trials
    drawn = ["initial weights"]
    if trials.held_out is None and config.data.held_out > 0:
        drawn.insert(0, "held-out neurons")
    if trials.split is None or config.data.folds:
        drawn.insert(0, "split")
    again = " and ".join([", ".join(drawn[:-1]), drawn[-1]]) if len(drawn) > 1 else drawn[0]
    text = f"This was done for {count(config.seeds, 'seed')}"
    if config.seeds > 1:
        text += f"; each draws {again} anew"
    if config.data.folds:
        text += f"; in {config.data.folds} folds, so that every trial is tested once a seed"
    return text + "."


def caveat_of_training(fits: Sequence[dict[str, Any]], training: TrainingConfig) -> str | None:
    """Return a caveat where many trainings were still getting better when they ended."""
    n_last = sum(
        fit["best_epoch"] > fit["epochs"] - 2 * training.valid_every
        and fit["epochs"] >= training.epochs
        for fit in fits
    )
    if 4 * n_last < len(fits):
        return None
    return (
        f"{n_last} of {len(fits)} trainings were best at or near their last epoch: they may not "
        "have converged, and with more --epochs arms may change places."
    )


def split_rows(view: View) -> list[tuple[str, str]]:
    """Return how many trials and neurons take which part."""
    splits = view.splits
    parts = {
        "training trials": [len(split.train) for split in splits],
        "validation trials": [len(split.valid) for split in splits],
        "test trials": [len(split.test) for split in splits],
    }
    rows = [(what, span(sizes)) for what, sizes in parts.items()]
    held_out = span([int(split.held_out.sum()) for split in splits])
    rows.append(("held-out neurons", f"{held_out} of {view.trials.n_neurons}"))
    rows.append(("forward bins", f"{view.config.data.forward_bins} of {view.trials.n_bins}"))
    return rows


def data_rows(view: View) -> list[tuple[str, str]]:
    """Return where the data come from and what was left out."""
    trials, data = view.trials, view.provenance["data"]
    kept = f"{trials.n_neurons} of {trials.n_source_neurons} in the source"
    return [
        ("source", str(data["source"])),
        ("hash", str(view.provenance["data_hash"])),
        ("neurons used", kept),
        *split_rows(view),
        *[("note", note) for note in data["notes"]],
    ]


def machine_rows(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """Return versions, machine, time and memory."""
    machine = provenance["machine"]
    versions = [f"{name} {version}" for name, version in provenance["versions"].items() if version]
    rows = [
        ("command", shlex.join(provenance["command"])),
        ("versions", ", ".join(versions)),
        (
            "source commit",
            (provenance["git_commit"] or "none: not a checkout")
            + (" (files changed since)" if provenance["git_changed"] else ""),
        ),
        ("machine", f"{machine['system']}, {machine['architecture']}, {machine['cores']} cores"),
        ("accelerator", str(machine["accelerator"])),
        ("wall time", f"{_duration(provenance['wall_s'])} (last call)"),
        ("CPU time", f"{_duration(provenance['cpu_s'])} (all trainings)"),
        ("peak memory", f"{provenance['peak_memory_mb']} MB at most"),
    ]
    return [(name, value) for name, value in rows if value]


def fit_rows(provenance: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what each training took, by its label."""
    return list(provenance["fits"].items())


@dataclass(frozen=True)
class Step:
    """Something to do next.

    Attributes:
        why: What it is for.
        code: What to type.
    """

    why: str
    code: str


def next_steps(view: View) -> list[Step]:
    """Return how to use this run and how to make the next one."""
    path = view.folder.path.resolve()
    name = shlex.quote(path.name)
    more = max(5, view.config.seeds + 3)
    return [
        Step(
            "Predict rates and behavior from spikes alone, with the selected student (from the "
            "directory that holds the run's folder):",
            f"neuroblend predict {name} NEW_SPIKES.h5 --out rates.h5",
        ),
        _more_seeds(view, path, more),
        Step("Build this page anew:", f"neuroblend report {name}"),
    ]


def _more_seeds(view: View, path: Path, n: int) -> Step:
    why = "Run more seeds with the same settings, for intervals to rely on:"
    out = shlex.quote(f"{path.name}-{n}-seeds")
    config = shlex.quote(f"{path.name}/config.yaml")
    source = view.config.data.source
    if view.provenance["command"][1:2] == ["run"]:
        command = f"neuroblend run {shlex.quote(source)} --config {config} --seeds {n} --out {out}"
        return Step(why, command)
    return Step(
        why,
        "from neuroblend.engine.folder import RunFolder\n"
        "from neuroblend.experiments.decoding.load import run\n\n"
        f"old = RunFolder.open({path.name!r})\n"
        f"more = old.config().model_copy(update={{'seeds': {n}}})\n"
        f"run(old.trials(), {path.name + f'-{n}-seeds'!r}, more)",
    )


def simulated_note(view: View) -> str | None:
    """Return what to keep in mind of simulated data; ``None`` for real ones."""
    if not view.simulated:
        return None
    note = (
        "These data are simulated, not recorded. The result shows how the methods fare where the "
        "truth is known, not what a brain does."
    )
    if ORACLE in view.results["arms"]:
        note += (
            " The arm 'oracle' is the simulation's true rates scored like a model: what can be "
            "reached."
        )
    return note


def count(n: int, what: str) -> str:
    """Return a number and what it is of."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def span(sizes: list[int]) -> str:
    """Return what sizes range over."""
    low, high = min(sizes), max(sizes)
    return str(low) if low == high else f"{low} to {high}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
