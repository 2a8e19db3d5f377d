"""What a training step costs, beside the published BLEND code and lfads-torch.

Each measurement is a process of its own with one thread, so that its peak memory is its own, and
sides take turns. Ratios are of medians of processor time, which is wall time unless others use the
machine. Memory is the most a process had, and the same less what it had once modules were imported
and data made. Their code is imported from a checkout, in place; what is not given is left out.

Run: python benchmarks/step_time.py [--reference BLEND] [--lfads LFADS_TORCH] [--plot FILE.png]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from support.checkout import LFADS_TORCH, PUBLISHED, checkout
from support.child import FailedError, answer, in_child, peak_mb

Found = dict[str, dict[str, float]]

NEURONS, BINS, TRIALS = (50, 100, 200, 500, 1000), (50, 100, 200, 500), (8, 16, 32, 64, 128)
TEACHERS = ("none", "each step", "cached")
BASE = {"neurons": 200, "bins": 100, "trials": 16}


def child(job: dict[str, Any]) -> None:
    """Measure one thing and hand it to the parent."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    kind = job.pop("kind")
    kinds: dict[str, Callable[..., dict[str, Any]]] = {
        "step": child_step,
        "shares": child_shares,
        "scaling": child_scaling,
    }
    answer(kinds[kind](**job))


def child_step(
    side: str,
    n: int,
    path: str = "",
    teacher: str = "none",
    bf16: bool = False,
    blocks: bool = True,
) -> dict[str, Any]:
    """Time ``n`` steps of one side, after one that is not counted."""
    from support import steps

    from neuroblend.models.parts import attention

    if not blocks:
        attention.LEAST_ROWS = sys.maxsize
    shape = steps.Shape()
    if side == "published":
        build = steps.published(path, shape, teacher)
    elif side == "lfads-torch":
        build = steps.lfads_torch(path, shape)
    elif side == "our lfads":
        build = steps.our_lfads(shape)
    else:
        build = steps.ours(shape, teacher, bf16)
    before = peak_mb()
    step = build()
    wall, cpu = zip(*times(step, n), strict=True)
    return {"wall": wall, "cpu": cpu, "before": before, "peak": peak_mb()}


def child_shares(n: int) -> dict[str, Any]:
    """Time our step without, with and with a cached teacher, and products, in turns.

    Small differences are of interest, so all of them share a process.
    """
    import torch
    from support import products, steps

    shape = steps.Shape()
    every = {teacher: steps.ours(shape, teacher)() for teacher in TEACHERS}
    seconds: dict[str, list[float]] = {teacher: [] for teacher in TEACHERS}
    rates = []
    for i in range(n + 1):
        for teacher, step in every.items():
            seconds[teacher].append(timed(step, i)[1])
        rates.append(products.rate(shape, torch.float32))
    kept = {teacher: took[1:] for teacher, took in seconds.items()}
    return {
        "seconds": kept,
        "fp32": rates[1:],
        "flops": products.flops(shape),
        "bf16": products.rate(shape, torch.bfloat16),
        "square": products.square_rate(torch.float32),
    }


