"""The commands that train: ``run`` and ``identity``."""

from pathlib import Path
from typing import Annotated

import typer

from neuroblend.cli.options import (
    Accelerator,
    Behavior,
    Config,
    Jobs,
    Quiet,
    Seed,
    Set,
    names,
    saying,
    status,
)
from neuroblend.cli.settings import settings_of
from neuroblend.config import ExperimentConfig
from neuroblend.experiments.decoding.settings import DEFAULT_STRATEGIES, RunConfig
from neuroblend.experiments.identity.references import CELL_REFERENCES
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.registry import MODELS, REFERENCES


def run(
    source: Annotated[
        str | None,
        typer.Argument(
            help="An .npz or .h5 file, NWB with --dataset, or 'simulated'.  [default: simulated]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.  [default: runs/<source>]")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(MODELS)}, or package.module:builder.  [default: ndt]"),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Published settings of the model, such as mc_maze.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer whose output is distilled.  [default: the model's]")
    ] = None,
    strategies: Annotated[
        str | None,
        typer.Option(
            help="Names joined by commas, combined by +; or package.module:class.  "
            f"[default: {','.join(DEFAULT_STRATEGIES)}]"
        ),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(help=f"Models without gradients to score too: {','.join(REFERENCES)}."),
    ] = None,
    controls: Annotated[
        str | None,
        typer.Option(help="What a lab would use instead, scored too: none or default."),
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(help="What selects an arm: behavior, co-bps or both.  [default: both]"),
    ] = None,
    behavior: Behavior = None,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset of the Neural Latents Benchmark '21, for NWB.")
    ] = None,
    bin_ms: Annotated[
        float | None, typer.Option(help="Width of its bins: 5 or 20 ms.  [default: 5]")
    ] = None,
    units: Annotated[int | None, typer.Option(help="How many neurons to draw by seed.")] = None,
    min_rate: Annotated[
        float | None, typer.Option(help="Leave out neurons that fire less, in Hz.")
    ] = None,
    held_out: Annotated[
        float | None, typer.Option(help="Fraction of neurons no student sees.  [default: 0.25]")
    ] = None,
    forward_bins: Annotated[
        int | None, typer.Option(help="Last bins of a trial that no model sees.  [default: 0]")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds.  [default: 2]")] = None,
    seed: Seed = None,
    folds: Annotated[
        int | None, typer.Option(help="Test every trial once, in so many folds.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Most epochs of a fit.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of spikes against the teacher.  [default: 0.2]")
    ] = None,
    accelerator: Accelerator = None,
    precision: Annotated[
        str | None, typer.Option(help="32-true, bf16-mixed, ...  [default: 32-true]")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="Devices that train one model together.  [default: 1]")
    ] = None,
    cache_teacher: Annotated[
        bool | None,
        typer.Option(
            "--cache-teacher/--no-cache-teacher",
            help="Let a teacher look at each trial once, unmasked: cheaper.  [default: no]",
        ),
    ] = None,
    config: Config = None,
    set_: Set = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Train teacher, baseline and students on SOURCE, score them, and write a page.

    The same command goes on with a run that was interrupted.
    """
    given = {
        "data.source": source,
        "model.name": model,
        "model.preset": preset,
        "model.layer": layer,
        "distill.strategies": names(strategies),
        "distill.alpha": alpha,
        "references": names(references),
        "controls": controls,
        "goal": goal,
        "data.behavior": names(behavior),
        "data.dataset": dataset,
        "data.bin_ms": bin_ms,
        "data.units": units,
        "data.min_rate_hz": min_rate,
        "data.held_out": held_out,
        "data.forward_bins": forward_bins,
        "data.folds": folds,
        "seeds": seeds,
        "first_seed": seed,
        "training.epochs": epochs,
        "training.accelerator": accelerator,
        "training.precision": precision,
        "training.devices": devices,
        "distill.cache_teacher": cache_teacher,
    }
    settings = settings_of(RunConfig, config, given, set_ or [])
    finish(
        settings.data.source,
        out or Path("runs") / Path(settings.data.source).stem,
        settings,
        jobs,
        quiet,
    )


def identity(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Sessions in the layout of Bugeon et al. 2022, or files of labelled activity.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder.  [default: runs/identity-<source>]")
    ] = None,
    dynamics: Annotated[
        str | None, typer.Option(help="linear, recurrent or attention.  [default: linear]")
    ] = None,
    strategies: Annotated[
        str | None,
        typer.Option(help="Names joined by commas, combined by +; or package.module:attribute."),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(help=f"Joined by commas: {', '.join(CELL_REFERENCES)}."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="What to classify cells by.  [default: subclass,ei or all]")
    ] = None,
    behavior: Behavior = None,
    stimuli: Annotated[
        str | None, typer.Option(help="Of that layout, e.g. Blank.  [default: all]")
    ] = None,
    animals: Annotated[
        bool | None, typer.Option("--animals", help="Test one animal after the other.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many.  [default: 3]")] = None,
    seed: Seed = None,
    epochs: Annotated[int | None, typer.Option(help="Most epochs.  [default: 40]")] = None,
    window: Annotated[
        int | None, typer.Option(help="Frames seen at a time.  [default: 200, or an eighth]")
    ] = None,
    accelerator: Accelerator = None,
    config: Config = None,
    set_: Set = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Classify neurons by their activity, with networks that learned with behavior.

    The same command goes on with a run that was interrupted.
    """
    given = {
        "data.source": source,
        "data.stimuli": names(stimuli),
        "data.labels": names(labels),
        "data.behavior": names(behavior),
        "data.animals": animals,
        "data.window": window,
        "model.dynamics": dynamics,
        "distill.strategies": names(strategies),
        "references": names(references),
        "seeds": seeds,
        "first_seed": seed,
        "training.epochs": epochs,
        "training.accelerator": accelerator,
    }
    settings = settings_of(IdentityConfig, config, given, set_ or [])
    there = Path(source).resolve()
    usual = Path("runs") / f"identity-{there.name if there.is_dir() else there.stem}"
    finish(source, out or usual, settings, jobs, quiet)


def finish(source: str, out: Path, config: ExperimentConfig, jobs: int | None, quiet: bool) -> None:
    """Run an experiment, print its table and write its page."""
    with status("loading", quiet):
        from neuroblend.experiments.run import run as run_all
        from neuroblend.report.page import write_report
        from neuroblend.report.table import print_table

    folder = run_all(source, out, config, jobs, quiet, saying(quiet))
    print_table(folder)
    with status("drawing the page", quiet):
        page = write_report(folder)
    typer.echo(f"page: {out / page.name}")
