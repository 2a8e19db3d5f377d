"""The command line: one verb per step, and ``run`` for the whole way.

Nothing heavy is imported until a verb needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import yaml

from neuroblend._version import __version__
from neuroblend.config import IdentityConfig, RunConfig, Settings, parse_settings
from neuroblend.errors import InputError, nearest

app = typer.Typer(
    help="Models of neural population activity that learn from behavior they will not have later.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

# typer brings its own copy of click from 0.27 on and uses the package before; both name it here
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

INTERRUPTED = 130  # exit code after Ctrl-C

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results alone, no progress.")]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
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
        typer.Option(help="ndt, stndt, lfads, gru, or package.module:builder.  [default: ndt]"),
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
            help="Names joined by commas, combined by +.  "
            "[default: hard,soft,feature,correlation,feature+multitask]"
        ),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(help="Models without gradients to score too: smoothing,factor_analysis."),
    ] = None,
    behavior: Annotated[
        str | None, typer.Option(help="Channels, joined by commas.  [default: all]")
    ] = None,
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
    seed: Annotated[int | None, typer.Option(help="The first seed.  [default: 0]")] = None,
    folds: Annotated[
        int | None, typer.Option(help="Test every trial once, in so many folds.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Most epochs of a fit.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of spikes against the teacher.  [default: 0.2]")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="auto, cpu, gpu, cuda or mps.  [default: auto]")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="32-true, bf16-mixed, ...  [default: 32-true]")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="Devices that train one model together.  [default: 1]")
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="How they do: ddp.  [default: auto]")] = None,
    cache_teacher: Annotated[
        bool | None,
        typer.Option(
            "--cache-teacher/--no-cache-teacher",
            help="Let a teacher look at each trial once, unmasked: cheaper.  [default: no]",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings, such as a run's config.yaml.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting, e.g. training.lr=0.001; may be repeated."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Worker processes.  [default: one a core]")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train teacher, baseline and students on SOURCE, score them, and write a page.

    The same command goes on with a run that was interrupted.
    """
    if strategy not in (None, "auto", "ddp"):
        raise InputError(
            f"--strategy {strategy}: wanted auto or ddp, how devices share a training; what "
            f"students follow is --strategies {strategy}"
        )
    given = {
        "data.source": source,
        "model.name": model,
        "model.preset": preset,
        "model.layer": layer,
        "distill.strategies": _names(strategies),
        "distill.alpha": alpha,
        "references": _names(references),
        "data.behavior": _names(behavior),
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
        "training.strategy": strategy,
        "distill.cache_teacher": cache_teacher,
    }
    settings = _settings(RunConfig, config, given, set_ or [])
    with _status("loading", quiet):
        from neuroblend.experiments.decoding.load import run as run_study
        from neuroblend.report.page import write_report
        from neuroblend.report.table import print_table

    source = settings.data.source
    out = out or Path("runs") / Path(source).stem
    say = (lambda line: None) if quiet else (lambda line: typer.echo(line, err=True))
    folder = run_study(source, out, settings, jobs, quiet, say)
    print_table(folder)
    with _status("drawing the page", quiet):
        page = write_report(folder)
    typer.echo(f"page: {out / page.name}")


