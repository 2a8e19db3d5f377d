"""The commands of the Neural Latents Benchmark: submit, evaluate."""

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from neuroblend.cli.options import SeedOfRun, StudentArm, option


def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run with --dataset.")],
    out: Annotated[Path, option("HDF5 file to write.")] = Path("submission.h5"),
    arm: StudentArm = "selected",
    seed: SeedOfRun = None,
    split: Annotated[str, option("Split to predict: val or test.")] = "val",
) -> None:
    """Write the rates of a run's student in the benchmark's submission layout, and check them."""
    from neuroblend.experiments.decoding.submission import submission_of
    from neuroblend.nlb.files import check_submission, write_nlb_h5

    groups = submission_of(run, arm, seed, split)
    for note in check_submission(groups):
        typer.echo(f"note: {note}")
    write_nlb_h5(out, groups)
    for name, group in groups.items():
        shapes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in group.items())
        typer.echo(f"{out}: {name}: {shapes}")


def evaluate(
    predictions: Annotated[Path, option("HDF5 file in the submission layout.")],
    targets: Annotated[Path, option("NWB file or folder, or .h5 of targets.")],
    out: Annotated[Path | None, option("JSON file to write the scores to.", "none")] = None,
    split: Annotated[str, option("Split that was predicted.")] = "val",
) -> None:
    """Score predictions as the Neural Latents Benchmark '21 does."""
    from neuroblend.experiments.decoding.submission import scored_submission, targets_for
    from neuroblend.files import write_json
    from neuroblend.nlb.files import read_nlb_h5
    from neuroblend.report.contents import print_scores

    given = read_nlb_h5(predictions)
    scores, notes = scored_submission(given, targets_for(targets, list(given), split))
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    print_scores(scores)
    if out is not None:
        # JSON has no NaN, which a score is where there is nothing to score
        written = [
            {name: {key: value if isfinite(value) else None for key, value in values.items()}}
            for result in scores
            for name, values in result.items()
        ]
        write_json(out, written)
