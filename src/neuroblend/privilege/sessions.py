"""Roles of a network of several sessions: called with which session a batch is of.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons of a session, ``W`` width of the core.
"""

from collections.abc import Callable

from torch import Tensor, nn

from neuroblend.models.sessions import SessionNet
from neuroblend.privilege.all_neurons import with_held_out
from neuroblend.privilege.roles import Forward, Student, Teacher
from neuroblend.task.batch import Batch


def on_session(net: nn.Module, batch: Batch) -> Tensor:
    """Call ``net`` on the spikes of a batch of one session: a student's call."""
    log_rates: Tensor = net(batch.spikes, batch.present, _session(batch))
    return log_rates


class AroundSessions(nn.Module):
    """A fusion inside the read-in and read-out of a session: behavior joins what the core sees.

    Args:
        fusion: Any fusion ``(net, batch)``, made for the sizes of the core.
        sees_all: Whether the read-ins are of all neurons rather than of those that students see.
    """

    def __init__(self, fusion: Forward, sees_all: bool = False) -> None:
        super().__init__()
        self.fusion = fusion
        self.sees_all = sees_all

    def forward(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        assert isinstance(net, SessionNet)
        session = _session(batch)
        if self.sees_all:
            batch = with_held_out(batch)
        seen = batch._replace(spikes=net.seen(batch.spikes, session))
        log_rates: Tensor = net.read_outs[session](self.fusion(net.core, seen))
        return log_rates


class InSession(nn.Module):
    """A student or teacher of several sessions, called on batches that are all of one of them.

    Args:
        model: The student or teacher.
        tagged: Gives a batch its session, and its trials their places among those of all sessions.
    """

    def __init__(self, model: Student | Teacher, tagged: Callable[[Batch], Batch]) -> None:
        super().__init__()
        self.model = model
        self.tagged = tagged

    @property
    def net(self) -> nn.Module:
        """The network, whose layers have names."""
        return self.model.net

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin."""
        log_rates: Tensor = self.model(self.tagged(batch))
        return log_rates

    def of_spikes(self, given: Tensor) -> Tensor:
        """Return what a layer of the network gives for the bins of a trial, (B, bins, ...)."""
        return self.model.of_spikes(given) if isinstance(self.model, Teacher) else given


def _session(batch: Batch) -> int:
    if batch.session is None:
        raise ValueError("a network of several sessions was called on a batch of none of them")
    return batch.session
