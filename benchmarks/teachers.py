"""What a student gains from each kind of teacher, against how good that teacher is.

One row an option: behavior R² of the teacher by the chosen read-out and from its rates in the same
bin, that of a student of it by the chosen read-out, the latter minus the undistilled student's and
minus the multitask control's, paired, with 95 % intervals, and the student's co-bps. The gain is
drawn against the teacher's R² from rates, since its features may hold behavior as it was given.

Rows are runs in --out, which go on where they were interrupted; the undistilled and the multitask
student, the same in all, are trained once.

Run: python benchmarks/teachers.py [--data monkey_m1.npz --blocks 6] [--out runs/teachers]
     [--only default "average 3" ...] [--folds 3] [--seeds 1] [--epochs 40] [--jobs 2]

Without --data, the recording is the simulated one.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

import neuroblend as nb
from neuroblend.engine.arm import BASELINE, MULTITASK
from neuroblend.engine.folder import RunFolder, bind

STUDENT = "feature+multitask"
DEFAULT = "default"
OF_DEFAULT = (STUDENT, "subspace+multitask", "denoised", "feature+denoised")
TEACHERS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "dropout .3": {"behavior_dropout": 0.3},
    "dropout .6": {"behavior_dropout": 0.6},
    "noise .5": {"behavior_noise": 0.5},
    "noise 1": {"behavior_noise": 1.0},
    "lag .1 s": {"behavior_lag_s": 0.1},
    "bottleneck 1": {"bottleneck": 1},
    "average 3": {"average": 3},
    "cross-fitted 3": {"cross_fitted": 3},
    "sees all": {"sees": "all"},
}
SCORE = "decoding_r2"
MARKS = "osD^v<>PX*hp8d"


def run_of(
    name: str, trials: nb.Trials, first: RunFolder | None, given: argparse.Namespace
) -> RunFolder:
    """Return the run of one teacher, with what it shares with the first run copied from there."""
    config = nb.RunConfig.model_validate(
        {
            "data": {"folds": given.folds, "blocks": given.blocks},
            "teacher": TEACHERS[name],
            "distill": {"strategies": OF_DEFAULT if name == DEFAULT else (STUDENT,)},
            "training": {"epochs": given.epochs, "accelerator": "cpu"},
            "controls": "none",
            "seeds": given.seeds,
        }
    ).with_source(trials)
    path = given.out / name.replace(" ", "-")
    if first is not None and not path.exists():
        experiment = bind(config)
        RunFolder.create(path, experiment, trials, experiment.splits(trials))
        for arm in experiment.arms():
            if arm.name in (BASELINE, MULTITASK):
                shutil.copytree(first.path / arm.folder, path / arm.folder)
    return nb.run(trials, path, config, jobs=given.jobs, quiet=True)


def rows_of(name: str, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each student of a run."""
    arms = results["arms"]
    return [
        {
            "name": name if student == STUDENT else student,
            "teacher": arms["teacher"][SCORE]["mean"],
            "rates": arms["teacher"]["behavior_r2"]["mean"],
            "student": arms[student][SCORE]["mean"],
            "co_bps": arms[student]["co_bps"]["mean"],
            **{
                other: results["contrasts"][f"{student} - {other}"][SCORE]
                for other in (BASELINE, MULTITASK)
            },
        }
        for student in OF_DEFAULT
        if student in arms
    ]


def around(found: dict[str, Any]) -> str:
    """Return a difference and its interval."""
    low, high = found["ci95"]
    return f"{found['mean']:+.3f}" + ("" if low is None else f" [{low:+.3f} {high:+.3f}]")


def show(rows: list[dict[str, Any]], arms: dict[str, Any]) -> None:
    """Print the table, in Markdown."""
    print(
        "| teacher or strategy | teacher R² | from rates | student R² | − baseline | − multitask | "
        "co-bps |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in (BASELINE, MULTITASK):
        print(f"| ({name}) | | | {arms[name][SCORE]['mean']:.3f} | | | {co_bps(arms[name])} |")
    for row in rows:
        gains = " | ".join(around(row[other]) for other in (BASELINE, MULTITASK))
        r2 = " | ".join(f"{row[key]:.3f}" for key in ("teacher", "rates", "student"))
        print(f"| {row['name']} | {r2} | {gains} | {row['co_bps']:.4f} |")


def co_bps(arm: dict[str, Any]) -> str:
    """Return an arm's co-bps."""
    return f"{arm['co_bps']['mean']:.4f}"


def draw(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """Draw the gain over either control against the teacher's R².

    Students of one teacher stand side by side, since they would hide one another.
    """
    known = [row["rates"] for row in rows]
    step = 0.012 * max(max(known) - min(known), 0.05)
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4), sharex=True, layout="constrained")
    for ax, other in zip(axes, (BASELINE, MULTITASK), strict=True):
        ax.axhline(0, color="#999999", linewidth=1)
        for i, row in enumerate(rows):
            mean, (low, high) = row[other]["mean"], row[other]["ci95"]
            at = {
                "color": plt.get_cmap("tab20")(i * 2 % 20 + i // 10),
                "marker": MARKS[i % len(MARKS)],
                "label": row["name"],
            }
            bars = None if low is None else [[mean - low], [high - mean]]
            x = row["rates"] + step * known[:i].count(row["rates"])
            ax.errorbar(x, mean, bars, **at, linestyle="none", linewidth=0.8)
        ax.set_ylabel(f"behavior R² of the student − {other}")
        ax.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend([h[0] for h in handles], labels, loc="outside right upper", frameon=False)
    figure.suptitle(title)
    figure.supxlabel("behavior R² from the teacher's rates, same bin", fontsize="medium")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    """Run what is asked for; print the table and draw the figure of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--blocks", type=int)
    parser.add_argument("--only", nargs="*", choices=list(TEACHERS), default=list(TEACHERS))
    parser.add_argument("--out", type=Path, default=Path("runs/teachers"))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    trials = nb.simulate_reaching() if given.data is None else nb.read_arrays(given.data)
    first = run_of(DEFAULT, trials, None, given)
    rows = []
    for name in TEACHERS:
        if name in given.only:
            run = first if name == DEFAULT else run_of(name, trials, first, given)
            rows += rows_of(name, run.results())
    show(rows, first.results()["arms"])
    draw(rows, trials.name, given.out / "teachers.png")
    print(f"\nfigure: {given.out / 'teachers.png'}")


if __name__ == "__main__":
    main()
