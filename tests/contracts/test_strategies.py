"""Rules that hold for every registered strategy."""

import numpy as np
import pytest
import torch
from conftest import make_task, make_trials, refuses
from torch import nn

from neuroblend.behavior.kind import Behavior
from neuroblend.distill.correlation import Correlation, correlations
from neuroblend.distill.objective import Objective, output_of, poisson_nll
from neuroblend.distill.pair import DistillLoss, Fitted, Output, Pair
from neuroblend.errors import InputError
from neuroblend.models.gru import GRU
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import STRATEGIES, load
from neuroblend.task.batch import Batch

COVERED = {
    *("hard", "soft", "feature", "correlation", "subspace", "denoised"),
    *("multitask", "two-heads", "masked-modalities"),
}
GUIDED = sorted(name for name in STRATEGIES if STRATEGIES[name].wants_teacher)
LAYER = "norm"


def test_every_registered_strategy_is_covered() -> None:
    assert set(STRATEGIES) == COVERED


def make_term(name: str, normalisation: str = "element") -> DistillLoss:
    given = {"layer": LAYER, "layers": [(LAYER, LAYER)], "normalisation": normalisation}
    entry = STRATEGIES[name]
    return load(entry.target)(**{key: given[key] for key in entry.takes})


def make_pair(n_trials=64, n_bins=40, n_neurons=30, n_features=16, seed=0, gap=1.0) -> Pair:
    """A pair whose student differs from its teacher by noise of the same size everywhere."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=generator)

    rates, features = noise(n_trials, n_bins, n_neurons), noise(n_trials, n_bins, n_features)
    values = noise(n_trials, n_bins, 2)
    batch = Batch(rates.exp(), Behavior(values, torch.ones_like(values).bool()), rates.exp(), None)
    student = Output(
        rates + gap * noise(*rates.shape), {LAYER: features + gap * noise(*features.shape)}
    )
    model = Student(nn.Linear(n_neurons, n_neurons), lambda net, b: net(b.spikes).tanh())
    return Pair(batch, student, Output(rates, {LAYER: features}), model)


def value(term: DistillLoss, pair: Pair) -> torch.Tensor:
    if isinstance(term, nn.Module) and not list(term.parameters()):
        if isinstance(term, Fitted):
            term.fit(pair.batch, pair.guide)
        term.prepare(pair)
    return term(pair)


@pytest.mark.parametrize("normalisation", ["element", "released"])
@pytest.mark.parametrize("name", GUIDED)
def test_zero_for_a_student_equal_to_its_teacher_and_positive_otherwise(
    name, normalisation
) -> None:
    term = make_term(name, normalisation)
    same = make_pair(gap=0.0)
    assert value(term, same).item() == pytest.approx(0, abs=1e-6)
    for gap in (0.05, 0.5):
        assert value(term, make_pair(gap=gap)).item() > 1e-5
    near, far = (value(term, make_pair(gap=gap)).item() for gap in (0.1, 0.5))
    assert far > near


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize(
    "size",
    [
        {"n_trials": 256},
        {"n_bins": 160},
        {"n_neurons": 120},
        {"n_neurons": 4, "n_trials": 512},
        {"n_features": 64},
        {"n_trials": 16},
    ],
)
def test_size_does_not_change_a_loss(name, size) -> None:
    """The same relation of student to teacher costs the same in any batch."""
    if name == "correlation" and "n_bins" in size:
        pytest.skip("a correlation over more bins is less noisy: the quantity itself changes")
    if not STRATEGIES[name].wants_teacher and {"n_features", "n_neurons"} & set(size):
        pytest.skip("weights of its own that are of another size start elsewhere")
    torch.manual_seed(0)
    small = value(make_term(name), make_pair()).item()
    torch.manual_seed(0)
    assert value(make_term(name), make_pair(**size, seed=1)).item() == pytest.approx(small, rel=0.1)


def test_trial_length_does_not_change_the_correlation_loss_of_given_correlations() -> None:
    """Noise in a correlation falls with bins; the loss of true correlations must not."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(2, 6, 6, generator=generator)
    losses = []
    for n_bins in (400, 3200):
        latents = torch.randn(30, n_bins, 6, generator=generator)
        student, teacher = (Output(latents @ mix, {}) for mix in mixing)
        losses.append(Correlation()(Pair(make_pair().batch, student, teacher)).item())
    assert losses[0] == pytest.approx(losses[1], rel=0.03)
    assert losses[0] > 0.1


