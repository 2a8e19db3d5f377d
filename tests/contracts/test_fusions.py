"""Rules that hold for every registered fusion, with every base model."""

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses, tiny_config
from test_models import SMALL
from test_padding import LENGTHS, padded_trials, with_garbage
from torch import nn

from neuroblend.distill.objective import Objective, output_of
from neuroblend.evaluation.predict import rates_and_features
from neuroblend.experiments.decoding.networks import build_teacher, check_network
from neuroblend.models.gru import GRU
from neuroblend.privilege.all_neurons import AllNeurons
from neuroblend.privilege.dose import Dose
from neuroblend.privilege.roles import Teacher, on_spikes
from neuroblend.privilege.tokens import Tokens
from neuroblend.registry import FUSIONS, MODELS, load
from neuroblend.task.task import Task

STARTS_PLAIN = {"film", "gated", "cross-attention"}  # as the network without behavior
WIDENS = {"concat", "tokens"}  # the network, which so starts with weights for behavior


class Own(nn.Module):
    """A user's: every bin from its own and the one before."""

    def __init__(self, spec) -> None:
        super().__init__()
        self.n_forward = spec.t_out - spec.t_in
        self.features = nn.Linear(2 * spec.n_in, 5)
        self.readout = nn.Linear(5, spec.n_out)

    def forward(self, spikes, present=None):
        spikes = nn.functional.pad(spikes, (0, 0, 0, self.n_forward))
        before = spikes.roll(1, dims=1)
        before[:, 0] = 0
        return self.readout(self.features(torch.cat([spikes, before], dim=2)).tanh())


class OneBin(nn.Module):
    """A user's that treats each bin alone."""

    def __init__(self, spec) -> None:
        super().__init__()
        self.readout = nn.Linear(spec.n_in, spec.n_out)

    def forward(self, spikes):
        return self.readout(spikes)


BUILDERS = {name: load(MODELS[name].target) for name in MODELS} | {"own": Own}
SETTINGS = SMALL | {"own": {}}
fusions = pytest.mark.parametrize("fusion", sorted(FUSIONS))
models = pytest.mark.parametrize("model", sorted(BUILDERS))


def test_every_registered_fusion_is_covered() -> None:
    assert set(FUSIONS) == STARTS_PLAIN | WIDENS


def gappy_task(forward_bins: int = 0, n_channels: int = 2) -> Task:
    """A task in which some samples of behavior are missing."""
    trials = make_trials(n_channels=n_channels)
    behavior = trials.behavior.copy()
    behavior[::2, 3:6, 0] = np.nan
    return make_task(make_trials(behavior=behavior), forward_bins)


def make_teacher(fusion: str, model: str, task: Task, jitter: float = 0.0, around=None) -> Teacher:
    """A teacher; with weights of which none is at 0, where asked for."""
    torch.manual_seed(3)
    make = load(FUSIONS[fusion])
    made = make(task.spec) if around is None else around(task.spec, make)
    teacher = Teacher(BUILDERS[model](made.spec, **SETTINGS[model]), made)
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.add_(torch.randn_like(weight), alpha=jitter)
    return teacher.eval()


def permuted(batch):
    """The batch with behavior of other trials."""
    return batch._replace(behavior=batch.behavior.map(lambda part: part.roll(1, dims=0)))


@fusions
@models
@pytest.mark.parametrize("forward_bins", [0, 3])
def test_rates_and_features_are_of_the_bins_of_a_trial(fusion, model, forward_bins) -> None:
    task = gappy_task(forward_bins)
    layer = "features" if model == "own" else MODELS[model].layer
    teacher = make_teacher(fusion, model, task)
    output = output_of(teacher, task.batch("train"), [layer])
    n_trials = task.n_train
    assert output.log_rates.shape == (n_trials, 12, 10) and output.log_rates.isfinite().all()
    assert output.features[layer].shape[:2] in ((n_trials, 12), (n_trials, task.spec.t_in))
    rates, features = rates_and_features(teacher, task.batch("valid"), layer)
    assert rates.shape[:2] == features.shape[:2] == (task.split.valid.size, 12)


@fusions
@models
def test_a_gradient_reaches_every_weight(fusion, model) -> None:
    task = gappy_task()
    teacher = make_teacher(fusion, model, task, jitter=0.1).train()
    objective = Objective()
    batch = task.batch("train")
    objective(teacher, batch)["loss"].backward()
    assert any(name.endswith("absent") for name, _ in teacher.named_parameters())
    for name, weight in teacher.named_parameters():
        assert weight.grad is not None and weight.grad.abs().max() > 0, name


@fusions
@models
def test_behavior_of_other_trials_changes_rates(fusion, model) -> None:
    task = gappy_task()
    teacher, batch = make_teacher(fusion, model, task, jitter=0.1), task.batch("train")
    assert not torch.allclose(teacher(batch), teacher(permuted(batch)), atol=1e-5)


@fusions
def test_the_order_of_trials_does_not_matter(fusion) -> None:
    task = gappy_task()
    teacher, batch = make_teacher(fusion, "gru", task, jitter=0.1), task.batch("train")
    backwards = torch.arange(batch.n_trials - 1, -1, -1)
    torch.testing.assert_close(teacher(batch.take(backwards)), teacher(batch)[backwards])


