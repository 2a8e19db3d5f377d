"""How long a bin takes, from counts to behavior, and whether memory grows.

Causal students of the built-in sizes, with their read-out of 0.42 s of history from rates, for
bins of 20 ms, on one thread: in PyTorch, and as ONNX files in onnxruntime; beside a Kalman filter
in numpy (4 states, the neurons' noise covariance shrunk). Weights are random, which costs as much
as trained ones. Contenders take turns, 500 steps each, so that whatever else the machine does meets
all of them. ``wall`` is what a rig would wait, ``CPU`` what the step itself took: where they
differ, other programs had the processor. Memory is that of the process, after a tenth of all steps
and at the end.

Run: python benchmarks/streaming.py [--steps 20000] [--neurons 96,192] [--every-ms 20]
With --every-ms, steps are as far apart as bins, so that caches are as cold as on a rig.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray

from neuroblend.deploy.stream import Stream
from neuroblend.errors import InputError
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.readout import HISTORY, lags_of
from neuroblend.models.references.kalman import Kalman
from neuroblend.registry import MODELS, load
from neuroblend.task.spec import TaskSpec

BIN_S, N_BINS, RATE = 0.02, 50, 0.3
TURN = 500
WARM = 200
CHANNELS = ("vx", "vy")
Call = Callable[[NDArray[Any]], object]


def spec_of(n: int) -> TaskSpec:
    """Return the sizes of a task on ``n`` neurons, all of them seen."""
    return TaskSpec(n, n, N_BINS, N_BINS, CHANNELS, BIN_S, (float(np.log(RATE)),) * n)


def kalman_filter(n: int, rng: np.random.Generator) -> Call:
    """Return a step of the filter of :mod:`neuroblend.models.references.kalman`."""
    spikes = rng.poisson(RATE, (40, N_BINS, n)).astype(float)
    model = Kalman.fit(spikes, np.cumsum(rng.normal(size=(40, N_BINS, 2)), axis=1))
    to_evidence = model.precision @ model.emission
    information = model.emission.T @ to_evidence
    state, spread = np.zeros(len(information)), model.initial

    def step(counts: NDArray[Any]) -> NDArray[Any]:
        nonlocal state, spread
        state = model.transition @ state
        spread = model.transition @ spread @ model.transition.T + model.noise
        spread = np.linalg.inv(np.linalg.inv(spread) + information)
        state = state + spread @ ((counts - model.mean) @ to_evidence - information @ state)
        return state[:2] * model.scale + model.centre

    return step


def in_onnxruntime(path: Path) -> Call:
    """Return a step of a file, as ``docs/deploy.md`` calls it."""
    import onnxruntime

    from neuroblend.deploy.onnx import session_of

    session = session_of(onnxruntime, path)
    states = [each for each in session.get_inputs() if each.name.startswith("state")]
    state = {each.name: np.zeros(each.shape, np.float32) for each in states}
    begin = np.array([True])

    def step(counts: NDArray[Any]) -> object:
        given = {"counts": counts[None].astype(np.float32), "begin": begin}
        rates, latents, behavior, *after = session.run(None, given | state)
        state.update(zip(state, after, strict=True))
        begin[0] = False
        return rates, latents, behavior

    return step


def contenders(n: int, models: list[str], folder: Path) -> dict[str, Call]:
    """Return what is timed on ``n`` neurons, by name."""
    rng, spec = np.random.default_rng(0), spec_of(n)
    found: dict[str, Call] = {"kalman, numpy": kalman_filter(n, rng)}
    lags = lags_of(HISTORY, BIN_S, 10 * N_BINS)
    decoder = Decoder(rng.normal(size=(len(lags), n, 2)) / n, np.zeros(2), lags)
    for name in models:
        model = MODELS[name]
        torch.manual_seed(0)
        net = load(model.target)(spec, **dict(model.causal_defaults) | dict(model.causal or {}))
        assert model.layer is not None
        given = (net, spec, model.layer, decoder)
        found[f"{name}, PyTorch"] = Stream(*given).step
        try:
            from neuroblend.deploy.onnx import export_step

            export_step(folder / f"{name}{n}.onnx", *given)
            found[f"{name}, onnxruntime"] = in_onnxruntime(folder / f"{name}{n}.onnx")
        except InputError as error:
            print(f"{name}: {error}")
    return found


def timed(calls: dict[str, Call], n: int, n_steps: int, every_s: float) -> dict[str, Any]:
    """Return (2, steps) seconds of wall and CPU time by name, and memory on the way, in MB."""
    rng = np.random.default_rng(1)
    counts = rng.poisson(RATE, (TURN, n))
    times = {name: np.full((2, n_steps), np.nan) for name in calls}  # memory is taken now
    for call in calls.values():
        for each in counts[:WARM]:
            call(each)
    memory = []
    for start in range(0, n_steps, TURN):
        for name, call in calls.items():
            into = times[name]
            due = time.perf_counter()
            for i, each in enumerate(counts[: n_steps - start], start):
                if every_s:
                    due += every_s
                    time.sleep(max(0.0, due - time.perf_counter()))
                wall, cpu = time.perf_counter(), time.thread_time()
                call(each)
                into[:, i] = time.perf_counter() - wall, time.thread_time() - cpu
        memory.append(resident_mb())
    return times | {"memory": memory}


def resident_mb() -> float:
    """Return the memory of this process; NaN where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Time all contenders and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--neurons", default="96,192")
    parser.add_argument("--models", default="gru,ndt")
    parser.add_argument("--every-ms", type=float, default=0.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{given.steps} steps; ms a step: median, 99.9th percentile, worst")
    print(f"{'neurons':>7}  {'what':<22}{'wall':>24}{'CPU':>24}")
    with tempfile.TemporaryDirectory() as folder:
        for n in map(int, given.neurons.split(",")):
            calls = contenders(n, given.models.split(","), Path(folder))
            found = timed(calls, n, given.steps, given.every_ms / 1000)
            memory = found.pop("memory")
            for name, seconds in found.items():
                cells = "".join(
                    f"{np.median(each):>8.3f}{np.percentile(each, 99.9):>8.3f}{each.max():>8.2f}"
                    for each in seconds * 1000
                )
                print(f"{n:>7}  {name:<22}{cells}", flush=True)
            early = memory[len(memory) // 10]
            print(f"{n:>7}  memory {early:.1f} MB after a tenth, {memory[-1]:.1f} MB at the end")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
