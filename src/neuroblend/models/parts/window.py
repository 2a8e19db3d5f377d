"""Which bins may attend to which: a context window, the bins that are seen, and padding.

Shape legend: ``B`` trials, ``T`` bins.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuroblend.errors import InputError
from neuroblend.task.spec import TaskSpec

N_ROWS = 24  # of a block: with more of them more is thrown away, products of fewer are slower
WORTH_IT = 0.55  # of all pairs: with more of them in blocks, all at once are as cheap


class Block(NamedTuple):
    """Bins that attend (rows of a window), and those that any of them may attend to (columns).

    Attributes:
        rows: ``R`` bins.
        columns: ``C`` bins.
        barred: (R, C) or (B, 1, R, C), 0 where a bin may attend to another, else minus infinity.
    """

    rows: slice
    columns: slice
    barred: Tensor


class Reach(NamedTuple):
    """Who may attend to whom in a batch.

    Attributes:
        allowed: Broadcasts to (B, heads, T, T) bool, True where bin i (row) may attend to bin j;
            ``None`` for everywhere, or for wherever blocks say.
        blocks: Parts of the window outside of which nothing is allowed; none where they would save
            little, where one fused call is faster (on a GPU), and while a network is traced.
        turns: (T, 2, F / 2) rotary positions of queries and keys; ``None`` without.
    """

    allowed: Tensor | None
    blocks: tuple[Block, ...] = ()
    turns: Tensor | None = None


class Window(nn.Module):
    """A context window around each bin, without weights.

    Args:
        n_bins: ``T`` of the longest trials.
        forward: How many bins ahead a bin may attend; ``None`` for all.
        backward: How many bins back; ``None`` for all.
        n_unseen: Bins at the end that hold no counts; they may attend to every bin that does.
    """

    allowed: Tensor | None

    def __init__(
        self, n_bins: int, forward: int | None, backward: int | None, n_unseen: int = 0
    ) -> None:
        super().__init__()
        allowed = context_window(n_bins, forward, backward, n_unseen)
        self.register_buffer("allowed", allowed, persistent=False)
        self.ahead = forward
        self.back = backward
        self.n_unseen = n_unseen

    @classmethod
    def of(
        cls, name: str, spec: TaskSpec, forward_s: float | None, backward_s: float | None
    ) -> Window:
        """Return the window of a task, for reaches in seconds, ``None`` for all bins.

        Raises:
            InputError: A reach is negative or not finite; ``name`` is the model's.
        """
        reaches = []
        for side, seconds in (("forward", forward_s), ("backward", backward_s)):
            if seconds is not None and not (0 <= seconds < math.inf):
                raise InputError(
                    f"{name}: context_{side}_s {seconds}, wanted seconds, 0 or more; null is "
                    "for all"
                )
            # at least one bin where it is not 0
            reaches.append(seconds and max(1, round(seconds / spec.bin_s)))
        forward, backward = (None if reach is None else int(reach) for reach in reaches)
        return cls(spec.t_out, forward, backward, spec.t_out - spec.t_in)

    def forward(self, present: Tensor | None, n_bins: int) -> Reach:
        """Return who may attend to whom in trials of ``n_bins``.

        A bin may always attend to itself, so that padding has something to attend to.

        Args:
            present: (B, T) bool, False for padding; ``None`` where there is none.
            n_bins: ``T`` of these trials.
        """
        window = self.allowed
        if window is not None and n_bins > len(window):
            parts = self.blocks(n_bins) if _in_blocks(window.device) else []
            if parts:  # a mask of all pairs grows with the square of a long recording
                return Reach(None, tuple(self._barred(present, *part, n_bins) for part in parts))
            longer = context_window(n_bins, self.ahead, self.back, self.n_unseen)
            assert longer is not None
            window = longer.to(window.device)
        window = None if window is None else window[:n_bins, :n_bins]
        allowed = window
        if present is not None:
            allowed = present[:, None, None, :]
            if window is not None:
                allowed = allowed & window
            allowed = allowed | torch.eye(n_bins, dtype=torch.bool, device=present.device)
        if window is None or allowed is None or not _in_blocks(window.device):
            return Reach(allowed)
        blocks = []
        for rows, columns in self.blocks(n_bins):
            part = allowed[..., rows, columns]
            barred = torch.zeros(part.shape).masked_fill_(~part, -torch.inf)
            blocks.append(Block(rows, columns, barred))
        return Reach(allowed, tuple(blocks))

    def blocks(self, n_bins: int) -> list[tuple[slice, slice]]:
        """Return rows and columns of blocks that hold every pair that the window allows.

        There are none where they would save little.
        """
        n_seen = self._n_seen(n_bins)
        back = n_bins if self.back is None else self.back
        ahead = n_bins if self.ahead is None else self.ahead
        blocks = []
        for start in range(0, n_seen, N_ROWS):
            stop = min(start + N_ROWS, n_seen)
            columns = slice(max(0, start - back), min(stop + ahead, n_bins))
            blocks.append((slice(start, stop), columns))
        if n_seen < n_bins:
            blocks.append((slice(n_seen, n_bins), slice(0, n_bins)))
        n_pairs = sum(_length(rows) * _length(columns) for rows, columns in blocks)
        return blocks if n_pairs < WORTH_IT * n_bins**2 else []

    def _n_seen(self, n_bins: int) -> int:
        """Return how many bins of so many hold counts."""
        built = n_bins if self.allowed is None else len(self.allowed)
        return n_bins - self.n_unseen if n_bins > built else min(built - self.n_unseen, n_bins)

    def _barred(self, present: Tensor | None, rows: slice, columns: slice, n_bins: int) -> Block:
        """Return a block of trials that are longer than those that the window was built for."""
        row = torch.arange(rows.start, rows.stop)[:, None]
        column = torch.arange(columns.start, columns.stop)
        part = torch.ones(len(row), len(column), dtype=torch.bool)
        if self.ahead is not None:
            part &= column - row <= self.ahead
        if self.back is not None:
            part &= column - row >= -self.back
        n_seen = self._n_seen(n_bins)
        part |= (row >= n_seen) & (column < n_seen)
        if present is not None:
            part = present[:, None, None, columns] & part | (row == column)
        return Block(rows, columns, torch.zeros(part.shape).masked_fill_(~part, -torch.inf))


def check_length(name: str, n_bins: int, most: int) -> None:
    """Check that trials are no longer than those that a model has positions for.

    Raises:
        InputError: They are; ``name`` is the model's.
    """
    if n_bins > most:
        raise InputError(f"{name}: found trials of {n_bins} bins, wanted {most} or fewer, as built")


def _in_blocks(device: torch.device) -> bool:
    in_script: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return device.type == "cpu" and not in_script and not torch.compiler.is_compiling()


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def context_window(
    n_bins: int, forward: int | None, backward: int | None, n_unseen: int = 0
) -> Tensor | None:
    """Return (T, T) bool, True where bin i (row) may attend to bin j, or ``None`` for everywhere.

    The last ``n_unseen`` bins hold no counts; they may attend to every bin that does.

    >>> context_window(3, 0, 1).int().tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    if forward is None and backward is None:
        return None
    ahead = torch.arange(n_bins)[None, :] - torch.arange(n_bins)[:, None]
    allowed = torch.ones(n_bins, n_bins, dtype=torch.bool)
    if forward is not None:
        allowed &= ahead <= forward
    if backward is not None:
        allowed &= ahead >= -backward
    allowed[n_bins - n_unseen :, : n_bins - n_unseen] = True
    return allowed