@app.command()
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
        str | None, typer.Option(help="Comma-separated; combine with +, e.g. feature+multitask.")
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: stock, moments, contrastive, hand_features, activity_profile."
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="What to tell cells by.  [default: subclass,ei or all]")
    ] = None,
    behavior: Annotated[
        str | None, typer.Option(help="Channels for the teacher.  [default: all]")
    ] = None,
    stimuli: Annotated[
        str | None, typer.Option(help="Of that layout, e.g. Blank.  [default: all]")
    ] = None,
    animals: Annotated[
        bool | None, typer.Option("--animals", help="Test one animal after the other.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many.  [default: 3]")] = None,
    seed: Annotated[int | None, typer.Option(help="The first of them.  [default: 0]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Most epochs.  [default: 40]")] = None,
    window: Annotated[
        int | None, typer.Option(help="Frames seen at a time.  [default: 200]")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="auto, cpu, gpu, cuda or mps.  [default: auto]")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting, e.g. distill.alpha=0.5; may be repeated."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Worker processes.  [default: one a core]")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Tell who each neuron is from its activity, by networks that learned with behavior.

    The same command goes on with an experiment that was interrupted.
    """
    given = {
        "data.source": source,
        "data.stimuli": _names(stimuli),
        "data.labels": _names(labels),
        "data.behavior": _names(behavior),
        "data.animals": animals,
        "data.window": window,
        "model.dynamics": dynamics,
        "distill.strategies": _names(strategies),
        "references": _names(references),
        "seeds": seeds,
        "first_seed": seed,
        "training.epochs": epochs,
        "training.accelerator": accelerator,
    }
    settings = _settings(IdentityConfig, config, given, set_ or [])
    with _status("loading", quiet):
        from neuroblend.experiments.identity.load import run_identity
        from neuroblend.report.identity.page import write_identity_report
        from neuroblend.report.identity.table import print_identity_table

    there = Path(source).resolve()
    out = out or Path("runs") / f"identity-{there.name if there.is_dir() else there.stem}"
    say = (lambda line: None) if quiet else (lambda line: typer.echo(line, err=True))
    folder = run_identity(source, out, settings, jobs, quiet, say)
    print_identity_table(folder)
    with _status("drawing the page", quiet):
        page = write_identity_report(folder)
    typer.echo(f"page: {out / page.name}")


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File with spikes; it needs no behavior.")
    ],
    out: Annotated[Path, typer.Option(help="HDF5 file to write.")] = Path("rates.h5"),
    arm: Annotated[
        str, typer.Option(help="selected, baseline, or a strategy of the run.")
    ] = "selected",
    seed: Annotated[int | None, typer.Option(help="Which seed.  [default: the first]")] = None,
) -> None:
    """Predict rates, and behavior decoded from them, from spikes alone."""
    from neuroblend.experiments.decoding.apply import predict_run

    prediction = predict_run(run, file, arm, seed)
    prediction.save(out)
    n_trials, n_bins, n_neurons = prediction.rates.shape
    typer.echo(
        f"{out}: rates of {n_trials} trials x {n_bins} bins x {n_neurons} neurons (counts/bin) and "
        f"decoded {', '.join(prediction.behavior_names)}, by {prediction.arm}, seed "
        f"{prediction.seed}"
    )


@app.command()
def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Folder of a run, or of an experiment on identity, that has ended."
        ),
    ],
    quiet: Quiet = False,
) -> None:
    """Build the page of a run anew."""
    from neuroblend.engine.folder import RunFolder
    from neuroblend.experiments.identity.cells import IdentityFolder
    from neuroblend.report.identity.page import write_identity_report
    from neuroblend.report.page import write_report

    with _status("drawing the page", quiet):
        if (run / "cells.json").is_file():
            page = write_identity_report(IdentityFolder.open(run))
        else:
            page = write_report(RunFolder.open(run))
    typer.echo(f"page: {page}")


@app.command()
def inspect(file: Annotated[Path, typer.Argument(metavar="FILE", help="An NWB file.")]) -> None:
    """Show what an NWB file holds: units, trials, columns, signals, gaps."""
    from neuroblend.data.inspect import inspect_nwb
    from neuroblend.report.contents import print_contents

    print_contents(inspect_nwb(file))


@app.command()
def prepare(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="NWB files, or a folder.")],
    out: Annotated[Path, typer.Option(help="HDF5 file to write.")] = Path("trials.h5"),
    dataset: Annotated[
        str | None, typer.Option(help="Dataset of the Neural Latents Benchmark '21.")
    ] = None,
    align: Annotated[str | None, typer.Option(help="Column of the trial table, in s.")] = None,
    window: Annotated[
        tuple[float, float] | None, typer.Option(help="Start and end around it, in ms.")
    ] = None,
    bin_ms: Annotated[
        float | None, typer.Option(help="Width of a bin.  [default: 5 with --dataset]")
    ] = None,
    lag_ms: Annotated[float, typer.Option(help="How much later behavior is read.")] = 0.0,
    behavior: Annotated[
        str | None, typer.Option(help="Time series, joined by commas.  [default: none]")
    ] = None,
    condition: Annotated[
        str | None, typer.Option(help="Columns that make up a condition, joined by commas.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Column: where a trial ends, if before the window does.")
    ] = None,
    overlap: Annotated[bool, typer.Option(help="Whether trials may overlap.")] = False,
    layout: Annotated[
        str,
        typer.Option(help="trials, or with --dataset nlb (tensors to train on) or targets."),
    ] = "trials",
) -> None:
    """Cut NWB files into trials, by your own window or as the benchmark does."""
    from neuroblend.data.cut import Cut, prepare_nwb
    from neuroblend.nlb.prepare import prepare_dataset

    if dataset is not None:
        own = (("--align", align), ("--behavior", behavior), ("--condition", condition))
        for option, given in (*own, ("--window", window), ("--until", until)):
            if given is not None:
                raise InputError(f"{option}: --dataset {dataset} sets it; give one or the other")
        said = prepare_dataset(files, dataset, bin_ms, layout, out)
    else:
        for option, wanted in (("--align", align), ("--window", window), ("--bin-ms", bin_ms)):
            if wanted is None:
                raise InputError(f"{option} is missing (or --dataset for a benchmark dataset)")
        if layout != "trials":
            raise InputError(f"--layout {layout}: only with --dataset")
        assert align is not None and window is not None and bin_ms is not None
        cut = Cut(
            align, window, bin_ms, lag_ms, tuple(_names(behavior) or ()),
            tuple(_names(condition) or ()), overlap, until,
        )  # fmt: skip
        said = prepare_nwb(files, cut, out)
    for line in said:
        typer.echo(line)


@app.command()
def simulate(
    dataset: Annotated[
        str, typer.Argument(help="Dataset of the benchmark, e.g. mc_maze_small; or v1.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="What to write.  [default: simulated.nwb, or v1]")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="How many.  [default: as published]")] = None,
    units: Annotated[
        int | None, typer.Option(help="How many, in each session.  [default: as published]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides everything.")] = 0,
    test_part: Annotated[
        bool, typer.Option(help="Write the benchmark's test file: held-in spikes alone.")
    ] = False,
    preset: Annotated[
        str | None, typer.Option(help="Of v1: realistic, state-only or null.  [default: realistic]")
    ] = None,
    mice: Annotated[int | None, typer.Option(help="Of v1, 1 to 4.  [default: 3]")] = None,
    sessions: Annotated[int | None, typer.Option(help="Of each mouse.  [default: 2]")] = None,
    frames: Annotated[int | None, typer.Option(help="Of each session.  [default: 2000]")] = None,
    quiet: Quiet = False,
) -> None:
    """Write an NWB file as the benchmark's, whose true rates are known (kept beside it).

    ``v1`` instead writes a folder of two-photon sessions in the layout of Bugeon et al. 2022.
    """
    of_v1 = {"--preset": preset, "--mice": mice, "--sessions": sessions, "--frames": frames}
    of_nwb = {"--trials": trials, "--test-part": test_part or None}
    for option, value in (of_nwb if dataset == "v1" else of_v1).items():
        if value is not None:
            raise InputError(f"{option}: {dataset} has no such setting")
    if dataset == "v1":
        with _status("simulating", quiet):
            from neuroblend.simulate.v1 import Size, simulate_v1

            usual = Size()
            size = Size(
                n_mice=usual.n_mice if mice is None else mice,
                n_sessions=usual.n_sessions if sessions is None else sessions,
                n_neurons=usual.n_neurons if units is None else units,
                n_frames=usual.n_frames if frames is None else frames,
            )
            folder = simulate_v1(out or Path("v1"), preset or "realistic", seed, size)
        typer.echo(f"{folder}: simulated sessions, {preset or 'realistic'}")
        return
    out = out or Path("simulated.nwb")
    with _status("simulating", quiet):
        from neuroblend.nlb.simulate.files import simulate_nlb, truth_path
        from neuroblend.nlb.simulate.tables import DATASETS

        if dataset not in DATASETS:
            raise InputError(f"unknown dataset '{dataset}': {nearest(dataset, [*DATASETS, 'v1'])}")
        simulate_nlb(dataset, out, trials, units, seed, "test" if test_part else "train")
    typer.echo(f"{out}: simulated {dataset}; true rates in {truth_path(out)}")


@app.command()
def download(
    dataset: Annotated[str, typer.Argument(help="Dataset of the benchmark, or a dandiset number.")],
    out: Annotated[Path | None, typer.Option(help="Folder.  [default: data/<dataset>]")] = None,
    asset: Annotated[str, typer.Option(help="Which files; * stands for anything.")] = "*.nwb",
    quiet: Quiet = False,
) -> None:
    """Download a dataset from the DANDI archive; goes on where it was cut off."""
    from neuroblend.data.download import download_dandiset
    from neuroblend.engine.progress import bytes_progress
    from neuroblend.nlb.datasets import find_dataset

    folder = out or Path("data") / dataset
    number = dataset if dataset.isdigit() else find_dataset(dataset).dandiset
    with bytes_progress(quiet) as tell:
        files = download_dandiset(number, folder, asset, progress=tell)
    for file in files:
        typer.echo(str(file))


@app.command()
def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run with --dataset.")],
    out: Annotated[Path, typer.Option(help="HDF5 file to write.")] = Path("submission.h5"),
    arm: Annotated[
        str, typer.Option(help="selected, baseline, or a strategy of the run.")
    ] = "selected",
    seed: Annotated[int | None, typer.Option(help="Which seed.  [default: the first]")] = None,
    split: Annotated[str, typer.Option(help="Split to predict: val or test.")] = "val",
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


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Option(help="HDF5 file in the submission layout.")],
    targets: Annotated[Path, typer.Option(help="NWB file or folder, or .h5 of targets.")],
    out: Annotated[Path | None, typer.Option(help="JSON file to write the scores to.")] = None,
    split: Annotated[str, typer.Option(help="Split that was predicted.")] = "val",
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


def _status(what: str, quiet: bool) -> AbstractContextManager[object]:
    """Show that something is going on, on a terminal."""
    from rich.console import Console

    return nullcontext() if quiet else Console(stderr=True).status(what)


def _names(joined: str | None) -> list[str] | None:
    return None if joined is None else [name.strip() for name in joined.split(",") if name.strip()]


def _settings(
    kind: type[Settings], file: Path | None, given: dict[str, Any], assignments: list[str]
) -> Settings:
    """Merge a YAML file, the options that were given and ``--set``; what comes later stands."""
    content: Any = {}
    if file is not None:
        try:
            content = yaml.safe_load(file.read_text()) or {}
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror})") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: not YAML ({str(error).splitlines()[0]})") from None
        settings = parse_settings(kind, content, str(file))
        if isinstance(settings, RunConfig):
            content = _above_the_file(settings, content, given)
    for key, value in given.items():
        if value is not None:
            _put(content, key.split("."), value)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment}: wanted name=value, e.g. training.lr=0.001")
        _put(content, key.strip().split("."), _scalar(value))  # null too, which lifts a default
    return parse_settings(kind, content, "settings")


def _above_the_file(file: RunConfig, content: Any, given: dict[str, Any]) -> Any:
    """Return the file's content with the settings of a preset that the command line asks for."""
    if given.get("model.preset") is None:
        return content
    from neuroblend.experiments.decoding.presets import find_preset

    preset = find_preset(given.get("model.name") or file.model.name, given["model.preset"])
    for section, settings in (
        ("model.settings", preset["model"]),
        ("training", preset["training"]),
    ):
        for key, value in settings.items():
            _put(content, [*section.split("."), key], value)
    return content


def _scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set: '{text}' is not YAML ({str(error).splitlines()[0]})") from None
    try:
        return float(value) if isinstance(value, str) else value  # to YAML, 1e-3 is text
    except ValueError:
        return value


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise InputError(f"--set {'.'.join(path)}: '{part}' has no settings within")
    tree[path[-1]] = value


def main() -> NoReturn:
    """Run the command line: exit code 0, or 2 with one line on what was wrong."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # so that --model finds a module beside the data
    stopped = "interrupted; the same command goes on from here"
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error), 2)
    except UsageError as error:
        _fail(error.format_message(), 2)  # type: ignore[attr-defined]
    except OSError as error:
        _fail(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "), 2)
    except (typer.Abort, KeyboardInterrupt):
        _fail(stopped, INTERRUPTED)
    if code == INTERRUPTED:  # how typer passes an interrupt on
        _fail(stopped, INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    sys.exit(code)
