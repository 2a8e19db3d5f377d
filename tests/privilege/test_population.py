"""Who sees behavior when a network knows cells, and how missing samples are marked."""

import pytest
import torch
from torch import Tensor, nn

from neuroblend.behavior.kind import Behavior
from neuroblend.models.neuprint import CellSpec, NeuPRINT
from neuroblend.privilege.population import PopulationState, on_cells
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.task.batch import Batch

N, D = 6, 2
KINDS = ("linear", "recurrent", "attention")


def make_batch(seed=0) -> Batch:
    """Some samples missing, and therefore 0."""
    generator = torch.Generator().manual_seed(seed)
    activity = torch.randn(3, 9, N, generator=generator)
    present = torch.rand(3, 9, D, generator=generator) > 0.3
    values = torch.randn(3, 9, D, generator=generator) * present
    scored = torch.ones(3, 9, N, dtype=torch.bool)
    return Batch(
        activity, Behavior(values, present), activity, scored, neurons=torch.tensor(range(N))
    )


def make_net(dynamics: str, n_behavior: int) -> NeuPRINT:
    torch.manual_seed(1)
    spec = CellSpec(N, n_behavior, torch.ones(N, dtype=torch.bool))
    return NeuPRINT(spec, dynamics, n_embedding=4, n_pooled=2, n_state=5, context_frames=1).eval()


class Recorder(nn.Module):
    """Keeps what it is called with."""

    def forward(self, *given: Tensor) -> Tensor:
        self.given = given
        return given[0]


@pytest.mark.parametrize("dynamics", KINDS)
def test_a_student_gives_the_same_whatever_behavior_is(dynamics) -> None:
    student = Student(make_net(dynamics, 0), on_cells)
    batch = make_batch()
    expected = student(batch)
    other = Behavior(torch.randn(3, 9, D), torch.ones(3, 9, D, dtype=torch.bool))
    for behavior in (other, None):
        assert torch.equal(student(batch._replace(behavior=behavior)), expected)
        assert torch.equal(on_cells(student.net, batch._replace(behavior=behavior)), expected)
    assert not torch.equal(student(batch._replace(spikes=batch.spikes + 1)), expected)


@pytest.mark.parametrize("dynamics", KINDS)
def test_a_teacher_hears_values_and_gaps(dynamics) -> None:
    fusion = PopulationState(D, mark_gaps=True)
    teacher = Teacher(make_net(dynamics, fusion.n_channels), fusion)
    batch = make_batch()
    values, present, _ = batch.behavior
    expected = teacher(batch)
    for behavior in (Behavior(values + 1, present), Behavior(values, ~present)):
        assert not torch.allclose(teacher(batch._replace(behavior=behavior)), expected)


def test_missing_samples_are_marked_beside_the_values_where_there_may_be_any() -> None:
    batch = make_batch()
    marked, plain = PopulationState(D, mark_gaps=True), PopulationState(D, mark_gaps=False)
    assert (marked.n_channels, plain.n_channels) == (2 * D, D)
    for fusion in (marked, plain):
        net = Recorder()
        fusion(net, batch)
        activity, neurons, behavior = net.given
        assert activity is batch.spikes
        assert neurons is batch.neurons
        assert behavior.shape == (3, 9, fusion.n_channels)
        assert behavior.dtype == batch.behavior.values.dtype
        assert torch.equal(behavior[..., :D], batch.behavior.values)
        if fusion.mark_gaps:
            assert torch.equal(behavior[..., D:] == 1, batch.behavior.present)
            assert torch.equal(behavior[..., D:] == 0, ~batch.behavior.present)


def test_a_student_hands_on_activity_and_cells_and_nothing_else() -> None:
    student = Student(Recorder(), on_cells)
    batch = make_batch()
    student(batch)
    assert len(student.net.given) == 2
    assert student.net.given[0] is batch.spikes
    assert student.net.given[1] is batch.neurons


def test_a_teacher_without_behavior_says_so() -> None:
    teacher = Teacher(make_net("linear", D), PopulationState(D, mark_gaps=False))
    with pytest.raises(ValueError, match="a teacher was called on a batch without behavior"):
        teacher(make_batch()._replace(behavior=None))
