"""What was run, on what, and how to go on, in words and pairs for the page of decoding."""

import shlex

import numpy as np

from neuroblend.report.decoding.kinds import described
from neuroblend.report.facts import Step, count, rerun, selection, span
from neuroblend.report.scores import PlainTable
from neuroblend.report.style import signed
from neuroblend.report.view import View


def summary(view: View) -> str:
    """Return one paragraph on what was run."""
    trials, config = view.data, view.config
    conditions = ""
    if trials.condition is not None:
        conditions = f" in {count(len(set(trials.condition)), 'condition')}"
    strategies = [arm for arm in view.arms if arm in config.distill.strategies]
    return (
        f"The recording {trials.name} has {count(trials.n_trials, 'trial')}{conditions}, each of "
        f"{count(trials.n_bins, 'bin')} of {trials.bin_s * 1000:g} ms "
        f"({trials.n_bins * trials.bin_s:.3g} s), "
        f"{count(trials.n_neurons, 'neuron')} (median {np.median(trials.rate_hz):.2g} Hz) and "
        f"{count(len(trials.behavior_names), 'behavior channel')}: "
        f"{', '.join(described(channel) for channel in trials.channels)}. "
        f"A teacher ({config.model.name}) was trained on spikes and behavior. Students of the same "
        f"architecture were trained on spikes alone: a baseline without a teacher, a multitask "
        f"control, and one for each strategy ({', '.join(strategies)}). {_causal(view)}"
        f"{selection(view, 'validation scores')}{_repeats(view)} All in all, "
        f"{count(_n_trained(view), 'training')}. Every model is scored on test trials that "
        "nothing was trained or chosen on within its split."
    )


def _causal(view: View) -> str:
    if not view.config.model.causal:
        return "They may look at later spikes of a trial; for use while it goes on, see --causal. "
    return (
        "They are causal, as are the read-outs of behavior and what they are compared with: "
        "nothing but teachers depends on spikes after the bin that it speaks of. "
    )


def _n_trained(view: View) -> int:
    return sum(cost["epochs"] > 0 for cost in view.provenance["fits"].values())


def _repeats(view: View) -> str:
    config, trials = view.config, view.data
    drawn = ["initial weights"]
    if trials.held_out is None and config.data.held_out > 0:
        drawn.insert(0, "held-out neurons")
    if trials.split is None or config.data.folds:
        drawn.insert(0, "split")
    again = " and ".join([", ".join(drawn[:-1]), drawn[-1]]) if len(drawn) > 1 else drawn[0]
    text = f"This was done for {count(config.seeds, 'seed')}"
    if config.seeds > 1:
        text += f"; each draws {again} again"
    if config.data.folds:
        text += f"; in {config.data.folds} folds, so that every trial is tested once a seed"
    return text + "."


def data_rows(view: View) -> list[tuple[str, str]]:
    """Return where the data come from, what takes which part, and what was left out."""
    trials, data, splits = view.data, view.provenance["data"], view.splits
    held_out = span([int(split.held_out.sum()) for split in splits])
    start, end = trials.span_s
    window = [("aligned to", signed(f"{trials.event}, {start:g} to {end:g} s"))]
    return [
        ("source", str(data["source"])),
        ("hash", str(view.provenance["data_hash"])),
        *(window if trials.event else []),
        ("neurons used", f"{trials.n_neurons} of {trials.n_source_neurons} in the source"),
        ("training trials", span([len(split.train) for split in splits])),
        ("validation trials", span([len(split.valid) for split in splits])),
        ("test trials", span([len(split.test) for split in splits])),
        ("held-out neurons", f"{held_out} of {trials.n_neurons}"),
        ("forward bins", f"{view.config.data.forward_bins} of {trials.n_bins}"),
        ("causal", "yes, but for teachers" if view.config.model.causal else "no"),
        *[("note", note) for note in data["notes"]],
    ]


def readout_tables(view: View) -> list[PlainTable]:
    """Return by arm what behavior was read out of, most often first; none for an older run."""
    rows = []
    for arm, found in view.results.get("readouts", {}).items():
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        rows.append([arm, ", ".join(f"{name} ×{n}" for name, n in ordered)])
    title = "What behavior was read out of, chosen on validation trials"
    return [PlainTable(title, ["arm", "bins and signal"], rows)] if rows else []


def next_steps(view: View) -> list[Step]:
    """Return how to use this run and how to make the next one."""
    name = shlex.quote(view.folder.path.resolve().name)
    return [
        Step(
            "Predict rates and behavior from spikes alone, with the selected student (from the "
            "directory that holds the run's folder):",
            f"neuroblend predict {name} NEW_SPIKES.h5 --out rates.h5",
        ),
        _more_seeds(view, max(5, view.config.seeds + 3)),
        Step("Build this page again:", f"neuroblend report {name}"),
    ]


def _more_seeds(view: View, n: int) -> Step:
    why = "Run more seeds with the same settings, for intervals to rely on:"
    if view.provenance["command"][1:2] == ["run"]:
        return rerun(view, why, f"--seeds {n}", f"{n}-seeds")
    name = view.folder.path.resolve().name
    return Step(
        why,
        "import neuroblend as nb\n\n"
        f"old = nb.RunFolder({name!r})\n"
        f"more = old.config().model_copy(update={{'seeds': {n}}})\n"
        f"nb.run(old.data(), {name + f'-{n}-seeds'!r}, more)",
    )
