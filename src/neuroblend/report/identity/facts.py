"""What an experiment on identity was run on, and how to go on, in words and pairs for the page."""

from collections import Counter

from neuroblend.data.calcium.session import SIMULATED
from neuroblend.report.caveat import Caveat
from neuroblend.report.facts import Step, count, rerun, selection, span
from neuroblend.report.identity.shown import animals, classified
from neuroblend.report.scores import PlainTable
from neuroblend.report.view import View


def summary(view: View) -> str:
    """Return one paragraph on what was run."""
    config, cells, facts = view.config, view.data, view.provenance["data"]
    sessions, channels = facts["sessions"], facts["behavior"]
    strategies = [arm for arm in view.arms if arm in config.distill.strategies]
    kinds = " and ".join(cells.kinds)
    return (
        f"{view.data.name} has {count(len(sessions), 'session')} of "
        f"{count(len({s['animal'] for s in sessions.values()}), 'animal')}, "
        f"{count(len(cells.names), 'cell')} and "
        f"{count(len(channels), 'behavior channel')}: {', '.join(channels)}. A teacher (NeuPRINT, "
        f"{config.model.dynamics} dynamics) was trained on activity and behavior. Students of the "
        "same architecture were trained on activity alone: a baseline without a teacher, a "
        f"multitask control, and one for each strategy ({', '.join(strategies)}). "
        f"{selection(view, 'scores on cells that are not tested')}With each network frozen, an "
        "embedding of every cell was then fitted to its activity, and cells were classified by "
        f"{kinds}, from it, from a profile of their activity, or both. {_tested(view)} "
        f"All in all, {count(len(view.folder.fits()), 'fit')}."
    )


def _tested(view: View) -> str:
    data, seeds = view.config.data, count(view.config.seeds, "seed")
    if data.animals:
        return (
            "One animal after the other was tested, whose cells no network and no classifier "
            f"learned from, for {seeds}."
        )
    return (
        f"{100 * data.test_fraction:.0f} % of the cells were tested, which no network was trained "
        f"on. Classifiers learned from the others and, in {data.folds} folds drawn "
        f"{'once' if data.repeats == 1 else f'{data.repeats} times'}, from the rest of the tested. "
        f"This was done for {seeds}"
        f"{', each with its own tested cells and initial weights' if view.config.seeds > 1 else ''}"
        "."
    )


def simulated_note(view: View) -> list[Caveat]:
    """Return what to keep in mind of sessions that were never recorded."""
    text = " The result shows how the methods fare where the truth is known, not what cells do."
    notes = [note for note in view.data.notes if note.startswith(SIMULATED)]
    return [Caveat("simulated", note + text) for note in notes[:1]]


def data_rows(view: View) -> list[tuple[str, str]]:
    """Return where the data come from, which cells there are, and what was left out."""
    cells, data = view.data, view.provenance["data"]
    n_tested = span([len(split.tested) for split in view.splits])
    owners = [f"{name} ({cells.animals.count(name)} cells)" for name in animals(view)]
    at_a_time = "(an animal at a time)" if view.config.data.animals else "a seed"
    rows = [
        ("source", str(data["source"])),
        ("hash", str(view.provenance["data_hash"])),
        ("sessions", str(len(data["sessions"]))),
        ("animals", ", ".join(owners)),
        ("frames of a window", str(data.get("window", view.config.data.window))),
        ("cells", str(len(cells.names))),
        ("cells tested", f"{n_tested} {at_a_time}"),
    ]
    for kind, found in view.results["labels"].items():
        classes = ", ".join(f"{name} {n}" for name, n in found["classes"].items())
        rows.append((f"labelled by {kind}", f"{len(cells.labels[kind])} cells: {classes}"))
        rows.append(
            (f"largest class of {kind}", f"{100 * found['majority_rate']:.1f} % of the labelled")
        )
    return [*rows, *(("note", note) for note in data["notes"])]


def session_table(view: View) -> PlainTable:
    """Return the size of each session."""
    keys = ("animal", "n_frames", "n_neurons", "frame_s")
    sessions = view.provenance["data"]["sessions"].items()
    rows = [[name, *(str(size[key]) for key in keys)] for name, size in sessions]
    columns = ["session", "animal", "frames", "cells", "frame (s)"]
    return PlainTable("Each session", columns, rows)


def chosen_table(view: View) -> PlainTable:
    """Return by arm the classifiers that were chosen for each kind of label, most often first."""
    rows = []
    for arm in view.arms:
        row = [arm]
        for kind in view.data.kinds:
            names = [n for s in view.splits for n in classified(view, arm, s, kind).chosen]
            ordered = Counter(sorted(names)).most_common()  # of equals in order of their names
            row.append(", ".join(f"{name} ×{n}" for name, n in ordered))
        rows.append(row)
    title = "Classifiers that were chosen, on cells that are not tested"
    return PlainTable(title, ["arm", *view.data.kinds], rows)


def next_steps(view: View) -> list[Step]:
    """Return how to make the next run from this one."""
    n = max(5, view.config.seeds + 3)
    why = (
        "Run more seeds with the same settings, for intervals to rely on (from the directory that "
        "holds this folder):"
    )
    steps = [rerun(view, why, f"--seeds {n}", f"{n}-seeds")]
    if len(animals(view)) > 1 and not view.config.data.animals:
        why = (
            "Test on animals that nothing has learned from, which is what use on a new recording "
            "is like:"
        )
        steps.append(rerun(view, why, "--animals", "animals"))
    return steps
