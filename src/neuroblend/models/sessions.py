"""One network for several sessions: a read-in and a read-out for each, and a core that they share.

Shape legend: ``B`` trials, ``T`` bins (``T_in`` of them seen), ``N`` neurons of a session (``N_in``
of them seen), ``W`` width of the core.

As in multi-session LFADS (Pandarinath et al., Nature Methods 2018): any network for W neurons is
the core. What it sees is linear in a session's spikes, and log rates are linear in what it gives.
In training, spikes are dropped before a read-in: it has a weight for each neuron and input, and
without it follows single neurons of training trials (``docs/sessions.md`` has figures).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neuroblend.models.build import build_network
from neuroblend.models.parts.dropout import Dropout
from neuroblend.models.parts.streams import State, Streams
from neuroblend.task.sessions import core_spec
from neuroblend.task.spec import TaskSpec

CORE = "core"  # the part whose layers are distilled


class OneSession(nn.Module):
    """The network as one session has it: it takes and gives what any network for spikes does.

    Args:
        read_in: (..., N_in) counts/bin to (..., W).
        core: A network for W neurons.
        read_out: (..., W) to (..., N) log expected counts/bin.
    """

    def __init__(self, read_in: nn.Module, core: nn.Module, read_out: nn.Module) -> None:
        super().__init__()
        self.read_in = read_in
        self.core = core
        self.read_out = read_out
        self.default_mask = getattr(core, "default_mask", "bins")

    def forward(self, spikes: Tensor, present: Tensor | None = None) -> Tensor:
        """Return (B, T, N) log expected counts/bin from (B, T_in, N_in) counts/bin."""
        log_rates: Tensor = self.read_out(_called(self.core, self.read_in(spikes), present))
        return log_rates

    def own_losses(self, progress: float) -> Mapping[str, Tensor]:
        """Return what the core brings, such as divergences."""
        return _own_losses(self.core, progress)


class StreamedSession(OneSession):
    """The same around a core that can be called bin by bin."""

    def __init__(self, read_in: nn.Module, core: nn.Module, read_out: nn.Module) -> None:
        super().__init__(read_in, core, read_out)
        assert isinstance(core, Streams)
        self.longest, self.period = core.longest, core.period

    def begin(self, n_streams: int) -> State:
        """Return the core's state before the first bin."""
        assert isinstance(self.core, Streams)
        return self.core.begin(n_streams)

    def step(self, spikes: Tensor, state: State) -> tuple[Tensor, State]:
        """Return (B, N) log expected counts/bin and the next state from (B, N_in) counts/bin."""
        assert isinstance(self.core, Streams)
        latent, state = self.core.step(self.read_in(spikes), state)
        return self.read_out(latent), state


class SessionNet(nn.Module):
    """A core with a read-in and a read-out for each session, called with which session it is.

    Args:
        core: A network for W neurons.
        read_ins: One a session, (..., N_in) to (..., W).
        read_outs: One a session, (..., W) to (..., N).
        dropout: Of single counts, in training, before a read-in.
    """

    def __init__(
        self,
        core: nn.Module,
        read_ins: Sequence[nn.Module],
        read_outs: Sequence[nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        self.core = core
        self.drop = Dropout(dropout)
        self.read_ins = nn.ModuleList(read_ins)
        self.read_outs = nn.ModuleList(read_outs)
        self.default_mask = getattr(core, "default_mask", "bins")
        self.predicts_spikes = getattr(core, "predicts_spikes", True)

    def forward(self, spikes: Tensor, present: Tensor | None, session: int) -> Tensor:
        """Return (B, T, N) log expected counts/bin of one session from its (B, T_in, N_in)."""
        seen = self.seen(spikes, session)
        log_rates: Tensor = self.read_outs[session](_called(self.core, seen, present))
        return log_rates

    def seen(self, spikes: Tensor, session: int) -> Tensor:
        """Return (B, T_in, W) what the core sees of (B, T_in, N_in) counts/bin of a session."""
        inputs: Tensor = self.read_ins[session](self.drop(spikes))
        return inputs

    def of_session(self, session: int) -> OneSession:
        """Return the network of one session, which shares its weights and drops no spikes."""
        return session_around(self.read_ins[session], self.core, self.read_outs[session])

    def own_losses(self, progress: float) -> Mapping[str, Tensor]:
        """Return what the core brings, such as divergences."""
        return _own_losses(self.core, progress)

    def only(self, session: int) -> None:
        """Let nothing learn but the read-in and the read-out of one session."""
        self.requires_grad_(False)
        self.read_ins[session].requires_grad_(True)
        self.read_outs[session].requires_grad_(True)


class Separate(nn.Module):
    """A network for each session, which share nothing: what sessions are worth alone.

    Args:
        nets: One a session.
    """

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, spikes: Tensor, present: Tensor | None, session: int) -> Tensor:
        """Return (B, T, N) log expected counts/bin of one session from its (B, T_in, N_in)."""
        log_rates: Tensor = _called(self.nets[session], spikes, present)
        return log_rates

    def of_session(self, session: int) -> nn.Module:
        """Return the network of one session."""
        return self.nets[session]


def read_out_for(spec: TaskSpec, core: TaskSpec) -> nn.Linear:
    """Return a read-out that starts near each neuron's mean log rate."""
    made = nn.Linear(core.n_out, spec.n_out)
    nn.init.uniform_(made.weight, -0.1, 0.1)
    with torch.no_grad():
        made.bias.copy_(torch.tensor(spec.log_rate) - made.weight @ torch.tensor(core.log_rate))
    return made


def one_session(
    spec: TaskSpec, model: str, width: int, settings: Mapping[str, Any] | None = None
) -> OneSession:
    """Build the network of one session by itself, as a file of a student names it.

    Args:
        spec: Sizes of the session's task.
        model: Name of the core's model, or ``package.module:builder``.
        width: ``W``.
        settings: Keyword arguments of its builder.
    """
    inner = core_spec([spec], width)
    core = build_network(model, settings or {}, inner)
    return session_around(nn.Linear(spec.n_in, width), core, read_out_for(spec, inner))


def session_around(read_in: nn.Module, core: nn.Module, read_out: nn.Module) -> OneSession:
    """Return the network of one session, which streams where its core does."""
    made = StreamedSession if isinstance(core, Streams) else OneSession
    return made(read_in, core, read_out)


def _called(net: nn.Module, features: Tensor, present: Tensor | None) -> Any:
    return net(features) if present is None else net(features, present=present)


def _own_losses(core: nn.Module, progress: float) -> Mapping[str, Tensor]:
    given = getattr(core, "own_losses", None)
    found: Mapping[str, Tensor] = {} if given is None else given(progress)
    return found