@pytest.mark.parametrize("fusion", sorted(STARTS_PLAIN))
@models
def test_a_teacher_starts_as_the_network_without_behavior(fusion, model) -> None:
    task = gappy_task()
    teacher, batch = make_teacher(fusion, model, task), task.batch("train")
    torch.testing.assert_close(teacher(batch), on_spikes(teacher.net, batch))


@fusions
@models
def test_what_stands_in_padding_reaches_no_rate(fusion, model) -> None:
    if model == "own":
        pytest.skip("it looks at no mask")
    task = make_task(padded_trials())
    teacher, batch = make_teacher(fusion, model, task, jitter=0.1), task.batch("train")
    clean, dirty = teacher(batch), teacher(with_garbage(batch))
    torch.testing.assert_close(clean[batch.present], dirty[batch.present])


@fusions
def test_a_padded_trial_has_the_rates_of_the_trial_alone(fusion) -> None:
    task = make_task(padded_trials())
    teacher, batch = make_teacher(fusion, "gru", task, jitter=0.1), task.batch("train")
    padded = teacher(batch)
    for i in range(4):
        n = LENGTHS[task.split.train[i]]
        one = batch.take(slice(i, i + 1))
        cut = one.behavior.map(lambda part, n=n: part[:, :n])
        alone = teacher(one._replace(spikes=one.spikes[:, :n], behavior=cut, present=None))
        torch.testing.assert_close(padded[i, :n], alone[0], rtol=1e-4, atol=1e-5)


@fusions
def test_a_missing_sample_is_the_learned_token_whatever_stands_there(fusion) -> None:
    """Learned, it can be any value; at first it is the channel's mean, which is 0."""
    task = gappy_task()
    teacher, batch = make_teacher(fusion, "gru", task), task.batch("train")
    assert not batch.behavior.present.all()
    filled = batch.behavior._replace(present=torch.ones_like(batch.behavior.present))
    torch.testing.assert_close(teacher(batch), teacher(batch._replace(behavior=filled)))
    teacher = make_teacher(fusion, "gru", task, jitter=0.2)
    assert not torch.allclose(teacher(batch), teacher(batch._replace(behavior=filled)), atol=1e-4)


@fusions
def test_without_gaps_there_is_no_token(fusion) -> None:
    teacher = make_teacher(fusion, "gru", make_task())
    assert not [name for name, _ in teacher.named_parameters() if name.endswith("absent")]


@fusions
def test_a_dose_and_all_neurons_go_around_any(fusion) -> None:
    task = make_task(forward_bins=2)

    def dosed(spec, make):
        return Dose(spec, make, dropout=0.5, lag_s=0.04, bottleneck=1)

    for around in (dosed, AllNeurons):
        teacher = make_teacher(fusion, "ndt", task, 0.1, around)
        output = output_of(teacher, task.batch("train"), ["norm"])
        assert output.features["norm"].shape[:2] == output.log_rates.shape[:2]


def test_tokens_stand_before_the_spikes_of_their_bin() -> None:
    """A causal network so sees behavior of a bin with its spikes, and none of later bins."""
    task = make_task(forward_bins=2)
    fusion = Tokens(task.spec)
    seen = []

    def net(features):
        seen.append(features)
        return torch.zeros(len(features), 22, 10) + torch.arange(22.0)[:, None]

    batch = task.batch("train")
    rates = fusion(net, batch)
    torch.testing.assert_close(seen[0][:, 1::2], batch.spikes)
    torch.testing.assert_close(seen[0][:, ::2], fusion.read_in(batch))
    assert rates[0, :, 0].tolist() == [*range(1, 20, 2), 20, 21]
    teacher = Teacher(GRU(fusion.spec, width=4, bidirectional=False), fusion).eval()
    values = batch.behavior.values.clone()
    values[:, 6] += 1
    changed = batch._replace(behavior=batch.behavior._replace(values=values))
    moved = (teacher(batch) - teacher(changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.tolist() == [False] * 6 + [True] * 6


def test_cross_attention_starts_by_looking_nearby() -> None:
    task = make_task()
    bias = load(FUSIONS["cross-attention"])(task.spec)._bias(12)
    assert bias.shape == (1, 4, 12, 12)
    assert (bias.diagonal(dim1=2, dim2=3) == 0).all()
    assert (bias.diff(dim=3)[0, :, 0] < 0).all()
    torch.testing.assert_close(bias[0, 0, 0, :3], torch.tensor([0.0, -1.0, -2.0]))  # 0.02 s a bin


@fusions
def test_a_run_builds_any_and_finds_that_behavior_matters(fusion) -> None:
    config, task = tiny_config(model={"fusion": fusion}), gappy_task()
    assert check_network(config, task) == "norm"
    assert type(build_teacher(config, task, 0).fusion) is load(FUSIONS[fusion])


def test_a_network_of_single_bins_cannot_use_tokens() -> None:
    model = {"name": f"{__name__}:OneBin", "settings": {}, "fusion": "tokens"}
    config = tiny_config(model=model)
    refuses(
        r"fusion tokens: found that behavior changes nothing .*:OneBin .* such as concat, film",
        check_network,
        config,
        make_task(),
    )
    config = tiny_config(model=model | {"fusion": "film"})
    check_network(config, make_task())
