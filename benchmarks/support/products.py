"""Matrix products: how many a training step has, and how fast this machine does them.

Shape legend: ``M`` tokens (trials x bins), ``K`` features in, ``N`` features out.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import neuroblend as nb
from support.steps import FEEDFORWARD, LAYERS, Shape, objective_of, same_ndt

SQUARE = 2048


def flops(shape: Shape) -> dict[str, float]:
    """Return FLOP of the products of a student's step and of a teacher's forward pass."""
    from neuroblend.training.masking import TimeMask

    task = shape.task()
    batch = TimeMask()(task.batch("train"), 0)
    student = nb.Student(same_ndt(task.spec, shape.width)).train()
    teacher = objective_of(task, "each step", shape.width).teacher
    assert teacher is not None

    def of_student() -> None:
        nb.Objective()(student, batch)["loss"].backward()

    def of_teacher() -> None:
        with torch.no_grad():
            teacher(batch)

    return {"student": _counted(of_student), "teacher": _counted(of_teacher)}


def _counted(run: Callable[[], None]) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def rate(shape: Shape, dtype: torch.dtype) -> float:
    """Return FLOP/s of the products of the model's linear layers, nine tenths of a step's.

    Three for each (output, gradient of input and of weights), as often as a student's step has
    them, into memory that is there already: what is left when a step does nothing else.
    """
    width, seen, all_bins = shape.width, shape.n_trials * shape.t_in, shape.n_trials * shape.t_out
    linear = [(seen, shape.n_in, width), (all_bins, width, shape.n_out)]
    linear += LAYERS * [
        (all_bins, width, 3 * width),
        (all_bins, width, width),
        (all_bins, width, FEEDFORWARD),
        (all_bins, FEEDFORWARD, width),
    ]
    took = sum(n * _linear_s(*sizes, dtype) for sizes, n in _times(linear).items())
    flop = sum(6 * m * k * n for m, k, n in linear)
    return flop / took


def square_rate(dtype: torch.dtype) -> float:
    """Return FLOP/s of a product of large square matrices, the best that a program can hope for."""
    a = torch.randn(SQUARE, SQUARE).to(dtype)
    out = torch.empty_like(a)
    return 2 * SQUARE**3 / _seconds(lambda: torch.mm(a, a, out=out))


def _times(sizes: list[tuple[int, int, int]]) -> dict[tuple[int, int, int], int]:
    return {size: sizes.count(size) for size in sizes}


def _linear_s(m: int, k: int, n: int, dtype: torch.dtype) -> float:
    x, w, g = (torch.randn(*size).to(dtype) for size in ((m, k), (n, k), (m, n)))
    out, to_x, to_w = torch.empty_like(g), torch.empty_like(x), torch.empty_like(w)
    return (
        _seconds(lambda: torch.mm(x, w.T, out=out))
        + _seconds(lambda: torch.mm(g, w, out=to_x))
        + _seconds(lambda: torch.mm(g.T, x, out=to_w))
    )


def _seconds(run: Callable[[], Any], n: int = 2) -> float:
    """Least processor seconds of ``n`` runs, after one."""
    run()
    took = []
    for _ in range(n):
        began = time.process_time()
        run()
        took.append(time.process_time() - began)
    return min(took)
