"""Small students that nothing trained, for tests."""

import numpy as np
import torch
from conftest import make_task, make_trials
from torch import nn

from neuroblend.data.channel import Channel
from neuroblend.data.trials import Trials
from neuroblend.deploy.neurons import KnownNeurons
from neuroblend.deploy.signals import StudentSignals
from neuroblend.deploy.student import TrainedStudent
from neuroblend.evaluation.decoder import Decoder
from neuroblend.models.build import build_network
from neuroblend.privilege.roles import Student


class Convolution(nn.Module):
    """A network that looks 2 bins back and 1 ahead, wherever in a trial."""

    def __init__(self, spec: object) -> None:
        super().__init__()
        self.mix = nn.Conv1d(spec.n_in, 6, 4)
        self.readout = nn.Linear(6, spec.n_out)

    def forward(self, spikes, present=None):
        if present is not None:
            spikes = spikes.where(present[:, :, None], 0.0)
        padded = nn.functional.pad(spikes.transpose(1, 2), (2, 1))
        self.features = torch.tanh(self.mix(padded)).transpose(1, 2)
        return self.readout(self.features)


class Plain(Convolution):
    """The same, which knows nothing of padding."""

    def forward(self, spikes):
        return super().forward(spikes)


class Rates(nn.Module):
    """A network whose layers are called as signals are."""

    def __init__(self, spec: object) -> None:
        super().__init__()
        self.rates = nn.Linear(spec.n_in, 6)
        self.features = nn.Tanh()
        self.readout = nn.Linear(6, spec.n_out)

    def forward(self, spikes, present=None):
        return self.readout(self.features(self.rates(spikes)))


class Normalised(nn.Module):
    """A network with a state that is a single number: batches seen."""

    def __init__(self, spec: object) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(spec.n_in)
        self.readout = nn.Linear(spec.n_in, spec.n_out)

    def forward(self, spikes):
        return self.readout(self.norm(spikes.transpose(1, 2)).transpose(1, 2))


def make_student(
    model: str = "students:Convolution",
    settings: dict | None = None,
    layer: str = "readout:in",
    trials: Trials | None = None,
    lags: tuple[int, ...] = (-3, 0, 2),
    signal: str = "features",
    **split: object,
) -> TrainedStudent:
    """A student of tiny trials whose neurons have names."""
    if trials is None:
        trials = make_trials(unit_id=[f"n{7 * i % 10}" for i in range(10)])
    task = make_task(trials, **split)
    torch.manual_seed(1)
    net = build_network(model, settings or {}, task.spec)
    student = Student(net).eval()
    held_out = task.split.held_out
    signals = StudentSignals(student, layer, held_out)
    example = signals(task.batch("valid"), ())[signal]
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(len(lags), example.shape[2], task.spec.n_behavior))
    return TrainedStudent(
        arm="hard",
        seed=0,
        spec=task.spec,
        neurons=KnownNeurons.of(trials, held_out),
        signals=signals,
        decoder=Decoder(weights, rng.normal(size=2), np.array(lags)),
        readout=(signal, "history and future"),
        channels=tuple(Channel(name, unit="cm/s") for name in task.spec.behavior),
        model=student,
        layer=layer,
        network=(model, settings or {}),
        task=task,
        about={"scores": {}},
    )
