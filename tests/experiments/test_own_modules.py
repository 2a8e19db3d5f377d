"""What a user's own module may do wrong, said in one line before anything is trained."""

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses, tiny_config
from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.experiments.decoding.apply import predict_run
from neuroblend.experiments.decoding.networks import check_network
from neuroblend.experiments.run import run

TASK = make_task()


class Linear(nn.Module):
    def __init__(self, spec) -> None:
        super().__init__()
        self.out = nn.Linear(spec.n_in, spec.n_out)

    def forward(self, spikes: Tensor) -> Tensor:
        return self.out(spikes)


def changed(change) -> type[Linear]:
    """A network whose output is changed."""

    class Changed(Linear):
        def forward(self, spikes: Tensor) -> object:
            return change(super().forward(spikes))

    return Changed


Short = changed(lambda output: output[:, 1:])
NotANumber = changed(lambda output: output * float("nan"))
Pair = changed(lambda output: (output, output))
Detached = changed(lambda output: output.detach())


class NoWeights(nn.Module):
    def __init__(self, spec) -> None:
        super().__init__()
        self.n_out = spec.n_out

    def forward(self, spikes: Tensor) -> Tensor:
        return spikes.mean(2, keepdim=True).expand(-1, -1, self.n_out)


class Convolution(nn.Module):
    """Its last layer is given (trial, feature, bin)."""

    def __init__(self, spec) -> None:
        super().__init__()
        self.hidden = nn.Conv1d(spec.n_in, 8, 1)
        self.out = nn.Conv1d(8, spec.n_out, 1)

    def forward(self, spikes: Tensor) -> Tensor:
        return self.out(self.hidden(spikes.transpose(1, 2))).transpose(1, 2)


class FailsInTraining(Linear):
    def forward(self, spikes: Tensor) -> Tensor:
        if self.training:
            raise KeyError("running_mean")
        return super().forward(spikes)


class FailsInOwnLosses(Linear):
    def own_losses(self, progress: float) -> dict[str, Tensor]:
        return {"norm": self.weigth.norm()}


class ListOfLosses(Linear):
    def own_losses(self, progress: float) -> list[Tensor]:
        return [self.out.weight.norm()]


class OtherArgument(Linear):
    def forward(self, spikes: Tensor, state: Tensor | None = None) -> Tensor:
        return super().forward(spikes if state is None else spikes * 0)


def own(name: str, **changes):
    model = {"name": f"{__name__}:{name}", "settings": {}} | changes
    return tiny_config(model=model)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Short", r"found output \(2, 11, 10\), wanted \(2, 12, 10\)"),
        ("NotANumber", "its first output is not finite"),
        ("Pair", "found output of type tuple, wanted a tensor"),
        ("NoWeights", "has no weights that learn"),
        ("FailsInTraining", r"as a student .*, in training, it fails \(KeyError: 'running_mean'"),
        ("Detached", r"in training, it fails \(RuntimeError: .*does not require grad"),
        ("FailsInOwnLosses", "in training, it fails .*no attribute 'weigth'"),
        ("ListOfLosses", "own_losses: found list, wanted scalar tensors by name"),
        ("Convolution", r"layer 'out:in' gives shape \(2, 8, 12\), wanted \(trial, bin, feature\)"),
    ],
)
def test_what_a_module_gives_is_checked(name, message) -> None:
    refuses(message, check_network, own(name), TASK)


def test_a_module_that_is_well_formed_passes() -> None:
    assert check_network(own("Linear"), TASK) == "out:in"
    refuses("no layer 'uot': did you mean 'out'", check_network, own("Linear", layer="uot"), TASK)


@pytest.mark.parametrize("name", ["Linear", "OtherArgument"])
def test_a_module_without_a_mask_is_refused_where_trials_are_padded(name) -> None:
    """One whose second argument is something else is not given the mask for it."""
    spikes = make_trials().spikes.copy()
    spikes[::2, 8:] = 0
    task = make_task(make_trials(spikes=spikes, lengths=np.tile([8, 12], 20)))
    refuses("unexpected keyword argument 'present'", check_network, own(name), task)


def test_trials_of_different_length_are_refused_by_a_run_with_forward_bins(tmp_path) -> None:
    config = tiny_config(data={"forward_bins": 2}, training={"epochs": 1})
    folder = run(make_trials(), tmp_path / "run", config, jobs=1, quiet=True)
    spikes = make_trials().spikes[:4].copy()
    spikes[:, 6:] = 0
    with pytest.raises(InputError, match="the run has forward bins"):
        predict_run(folder, spikes, lengths=np.array([6, 12, 12, 12]))


def test_references_are_scored_and_predict(tmp_path) -> None:
    config = tiny_config(references=["smoothing"], training={"epochs": 1})
    folder = run(make_trials(), tmp_path / "run", config, jobs=1, quiet=True)
    results = folder.results()
    assert "smoothing - baseline" in results["contrasts"]
    assert results["selected"] in ("baseline", "multitask", "hard")
    prediction = predict_run(folder, make_trials().spikes[:5], arm="smoothing")
    assert prediction.rates.shape == (5, 12, 10)
    assert (torch.from_numpy(prediction.rates) > 0).all()
    from neuroblend.report.page import write_report

    assert "no network: smoothed spikes" in write_report(folder).read_text()
