"""Networks that know nothing of this package, as teacher and student: yours, and one from PyPI.

    python examples/your_own_model.py
    pip install pytorch-tcn==1.2.3    # for the second one

One line says how a network is called; it bridges axes and units. The same line serves both roles,
since a student's batch has no behavior, whatever the line asks for. A table of one split shows that
it works; how much is gained, and how sure that is, takes the splits of ``neuroblend run``.
"""

import sys
from collections.abc import Callable

import torch
from sklearn.metrics import r2_score
from torch import Tensor, nn

import neuroblend as nb
from neuroblend.distill.feature import Feature
from neuroblend.distill.hard import Hard
from neuroblend.evaluation.decoder import Decoder
from neuroblend.nlb.scores import bits_per_spike
from neuroblend.task.batch import Batch

try:
    from pytorch_tcn import TCN  # type: ignore  # it has no types
except ImportError:
    TCN = None


class MyNet(nn.Module):
    """(neuron, bin, trial) counts in, (bin, trial, neuron) rates in Hz out."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(n_in, 32, bidirectional=True)
        self.norm = nn.LayerNorm(64)
        self.readout = nn.Linear(64, n_out)

    def forward(self, counts: Tensor) -> Tensor:
        hidden, _ = self.rnn(nn.functional.dropout(counts.permute(1, 2, 0), 0.3, self.training))
        features = self.norm(hidden.transpose(0, 1))  # the layer to distil: (trial, bin, feature)
        return self.readout(features).exp().transpose(0, 1)


def seen(batch: Batch) -> Tensor:
    """Return all that a role may see, (trial, bin, feature)."""
    if batch.behavior is None:  # a student
        return batch.spikes
    return torch.cat([batch.spikes, batch.behavior.values], dim=2)


def compare(
    name: str,
    task: nb.Task,
    build: Callable[[int, int], nn.Module],
    call: Callable[[nn.Module, Batch], Tensor],
    layer: str,
    epochs: int,
) -> None:
    """Train a baseline, a teacher and its student, and print a line for each."""
    spec, settings = task.spec, nb.TrainingConfig(epochs=epochs, lr=5e-3)
    torch.manual_seed(1)
    baseline = nb.Student(build(spec.n_in, spec.n_out), call)
    teacher = nb.Teacher(build(spec.n_in + spec.n_behavior, spec.n_out), call)
    torch.manual_seed(1)  # the student starts from the baseline's weights
    student = nb.Student(build(spec.n_in, spec.n_out), call)

    counts = spec.mean_count
    nb.train(baseline, task, nb.Objective(counts_per_entry=counts), settings)
    nb.train(teacher, task, nb.Objective(counts_per_entry=counts), settings)
    objective = nb.Objective(
        {"hard": Hard(), "feature": Feature([(layer, layer)])},
        teacher,
        alpha=0.5,
        counts_per_entry=counts,
    )
    nb.train(student, task, objective, settings)
    for role, model in {"baseline": baseline, "teacher": teacher, "student": student}.items():
        bits, r2 = scores(model, task)
        print(f"{name:<12} {role:<10} {bits:>8.3f} {r2:>12.3f}")


def scores(model: nn.Module, task: nb.Task) -> tuple[float, float]:
    """Return bits/spike of held-out neurons and the mean R² of behavior, on test trials."""
    trials, train, test = task.trials, task.split.train, task.split.test
    assert trials.behavior is not None
    rates, held_out = nb.predict(model, task, test), task.split.held_out
    decoder = Decoder.fit(nb.predict(model, task, train), trials.behavior[train])
    decoded, true = decoder(rates), trials.behavior[test]
    r2 = r2_score(true.reshape(-1, true.shape[2]), decoded.reshape(-1, true.shape[2]))
    return bits_per_spike(rates[:, :, held_out], trials.spikes[test][:, :, held_out]), float(r2)


def main(epochs: int = 30) -> None:
    trials = nb.simulate_reaching(seed=1)
    task = nb.Task.of(trials, nb.split_trials(trials, seed=1))
    bin_s = trials.bin_s
    print(f"{'network':<12} {'role':<10} {'co-bps':>8} {'behavior R²':>12}")

    # rates in Hz with bins first -> log counts/bin with trials first
    compare(
        "MyNet",
        task,
        MyNet,
        lambda net, batch: (net(seen(batch).permute(2, 1, 0)) * bin_s).log().transpose(0, 1),
        layer="norm",
        epochs=epochs,
    )
    if TCN is None:
        print("for a third party's network: pip install pytorch-tcn==1.2.3")
        return
    compare(
        "pytorch-tcn",
        task,
        lambda n_in, n_out: TCN(
            n_in,
            [48, 48, 48],
            kernel_size=5,
            dropout=0.3,
            causal=False,
            use_norm="layer_norm",
            input_shape="NLC",
            output_projection=n_out,
        ),
        lambda net, batch: net(seen(batch)) - 3.0,  # its outputs start around 0: 1 spike/bin
        layer="network.2.norm2",  # found with named_modules(); (trial, bin, feature) too
        epochs=epochs,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
