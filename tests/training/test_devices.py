"""Several processes train one model as one would; precision and devices are checked beforehand."""

import multiprocessing
import os
import socket
from unittest import mock

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses, tiny_config
from torch.optim.optimizer import register_optimizer_step_post_hook

from neuroblend.config import TrainingConfig
from neuroblend.distill.correlation import Correlation
from neuroblend.distill.feature import Feature
from neuroblend.distill.hard import Hard
from neuroblend.distill.multitask import Multitask
from neuroblend.distill.objective import Objective
from neuroblend.distill.soft import Soft
from neuroblend.errors import InputError
from neuroblend.experiments.run import run
from neuroblend.models.gru import GRU
from neuroblend.models.lfads import LFADS
from neuroblend.models.ndt import NDT
from neuroblend.models.stndt import STNDT
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.task.task import Task
from neuroblend.training import devices
from neuroblend.training.devices import check_devices
from neuroblend.training.train import train

SETTINGS = TrainingConfig(epochs=2, batch_size=24, valid_every=1, accelerator="cpu")


def unequal_task() -> Task:
    """Trials of which the halves of a batch hold unequal numbers of scored entries."""
    whole = make_trials()
    behavior = whole.behavior.copy()
    behavior[::3, 4:] = np.nan
    behavior[::5] = np.nan
    lengths = np.tile([12, 6, 12, 9], 10)
    spikes = np.where(np.arange(12)[:, None] < lengths[:, None, None], whole.spikes, 0)
    return make_task(make_trials(spikes=spikes, behavior=behavior, lengths=lengths))


class SameViews(STNDT):
    """Views that do not depend on the process that draws them."""

    n_views = 0

    def _corrupted(self, spikes: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
        self.n_views += 1
        return spikes * (1 + self.n_views % 2 * spikes)


def follow(task: Task) -> tuple[Student, Objective]:
    """A student that follows a teacher in every way."""
    student = Student(NDT(task.spec, 1, 8, 2, 8, dropout=0, dropout_embedding=0, dropout_rates=0))
    fusion = Concat(task.spec)
    teacher = Teacher(GRU(fusion.spec, width=8, dropout=0.0), fusion)
    terms = {
        "hard": Hard(),
        "soft": Soft(),
        "correlation": Correlation(),
        "feature": Feature([("norm", "norm")]),
        "multitask": Multitask("norm"),
    }
    return student, Objective(terms, teacher)


def lfads(task: Task) -> tuple[Student, Objective]:
    """A student with divergences of its own."""
    return Student(LFADS(task.spec, 8, 5, 6, None, 7, 2, 4, dropout=0, kl_ramp=0)), Objective()


def stndt(task: Task) -> tuple[Student, Objective]:
    """A student with a contrast of its own, between all trials of a batch."""
    return Student(SameViews(task.spec, 1, 2, 8, 0, 0, 0)), Objective()


MAKE = {"strategies": follow, "lfads": lfads, "stndt": stndt}


def first_gradients(what: str, n_devices: int) -> dict[str, torch.Tensor]:
    """Train through train() and return the gradients of the first step, objective included."""
    task = unequal_task()
    torch.manual_seed(1)
    student, objective = MAKE[what](task)
    found: list[dict[str, torch.Tensor]] = []

    def keep(optimiser, args, kwargs) -> None:
        if not found:
            named = [*student.named_parameters(), *objective.named_parameters()]
            found.append({name: weight.grad.clone() for name, weight in named})

    handle = register_optimizer_step_post_hook(keep)
    with mock.patch.object(torch, "randn", torch.zeros):  # posteriors are not sampled
        train(student, task, objective, SETTINGS.model_copy(update={"devices": n_devices}))
    handle.remove()
    return found[0]


def train_in_process(what: str, rank: int, port: int, answers) -> None:
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    gradients = first_gradients(what, 2)
    answers.put((rank, {name: value.numpy() for name, value in gradients.items()}))


@pytest.mark.skipif(devices.n_devices(torch.device("cpu")) < 2, reason="wants two CPU cores")
@pytest.mark.parametrize("what", list(MAKE))
def test_two_processes_give_the_gradients_of_one(what) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workers = [
        context.Process(target=train_in_process, args=(what, rank, port, answers))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    found = dict(answers.get(timeout=240) for _ in workers)
    for worker in workers:
        worker.join()
    alone = first_gradients(what, 1)
    assert set(found[0]) == set(alone)
    assert any(name.startswith("modules_of_terms") for name in alone) == (what == "strategies")
    for name, gradient in alone.items():
        for rank in (0, 1):
            np.testing.assert_allclose(
                found[rank][name], gradient.numpy(), rtol=2e-4, atol=1e-6, err_msg=name
            )


@pytest.mark.slow
def test_a_run_on_two_devices_ends_with_the_scores_of_one(tmp_path) -> None:
    model = {"name": "gru", "settings": {"width": 6, "dropout": 0.0}}
    distill = {"strategies": ["multitask"]}
    scores = []
    for n in (1, 2):
        config = tiny_config(model=model, distill=distill, training={"devices": n})
        folder = run(make_trials(), tmp_path / str(n), config, jobs=1, quiet=True)
        scores.append(folder.results()["arms"])
    for arm in scores[0]:
        for name, score in scores[0][arm].items():
            assert scores[1][arm][name]["mean"] == pytest.approx(score["mean"], abs=2e-3), arm


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": 99}, "found .* CPU core.* on this machine"),
        ({"devices": 2, "batch_size": 1}, "batches of 1 trials cannot be divided"),
        ({"precision": "16-mixed"}, "needs a CUDA GPU; wanted bf16-mixed or 32-true"),
    ],
)
def test_what_the_machine_cannot_do(changes, message, monkeypatch) -> None:
    settings = SETTINGS.model_copy(update=changes)
    if changes.get("devices") == 2:
        monkeypatch.setattr(devices, "n_devices", lambda device: 4)
    refuses(message, check_devices, settings, torch.device("cpu"), 24)


def test_a_device_without_bf16_is_said_so(monkeypatch) -> None:
    settings = SETTINGS.model_copy(update={"precision": "bf16-mixed"})
    check_devices(settings, torch.device("cpu"), 24)
    for kind, others in (("mps", "wanted 32-true"), ("cuda", "32-true or 16-mixed")):
        monkeypatch.setattr(devices, "n_devices", lambda device: 1)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
        with pytest.raises(InputError, match=f"{kind.upper()} device does not do it.*{others}"):
            check_devices(settings, torch.device(kind), 24)


class FailsOnOneDevice(torch.nn.Module):
    """A network that fails in training, on the second device alone."""

    def __init__(self, spec) -> None:
        super().__init__()
        self.out = torch.nn.Linear(spec.n_in, spec.n_out)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        if self.training and os.environ.get("LOCAL_RANK") == "1":
            raise RuntimeError("the cat sat on the keyboard")
        return self.out(spikes)


def test_a_failure_on_any_device_ends_the_run_and_says_why(tmp_path) -> None:
    model = {"name": f"{__name__}:FailsOnOneDevice", "settings": {}}
    config = tiny_config(model=model, training={"devices": 2})
    with pytest.raises(InputError, match=r"teacher.*RuntimeError: the cat sat on the keyboard"):
        run(make_trials(), tmp_path / "run", config, quiet=True)
