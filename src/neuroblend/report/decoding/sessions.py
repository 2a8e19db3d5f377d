"""What the page of decoding in several sessions has of its own."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from neuroblend.data.split import Split
from neuroblend.data.trials import Trials
from neuroblend.engine.arm import BASELINE
from neuroblend.experiments.decoding.sessions.networks import ALONE
from neuroblend.report.caveat import Caveat
from neuroblend.report.curves import TITLE as TRAINING
from neuroblend.report.decoding.page import ARMS
from neuroblend.report.decoding.page import page as page_of_one
from neuroblend.report.face import Block, Face, headlines
from neuroblend.report.facts import Step, count, selection, span
from neuroblend.report.scores import ScoreTable, score_table
from neuroblend.report.style import Picture, signed
from neuroblend.report.verdict import deciding, difference, judged, may_claim
from neuroblend.report.view import Stored, View

FILES_OF_ALL = ("history.csv",)


@dataclass(frozen=True, eq=False)
class OneView(View):
    """A run on several sessions as figures of one of them see it.

    Attributes:
        session: Its name.
    """

    session: str = ""

    @cached_property
    def data(self) -> Trials:
        """The trials of the session."""
        sessions = self.folder.data()
        trials: Trials = sessions.trials[sessions.index(self.session)]
        return trials

    @cached_property
    def splits(self) -> list[Split]:
        """Its split of each seed and fold."""
        return [s.parts[s.names.index(self.session)] for s in self.folder.splits()]

    def stored(self, arm: str, split: Any, name: str, load: Callable[[Path], Stored]) -> Stored:
        """Return what a file of one fit holds, in the session."""
        path = name if name in FILES_OF_ALL else str(Path(self.session) / name)
        return super().stored(arm, split, path, load)


@dataclass(frozen=True, eq=False)
class PooledView(View):
    """A run on several sessions without the scores of each."""

    @cached_property
    def results(self) -> dict[str, Any]:
        """Content of ``results.json``, scores of all sessions together alone."""
        return pooled(self.folder.results())


def pooled(results: dict[str, Any]) -> dict[str, Any]:
    """Return results without the scores of each session."""
    ends = tuple(f"@{session}" for session in results["sessions"])
    kept = {
        part: {
            name: {key: entry for key, entry in scores.items() if not key.endswith(ends)}
            for name, scores in results[part].items()
        }
        for part in ("arms", "contrasts")
    }
    return results | kept


def page() -> Face:
    """Return what the page of decoding in several sessions has of its own."""
    one = page_of_one()
    meanings = ARMS | {
        ALONE["baseline"]: "the baseline trained on each session alone, a network each",
        ALONE["multitask"]: "the multitask control trained on each session alone, a network each",
    }
    return replace(
        one,
        words=replace(one.words, does=lambda results: one.words.does(pooled(results))),
        clause=lambda results: one.clause(pooled(results)),
        caveats=lambda results: [
            *_of_sessions(results),
            *_of_alone(results),
            *one.caveats(pooled(results)),
        ],
        blocks=lambda results: [Block(_heading(results), headlines(results))],
        meaning=meanings.get,
        summary=_summary,
        details=lambda view, block: [
            *_by_session(view, block),
            *one.details(PooledView(view.folder), block),
        ],
        pictures=lambda view, block: _pictures(one, view, block),
        data_rows=_data_rows,
        next_steps=_next_steps,
    )


def _heading(results: dict[str, Any]) -> str:
    names = results["tested_sessions"]
    if results["held_out_sessions"]:
        return f"Scores on test trials of {', '.join(names)}, held out whole"
    return f"Scores on test trials, mean over {len(names)} sessions"


def _of_sessions(results: dict[str, Any]) -> list[Caveat]:
    """Return what scores are of, and what intervals do not speak of."""
    names = results["tested_sessions"]
    text = (
        f"Scores are means over {count(len(names), 'session')}, and intervals are of other trials "
        "of these, not of other sessions."
    )
    if results["held_out_sessions"]:
        text += (
            f" From {' and '.join(names)}, networks learned a read-in and a read-out of its "
            "neurons, by its training trials' spikes; the read-out of behavior that scores them "
            "was fitted to its training trials."
        )
    return [Caveat("sessions", text, {"tested": names})]


def _of_alone(results: dict[str, Any]) -> list[Caveat]:
    """Return whether sessions gain by being learned together, where that was asked."""
    contrasts, texts, numbers = results["contrasts"], [], {}
    metric, label = next(iter(deciding(results).items()))
    for joint, alone in ALONE.items():
        minus = contrasts.get(f"{joint} - {alone}")
        if minus is None or metric not in minus:
            continue
        outcome = {
            "better": "does better than",
            "worse": "does worse than",
            "unclear": "does not clearly differ from",
        }[judged(minus, results) if may_claim(results) else "unclear"]
        texts.append(
            f"{joint} {outcome} the same on each alone ({label}, {difference(minus[metric])})"
        )
        numbers[joint] = minus[metric]["mean"]
    if not texts:
        return []
    return [Caveat("alone", signed(f"Sessions together: {'; '.join(texts)}."), numbers)]


def _summary(view: View) -> str:
    """Return one paragraph on what was run."""
    sessions, config, results = view.data, view.config, view.results
    each = "; ".join(
        f"{name} ({count(t.n_trials, 'trial')}, {count(t.n_neurons, 'neuron')})"
        for name, t in zip(sessions.names, sessions, strict=True)
    )
    behavior = ", ".join(sessions.trials[0].behavior_labels)
    bins = count(sessions.trials[0].n_bins, "bin")
    held_out = ""
    if results["held_out_sessions"]:
        held_out = (
            f"{' and '.join(results['held_out_sessions'])} took no part in its training: a read-in "
            "and a read-out were fitted afterwards, with all else frozen. "
        )
    return (
        f"{count(len(sessions), 'session')} of one task: {each}; trials of up to {bins} of "
        f"{sessions.bin_s * 1000:g} ms, and behavior {behavior}. "
        f"One network ({config.model.name}) has a linear read-in and read-out for each session and "
        f"shares all else. A teacher was trained on spikes and behavior, students on spikes alone. "
        f"{held_out}{selection(view, 'validation scores')}This was done for "
        f"{count(config.seeds, 'seed')}. Wiener filters and other references are fitted to each "
        "session. Every model is scored on test trials that nothing was trained or chosen on "
        "within its split."
    )


def _by_session(view: View, block: Block) -> list[ScoreTable]:
    tables = []
    for name, label in block.columns.items():
        columns = {f"{name}@{session}": session for session in view.data.names}
        title = f"{label} of each session"
        tables.append(score_table(view, title, columns, view.scored_arms, BASELINE))
    return tables


def _pictures(one: Face, view: View, block: Block) -> list[Picture]:
    """Return the figures of one session, the first that is tested, and those of all."""
    name = view.results["tested_sessions"][0]
    return [
        picture
        if picture.title == TRAINING
        else replace(picture, caption=f"Session {name}. {picture.caption}")
        for picture in one.pictures(OneView(view.folder, session=name), block)
    ]


def _data_rows(view: View) -> list[tuple[str, str]]:
    """Return where the data come from, what takes which part, and what was left out."""
    data, rows = view.provenance["data"], []
    for i, (name, trials) in enumerate(zip(view.data.names, view.data, strict=True)):
        parts = [split.parts[i] for split in view.splits]
        held_out = span([int(p.held_out.sum()) for p in parts])
        rows.append(
            (
                name,
                f"{data['sources'][i]}: {trials.n_neurons} of {trials.n_source_neurons} neurons, "
                f"{held_out} held out; trials {span([len(p.train) for p in parts])} training, "
                f"{span([len(p.valid) for p in parts])} validation, "
                f"{span([len(p.test) for p in parts])} test",
            )
        )
    return [
        ("hash", str(view.provenance["data_hash"])),
        *rows,
        ("causal", "yes, but for teachers" if view.config.model.causal else "no"),
        *[("note", note) for note in data["notes"]],
    ]


def _next_steps(view: View) -> list[Step]:
    """Return how to use this run and how to make the next one."""
    name = shlex.quote(view.folder.path.resolve().name)
    sources = " ".join(map(shlex.quote, view.config.data.sources))
    n, session = max(5, view.config.seeds + 3), view.data.names[0]
    return [
        Step(
            "Predict rates and behavior from spikes of a session's neurons alone, with the "
            "selected student (from the directory that holds the run's folder):",
            f"neuroblend predict {name} NEW_SPIKES.h5 --session {session} --out rates.h5",
        ),
        Step(
            "Run more seeds with the same settings, for intervals to rely on:",
            f"neuroblend run {sources} --config {name}/config.yaml --seeds {n} --out "
            f"{name}-{n}-seeds",
        ),
        Step("Build this page again:", f"neuroblend report {name}"),
    ]
