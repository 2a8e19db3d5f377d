"""What all pages say about a run, in words and pairs: machine, cost, how to go on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from neuroblend.engine.arm import BASELINE
from neuroblend.report.caveat import Caveat
from neuroblend.report.scores import PlainTable
from neuroblend.report.view import View


def summary(view: View) -> str:
    """Return a paragraph on what was run, for an experiment without words of its own."""
    return f"{view.data!r}. All in all, {count(len(view.folder.fits()), 'fit')}."


def selection(view: View, by: str) -> str:
    """Return a sentence on what selected an arm; nothing where there was no choice."""
    n = len(view.results["candidates"])
    return "" if n == 1 else f"Of the {n} candidates, {by} selected {view.selected}. "


def data_rows(view: View) -> list[tuple[str, str]]:
    """Return where the data come from."""
    facts = view.provenance["data"]
    rows = [(name, str(value)) for name, value in facts.items() if name != "notes"]
    notes = [("note", note) for note in facts.get("notes", [])]
    return [("hash", str(view.provenance["data_hash"])), *rows, *notes]


def caveat_of_training(view: View) -> list[Caveat]:
    """Return a caveat where many trainings were still getting better when they ended."""
    training = view.config.training
    fits = [cost for cost in view.provenance["fits"].values() if cost["epochs"] > 0]
    n_last = sum(
        fit["best_epoch"] > fit["epochs"] - min(2 * training.valid_every, training.patience)
        for fit in fits
    )
    if not fits or 4 * n_last < len(fits):
        return []
    text = (
        f"{n_last} of {len(fits)} trainings were best at or near their last epoch: they may not "
        "have converged, and with more --epochs arms may change places."
    )
    return [Caveat("not converged", text, {"n_last": n_last, "n_fits": len(fits)})]


def explained_arms(
    view: View, meaning: Any, terms: dict[str, str], seen: str
) -> list[tuple[str, str]]:
    """Return name and meaning of each arm, in a sentence without a full stop."""

    def explain(arm: str) -> str:
        known = meaning(arm)
        if known is not None:
            return str(known)
        if arm == BASELINE:
            return f"the network trained on {seen} alone; what every student is compared with"
        follows = "follows a teacher by" if arm in view.results["needs_teacher"] else "has the term"
        said = " and ".join(terms.get(term, f"{follows} {term}") for term in arm.split("+"))
        return f"student on {seen} alone that {said}"

    return [(arm, explain(arm)) for arm in view.scored_arms]


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


def fit_table(provenance: dict[str, Any]) -> PlainTable:
    """Return what each training took."""
    columns = ["training", "epochs", "best epoch", "wall (s)", "CPU (s)"]
    keys = ("epochs", "best_epoch", "wall_s", "cpu_s")
    fits = provenance["fits"].items()
    rows = [[label, *(str(cost[key]) for key in keys)] for label, cost in fits]
    return PlainTable("Each training", columns, rows)


def rerun(view: View, why: str, options: str, suffix: str) -> Step:
    """Return the command that makes another run from the settings of this one.

    Args:
        view: The run.
        why: What it is for.
        options: What differs.
        suffix: Ends the name of the other run's folder.
    """
    path = view.folder.path.resolve()
    source = shlex.quote(view.config.data.source)
    verb = {"decoding": "run"}.get(view.results["kind"], view.results["kind"])
    config, out = shlex.quote(f"{path.name}/config.yaml"), shlex.quote(f"{path.name}-{suffix}")
    return Step(why, f"neuroblend {verb} {source} --config {config} {options} --out {out}")


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
    """Return how to go on, for an experiment without words of its own."""
    return [
        Step(
            "Build this page again:",
            f"neuroblend report {shlex.quote(view.folder.path.resolve().name)}",
        )
    ]


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
