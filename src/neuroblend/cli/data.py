"""The commands on data: look, cut, simulate, download."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neuroblend.cli.options import Number, Quiet, Text, Whole, kinds, names, option, status
from neuroblend.errors import InputError, nearest


def inspect(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="NWB, .npz, .h5, .mat, or a folder of phy or Kilosort."
        ),
    ],
) -> None:
    """Show what a file holds: units, trials, signals, gaps, and what to type next."""
    from neuroblend.inspect.look import inspect_file
    from neuroblend.report.contents import print_contents

    print_contents(inspect_file(file))


def prepare(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="NWB or raw arrays (.npz), or a folder.")
    ],
    out: Annotated[Path, option("HDF5 file to write.")] = Path("trials.h5"),
    dataset: Annotated[Text, option("Dataset of the Neural Latents Benchmark '21.", "none")] = None,
    align: Annotated[
        Text, option("Column of the table, TABLE.column, or events, in s.", "set by --dataset")
    ] = None,
    window: Annotated[
        tuple[float, float] | None, option("Start and end around it, in ms.", "set by --dataset")
    ] = None,
    every: Annotated[
        Number, option("Instead of both: length of windows side by side, in s.", "none")
    ] = None,
    bin_ms: Annotated[Number, option("Width of a bin.", "5 with --dataset")] = None,
    lag_ms: Annotated[float, option("How much later behavior is read.")] = 0.0,
    behavior: Annotated[
        Text, option("Time series, events, tables, columns of trials, joined by commas.", "none")
    ] = None,
    kind: Annotated[
        list[str] | None,
        option("NAME=continuous, circular, discrete or events; may be repeated.", "as recorded"),
    ] = None,
    linearise: Annotated[
        Text, option("Positions: adds NAME_linear, the place along the track.", "none")
    ] = None,
    direction: Annotated[
        Text, option("Positions: adds NAME_direction, outbound or inbound.", "none")
    ] = None,
    condition: Annotated[
        Text, option("Columns that make up a condition, joined by commas.", "none")
    ] = None,
    until: Annotated[
        Text, option("Column: where a trial ends, if before the window does.", "none")
    ] = None,
    intervals: Annotated[Text, option("Table whose rows are trials.", "trials")] = None,
    where: Annotated[Text, option("Units, e.g. \"quality == 'good'\".", "all")] = None,
    trials_where: Annotated[Text, option("Rows of the table, in the same way.", "all")] = None,
    overlap: Annotated[bool, option("Whether trials may overlap.")] = False,
    layout: Annotated[
        str, option("trials, or with --dataset nlb (tensors to train on) or targets.")
    ] = "trials",
) -> None:
    """Cut a continuous recording into trials, by your own window or as the benchmark does."""
    from neuroblend.data.cut import Cut
    from neuroblend.nlb.prepare import prepare_dataset
    from neuroblend.readers.prepare import check_out, prepare_recording

    own = {
        "--align": align, "--window": window, "--every": every, "--behavior": behavior,
        "--condition": condition, "--until": until, "--intervals": intervals, "--where": where,
        "--trials-where": trials_where, "--kind": kind, "--linearise": linearise,
        "--direction": direction,
    }  # fmt: skip
    check_out(out)
    if dataset is not None:
        for name, given in own.items():
            if given is not None:
                raise InputError(f"{name}: --dataset {dataset} sets it; give one or the other")
        said = prepare_dataset(files, dataset, bin_ms, layout, out)
    else:
        _check_window(own, bin_ms)
        if layout != "trials":
            raise InputError(f"--layout {layout}: only with --dataset")
        assert bin_ms is not None
        cut = Cut(
            align, window, bin_ms, lag_ms, tuple(names(behavior) or ()),
            tuple(names(condition) or ()), overlap, until, every, intervals, where, trials_where,
            kinds(kind) or {}, tuple(names(linearise) or ()), tuple(names(direction) or ()),
        )  # fmt: skip
        said = prepare_recording(files, cut, out)
    for line in said:
        typer.echo(line)


def _check_window(own: dict[str, Any], bin_ms: float | None) -> None:
    """Refuse a window that is not said, or said twice."""
    if own["--every"] is not None:
        for name in ("--align", "--window"):
            if own[name] is not None:
                raise InputError(f"{name}: --every cuts windows side by side; give one of both")
    else:
        starts = own["--align"] or own["--intervals"]  # an interval starts where it starts
        for name, wanted in (("--align", starts), ("--window", own["--window"])):
            if wanted is None:
                raise InputError(
                    f"{name} is missing (or --every, or --dataset for a benchmark dataset)"
                )
    if bin_ms is None:
        raise InputError("--bin-ms is missing (or --dataset for a benchmark dataset)")


def simulate(
    dataset: Annotated[
        str, typer.Argument(help="Dataset of the benchmark, e.g. mc_maze_small; or v1.")
    ],
    out: Annotated[Path | None, option("What to write.", "simulated.nwb, or v1")] = None,
    trials: Annotated[Whole, option("How many.", "as published")] = None,
    units: Annotated[Whole, option("How many, in each session.", "as published")] = None,
    seed: Annotated[int, option("Decides everything.")] = 0,
    test_part: Annotated[
        bool, option("Write the benchmark's test file: held-in spikes alone.")
    ] = False,
    preset: Annotated[Text, option("Of v1: realistic, state-only or null.", "realistic")] = None,
    mice: Annotated[Whole, option("Of v1, 1 to 4.", "3")] = None,
    sessions: Annotated[Whole, option("Of each mouse.", "2")] = None,
    frames: Annotated[Whole, option("Of each session.", "2000")] = None,
    quiet: Quiet = False,
) -> None:
    """Write an NWB file as the benchmark's, whose true rates are known (kept beside it).

    ``v1`` instead writes a folder of two-photon sessions in the layout of Bugeon et al. 2022.
    """
    of_v1 = {"--preset": preset, "--mice": mice, "--sessions": sessions, "--frames": frames}
    of_nwb = {"--trials": trials, "--test-part": test_part or None}
    for name, value in (of_nwb if dataset == "v1" else of_v1).items():
        if value is not None:
            raise InputError(f"{name}: {dataset} has no such setting")
    if dataset == "v1":
        with status("simulating", quiet):
            from neuroblend.simulate.v1 import Size, simulate_v1

            sizes = {"n_mice": mice, "n_sessions": sessions, "n_neurons": units, "n_frames": frames}
            given: Any = {name: n for name, n in sizes.items() if n is not None}
            folder = simulate_v1(out or Path("v1"), preset or "realistic", seed, Size(**given))
        typer.echo(f"{folder}: simulated sessions, {preset or 'realistic'}")
        return
    out = out or Path("simulated.nwb")
    with status("simulating", quiet):
        from neuroblend.nlb.simulate.files import simulate_nlb, truth_path
        from neuroblend.nlb.simulate.tables import DATASETS

        if dataset not in DATASETS:
            raise InputError(f"unknown dataset '{dataset}': {nearest(dataset, [*DATASETS, 'v1'])}")
        simulate_nlb(dataset, out, trials, units, seed, "test" if test_part else "train")
    typer.echo(f"{out}: simulated {dataset}; true rates in {truth_path(out)}")


def download(
    dataset: Annotated[str, typer.Argument(help="Dataset of the benchmark, or a dandiset number.")],
    out: Annotated[Path | None, option("Folder.", "data/<dataset>")] = None,
    asset: Annotated[str, option("Which files; * matches anything.")] = "*.nwb",
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
