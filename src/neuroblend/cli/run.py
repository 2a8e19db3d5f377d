"""The commands that train: ``run`` and ``identity``."""

from pathlib import Path
from typing import Annotated

import typer

from neuroblend.cli.options import (
    Accelerator,
    Behavior,
    Config,
    Jobs,
    Kinds,
    Number,
    Quiet,
    Seed,
    Set,
    Text,
    Whole,
    kinds,
    names,
    option,
    saying,
    status,
)
from neuroblend.cli.settings import kind_in, settings_of, within
from neuroblend.config import ExperimentConfig
from neuroblend.errors import InputError
from neuroblend.experiments.decoding.sessions.settings import SessionsConfig
from neuroblend.experiments.decoding.settings import DEFAULT_STRATEGIES, RunConfig
from neuroblend.experiments.identity.references import CELL_REFERENCES
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.registry import FUSIONS, MODELS, REFERENCES


def run(
    source: Annotated[
        list[str] | None,
        typer.Argument(
            help="An .npz or .h5 file, NWB with --dataset, or 'simulated'; several are sessions of "
            "one task, for one network.",
            show_default="simulated",
        ),
    ] = None,
    out: Annotated[Path | None, option("Folder of the run.", "runs/<source>")] = None,
    model: Annotated[
        Text, option(f"{', '.join(MODELS)}, or package.module:builder.", "ndt")
    ] = None,
    preset: Annotated[Text, option("Published settings, such as mc_maze.", "none")] = None,
    layer: Annotated[Text, option("Layer whose output is distilled.", "the model's")] = None,
    causal: Annotated[
        bool | None,
        option(
            "Let only a teacher look at later spikes: for use while a trial goes on.",
            "no",
            "--causal/--no-causal",
        ),
    ] = None,
    fusion: Annotated[
        Text,
        option(
            f"How a teacher is given behavior: {', '.join(FUSIONS)}; or package.module:class.",
            RunConfig().model.fusion,
        ),
    ] = None,
    strategies: Annotated[
        Text,
        option(
            "Names joined by commas, combined by +; or package.module:class.",
            ",".join(DEFAULT_STRATEGIES),
        ),
    ] = None,
    references: Annotated[
        Text, option(f"Models without gradients to score too: {','.join(REFERENCES)}.", "none")
    ] = None,
    controls: Annotated[
        Text, option("Rivals and controls, scored too: none, default or all.", "default")
    ] = None,
    goal: Annotated[Text, option("What selects an arm: behavior, co-bps or both.", "both")] = None,
    behavior: Behavior = None,
    kind: Kinds = None,
    dataset: Annotated[
        Text, option("Dataset of the Neural Latents Benchmark '21, for NWB.", "none")
    ] = None,
    bin_ms: Annotated[Number, option("Width of its bins: 5 or 20 ms.", "5")] = None,
    units: Annotated[Whole, option("How many neurons to draw by seed.", "all")] = None,
    min_rate: Annotated[Number, option("Leave out neurons that fire less, in Hz.", "0")] = None,
    held_out: Annotated[Number, option("Fraction of neurons no student sees.", "0.25")] = None,
    forward_bins: Annotated[Whole, option("Last bins of a trial that no model sees.", "0")] = None,
    seeds: Annotated[Whole, option("How many seeds.", "3")] = None,
    seed: Seed = None,
    folds: Annotated[Whole, option("Test every trial once, in so many folds.", "none")] = None,
    blocks: Annotated[
        Whole,
        option(
            "Trials side by side that a split keeps together; 0 for none.",
            "of windows of a continuous recording",
        ),
    ] = None,
    paired_fraction: Annotated[
        Number, option("Fraction of training trials that keep their behavior.", "1")
    ] = None,
    hold_out_session: Annotated[
        Text,
        option(
            "Of several: names of those that a read-in and read-out alone are fitted to.", "none"
        ),
    ] = None,
    alone: Annotated[
        bool | None,
        option("Of several: train on each alone, too.", "no", "--alone/--no-alone"),
    ] = None,
    epochs: Annotated[
        Whole, option("Most epochs of a fit.", "900 steps, in 60 to 300 epochs")
    ] = None,
    alpha: Annotated[Number, option("Weight of spikes against the teacher.", "0.75")] = None,
    accelerator: Accelerator = None,
    precision: Annotated[Text, option("32-true, bf16-mixed, ...", "32-true")] = None,
    devices: Annotated[Whole, option("Devices that train one model together.", "1")] = None,
    cache_teacher: Annotated[
        bool | None,
        option(
            "Let a teacher look at each trial once, unmasked: cheaper.",
            "no",
            "--cache-teacher/--no-cache-teacher",
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
    sources = source or []
    several = len(sources) > 1 or (not sources and kind_in(config) == SessionsConfig.kind)
    one = sources[0] if len(sources) == 1 else None
    given = within("data", source=one, behavior=names(behavior), dataset=dataset, bin_ms=bin_ms)
    given |= within("data", kinds=kinds(kind))
    given |= within("data", units=units, min_rate_hz=min_rate, held_out=held_out, folds=folds)
    given |= within("data", forward_bins=forward_bins, blocks=blocks)
    given |= within("data", paired_fraction=paired_fraction)
    given |= within("model", name=model, preset=preset, layer=layer, causal=causal)
    given |= within("model", fusion=fusion)
    given |= within("distill", strategies=names(strategies), alpha=alpha)
    given |= within("distill", cache_teacher=cache_teacher)
    given |= within("training", epochs=epochs, accelerator=accelerator)
    given |= within("training", precision=precision, devices=devices)
    given |= {"references": names(references), "controls": controls, "goal": goal}
    given |= {"seeds": seeds, "first_seed": seed}
    if several:
        given |= within("data", hold_out_session=names(hold_out_session), alone=alone)
        joint = settings_of(SessionsConfig, config, given, set_ or [])
        sources = sources or list(joint.data.sources)
        usual = Path("runs") / f"{Path(sources[0]).stem}-and-{len(sources) - 1}-more"
        finish(sources, out or usual, joint, jobs, quiet)
        return
    for name, value in (("hold-out-session", hold_out_session), ("alone", alone)):
        if value is not None:
            raise InputError(f"--{name}: found one SOURCE, wanted several sessions")
    settings = settings_of(RunConfig, config, given, set_ or [])
    named = settings.data.source
    finish(named, out or Path("runs") / Path(named).stem, settings, jobs, quiet)


def identity(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Sessions in the layout of Bugeon et al. 2022, or files of labelled activity.",
        ),
    ],
    out: Annotated[Path | None, option("Folder.", "runs/identity-<source>")] = None,
    dynamics: Annotated[Text, option("linear, recurrent or attention.", "linear")] = None,
    strategies: Annotated[
        Text,
        option(
            "Names joined by commas, combined by +; or package.module:attribute.",
            ",".join(IdentityConfig().distill.strategies),
        ),
    ] = None,
    references: Annotated[
        Text, option(f"Joined by commas: {', '.join(CELL_REFERENCES)}.", "all")
    ] = None,
    labels: Annotated[Text, option("What to classify cells by.", "subclass,ei or all")] = None,
    behavior: Behavior = None,
    stimuli: Annotated[Text, option("Of that layout, e.g. Blank.", "all")] = None,
    animals: Annotated[
        bool | None, option("Test one animal after the other.", "no", "--animals")
    ] = None,
    seeds: Annotated[Whole, option("How many.", "3")] = None,
    seed: Seed = None,
    epochs: Annotated[Whole, option("Most epochs.", "40")] = None,
    window: Annotated[
        Whole, option("Frames seen at a time.", "an eighth of the shortest session, at most 200")
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
    given = within("data", source=source, behavior=names(behavior), stimuli=names(stimuli))
    given |= within("data", labels=names(labels), animals=animals, window=window)
    given |= within("model", dynamics=dynamics) | within("distill", strategies=names(strategies))
    given |= within("training", epochs=epochs, accelerator=accelerator)
    given |= {"references": names(references), "seeds": seeds, "first_seed": seed}
    settings = settings_of(IdentityConfig, config, given, set_ or [])
    there = Path(source).resolve()
    usual = Path("runs") / f"identity-{there.name if there.is_dir() else there.stem}"
    finish(source, out or usual, settings, jobs, quiet)


def finish(
    source: str | list[str], out: Path, config: ExperimentConfig, jobs: int | None, quiet: bool
) -> None:
    """Run an experiment, print its table and write its page."""
    with status("loading", quiet):
        from neuroblend.experiments.run import run as run_all
        from neuroblend.report.face import face_of
        from neuroblend.report.page import write_report
        from neuroblend.report.table import print_table
        from neuroblend.report.view import View

    folder = run_all(source, out, config, jobs, quiet, saying(quiet))
    print_table(folder)
    face = face_of(folder.experiment.kind)
    for caveat in face.simulated_note(View(folder)):  # again, beside the verdict
        typer.echo(caveat.text)
    with status("drawing the page", quiet):
        page = write_report(folder)
    typer.echo(f"page: {out / page.name}")
