"""The commands that use a run that has ended."""

from pathlib import Path
from typing import Annotated

import typer

from neuroblend.cli.options import Quiet, SeedOfRun, StudentArm, option, status


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File with spikes; it needs no behavior.")
    ],
    out: Annotated[Path, option("HDF5 file to write.")] = Path("rates.h5"),
    arm: StudentArm = "selected",
    seed: SeedOfRun = None,
) -> None:
    """Predict rates and decoded behavior from spikes alone."""
    from neuroblend.experiments.decoding.apply import predict_run

    prediction = predict_run(run, file, arm, seed)
    prediction.save(out)
    n_trials, n_bins, _ = prediction.behavior.shape
    rates = "" if prediction.rates is None else f"rates of {prediction.unit_id.size} neurons and "
    typer.echo(
        f"{out}: {n_trials} trials x {n_bins} bins of {rates}decoded "
        f"{', '.join(prediction.behavior_names)}, by {prediction.arm}, seed {prediction.seed}"
    )


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run that has ended.")],
    quiet: Quiet = False,
) -> None:
    """Build the page of a run again."""
    from neuroblend.engine.folder import RunFolder
    from neuroblend.report.page import write_report

    with status("drawing the page", quiet):
        page = write_report(RunFolder.open(run))
    typer.echo(f"page: {page}")
