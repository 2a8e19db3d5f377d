"""What an experiment on identity was run on, and how to go on, in words and pairs for the page."""

from __future__ import annotations

import shlex
from typing import Any

from neuroblend.report.facts import Step, count, span
from neuroblend.report.identity.view import IdentityView


def summary(view: IdentityView) -> str:
    """Return one paragraph on what was run."""
    config, cells, sessions = view.config, view.cells, view.provenance["data"]["sessions"]
    channels = view.provenance["data"]["behavior"]
    strategies = [arm for arm in view.arms if arm in config.distill.strategies]
    told = " and ".join(
        [", ".join(view.kinds[:-1]), view.kinds[-1]] if view.kinds[1:] else view.kinds
    )
    return (
        f"{view.name} has {count(len(sessions), 'session')} of "
        f"{count(len(set(cells.animals)), 'animal')}, {count(len(cells.names), 'cell')} and "
        f"{count(len(channels), 'behavior channel')}: {', '.join(channels)}. A teacher (NeuPRINT, "
        f"{config.model.dynamics} dynamics) was trained on activity and behavior. Students of the "
        "same architecture were trained on activity alone: a baseline without a teacher, a "
        f"multitask control, and one for each strategy ({', '.join(strategies)}). "
        f"{_selection(view, len(strategies))}With each network frozen, an embedding of every cell "
        "was then fitted afresh to its activity, and classifiers told cells apart by it: "
        f"{told}. {_tested(view)} All in all, {count(len(view.folder.fits()), 'fit')}."
    )


def _selection(view: IdentityView, n_strategies: int) -> str:
    if n_strategies == 1:
        return ""
    return (
        f"Of the {n_strategies} strategies, scores on cells that are not tested selected one, "
        f"{view.selected}, for the verdict. "
    )


def _tested(view: IdentityView) -> str:
    data, seeds = view.config.data, count(view.config.seeds, "seed")
    if data.animals:
        return (
            "One animal after the other was tested, whose cells no network and no classifier "
            f"learned from, for {seeds}."
        )
    return (
        f"{100 * data.share:.0f} % of the cells were tested, which no network was trained on. "
        f"Classifiers learned from the others and, in {data.folds} folds drawn "
        f"{'once' if data.repeats == 1 else f'{data.repeats} times'}, from the rest of the tested. "
        f"This was done for {seeds}"
        f"{', each with its own tested cells and initial weights' if view.config.seeds > 1 else ''}"
        "."
    )


def data_rows(view: IdentityView) -> list[tuple[str, str]]:
    """Return where the data come from, who the cells are, and what was left out."""
    cells, data = view.cells, view.provenance["data"]
    sizes = {
        "sessions": str(len(data["sessions"])),
        "animals": ", ".join(
            f"{name} ({cells.animals.count(name)} cells)" for name in view.animals
        ),
        "cells": str(len(cells.names)),
        "cells tested": span([len(split.tested) for split in view.splits])
        + (" (an animal at a time)" if view.config.data.animals else " a seed"),
    }
    rows = [("source", str(data["source"])), ("hash", str(view.provenance["data_hash"]))]
    rows += sizes.items()
    for kind, found in view.results["labels"].items():
        classes = ", ".join(f"{name} {n}" for name, n in found["classes"].items())
        rows.append((f"labelled by {kind}", f"{len(cells.labels[kind])} cells: {classes}"))
        rows.append(
            (f"largest class of {kind}", f"{100 * found['majority_rate']:.1f} % of the labelled")
        )
    return [*rows, *(("note", note) for note in data["notes"])]


def session_rows(view: IdentityView) -> list[tuple[str, dict[str, Any]]]:
    """Return the size of each session, by its name."""
    return list(view.provenance["data"]["sessions"].items())


def chosen_rows(view: IdentityView) -> list[tuple[str, list[str]]]:
    """Return by arm the classifiers that were chosen for each kind of label, most often first."""
    rows = []
    for arm in view.arms:
        row = []
        for kind in view.kinds:
            names = [n for s in view.splits for n in view.classified(arm, s, kind).chosen]
            ordered = sorted(set(names), key=lambda name: (-names.count(name), name))
            row.append(", ".join(f"{name} ×{names.count(name)}" for name in ordered))
        rows.append((arm, row))
    return rows


def next_steps(view: IdentityView) -> list[Step]:
    """Return how to make the next experiment from this one."""
    path, source = view.folder.path.resolve(), shlex.quote(view.config.data.source)
    config = shlex.quote(f"{path.name}/config.yaml")
    n = max(5, view.config.seeds + 3)
    more = shlex.quote(f"{path.name}-{n}-seeds")
    command = f"neuroblend identity {source} --config {config}"
    steps = [
        Step(
            "Run more seeds with the same settings, for intervals to rely on (from the directory "
            "that holds this folder):",
            f"{command} --seeds {n} --out {more}",
        )
    ]
    if len(view.animals) > 1 and not view.config.data.animals:
        steps.append(
            Step(
                "Test on animals that nothing has learned from, which is what use on a new "
                "recording is like:",
                f"{command} --animals --out {shlex.quote(f'{path.name}-animals')}",
            )
        )
    return steps