def child_scaling(n: int, cells: list[dict[str, int]]) -> dict[str, list[float]]:
    """Median milliseconds of a step of the default NDT, for each cell of sizes."""
    from support import steps

    import neuroblend as nb
    from neuroblend.models.ndt import NDT

    found = []
    for cell in cells:
        bins, neurons = cell["bins"], cell["neurons"]
        task = steps.Shape(cell["trials"], bins, bins, neurons * 3 // 4, neurons).task()
        step = steps.step_of(nb.Student(NDT(task.spec)), nb.Objective(), task)
        found.append(1e3 * median(cpu for _, cpu in times(step, n)))
    return {"ms": found}


def timed(step: Callable[[int], None], i: int) -> tuple[float, float]:
    """Wall and processor seconds of step ``i``."""
    wall, cpu = time.perf_counter(), time.process_time()
    step(i)
    return time.perf_counter() - wall, time.process_time() - cpu


def times(step: Callable[[int], None], n: int) -> list[tuple[float, float]]:
    """Wall and processor seconds of each of ``n`` steps, after one that is not counted."""
    return [timed(step, i) for i in range(n + 1)][1:]


def in_turns(jobs: dict[str, dict[str, Any]], rounds: int, n: int) -> Found:
    """Run each job once a round; medians over all steps, the least memory over rounds."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            answers[name].append(in_child(__file__, {"kind": "step", "n": n} | job))
    return {
        name: {
            "wall": median([s for one in many for s in one["wall"]]),
            "cpu": median([s for one in many for s in one["cpu"]]),
            "peak": min(one["peak"] for one in many),
            "own": min(one["peak"] - one["before"] for one in many),
        }
        for name, many in answers.items()
    }


def table(found: Found) -> None:
    print(f"  {'':41} processor s   wall s   peak MB   less imports and data")
    for name, row in found.items():
        print(
            f"  {name:41} {row['cpu']:11.3f} {row['wall']:8.3f} {row['peak']:9.0f} "
            f"{row['own']:9.0f}"
        )
    if any(row["wall"] > 1.1 * row["cpu"] for row in found.values()):
        print("  (the machine was busy: steps waited for a processor)")


def verdict(what: str, value: float, target: float, at_least: bool = False) -> None:
    met = value >= target if at_least else value <= target
    word = "at least" if at_least else "at most"
    print(f"  {what:55} {value:5.2f}   {word} {target:.2f}: {'met' if met else 'NOT met'}")


def distillation(reference: str | None, rounds: int, n: int) -> None:
    """Compare the step of a student that follows a teacher."""
    mine, same_in_bf16, with_mask = "ours", "ours in bfloat16", "{}, attention with a mask"
    jobs: dict[str, dict[str, Any]] = {
        mine: {"side": "ours", "teacher": "each step"},
        same_in_bf16: {"side": "ours", "teacher": "each step", "bf16": True},
    }
    jobs |= {with_mask.format(name): job | {"blocks": False} for name, job in jobs.items()}
    if reference:
        theirs = {"side": "published", "path": reference}
        jobs = {"published": theirs | {"teacher": "each step"}} | jobs
        jobs["published, without its teacher"] = theirs
    print("a step of hard distillation, 64 trials x 180 bins (140 seen) x 182 neurons (137 seen)")
    found = in_turns(jobs, rounds, n)
    table(found)
    for name in (mine, same_in_bf16):
        ratio = found[name]["cpu"] / found[with_mask.format(name)]["cpu"]
        print(f"  {f'attention in blocks / with a mask, {name}':55} {ratio:5.2f}")
    if not reference:
        print("  (the published code is compared with where --reference gives a checkout of it)")
        return
    other = found["published"]
    verdict("time, ours / published", found[mine]["cpu"] / other["cpu"], 0.7)
    verdict("time, ours in bfloat16 / published", found[same_in_bf16]["cpu"] / other["cpu"], 0.45)
    verdict("memory less imports and data", found[mine]["own"] / other["own"], 0.6)
    verdict("memory at the peak", found[mine]["peak"] / other["peak"], 0.6)
    added = other["cpu"] / found["published, without its teacher"]["cpu"] - 1
    print(f"  {'a teacher adds to a step of theirs':55} {added:5.2f}")


def shares(n: int) -> None:
    """Compare our step with that of a student alone, and with the products it is made of."""
    found = in_child(__file__, {"kind": "shares", "n": n})
    alone, whole, cached = (found["seconds"][teacher] for teacher in TEACHERS)
    for what, many, target in (
        ("a teacher adds to a step of ours", whole, 0.35),
        ("a teacher whose outputs are cached adds", cached, 0.05),
    ):
        verdict(what, median([s / a - 1 for s, a in zip(many, alone, strict=True)]), target)
    fp32 = median(found["fp32"])
    print("matrix products of that step, GFLOP/s of this machine, one thread, in turns with steps")
    print(
        f"  float32 {fp32 / 1e9:.0f} at the model's sizes, {found['square'] / 1e9:.0f} for large "
        f"squares; bfloat16 {found['bf16'] / 1e9:.0f} at the model's sizes"
    )
    if found["bf16"] < fp32:
        print("  bfloat16 products are slower than float32 ones on this processor")
    flops = found["flops"]
    both = flops["student"] + flops["teacher"]
    print(f"  GFLOP: student's step {flops['student'] / 1e9:.0f}, teacher's "
          f"{flops['teacher'] / 1e9:.0f}")  # fmt: skip
    for what, many, flop in (
        ("share of that rate that a student's step reaches", alone, flops["student"]),
        ("share of that rate, teacher included", whole, both),
    ):
        reached = [flop / s / rate for s, rate in zip(many, found["fp32"], strict=True)]
        verdict(what, median(reached), 0.6, at_least=True)


def lfads(path: str | None, rounds: int, n: int) -> None:
    """Time our LFADS, and lfads-torch where there is a checkout."""
    print("a step of LFADS, same trials; generator 200, factors 100, encoder and controller 64")
    jobs: dict[str, dict[str, Any]] = {"our LFADS": {"side": "our lfads"}}
    if path:
        try:
            in_turns({"": {"side": "lfads-torch", "path": path}}, rounds=1, n=1)
            jobs = {"lfads-torch": {"side": "lfads-torch", "path": path}} | jobs
        except FailedError as error:
            print(f"  lfads-torch does not run here: {str(error).splitlines()[-1]}")
    found = in_turns(jobs, rounds, n)
    table(found)
    if "lfads-torch" in found:
        ratio = found["our LFADS"]["cpu"] / found["lfads-torch"]["cpu"]
        verdict("time, ours / lfads-torch", ratio, 0.9)
    elif not path:
        print("  (lfads-torch is compared with where --lfads gives a checkout of it)")


def scaling(n: int, plot: str | None) -> None:
    """Print how a step's cost grows with each size, the others as in ``BASE``."""
    sizes = {"neurons": NEURONS, "bins": BINS, "trials": TRIALS}
    cells = [BASE | {name: value} for name, values in sizes.items() for value in values]
    ms = iter(in_child(__file__, {"kind": "scaling", "n": n, "cells": cells})["ms"])
    curves = {name: [(value, next(ms)) for value in values] for name, values in sizes.items()}
    others = ", ".join(f"{value} {name}" for name, value in BASE.items())
    print(f"a step of the default NDT, processor ms; otherwise {others}")
    for name, points in curves.items():
        cells_of_row = "  ".join(f"{value:4d}: {took:6.1f}" for value, took in points)
        print(f"  {name:8} {cells_of_row}")
    if plot:
        draw(curves, plot)
        print(f"  drawn in {plot}")


def draw(curves: dict[str, list[tuple[int, float]]], file: str) -> None:
    """Draw one panel a size, both axes logarithmic, so that a straight line is a power."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    for axes, (name, points) in zip(
        figure.subplots(1, 3, sharey=True), curves.items(), strict=True
    ):
        axes.loglog(*zip(*points, strict=True), "o-", base=2)
        axes.set_xlabel(f"{name} in a batch" if name == "trials" else name)
        axes.set_xticks([value for value, _ in points], [str(value) for value, _ in points])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].yaxis.set_major_formatter("{x:.0f}")
    figure.axes[0].set_ylabel("processor ms a step")
    figure.savefig(file, dpi=150)


def main(given: argparse.Namespace) -> None:
    reference = checkout(given.reference, "--reference", PUBLISHED)
    lfads_torch = checkout(given.lfads, "--lfads", LFADS_TORCH)
    rounds = given.rounds or (3 if reference or lfads_torch else 1)
    distillation(reference, rounds, given.steps)
    shares(rounds * given.steps)
    lfads(lfads_torch, rounds, given.steps)
    scaling(given.steps, given.plot)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", metavar="PATH", help="a checkout of the published code")
    parser.add_argument("--lfads", metavar="PATH", help="a checkout of lfads-torch")
    parser.add_argument("--rounds", type=int, help="turns that each side gets; 3 beside a checkout")
    parser.add_argument("--steps", type=int, default=3, help="steps timed in each turn")
    parser.add_argument("--plot", metavar="FILE.png", help="draw cost against sizes")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is None:
        main(options)
    else:
        child(options.child)
