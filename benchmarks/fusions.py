"""How behavior reaches a teacher, on several recordings: what are it and its students worth?

One row a fusion and recording: behavior R² of the teacher by the chosen read-out and from its rates
in the same bin, and its co-bps; behavior R² and co-bps of its students; and how much better the
students decode than the undistilled network, paired, with 95 % intervals.

Rows are runs in --out, which go on where they were interrupted; the undistilled and the multitask
student, the same whatever the fusion, are trained once a recording.

Run: python benchmarks/fusions.py [--data FOLDER] [--recordings simulated ibl_wheel ...]
     [--only concat film ...] [--out runs/fusions] [--folds 3] [--seeds 1] [--epochs 40] [--jobs 2]
     [--model ndt]
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from support.recordings import SETTINGS, loaded, parser_of, table, with_interval

import neuroblend as nb
from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER
from neuroblend.engine.folder import RunFolder, bind
from neuroblend.registry import FUSIONS

STUDENTS = ("feature", "feature+multitask")
SCORE, SAME_BIN, CO_BPS = "decoding_r2", "behavior_r2", "co_bps"
HEAD = ["recording", "fusion", "teacher R²", "from rates", "teacher co-bps"]
HEAD += [f"{student}{what}" for student in STUDENTS for what in (" R²", " − baseline", " co-bps")]


def run_of(
    fusion: str, name: str, trials: nb.Trials, first: Path | None, given: argparse.Namespace
) -> RunFolder:
    """Return the run of one fusion, with what it shares with the first run copied from there."""
    config = nb.RunConfig.model_validate(
        {
            "data": SETTINGS[name] | {"folds": given.folds},
            "model": {"name": given.model, "fusion": fusion},
            "distill": {"strategies": STUDENTS},
            "training": {"epochs": given.epochs, "accelerator": "cpu"},
            "controls": "none",
            "seeds": given.seeds,
        }
    ).with_source(trials)
    path = given.out / f"{name}-{given.model}" / fusion
    if first is not None and first != path and not path.exists():
        experiment = bind(config)
        data = experiment.load(trials)
        RunFolder.create(path, experiment, data, experiment.splits(data))
        for arm in experiment.arms():
            if arm.name in (BASELINE, MULTITASK):
                shutil.copytree(first / arm.folder, path / arm.folder)
    return nb.run(trials, path, config, jobs=given.jobs, quiet=True)


def row_of(name: str, fusion: str, results: dict[str, Any]) -> list[str]:
    """Return the cells of a run."""

    def score(arm: str, metric: str, digits: int = 3) -> str:
        found = results["arms"][arm].get(metric)
        return "-" if found is None else f"{found['mean']:.{digits}f}"

    cells = [name, fusion, score(TEACHER, SCORE), score(TEACHER, SAME_BIN)]
    cells.append(score(TEACHER, CO_BPS, 4))
    for student in STUDENTS:
        gain = with_interval(results["contrasts"][f"{student} - {BASELINE}"][SCORE])
        cells += [score(student, SCORE), gain, score(student, CO_BPS, 4)]
    return cells


def main() -> None:
    """Run what is asked for, and print the table."""
    parser = parser_of(__doc__, "fusions", list(SETTINGS))
    parser.add_argument("--only", nargs="*", choices=list(FUSIONS), default=list(FUSIONS))
    given = parser.parse_args()
    rows = []
    for name, trials in loaded(given.recordings, given.data):
        first = None
        for fusion in given.only:
            run = run_of(fusion, name, trials, first, given)
            first = first or run.path
            rows.append(row_of(name, fusion, run.results()))
    table(HEAD, rows)


if __name__ == "__main__":
    main()
