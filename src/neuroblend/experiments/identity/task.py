"""Sessions as tensors: windows of activity of cells that a network learns, or only meets later.

Shape legend: ``B`` windows, ``W`` frames of a window, ``T`` frames, ``N`` neurons, ``D`` behavior
channels, ``C`` cells of all sessions.

A batch holds windows of one session, with each of its neurons once, so that losses which compare
neurons (soft, correlation) compare different ones. (The public code of NeuPRINT draws neurons with
replacement, so that a neuron may be in a batch twice.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from neuroblend.behavior.kind import Behavior
from neuroblend.data.calcium.session import CalciumSession
from neuroblend.errors import InputError
from neuroblend.experiments.identity.features import standardised
from neuroblend.models.neuprint import CellSpec
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch

VALID_SHARE = 0.2  # fraction of each session's frames, the last ones, which validate a training
WINDOW = 200  # frames, as published
WINDOW_SHARE = 1 / 8  # of the shortest session, where that is less
LEAST_WINDOW = 10


@dataclass(frozen=True, eq=False)
class Frames:
    """A session as a network sees it.

    Attributes:
        name: Of the session.
        activity: (T, N) standardised neuron by neuron; 0 throughout for a silent neuron.
        neurons: (N,) rows of the table of cells.
        behavior: (T, D) standardised, 0 where missing; ``None`` without.
        present: (T, D) bool, False where a sample is missing.
    """

    name: str
    activity: Tensor
    neurons: Tensor
    behavior: Tensor | None
    present: Tensor | None

    def of(self, columns: Tensor) -> Frames:
        """Return the session with some of its neurons."""
        activity = self.activity[:, columns].contiguous()
        return replace(self, activity=activity, neurons=self.neurons[columns])

    def windows(self, starts: Tensor, n_frames: int) -> Batch:
        """Return windows of ``n_frames`` that begin at frames ``starts``, nothing hidden."""
        frames = starts[:, None] + torch.arange(n_frames)
        activity = self.activity[frames]
        behavior = None
        if self.behavior is not None and self.present is not None:
            behavior = Behavior(self.behavior[frames], self.present[frames])
        scored = torch.zeros(activity.shape, dtype=torch.bool)
        return Batch(activity, behavior, activity, scored, neurons=self.neurons)


@dataclass(frozen=True, eq=False)
class CellTask:
    """Sessions under one split of cells.

    Attributes:
        sessions: All frames of all neurons.
        cells: (C,) names of the cells, the rows of a table of embeddings.
        spec: Sizes for a student's network.
        behavior_names: Channels of behavior.
        gaps: Whether behavior has missing samples.
        window: Frames of a window, ``W``.
    """

    sessions: tuple[Frames, ...]
    cells: tuple[str, ...]
    spec: CellSpec
    behavior_names: tuple[str, ...]
    gaps: bool
    window: int

    @classmethod
    def of(
        cls, sessions: Sequence[CalciumSession], tested: frozenset[str], window: int | None = None
    ) -> CellTask:
        """Standardise activity and behavior, and set the cells ``tested`` aside.

        Activity is standardised neuron by neuron, behavior session by session, but channels that
        hold nothing but 0 and 1, such as states, over all sessions together. ``window`` is that of
        :func:`usual_window` where it is ``None``.

        Raises:
            InputError: Sessions have different behavior or are too short, or all cells are set
                aside.
        """
        names = sessions[0].behavior_names
        window = window or usual_window(sessions)
        for session in sessions:
            if session.behavior_names != names:
                raise InputError(
                    f"{session.name}: behavior {', '.join(session.behavior_names) or 'none'}, and "
                    f"{', '.join(names) or 'none'} in {sessions[0].name}; wanted the same in all "
                    "sessions; choose channels with --behavior"
                )
            if session.n_frames * VALID_SHARE < window:
                least = round(window / VALID_SHARE)
                lower = "; lower it with --window" if window > LEAST_WINDOW else ""
                raise InputError(
                    f"{session.name}: {session.n_frames} frames, wanted {least} or more for "
                    f"windows of {window}{lower}"
                )
        cells = sorted({cell for session in sessions for cell in session.neuron_id.tolist()})
        row = {cell: i for i, cell in enumerate(cells)}
        reference = torch.tensor([cell not in tested for cell in cells])
        if not reference.any():
            raise InputError("every cell is set aside for testing; nothing is left to learn from")
        scaled = _scaled_behavior(sessions)
        frames = tuple(
            Frames(
                session.name,
                torch.from_numpy(
                    standardised(session.activity.astype(np.float64)).astype(np.float32)
                ),
                torch.tensor([row[cell] for cell in session.neuron_id.tolist()]),
                None if behavior is None else torch.nan_to_num(behavior),
                None if behavior is None else ~behavior.isnan(),
            )
            for session, behavior in zip(sessions, scaled, strict=True)
        )
        spec = CellSpec(len(cells), 0, reference, _positions(sessions, row))
        gaps = any(f.present is not None and not bool(f.present.all()) for f in frames)
        return cls(frames, tuple(cells), spec, names, gaps, window)

    @property
    def n_train(self) -> int:
        """Number of training windows of an epoch."""
        return len(self.train_batches(1, 0, torch.device("cpu")))

    def example(self) -> Batch:
        """Return two windows of the first session, cells that are learned alone."""
        return next(self._learned()).windows(torch.tensor([0, self.window]), self.window)

    def train_batches(self, size: int, seed: int, device: torch.device) -> FrameWindows:
        """Return windows of the first frames of all sessions, cells that are learned alone."""
        learned = list(self._learned())
        lengths = [self._n_train_frames(frames) for frames in learned]
        return FrameWindows(learned, lengths, self.window, size, seed, device)

    def valid_batches(self) -> list[Batch]:
        """Return the last frames of each session, cells that are learned alone."""
        batches = []
        for frames in self._learned():
            first = self._n_train_frames(frames)
            n_windows = (len(frames.activity) - first) // self.window
            starts = first + self.window * torch.arange(n_windows)
            batches.append(frames.windows(starts, self.window))
        return batches

    def _n_train_frames(self, frames: Frames) -> int:
        return round(len(frames.activity) * (1 - VALID_SHARE))

    def _learned(self) -> Iterator[Frames]:
        for frames in self.sessions:
            columns = self.spec.reference[frames.neurons]
            if columns.any():
                yield frames.of(columns)


def usual_window(sessions: Sequence[CalciumSession]) -> int:
    """Return an eighth of the shortest session's frames, no more than the published window.

    An epoch then has some windows of each session, and validation has one at least.
    """
    shortest = min(session.n_frames for session in sessions)
    return max(LEAST_WINDOW, min(WINDOW, int(WINDOW_SHARE * shortest)))


@dataclass(eq=False)
class FrameWindows:
    """FrameWindows of several sessions in batches, cut again and in a new order in each epoch.

    Attributes:
        sessions: What windows are cut from.
        lengths: How many frames of each are used, from the first.
        window: Frames of a window.
        size: Most windows in a batch.
        seed: Decides cuts and order, together with the epoch.
        device: Where batches are put.
        epoch: Which one comes next.
    """

    sessions: Sequence[Frames]
    lengths: Sequence[int]
    window: int
    size: int
    seed: int
    device: torch.device
    epoch: int = 0

    def __len__(self) -> int:
        return sum(-(-self._n_windows(length) // self.size) for length in self.lengths)

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(mixed_seed(self.seed, 31, self.epoch))
        parts: list[tuple[Frames, Tensor]] = []
        for frames, length in zip(self.sessions, self.lengths, strict=True):
            n_windows = self._n_windows(length)
            first = rng.integers(0, length - n_windows * self.window + 1)
            starts = torch.from_numpy(first + self.window * rng.permutation(n_windows))
            n_parts = -(-n_windows // self.size)
            parts += [(frames, part) for part in torch.tensor_split(starts, n_parts)]
        for i in rng.permutation(len(parts)):
            frames, starts = parts[i]
            yield frames.windows(starts, self.window).to(self.device)

    def _n_windows(self, length: int) -> int:
        """Return how many windows fit, with room for different cuts where there is any."""
        return max(1, (length - self.window // 2) // self.window)


def _scaled_behavior(sessions: Sequence[CalciumSession]) -> list[Tensor | None]:
    """Return each session's (T, D) standardised behavior, NaN where missing."""
    signals = [session.behavior for session in sessions]
    if not sessions[0].behavior_names:
        return [None] * len(sessions)
    together = np.concatenate([s for s in signals if s is not None])
    is_binary = (np.isin(together, (0.0, 1.0)) | np.isnan(together)).all(axis=0)
    scaled: list[Tensor | None] = []
    for signal in signals:
        assert signal is not None
        columns = []
        for i in range(signal.shape[1]):
            known = together[:, i] if is_binary[i] else signal[:, i]
            known = known[~np.isnan(known)].astype(np.float64)
            mean, spread = (known.mean(), known.std()) if known.size else (0.0, 0.0)
            columns.append((signal[:, i] - mean) / (spread if spread > 1e-6 * abs(mean) else 1.0))
        scaled.append(torch.from_numpy(np.stack(columns, axis=1).astype(np.float32)))
    return scaled


def _positions(sessions: Sequence[CalciumSession], row: dict[str, int]) -> Tensor | None:
    """Return (C, P) positions, the first that is known of each cell, NaN where there is none.

    ``None`` where no cell has one, or sessions have different numbers of coordinates.
    """
    sizes = {session.position.shape[1] for session in sessions if session.position is not None}
    if len(sizes) != 1:
        return None
    positions = torch.full((len(row), sizes.pop()), torch.nan)
    for session in reversed(sessions):
        if session.position is None:
            continue
        rows = torch.tensor([row[cell] for cell in session.neuron_id.tolist()])
        where = torch.from_numpy(np.asarray(session.position, dtype=np.float32))
        known = where.isfinite().all(dim=1)
        positions[rows[known]] = where[known]
    return positions if bool(positions.isfinite().any()) else None
