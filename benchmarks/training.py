"""What a training step costs, against what one would write without this package.

Prints ratios of times measured in turns within this one process (and, last, in two processes), so
that they mean the same on any machine. Run: python benchmarks/training.py
"""

import multiprocessing
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn

import neuroblend as nb
from neuroblend.models.ndt import NDT
from neuroblend.training.masking import TimeMask

WIDTH, LAYERS, HEADS, FEEDFORWARD = 64, 2, 2, 128


class StockTransformer(nn.Module):
    """torch's own encoder of the same sizes, full attention, with its own dropout."""

    def __init__(self, n_in: int, n_out: int, n_bins: int) -> None:
        super().__init__()
        self.embed = nn.Linear(n_in, WIDTH)
        self.position = nn.Parameter(torch.randn(n_bins, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, FEEDFORWARD, dropout=0.3, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.drop = nn.Dropout(0.2)
        self.readout = nn.Linear(WIDTH, n_out)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        tokens = self.drop(self.embed(spikes) + self.position)
        return self.readout(self.drop(self.encoder(tokens)))


def step_of(net: nn.Module, task: nb.Task, fused: bool) -> Callable[[int], None]:
    student, objective, mask = nb.Student(net), nb.Objective(), TimeMask()
    batch = task.batch("train").take(slice(16))
    optimiser = torch.optim.AdamW(student.parameters(), fused=fused)

    def step(i: int) -> None:
        loss = objective(student, mask(batch, i))["loss"]
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()

    return step


def seconds(steps: list[Callable[[int], None]], n: int = 60) -> list[float]:
    """Median seconds of each step, taken in turns."""
    times: list[list[float]] = [[] for _ in steps]
    for i in range(n):
        for step, record in zip(steps, times, strict=True):
            began = time.perf_counter()
            step(i)
            record.append(time.perf_counter() - began)
    return [sorted(record)[n // 2] for record in times]


def work(threads: int, n: int) -> float:
    torch.set_num_threads(threads)
    trials = nb.simulate_reaching()
    task = nb.Task.of(trials, nb.split_trials(trials, 0))
    step = step_of(NDT(task.spec), task, fused=True)
    began = time.perf_counter()
    for i in range(n):
        step(i)
    return time.perf_counter() - began


def side_by_side(n: int = 150) -> tuple[float, float]:
    """Seconds for two trainings of n steps: one after the other on two threads, or side by side."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        pool.starmap(work, [(1, 1), (1, 1)])
        one_after_the_other = 2 * pool.apply(work, (2, n))
        both = max(pool.starmap(work, [(1, n), (1, n)], chunksize=1))
    return one_after_the_other, both


def main() -> None:
    torch.set_num_threads(1)
    trials = nb.simulate_reaching()
    task = nb.Task.of(trials, nb.split_trials(trials, 0))
    spec = task.spec
    stock, ours = seconds(
        [
            step_of(StockTransformer(spec.n_in, spec.n_out, spec.t_out), task, fused=False),
            step_of(NDT(spec), task, fused=True),
        ]
    )
    print(f"one training step, batch 16 x {spec.t_in} bins x {spec.n_in} neurons, one thread")
    print(f"  stock nn.TransformerEncoder, AdamW      1.00 ({stock * 1e3:.1f} ms)")
    print(f"  NDT as trained here                     {ours / stock:.2f} ({ours * 1e3:.1f} ms)")
    if (os.cpu_count() or 1) >= 2:
        alone, both = side_by_side()
        print("two trainings")
        print(f"  one after the other, two threads each   1.00 ({alone:.1f} s)")
        print(f"  side by side, one thread each           {both / alone:.2f} ({both:.1f} s)")


if __name__ == "__main__":
    main()
