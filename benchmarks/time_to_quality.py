"""How soon our NDT is as good as the published code's becomes in a given time.

Both train on the same trials of a simulated maze, one after the other, in processes of their own
with one thread. Theirs is the published training loop with its own settings, imported from a
checkout, in place; the best validation co-bps that it reaches is what ours is timed to. Scores are
bits/spike of held-out neurons in the bins seen, of validation trials with nothing hidden; scoring
is not counted in anyone's time. Simulating and reading data are not either.

Their settings let the learning rate rise over 5000 epochs, which no CPU sees the end of.
``--schedule squeezed`` has their whole schedule, warm-up and decay, fit into the time instead.

Run: python benchmarks/time_to_quality.py --reference BLEND [--minutes 20] [--schedule squeezed]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.checkout import PUBLISHED, checkout
from support.child import answer, in_child

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from neuroblend.task.batch import Batch
    from neuroblend.task.task import Task

TARGET = 0.25  # of their time
N_SCORES = 40  # of theirs, spread over the time
SETTINGS = {"batch_size": 16, "lr": 5e-3, "epochs": 60, "patience": 60}
DROPOUT = 0.1  # wherever the network has one


class TimeIsUpError(Exception):
    """Ends a training loop that knows no time."""


class Clock:
    """Scores a training now and then, and keeps the time that training alone has taken.

    Args:
        score: Gives co-bps of the model as it is.
        every_s: Least training time between scores.
        job: ``limit_s``, ``most_epochs`` and ``target`` tell where training ends.
    """

    def __init__(self, score: Callable[[], float], every_s: float, job: dict[str, Any]) -> None:
        self.score, self.every_s = score, every_s
        self.limit_s = job["limit_s"]
        self.most_epochs = job["most_epochs"] or float("inf")
        self.target = float("inf") if job["target"] is None else job["target"]
        self.trained_s, self.epochs = 0.0, 0
        self.scores: list[tuple[float, float]] = []
        self._began = 0.0

    def start(self) -> None:
        """Begin, or go on, to count."""
        self._began = time.perf_counter()

    def epoch_done(self) -> None:
        """Take note of an epoch.

        Raises:
            TimeIsUpError: Training should end here.
        """
        self.trained_s += time.perf_counter() - self._began
        self.epochs += 1
        over = self.trained_s >= self.limit_s or self.epochs >= self.most_epochs
        if over or not self.scores or self.trained_s >= self.scores[-1][0] + self.every_s:
            self.scores.append((self.trained_s, self.score()))
        self.start()
        if over or self.scores[-1][1] >= self.target:
            raise TimeIsUpError


def child(job: dict[str, Any]) -> None:
    """Train one side and hand its scores to the parent."""
    import torch

    import neuroblend as nb

    torch.set_num_threads(1)
    torch.manual_seed(job["seed"])
    trials = nb.Trials.load(job["trials"])
    forward_bins = trials.n_bins - job["seen_bins"]
    task = nb.Task.of(trials, nb.split_trials(trials, job["seed"], forward_bins=forward_bins))
    clock = published(task, job) if job["reference"] else ours(task, job)
    answer({"scores": clock.scores, "epochs": clock.epochs, "seconds": clock.trained_s})


def target_of(batch: Batch) -> Tensor:
    """Return (B, T, N) counts/bin to explain."""
    assert batch.target is not None
    return batch.target


def co_bps(task: Task, rates: NDArray[np.float32]) -> float:
    """Return bits/spike of held-out neurons from (B, T, N) rates of the validation trials."""
    from neuroblend.evaluation.metrics import bits_per_spike

    target, spec = target_of(task.batch("valid")).numpy(), task.spec
    held_out = (slice(None), slice(spec.t_in), slice(spec.n_in, None))
    return bits_per_spike(rates[held_out], target[held_out])


def ours(task: Task, job: dict[str, Any]) -> Clock:
    """Train our NDT with ``train`` until it has reached the target."""
    import neuroblend as nb
    from neuroblend.evaluation.predict import rates_of
    from neuroblend.models.ndt import NDT

    net = NDT(task.spec, dropout=DROPOUT, dropout_embedding=DROPOUT, dropout_rates=DROPOUT)
    model = nb.Student(net)
    valid = task.batch("valid")
    clock = Clock(lambda: co_bps(task, rates_of(model, valid)), 0.0, job)
    settings = nb.TrainingConfig(**SETTINGS)
    train = nb.train  # this imports Lightning
    clock.start()
    with suppress(TimeIsUpError):
        train(model, task, None, settings, job["seed"], progress=lambda *_: clock.epoch_done())
    return clock


def published(task: Task, job: dict[str, Any]) -> Clock:
    """Train with the published loop, from a file that it reads, for the given time."""
    from support import published as code

    code.use(job["reference"])
    from src.runner import Runner

    with tempfile.TemporaryDirectory() as folder:
        write_h5(task, Path(folder) / "trials.h5")
        config = code.settings_of(job["reference"], "mc_maze.yaml", folder)
        config.DATA.TRAIN_FILENAME = config.DATA.VAL_FILENAME = str(Path(folder) / "trials.h5")
        config.TRAIN.LR.WARMUP = job["warmup"] or config.TRAIN.LR.WARMUP
        config.TRAIN.NUM_UPDATES = job["most_epochs"] or config.TRAIN.NUM_UPDATES
        runner = Runner(config)
        runner.logger.mute()
        every_s = job["limit_s"] / N_SCORES
        clock = Clock(lambda: co_bps(task, published_rates(runner, task)), every_s, job)
        train_epoch = runner.train_epoch

        def timed() -> Any:
            if not clock.epochs:
                clock.start()
            metrics = train_epoch()
            clock.epoch_done()
            return metrics

        runner.train_epoch = timed
        with suppress(TimeIsUpError):
            runner.train()
    return clock


def published_rates(runner: Any, task: Task) -> NDArray[np.float32]:
    """Return (B, T, N) expected counts/bin of their model for the validation trials."""
    import torch

    from neuroblend.task.batch import Batches

    spec, rates = task.spec, []
    was_training = runner.model.training
    runner.model.eval()
    with torch.no_grad():
        for part in Batches(task.batch("valid"), 64):
            spikes = torch.zeros(target_of(part).shape, dtype=torch.long)
            spikes[:, : spec.t_in, : spec.n_in] = part.spikes.long()
            log_rates = runner.model(spikes, mask_labels=spikes, behavior=None)[1]
            rates.append(log_rates.exp())
    runner.model.train(was_training)
    together: NDArray[np.float32] = torch.cat(rates).numpy()
    return together


def write_h5(task: Task, path: Path) -> None:
    """Write training and validation trials under the names that their dataset looks for."""
    import h5py
    import numpy as np

    spec = task.spec
    with h5py.File(path, "w") as file:
        for batch, name in ((task.batch("train"), "train"), (task.batch("valid"), "eval")):
            assert batch.behavior is not None
            spikes, behavior = target_of(batch).numpy(), batch.behavior.values.numpy()
            for kind, neurons in (
                ("heldin", slice(spec.n_in)),
                ("heldout", slice(spec.n_in, None)),
            ):
                file[f"{name}_spikes_{kind}"] = spikes[:, : spec.t_in, neurons]
                file[f"{name}_spikes_{kind}_forward"] = spikes[:, spec.t_in :, neurons]
            file[f"{name}_behavior"] = np.nan_to_num(behavior[:, : spec.t_in])
            file[f"{name}_behavior_forward"] = np.nan_to_num(behavior[:, spec.t_in :])


def simulated(folder: Path, n_trials: int, seed: int) -> dict[str, Any]:
    """Simulate a maze session, cut it at 5 ms, and return what children need to know of it."""
    from neuroblend.nlb.datasets import find_dataset
    from neuroblend.nlb.simulate.files import simulate_nlb
    from neuroblend.nlb.trials import read_nlb

    dataset = find_dataset("mc_maze")
    file = simulate_nlb("mc_maze", folder / "maze.nwb", n_trials, seed=seed)
    trials = read_nlb(file, dataset, 5)
    trials.save(folder / "trials.h5")
    print(f"{trials!r}, simulated")
    seen_bins = trials.n_bins - dataset.forward_ms // 5
    return {"trials": str(folder / "trials.h5"), "seen_bins": seen_bins}


def squeezed(job: dict[str, Any]) -> dict[str, int]:
    """Return their warm-up and number of epochs, in their proportion, so that they fit the time."""
    probe = in_child(__file__, job | {"most_epochs": 2})
    epochs = max(10, round(job["limit_s"] * 2 / probe["seconds"]))
    return {"most_epochs": epochs, "warmup": epochs // 10, "limit_s": 1.5 * job["limit_s"]}


def main(given: argparse.Namespace) -> None:
    reference = checkout(given.reference, "--reference", PUBLISHED)
    if reference is None and given.target is None:
        print("nothing to reach: give --reference, a checkout of the published code, or --target")
        return
    with tempfile.TemporaryDirectory() as name:
        job = simulated(Path(name), given.trials, given.seed)
        job |= {"limit_s": given.minutes * 60, "most_epochs": None, "warmup": None}
        job |= {"seed": given.seed, "reference": None, "target": given.target}
        theirs_s = None
        if reference is not None:
            theirs = job | {"reference": reference, "target": None}
            theirs_s, best = theirs_of(theirs, given.schedule)
            job["target"] = best if given.target is None else given.target
        report(in_child(__file__, job), job["target"], theirs_s)


def report(found: dict[str, Any], target: float, theirs_s: float | None) -> None:
    """Say when ours reached the target, and in what part of their time."""
    when, last = found["scores"][-1]
    if last < target:
        best = max(score for _, score in found["scores"])
        print(f"ours: did not reach co-bps {target:.4f} in {when:.0f} s; best {best:.4f}")
        return
    print(f"ours: co-bps {last:.4f} after {found['epochs']} epochs, {when:.1f} s")
    if theirs_s is not None:
        met = "met" if when <= TARGET * theirs_s else "NOT met"
        print(f"time, ours / published: {when / theirs_s:.3f}   at most {TARGET:.2f}: {met}")


def theirs_of(job: dict[str, Any], schedule: str) -> tuple[float, float]:
    """Train theirs; return when it was best, in seconds, and its co-bps then."""
    if schedule == "squeezed":
        job |= squeezed(job)
    found = in_child(__file__, job)
    when, best = max(found["scores"], key=lambda pair: pair[1])
    print(
        f"published NDT, {schedule} schedule: {found['epochs']} epochs in {found['seconds']:.0f} s;"
        f" best co-bps {best:.4f}, after {when:.0f} s"
    )
    if best < 0:
        print("  (below 0 it is worse than each neuron's mean rate: little to be reached)")
    return when, best


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", metavar="PATH", help="a checkout of the published code")
    parser.add_argument("--minutes", type=float, default=20.0, help="training time that theirs has")
    parser.add_argument("--schedule", choices=["published", "squeezed"], default="published")
    parser.add_argument("--target", type=float, metavar="CO_BPS", help="reach this instead")
    parser.add_argument("--trials", type=int, default=700, help="simulated trials, test included")
    parser.add_argument("--seed", type=int, default=1, help="of the session, split and weights")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is None:
        main(options)
    else:
        child(options.child)
