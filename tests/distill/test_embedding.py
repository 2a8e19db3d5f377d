"""Distillation of what a model has learned of each cell.

Shape legend: ``N`` neurons, ``E`` features of an embedding.
"""

import pytest
import torch
from conftest import refuses
from torch import Tensor

from neuroblend.behavior.kind import Behavior
from neuroblend.distill.embedding import Embedding
from neuroblend.distill.objective import Objective, squared_error
from neuroblend.distill.pair import DistillLoss, Output, Pair, Prepared
from neuroblend.models.neuprint import CellSpec, NeuPRINT
from neuroblend.privilege.population import PopulationState, on_cells
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import CELL_STRATEGIES, load
from neuroblend.task.batch import Batch

N, E, D = 12, 5, 2
RATES = torch.zeros(1, 2, N)


def make_pair(student: Tensor, teacher: Tensor, layer: str = "embedding") -> Pair:
    return Pair(Batch(RATES), Output(RATES, {layer: student}), Output(RATES, {layer: teacher}))


def value(student: Tensor, teacher: Tensor) -> float:
    """Return the loss with a map made for the pair."""
    term, pair = Embedding(), make_pair(student, teacher)
    term.prepare(pair)
    return term(pair).item()


def make_teacher(n_features: int = E) -> Tensor:
    """Embeddings away from 0, of different spread in each feature."""
    return 3 + torch.randn(N, n_features) * torch.linspace(0.5, 2, n_features)


def test_it_is_a_registered_term_of_models_that_know_cells() -> None:
    strategy = CELL_STRATEGIES["embedding"]
    assert load(strategy.target) is Embedding
    assert strategy.wants_teacher == Embedding.wants_teacher
    assert isinstance(Embedding(), DistillLoss)
    assert isinstance(Embedding(), Prepared)


def test_equal_embeddings_cost_nothing() -> None:
    teacher = make_teacher()
    assert value(teacher, teacher) == 0
    assert value(teacher + 0.01, teacher) > 0


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_a_student_that_knows_the_mean_alone_costs_one(scale) -> None:
    teacher = scale * make_teacher()
    assert value(teacher.mean(dim=0).expand(N, E), teacher) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_the_unit_of_embeddings_takes_no_part(scale) -> None:
    teacher = make_teacher()
    student = teacher + torch.randn(N, E)
    expected = value(student, teacher)
    assert value(scale * student, scale * teacher) == pytest.approx(expected, rel=1e-4)


def test_the_loss_by_hand() -> None:
    student, teacher = torch.randn(N, E), make_teacher()
    squares = [(student[n, e] - teacher[n, e]) ** 2 for n in range(N) for e in range(E)]
    spread = sum(teacher[:, e].var(correction=0) for e in range(E)) / E
    expected = sum(squares) / (N * E) / spread
    assert value(student, teacher) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(("n_student", "n_teacher"), [(3, 5), (5, 3), (4, 4)])
def test_a_map_bridges_widths_and_is_learned(n_student, n_teacher) -> None:
    student = torch.randn(N, n_student, requires_grad=True)
    pair = make_pair(student, make_teacher(n_teacher))
    term = Embedding()
    term.prepare(pair)
    weight, bias = term.to_teacher.weight, term.to_teacher.bias
    assert torch.equal(weight, torch.eye(n_teacher, n_student))
    assert not bias.any()
    term(pair).backward()
    assert (student.grad.abs().sum(dim=1) > 0).all()
    for part in (weight, bias):
        assert part.grad.abs().sum() > 0
    # once learned, any linear map of the teacher's is as good as its own
    if n_student == n_teacher:
        turned = pair.guide.features["embedding"] @ torch.randn(E - 1, E - 1)
        term = Embedding()
        turned_pair = make_pair(turned, pair.guide.features["embedding"])
        term.prepare(turned_pair)
        assert term(turned_pair) > 0.1
        with torch.no_grad():
            solution = torch.linalg.lstsq(turned, pair.guide.features["embedding"]).solution
            term.to_teacher.weight.copy_(solution.T)
        assert term(turned_pair).item() == pytest.approx(0, abs=1e-6)


def test_embeddings_that_are_all_the_same_give_a_finite_loss() -> None:
    assert torch.isfinite(torch.tensor(value(torch.randn(N, E), torch.ones(N, E))))


def test_the_layer_can_be_another() -> None:
    teacher = make_teacher()
    term, pair = Embedding("other"), make_pair(teacher + 1, teacher, "other")
    assert term.layers == (("other", "other"),)
    term.prepare(pair)
    assert term(pair) > 0
    with pytest.raises(KeyError, match="embedding"):
        Embedding().prepare(pair)


# with networks


def make_net(n_embedding: int, n_behavior: int = 0) -> NeuPRINT:
    reference = torch.ones(N, dtype=torch.bool)
    return NeuPRINT(
        CellSpec(N, n_behavior, reference), "linear", n_embedding, 2, 4, context_frames=1
    )


def make_batch() -> Batch:
    """All cells but the last."""
    activity = torch.randn(3, 9, N - 1)
    behavior = Behavior(torch.randn(3, 9, D), torch.ones(3, 9, D, dtype=torch.bool))
    scored = torch.rand(activity.shape) < 0.3
    return Batch(activity, behavior, activity, scored, neurons=torch.arange(N - 1))


def make_objective(n_embedding: int, alpha: float = 0.0) -> tuple[Objective, Teacher]:
    fusion = PopulationState(D, mark_gaps=False)
    teacher = Teacher(make_net(n_embedding, D), fusion)
    return (Objective({"embedding": Embedding()}, teacher, alpha, task_loss=squared_error), teacher)


def test_a_student_follows_its_teachers_embeddings_of_the_cells_at_hand() -> None:
    student, batch = Student(make_net(4), on_cells), make_batch()
    objective, teacher = make_objective(6)
    objective.prepare(student, batch)
    optimiser = torch.optim.Adam([*student.parameters(), *objective.parameters()], 0.05)
    first = {name: weight.detach().clone() for name, weight in student.named_parameters()}
    for step in range(2):
        optimiser.zero_grad()
        parts = objective(student, batch)
        assert torch.equal(parts["loss"], parts["embedding"])
        parts["loss"].backward()
        if step == 0:
            reached = student.net.embedding.weight.grad.abs().sum(dim=1) > 0
            assert reached.tolist() == [True] * (N - 1) + [False]
            known = teacher.net.embedding.weight[:-1]
            mine = objective.terms["embedding"].to_teacher(student.net.embedding.weight[:-1])
            expected = (mine - known).square().mean() / known.var(dim=0, correction=0).mean()
            torch.testing.assert_close(parts["embedding"], expected)
        optimiser.step()
    moved = {n for n, weight in student.named_parameters() if not torch.equal(weight, first[n])}
    assert moved == {"net.embedding.weight"}  # what is matched is what the student knows of cells
    assert all(weight.grad is None for weight in teacher.parameters())


def test_the_task_and_the_map_learn_beside_it() -> None:
    student, batch = Student(make_net(4), on_cells), make_batch()
    objective, _ = make_objective(6, alpha=0.5)
    objective.prepare(student, batch)
    objective(student, batch)["loss"].backward()
    for name, weight in [*student.named_parameters(), *objective.named_parameters()]:
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_a_network_without_embeddings_is_refused() -> None:
    objective, _ = make_objective(4)
    student = Student(torch.nn.Linear(N - 1, N - 1), lambda net, batch: net(batch.spikes))
    refuses("no layer 'embedding'", objective.prepare, student, make_batch())