def test_the_released_soft_loss_grows_with_trial_length() -> None:
    """What ``normalisation="released"`` stands for, and why it is not the default."""
    short = value(make_term("soft", "released"), make_pair(n_bins=20)).item()
    long = value(make_term("soft", "released"), make_pair(n_bins=80)).item()
    assert long == pytest.approx(4 * short, rel=0.1)
    pair = make_pair()
    kl = nn.functional.kl_div(
        (pair.student.log_rates / 2).log_softmax(-1),
        (pair.guide.log_rates / 2).softmax(-1),
        reduction="batchmean",
    )
    assert value(make_term("soft", "released"), pair).item() == pytest.approx(4 * kl.item(), 1e-5)


@pytest.mark.parametrize("name", ["feature", "correlation"])
def test_the_released_form_adds_the_hard_term(name) -> None:
    pair = make_pair()
    same_features = Pair(
        pair.batch, Output(pair.student.log_rates, pair.guide.features), pair.guide
    )
    released = value(make_term(name, "released"), same_features)
    plain = value(make_term(name), same_features)
    if name == "correlation":
        plain = plain * 29 / 30  # the released mean counts a neuron with itself
    hard = nn.functional.mse_loss(pair.student.log_rates, pair.guide.log_rates)
    assert released.item() == pytest.approx((plain + hard).item(), rel=1e-5)


def test_feature_loss_is_one_for_a_student_that_knows_the_mean_alone() -> None:
    pair = make_pair(n_trials=200)
    for scale in (0.01, 1.0, 100.0):
        guide = Output(pair.guide.log_rates, {LAYER: pair.guide.features[LAYER] * scale})
        blank = Output(pair.guide.log_rates, {LAYER: torch.zeros_like(guide.features[LAYER])})
        assert value(make_term("feature"), Pair(pair.batch, blank, guide)).item() == pytest.approx(
            1, rel=0.02
        )


def test_feature_maps_bridge_different_widths() -> None:
    pair = make_pair(n_features=16)
    wide = Output(pair.guide.log_rates, {LAYER: torch.randn(64, 40, 24)})
    term = make_term("feature")
    loss = value(term, Pair(pair.batch, pair.student, wide))
    loss.backward()
    assert [tuple(weight.shape) for weight in term.parameters()] == [(24, 16), (24,)]
    assert all(weight.grad.abs().sum() > 0 for weight in term.parameters())


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_neuron_that_never_moves_gives_a_finite_loss_and_gradient(name) -> None:
    pair = make_pair()
    flat = pair.student.log_rates.clone()
    flat[:, :, 0] = -20.0
    flat.requires_grad_()
    guide = pair.guide.log_rates.clone()
    guide[:, :, 1] = -20.0
    features = pair.student.features
    features = {LAYER: pair.student.features[LAYER].clone().requires_grad_()}
    loss = value(
        make_term(name),
        Pair(pair.batch, Output(flat, features), Output(guide, pair.guide.features), pair.model),
    )
    assert torch.isfinite(loss)
    loss.backward()
    reached = [x.grad for x in (flat, features[LAYER]) if x.grad is not None]
    assert reached
    assert all(torch.isfinite(gradient).all() for gradient in reached)


def test_soft_is_blind_to_a_shared_gain_and_hard_is_not() -> None:
    pair = make_pair(gap=0.0)
    louder = Pair(pair.batch, Output(pair.guide.log_rates + 3, pair.guide.features), pair.guide)
    assert value(make_term("soft"), louder).item() == pytest.approx(0, abs=1e-5)
    assert value(make_term("hard"), louder).item() == pytest.approx(9, rel=1e-4)


