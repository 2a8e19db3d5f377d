"""Trials and recordings of any length, through a network that was trained on one length.

Shape legend: ``T`` bins of a stretch, ``W`` bins of a window, ``N_in`` neurons, ``C`` channels of a
signal.

A bin depends on the bins around it that the network's reach covers. Windows of the length trained
on lie so that each bin is taken from one where all of its reach is inside, so that what is between
the edges is what a pass over the whole stretch would give. A network whose reach is the whole
window has no such middle: its windows overlap by a quarter on each side, and what it gives for a
bin depends on the window. So it does for a network that knows where in a trial a bin is.

How far back a recurrent network remembers depends on the spikes. Its windows overlap by some bins
more, which two of them then give: where those differ, windows that overlap by more are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuroblend.evaluation.reach import probed
from neuroblend.task.batch import Batch

Signals = dict[str, NDArray[np.floating[Any]]]
SignalsOf = Callable[[Batch], Signals]
ROUNDING = 1e-6  # of the largest value
AT_ONCE = 8192  # bins of windows in one call
LONG = 2048  # bins of a window, for networks that take any number of them
LONGEST = 16384  # bins of a window, for those of them that remember long
SEAM = 4  # bins that two windows both give, by which it is seen whether they agree
AGREED = 1e-5  # of the largest value


@dataclass(frozen=True)
class Margins:
    """How far around a bin a network looks, and so how far windows must overlap.

    Attributes:
        past: Bins before it.
        future: Bins after it.
        is_bounded: Whether it ends there; if not, ``past`` and ``future`` are margins that windows
            are given.
        knows_place: Whether what it gives for a bin also depends on where in its trial the bin is,
            as with learned positions.
        any_length: Whether it takes spikes of any length and goes on from bin to bin, so that
            windows may be longer than the trials that it was trained on.
    """

    past: int
    future: int
    is_bounded: bool = True
    knows_place: bool = False
    any_length: bool = False


def margins_of(signals_of: SignalsOf, n_bins: int, n_neurons: int) -> Margins:
    """Return the margins that windows are given, found by changing one bin at a time.

    Args:
        signals_of: What is looked at: returns (B, T, C) signals of a batch.
        n_bins: ``W``, the length that it was trained on.
        n_neurons: ``N_in``.
    """
    spikes = np.random.default_rng(0).poisson(0.5, (1, n_bins, n_neurons)).astype(np.float32)
    both = signals_of(Batch(torch.from_numpy(np.concatenate([spikes, np.roll(spikes, 1, axis=1)]))))
    scale = {name: float(np.nanmax(np.abs(s))) + 1e-12 for name, s in both.items()}

    def outputs(counts: Tensor) -> list[Tensor]:
        found = signals_of(Batch(counts))
        return [torch.from_numpy(np.asarray(s / scale[name])) for name, s in found.items()]

    found = probed(outputs, n_bins, n_neurons, tolerance=ROUNDING)
    past = n_bins if found.past is None else found.past
    future = n_bins if found.future is None else found.future
    if past + future > n_bins - max(1, n_bins // 4):  # windows would be little but margin
        quarter = n_bins // 4
        return Margins(min(past, quarter), min(future, quarter), is_bounded=False)
    inner = slice(past, n_bins - future - 1)  # whose reach is the same bins, one bin later
    moved = (
        np.abs(s[1, 1:n_bins][inner] - s[0, : n_bins - 1][inner]).max(initial=0) / scale[name]
        for name, s in both.items()
    )
    return Margins(past, future, knows_place=max(moved) > ROUNDING)


@dataclass(frozen=True)
class Windows:
    """Where windows lie in a stretch that is as long as one or longer.

    Attributes:
        n_bins: ``T``.
        width: ``W``.
        reach: Margin on each side.
        period: Windows begin at multiples of so many bins; ``None`` for wherever they fit. The last
            one may then reach beyond the end, which wants a network that does not look ahead.
        agrees: True: that windows agree follows from a margin as wide as the reach.
    """

    agrees: ClassVar[bool] = True

    n_bins: int
    width: int
    reach: Margins
    period: int | None = None

    @property
    def stride(self) -> int:
        """Bins from one window to the next."""
        period = self.period or 1
        between = self.width - self.reach.past - self.reach.future
        return max(between - between % period, period)

    @property
    def n_windows(self) -> int:
        """How many windows cover the stretch, 1 where it is no longer than one."""
        return -(-max(0, self.n_bins - self.width) // self.stride) + 1

    def window_of(self, bins: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which window each bin is taken from."""
        return np.clip((bins - self.reach.past) // self.stride, 0, self.n_windows - 1)

    def start_of(self, window: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first bin of windows."""
        if self.period is not None:
            return window * self.stride
        return np.minimum(window * self.stride, self.n_bins - self.width)

    def signals(
        self,
        signals_of: SignalsOf,
        read: Callable[[int, int], NDArray[np.float32]],
        first: int,
        last: int,
    ) -> Signals:
        """Return (last - first, C) signals of the bins from ``first`` to before ``last``.

        Args:
            signals_of: Gives (B, W, C) signals of a batch of windows.
            read: Gives (n, N_in) counts/bin of the bins from a first to before a last.
            first: First bin.
            last: The bin after the last.
        """
        return _signals_and_seams(signals_of, read, self, first, last)[0]


@dataclass
class Carried:
    """Windows of a causal network that takes any number of bins, which overlap by what it needs.

    Attributes:
        n_bins: ``T`` of the stretch.
        past: Bins that windows overlap by, besides those of the seam; it grows as windows are found
            to differ, and is kept for the blocks that follow.
        period: As for :class:`Windows`.
        agrees: Whether all windows so far agreed, at last.
    """

    n_bins: int
    past: int
    period: int
    agrees: bool = field(default=True, init=False)

    @property
    def windows(self) -> Windows:
        """Where windows lie."""
        width = min(self.n_bins, max(LONG, 2 * (self.past + SEAM + self.period)))
        return Windows(self.n_bins, width, Margins(self.past + SEAM, 0), self.period)

    def signals(
        self,
        signals_of: SignalsOf,
        read: Callable[[int, int], NDArray[np.float32]],
        first: int,
        last: int,
    ) -> Signals:
        """Return (last - first, C) signals of one pass over the stretch.

        Windows begin without a past, as the stretch does. That the network has forgotten so by the
        bins that are taken from one is seen by the bins that it shares with the window before,
        which has seen ``stride`` bins more.
        """
        while True:
            windows = self.windows
            found, differ = _signals_and_seams(signals_of, read, windows, first, last, SEAM)
            if not differ:
                return found
            most = LONGEST // 2 - SEAM - self.period
            if self.past >= most:
                self.agrees = False
                return found
            self.past = min(2 * max(self.past, SEAM), most)


def _signals_and_seams(
    signals_of: SignalsOf,
    read: Callable[[int, int], NDArray[np.float32]],
    windows: Windows,
    first: int,
    last: int,
    n_seam: int = 0,
) -> tuple[Signals, bool]:
    """Return signals, and whether windows differ in the last ``n_seam`` bins of an overlap.

    The window before the first of these bins is looked at too, so that no seam is left out where a
    recording is worked on in blocks.
    """
    bins = np.arange(first, last)
    of_bin = windows.window_of(bins)
    used = np.unique(of_bin)
    if n_seam and used[0] > 0:
        used = np.concatenate([used[:1] - 1, used])
    starts = windows.start_of(used)
    end = int(starts[-1]) + windows.width
    counts = read(int(starts[0]), min(end, windows.n_bins))
    if end > windows.n_bins:
        counts = np.pad(counts, ((0, end - windows.n_bins), (0, 0)))
    parts: list[Signals] = []
    at_once = max(1, AT_ONCE // windows.width)
    for part in np.array_split(starts - starts[0], -(-starts.size // at_once)):
        batch = np.stack([counts[start : start + windows.width] for start in part])
        parts.append(signals_of(Batch(torch.from_numpy(batch))))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    row = np.searchsorted(used, of_bin)
    at = bins - starts[row]
    late = np.arange(windows.reach.past - n_seam, windows.reach.past)
    differ = min(n_seam, used.size - 1) > 0 and any(
        not _agree(s[:-1][:, late + windows.stride], s[1:][:, late], s) for s in whole.values()
    )
    return {name: s[row, at] for name, s in whole.items()}, differ


def _agree(one: NDArray[Any], other: NDArray[Any], among: NDArray[Any]) -> bool:
    largest = np.abs(among).max(initial=1e-12)
    return bool(np.abs(one - other).max(initial=0.0) <= AGREED * largest)


def in_blocks(first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield first bin and the bin after the last of blocks of ``size`` bins."""
    for start in range(first, last, size):
        yield start, min(start + size, last)


def edges_of(n_bins: int, past: int, future: int) -> NDArray[np.bool_]:
    """Return (T,) bool, True for bins whose reach goes beyond a stretch of ``n_bins``.

    >>> edges_of(5, 2, 1).astype(int).tolist()
    [1, 1, 0, 0, 1]
    """
    bins = np.arange(n_bins)
    return np.asarray((bins < past) | (bins >= n_bins - future))


def padded_signals(
    signals_of: SignalsOf, counts: NDArray[np.float32], lengths: NDArray[np.int64], width: int
) -> Mapping[str, NDArray[np.floating[Any]]]:
    """Return (B, W, C) signals of trials that are shorter than ``W``, NaN after their ends."""
    n_missing = width - counts.shape[1]
    padded = np.pad(counts, ((0, 0), (0, n_missing), (0, 0)))
    present = torch.from_numpy(np.arange(width) < lengths[:, None])
    return signals_of(Batch(torch.from_numpy(padded))._replace(present=present))
