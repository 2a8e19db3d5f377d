"""The two roles that any ``nn.Module`` can play.

Shape legend: ``B`` trials, ``T`` bins, ``N`` neurons.
"""

from collections.abc import Callable
from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.task.batch import Batch

Forward = Callable[[nn.Module, Batch], Tensor]
"""How a network is called: ``(net, batch) -> (B, T, N) log expected counts/bin``."""


def on_spikes(net: nn.Module, batch: Batch) -> Tensor:
    """Call ``net`` on (B, T_in, N_in) counts/bin."""
    return on_input(net, batch.spikes, batch.present)


def on_input(net: nn.Module, features: Tensor, present: Tensor | None) -> Tensor:
    """Call ``net`` on (B, T_in, F) features and, where trials differ in length, which bins are.

    By name, so that a network with another second argument is not given a mask for it.
    """
    return net(features) if present is None else net(features, present=present)


@runtime_checkable
class AddsBins(Protocol):
    """A fusion whose network sees more bins than there are of spikes."""

    def of_spikes(self, given: Tensor) -> Tensor:
        """Return the bins of spikes of what the network or a layer gives, (B, bins, ...)."""
        ...


@runtime_checkable
class Around(Protocol):
    """A fusion that changes what another is given."""

    fusion: Any


class Student(nn.Module):
    """A network that sees spikes alone, whatever its forward tries to read.

    A network of another layout is wrapped by one line, such as
    ``Student(net, lambda net, batch: net(batch.spikes.transpose(1, 2)).transpose(1, 2))``.

    Args:
        net: Any module.
        forward: How it is called on what a student may see.
    """

    def __init__(self, net: nn.Module, forward: Forward = on_spikes) -> None:
        super().__init__()
        self.net = net
        self._call = forward

    def __repr__(self) -> str:
        return f"Student({_brief(self.net)})"

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin."""
        return self._call(self.net, batch.public())


class Teacher(nn.Module):
    """A network that sees spikes and behavior.

    Args:
        net: Any module.
        fusion: How it is called on both, such as :class:`~neuroblend.privilege.concat.Concat`; a
            fusion that is a module brings its weights along.
    """

    def __init__(self, net: nn.Module, fusion: Forward) -> None:
        super().__init__()
        if not callable(fusion):
            raise InputError(
                f"teacher: found fusion {fusion!r}, wanted a callable (net, batch), such as "
                "Concat(task.spec)"
            )
        self.net = net
        self.fusion = fusion
        self._frozen = False

    def __repr__(self) -> str:
        return f"Teacher({_brief(self.net)}{', frozen' if self._frozen else ''})"

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin."""
        return self.fusion(self.net, batch)

    def of_spikes(self, given: Tensor) -> Tensor:
        """Return what a layer of the network gives for the bins of a trial, (B, bins, ...)."""
        fusion: object = self.fusion
        while isinstance(fusion, Around):
            fusion = fusion.fusion
        return fusion.of_spikes(given) if isinstance(fusion, AddsBins) else given

    def freeze(self) -> Self:
        """Stop learning for good: no gradients, and in eval mode whatever mode is asked for."""
        self._frozen = True
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen teacher stays in eval mode."""
        return super().train(mode and not self._frozen)


def _brief(net: nn.Module) -> str:
    return f"{type(net).__name__}, {sum(w.numel() for w in net.parameters())} weights"
