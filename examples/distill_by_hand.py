"""The pieces without the command line: a teacher, a student of it, and what the student gained.

Any ``nn.Module`` plays both roles; here two small GRUs, which import nothing of this package.
"""

import sys

import torch
from torch import Tensor, nn

import neuroblend as nb
from neuroblend.distill.feature import Feature
from neuroblend.nlb.scores import bits_per_spike
from neuroblend.privilege.concat import Concat


class MyNet(nn.Module):
    """(trial, bin, feature) in, (trial, bin, neuron) log expected counts/bin out."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(n_in, 32, batch_first=True, bidirectional=True)
        self.readout = nn.Linear(64, n_out)

    def forward(self, x: Tensor) -> Tensor:
        log_rates: Tensor = self.readout(self.rnn(x)[0]) - 3.0
        return log_rates


def main(epochs: int = 30) -> None:
    trials = nb.simulate_reaching(seed=1)
    task = nb.Task.of(trials, nb.split_trials(trials, seed=1))
    settings = nb.TrainingConfig(epochs=epochs)
    spec = task.spec
    torch.manual_seed(1)

    teacher = nb.Teacher(MyNet(spec.n_in + spec.n_behavior, spec.n_out), Concat(spec))
    nb.train(teacher, task, settings=settings)
    follow = Feature([("readout:in", "readout:in")])
    for name, objective in {
        "baseline": nb.Objective(counts_per_entry=spec.mean_count),
        "distilled": nb.Objective({"feature": follow}, teacher, counts_per_entry=spec.mean_count),
    }.items():
        student = nb.Student(MyNet(spec.n_in, spec.n_out))
        nb.train(student, task, objective, settings)
        held_out, test = task.split.held_out, task.split.test
        rates = nb.predict(student, task, test)[:, :, held_out]
        bits = bits_per_spike(rates, trials.spikes[test][:, :, held_out])
        print(f"{name}: {bits:.3f} bits/spike on held-out neurons")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
