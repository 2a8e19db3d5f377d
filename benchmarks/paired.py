"""What is left of a student's gain where some training trials have no behavior.

One row a recording and fraction of training trials that keep their behavior: behavior R² of the
undistilled network (of all trials, read out of the paired ones), of the selected arm and of the one
that is selected where all are paired, the latter's gain over the undistilled network, paired, with
a 95 % interval, that gain as a share of what it is where all are paired, and co-bps of both.

Rows are runs in --out, which go on where they were interrupted.

Run: python benchmarks/paired.py [--data FOLDER] [--recordings simulated ibl_wheel]
     [--only 1 0.5 0.25 0.1] [--strategies feature,feature+multitask] [--out runs/paired]
     [--folds 3] [--seeds 1] [--epochs 40] [--jobs 2] [--model ndt]
"""

import argparse
from typing import Any

from support.recordings import SETTINGS, loaded, parser_of, table, with_interval

import neuroblend as nb
from neuroblend.engine.arm import BASELINE, MULTITASK
from neuroblend.engine.folder import RunFolder

FRACTIONS = (1.0, 0.5, 0.25, 0.1)
SCORE, CO_BPS = "decoding_r2", "co_bps"
HEAD = ["recording", "paired", "baseline R²", "multitask R²", "selected", "its R²"]
HEAD += ["selected of all", "its R²", "gain", "share of the gain", "baseline co-bps", "its co-bps"]


def run_of(fraction: float, name: str, trials: nb.Trials, given: argparse.Namespace) -> RunFolder:
    """Return the run of one fraction."""
    config = nb.RunConfig.model_validate(
        {
            "data": SETTINGS[name] | {"folds": given.folds, "paired_fraction": fraction},
            "model": {"name": given.model},
            "distill": {"strategies": given.strategies},
            "training": {"epochs": given.epochs, "accelerator": "cpu"},
            "controls": "none",
            "seeds": given.seeds,
        }
    )
    path = given.out / f"{name}-{given.model}" / f"{100 * fraction:g}"
    return nb.run(trials, path, config, jobs=given.jobs, quiet=True)


def row_of(name: str, fraction: float, results: dict[str, Any], whole: dict[str, Any]) -> list[str]:
    """Return the cells of a run, given the results where all trials are paired."""
    arms, chosen = results["arms"], whole["selected"]

    def r2(arm: str) -> str:
        return f"{arms[arm][SCORE]['mean']:.3f}"

    def gain(found: dict[str, Any]) -> dict[str, Any] | None:
        contrast = found["contrasts"].get(f"{chosen} - {BASELINE}")
        return None if contrast is None else contrast[SCORE]

    own, of_whole = gain(results), gain(whole)
    share = "-"
    if own is not None and of_whole is not None and of_whole["mean"] > 0:
        share = f"{100 * own['mean'] / of_whole['mean']:.0f} %"
    co_bps = [f"{arms[arm][CO_BPS]['mean']:.4f}" for arm in (BASELINE, chosen)]
    return [
        *(name, f"{100 * fraction:g} %", r2(BASELINE), r2(MULTITASK)),
        *(results["selected"], r2(results["selected"]), chosen, r2(chosen)),
        *("-" if own is None else with_interval(own), share, *co_bps),
    ]


def main() -> None:
    """Run what is asked for, and print the table."""
    parser = parser_of(__doc__, "paired", ["simulated", "ibl_wheel"])
    parser.add_argument("--only", nargs="*", type=float, default=FRACTIONS)
    parser.add_argument("--strategies", default="feature,feature+multitask")
    given = parser.parse_args()
    rows = []
    for name, trials in loaded(given.recordings, given.data):
        whole = run_of(1.0, name, trials, given).results()
        for fraction in given.only:
            results = run_of(fraction, name, trials, given).results()
            rows.append(row_of(name, fraction, results, whole))
    table(HEAD, rows)


if __name__ == "__main__":
    main()