def test_correlations_are_those_of_numpy() -> None:
    log_rates = torch.randn(3, 50, 7)
    for ours, trial in zip(correlations(log_rates), log_rates.numpy(), strict=True):
        np.testing.assert_allclose(ours.numpy(), np.corrcoef(trial.T), atol=1e-4)


def test_multitask_ignores_missing_samples() -> None:
    pair = make_pair()
    values, present, _ = pair.batch.behavior
    half = present.clone()
    half[:32] = False
    wild = values.clone()
    wild[:32] = 1e6
    term = make_term("multitask")
    value(term, pair)
    masked = Pair(pair.batch._replace(behavior=Behavior(wild, half)), pair.student, None)
    features = pair.student.features[LAYER]
    expected = (term.readout(features) - values)[32:].square().mean()
    assert term(masked).item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("name", ["subspace", "denoised"])
def test_an_objective_fits_what_is_followed_on_all_training_trials(name, models) -> None:
    student, teacher, task = models
    whole, bases = task.batch("train"), []
    for cache in (False, True):
        term = make_term(name)
        Objective({name: term}, teacher, cache=cache).prepare(student, whole)
        bases.append(term.followed.weight)
    expected = make_term(name)
    expected.fit(whole, output_of(teacher.eval(), whole, [LAYER]))
    for basis in bases:
        torch.testing.assert_close(basis, expected.followed.weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["subspace", "denoised"])
def test_only_what_behavior_needs_is_followed(name) -> None:
    """Features that say nothing of behavior may be anything; those that do may not."""
    pair = make_pair(n_trials=200, gap=0.0)
    features = pair.guide.features[LAYER]
    behavior = Behavior(features[:, :, [0, 3]], torch.ones(200, 40, 2).bool())
    batch = pair.batch._replace(behavior=behavior)
    losses = []
    for moved in ([1, 2, 4, 5, 6, 7], [0]):
        changed = features.clone()
        changed[:, :, moved] += torch.randn(200, 40, len(moved))
        student = Output(pair.student.log_rates, {LAYER: changed})
        losses.append(value(make_term(name), Pair(batch, student, pair.guide)).item())
    assert losses[0] < 1e-3
    assert losses[1] == pytest.approx(0.5, rel=0.05)  # half of the variance that is followed


def test_a_channel_that_repeats_another_adds_no_direction() -> None:
    pair = make_pair()
    values = pair.batch.behavior.values
    twice = torch.cat([values, 2 * values[:, :, :1]], dim=2)
    term = make_term("subspace")
    term.fit(pair.batch._replace(behavior=Behavior(twice, twice.isfinite())), pair.guide)
    basis = term.followed.weight
    assert basis.shape[1] == 2
    torch.testing.assert_close(basis.T @ basis, torch.eye(2), atol=1e-5, rtol=0)


def test_what_the_teacher_says_of_behavior_is_followed_where_samples_are_missing() -> None:
    pair = make_pair(gap=0.0)
    present = pair.batch.behavior.present.clone()
    present[:, 20:] = False
    wild = pair.batch.behavior.values.where(present, 1e6)
    term = make_term("denoised")
    gappy = Pair(pair.batch._replace(behavior=Behavior(wild, present)), pair.student, pair.guide)
    assert value(term, gappy).item() == pytest.approx(0, abs=1e-6)
    late = {LAYER: pair.student.features[LAYER].clone()}
    late[LAYER][:, 20:] += 1
    assert term(Pair(gappy.batch, Output(pair.student.log_rates, late), pair.guide)).item() > 0.01
    refuses("wanted one pair", type(term), [])


@pytest.fixture
def models():
    task = make_task(make_trials(n_trials=60))
    fusion = Concat(task.spec)
    return Student(GRU(task.spec, width=4)), Teacher(GRU(fusion.spec, width=6), fusion), task


