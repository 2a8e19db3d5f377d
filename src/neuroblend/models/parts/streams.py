"""Networks that are called one bin after the other, and what they carry in place of the past.

Shape legend: ``B`` streams side by side, ``N`` neurons (``N_in`` of them seen).
"""

from typing import Protocol, runtime_checkable

from torch import Tensor

State = tuple[Tensor, ...]
"""What is carried from a bin to the next, (B, ...) each, of a size that does not grow."""


@runtime_checkable
class Streams(Protocol):
    """A network that can be called bin by bin, with the numbers of a call on the whole.

    Attributes:
        longest: Bins after which a stream has to begin again; ``None`` where it may go on.
        period: By multiples of how many bins a shift of the spikes shifts what is said of them: 1,
            but for networks that do something every so many bins.
    """

    longest: int | None
    period: int

    def begin(self, n_streams: int) -> State:
        """Return the state before the first bin.

        Raises:
            InputError: As built, the network looks ahead, or needs all of the past.
        """
        ...

    def step(self, spikes: Tensor, state: State) -> tuple[Tensor, State]:
        """Return (B, N) log expected counts/bin and the next state from (B, N_in) counts/bin.

        Layers are called as on a trial of one bin, so that hooks catch (B, 1, features).
        """
        ...
