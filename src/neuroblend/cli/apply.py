"""The commands that use a run that has ended, or a student that was exported from one."""

from pathlib import Path
from typing import Annotated

import typer

from neuroblend.cli.options import (
    FoldOfRun,
    Quiet,
    SeedOfRun,
    SessionOfRun,
    StudentArm,
    Text,
    Whole,
    names,
    option,
    status,
)
from neuroblend.errors import InputError


def refuse_same(out: Path, source: Path) -> None:
    """Refuse to write over what is read."""
    if out.exists() and source.exists() and out.samefile(source):
        raise InputError(f"{out}: is what is read; choose another --out")


Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run that has ended.")]


def predict(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN|STUDENT", help="Folder of a run, or a file that export wrote."),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Spikes, without behavior: .npz or .h5 with counts, or .nwb."
        ),
    ],
    out: Annotated[Path, option("HDF5 file to write.")] = Path("rates.h5"),
    arm: StudentArm = "selected",
    seed: SeedOfRun = None,
    fold: FoldOfRun = None,
    session: SessionOfRun = None,
    match: Annotated[
        str, option("Find neurons by id or by position; auto: by id where FILE has ids.")
    ] = "auto",
    missing_units: Annotated[
        str, option("What to do where FILE lacks neurons: refuse, or zeros to take them as silent.")
    ] = "refuse",
    layers: Annotated[
        Text, option("Further layers of the network to write, joined by commas.", "none")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Predict rates, latents and decoded behavior from spikes alone."""
    with status("loading", quiet):
        from neuroblend.deploy.write import predict_to_file
        from neuroblend.experiments.decoding.take import student_from

        refuse_same(out, run)
        student = student_from(run, arm, seed, fold, session)
    with status("predicting", quiet) as shown:

        def progress(done: int, n: int) -> None:
            if shown is not None:
                shown.update(f"predicting: {done / n:.0%}")

        told = predict_to_file(student, file, out, match, missing_units, names(layers), progress)
    for note in told.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{out}: {told.summary}")


def export(
    run: Run,
    out: Annotated[
        Path, option("File to write: a student that predicts, or .onnx for other programs.")
    ] = Path("student.nbm"),
    arm: StudentArm = "selected",
    seed: SeedOfRun = None,
    fold: FoldOfRun = None,
    session: SessionOfRun = None,
    form: Annotated[
        Text, option("Of .onnx: called by step (causal), or on whole trials.", "step")
    ] = None,
) -> None:
    """Write a student to one file, which predicts without its run."""
    from neuroblend.deploy.bundle import save_student
    from neuroblend.deploy.student import FORMS
    from neuroblend.errors import InputError, nearest
    from neuroblend.experiments.decoding.apply import trained_student

    is_onnx = out.suffix == ".onnx"
    if form is not None and form not in FORMS:
        raise InputError(f"--form: no form '{form}': {nearest(form, FORMS)}")
    if form is not None and not is_onnx:
        raise InputError(f"--form {form}: found --out {out}, wanted a file .onnx, which has a form")
    student = trained_student(run, arm, seed, fold, session)
    if is_onnx:
        form = form or "step"
        outputs = student.export_onnx(out, form)
        typer.echo(f"{out}: {student!r}, as ONNX by {form}; it gives {', '.join(outputs)}")
        return
    save_student(student, out)
    typer.echo(f"{out}: {student!r}")


def adapt(
    student: Annotated[
        Path,
        typer.Argument(metavar="STUDENT", help="A file that export wrote, or folder of a run."),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Spikes of another day: .npz or .h5 with counts, or .nwb."
        ),
    ],
    out: Annotated[Path, option("File to write.")] = Path("adapted.nbm"),
    match: Annotated[
        str, option("auto: neurons of the same id are the same; none: all are others.")
    ] = "auto",
    epochs: Annotated[Whole, option("Most epochs.", "about 900 steps, 60 to 300")] = None,
    seed: Annotated[int, option("Of what validates, initial weights and masks.", "0")] = 0,
    starts: Annotated[int, option("Trainings from other weights; the best is kept.")] = 1,
    arm: StudentArm = "selected",
    session: SessionOfRun = None,
    quiet: Quiet = False,
) -> None:
    """Take a student to another day's neurons, by their spikes alone."""
    with status("loading", quiet):
        from neuroblend.deploy.adapt import adapt_student
        from neuroblend.deploy.bundle import save_student
        from neuroblend.experiments.decoding.take import student_from

        known = student_from(student, arm, session=session)
    with status("adapting", quiet) as shown:

        def progress(done: int, n: int) -> None:
            if shown is not None:
                shown.update(f"adapting: epoch {done} of at most {n}")

        settings = {} if epochs is None else {"epochs": epochs}
        adapted = adapt_student(
            known, file, match=match, settings=settings, seed=seed, starts=starts,
            progress=progress,
        )  # fmt: skip
    save_student(adapted, out)
    found = adapted.about["adapted"]
    for note in found["notes"]:
        typer.echo(f"note: {note}", err=True)
    typer.echo(
        f"{out}: {adapted.arm} for {found['n_neurons']} neurons, {found['n_known_neurons']} of "
        f"them known; learned from {found['n_trials']} trials or windows without behavior, "
        f"to a validation loss of {found['valid']:.4f}"
    )


def report(run: Run, quiet: Quiet = False) -> None:
    """Build the page of a run again."""
    from neuroblend.engine.folder import RunFolder
    from neuroblend.report.page import write_report

    with status("drawing the page", quiet):
        page = write_report(RunFolder.open(run))
    typer.echo(f"page: {page}")