@pytest.mark.parametrize("name", [*sorted(STRATEGIES), "feature+multitask", "hard+soft"])
def test_a_gradient_reaches_every_weight_but_the_teachers(name, models) -> None:
    student, teacher, task = models
    terms = {part: make_term(part) for part in name.split("+")}
    wants = any(term.wants_teacher for term in terms.values())
    objective = Objective(terms, teacher if wants else None, alpha=0.5)
    batch = task.batch("train")
    objective.prepare(student, batch)
    own = dict(objective.named_parameters())
    assert not any(id(w) == id(t) for w in own.values() for t in teacher.parameters())
    objective(student, batch)["loss"].backward()
    for weight_name, weight in [*student.named_parameters(), *own.items()]:
        assert weight.grad is not None, weight_name
        assert weight.grad.abs().sum() > 0, weight_name
    assert all(weight.grad is None for weight in teacher.parameters())


def test_a_teacher_is_frozen_and_in_eval_mode_at_every_call(models) -> None:
    student, teacher, task = models
    batch = task.batch("train")
    objective = Objective({"hard": make_term("hard")}, teacher.train())
    objective.train()
    teacher.train()
    assert not any(module.training for module in teacher.modules() if module is not teacher.fusion)
    first = teacher(batch)
    assert torch.equal(first, teacher(batch))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    objective.prepare(student, batch)
    optimiser = torch.optim.SGD([*student.parameters(), *objective.parameters()], 0.1)
    objective(student, batch)["loss"].backward()
    optimiser.step()
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    teacher.net.train()  # somebody meddles with a part of it
    guided = [objective(student.eval(), batch)["hard"] for _ in range(2)]
    assert torch.equal(*guided)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_same_seed_same_loss_and_gradient(name, models) -> None:
    student, teacher, task = models
    batch = task.batch("train")
    gradients = []
    for _ in range(2):
        torch.manual_seed(5)
        objective = Objective(
            {name: make_term(name)}, teacher if STRATEGIES[name].wants_teacher else None
        )
        objective.prepare(student, batch)
        student.zero_grad()
        student.train()
        objective(student, batch)["loss"].backward()
        gradients.append([weight.grad.clone() for weight in student.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_alpha_weighs_the_task_against_guidance_and_other_terms_stand_beside(models) -> None:
    student, teacher, task = models
    student.eval()
    batch = task.batch("train")
    terms = {name: make_term(name) for name in ("hard", "soft", "multitask")}
    for alpha in (0.0, 0.3, 1.0):
        objective = Objective(terms, teacher, alpha, {"multitask": 0.2}, counts_per_entry=0.1)
        objective.prepare(student, batch)
        parts = objective(student, batch)
        guidance = (parts["hard"] + parts["soft"]) / 2
        expected = alpha * 10 * parts["task"] + (1 - alpha) * guidance + 0.2 * parts["multitask"]
        assert parts["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    plain = Objective()(student, batch)
    assert plain["loss"] == plain["task"]


class Louder:
    """A term that is another one times a number."""

    wants_teacher = True

    def __init__(self, term, times: float) -> None:
        self.term, self.times, self.layers = term, times, term.layers

    def __call__(self, pair: Pair) -> torch.Tensor:
        return self.times * self.term(pair)


def test_balanced_guidance_weighs_the_same_whatever_its_unit(models) -> None:
    """At the layer, gradients of task and guidance are as alpha to 1 - alpha."""
    student, teacher, task = models
    student.eval()
    batch, gradients = task.batch("train"), []
    for times, counts in ((1.0, 1.0), (1000.0, 1.0), (1.0, 0.1)):
        term = Louder(make_term("hard"), times)
        objective = Objective({"hard": term}, teacher, 0.7, counts_per_entry=counts, balance=LAYER)
        for _ in range(3):  # a moving average of the same is the same
            student.zero_grad()
            loss = objective(student, batch)["loss"] * counts
            loss.backward()
        gradients.append([weight.grad.clone() for weight in student.parameters()])
        pair = objective._pairs(student, batch).pair
        features = pair.student.features[LAYER]
        own = poisson_nll(pair.student.log_rates, batch.target, batch.scored) / counts
        sizes = [
            torch.autograd.grad(part, features, retain_graph=True)[0].norm()
            for part in (0.7 * own, 0.3 * objective.ratio * term(pair))
        ]
        assert (sizes[0] / sizes[1]).item() == pytest.approx(0.7 / 0.3, rel=1e-3)
    for other in gradients[1:]:
        for one, another in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(one, another, rtol=1e-3, atol=1e-6)


def test_an_objective_that_is_used_again_starts_its_balance_again(models) -> None:
    student, teacher, task = models
    batch, objective = task.batch("train"), Objective("hard", teacher, balance=LAYER)
    ratios = []
    for _ in range(2):
        objective.prepare(student.eval(), batch)
        assert objective.ratio.isnan()
        objective(student, batch)
        ratios.append(objective.ratio.item())
    assert ratios[0] == ratios[1] > 0


def test_balance_needs_a_teacher_that_is_followed_and_a_layer_that_is_there(models) -> None:
    student, teacher, task = models
    batch = task.batch("train")
    plain, balanced = (Objective(balance=layer)(student.eval(), batch) for layer in (None, LAYER))
    assert plain["loss"] == balanced["loss"]
    refuses(
        "no layer 'nrom'",
        Objective("hard", teacher, balance="nrom").prepare, student, batch,
    )  # fmt: skip


@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_alpha_means_the_same_at_any_rate_or_bin_width(rate) -> None:
    """The pull of the task on log rates, against that of guidance, depends on neither."""
    generator = torch.Generator().manual_seed(0)
    truth = 0.3 * torch.randn(64, 100, 20, generator=generator)
    target = torch.poisson(rate * truth.exp(), generator=generator)

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Identity()
            self.log_rates = nn.Parameter(torch.full_like(truth, float(torch.tensor(rate).log())))

        def forward(self, batch: Batch) -> torch.Tensor:
            return self.log_rates

    batch = Batch(target, None, target, torch.ones_like(target).bool())
    pulls = []
    for alpha in (1.0, 0.0):
        student = Fixed()
        guide = Teacher(nn.Identity(), lambda net, batch: truth + torch.tensor(rate).log())
        objective = Objective(
            {"hard": make_term("hard")}, guide, alpha, counts_per_entry=float(target.mean())
        )
        objective(student, batch)["loss"].backward()
        pulls.append((student.log_rates.grad * truth).sum())
    assert (pulls[0] / pulls[1]).item() == pytest.approx(0.5, rel=0.12)


def test_objectives_that_do_not_fit_are_refused(models) -> None:
    student, teacher, task = models
    refuses("without a teacher", Objective, {"hard": make_term("hard")})
    refuses("no term wants", Objective, {}, teacher)
    terms = {name: make_term(name) for name in ("hard", "multitask")}
    for name in ("hard", "multitaks"):
        refuses(f"no term '{name}' to weigh", Objective, terms, teacher, weights={name: 1.0})
    refuses("alpha: found 2", Objective, alpha=2)
    layers = load(STRATEGIES["feature"].target)([("norn", "norm")])
    with pytest.raises(InputError, match="no layer 'norn': did you mean 'norm'"):
        Objective({"feature": layers}, teacher).prepare(student, task.batch("train"))


def test_the_task_loss_is_the_poisson_loss_of_scored_entries() -> None:
    log_rates, target = torch.randn(4, 6, 5), torch.poisson(torch.ones(4, 6, 5))
    scored = torch.rand(4, 6, 5) < 0.3
    expected = nn.functional.poisson_nll_loss(log_rates[scored], target[scored])
    assert poisson_nll(log_rates, target, scored).item() == pytest.approx(expected.item(), rel=1e-5)
