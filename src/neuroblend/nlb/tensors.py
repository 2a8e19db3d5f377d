"""The benchmark's tensors from a session: inputs, targets, behavior, PSTHs, masks, jitter.

Shape legend: ``B`` trials, ``T`` bins of a trial, ``T_fp`` bins of its forward period, ``N``
neurons, ``D`` behavior channels, ``C`` conditions.

They equal those of ``nlb_tools`` 0.0.4 ``make_tensors`` (Pei, Ye et al. 2021), which builds a table
of every bin of the session for them. Here spikes are counted where trials are, and PSTHs, which are
means of smoothed spikes, are made of summed spikes smoothed once: smoothing is linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.errors import InputError, some
from neuroblend.nlb.arrays import Bools, Floats, Ints
from neuroblend.nlb.datasets import NLBDataset, Psth, check_bin_ms, group_name
from neuroblend.nlb.grid import NO_TIME, NS_PER_MS, Grid

Tensors = dict[str, Any]

SHORT = 0.8  # a trial shorter than this share of its condition's mean enters no PSTH
NS_PER_US = 1000


@dataclass(frozen=True, eq=False)
class BinWindows:
    """Which bins each trial covers.

    Attributes:
        row: (B,) rows of the trial table.
        first: (B,) first bin of the session's clock.
        last: (B,) last bin, within the session; before ``first`` where there is none.
        origin: (B,) bin at or after the time that trials are aligned to.
        overlaps: (B,) bool, whether a trial would reach into the next.
    """

    row: Ints
    first: Ints
    last: Ints
    origin: Ints
    overlaps: Bools

    @property
    def length(self) -> Ints:
        """(B,) bins."""
        return self.last - self.first + 1

    def take(self, keep: Bools) -> BinWindows:
        """Return some of the trials."""
        row, first, last, origin = (a[keep] for a in (self.row, self.first, self.last, self.origin))
        return BinWindows(row, first, last, origin, self.overlaps[keep])


class TensorMaker:
    """Makes the benchmark's tensors of one session.

    Trials whose window or forward period leaves what was recorded or observed, or that have no time
    to align to, are left out of every tensor; ``notes`` says how many.

    Args:
        grid: The session.
        dataset: Which dataset.
        bin_ms: 5 or 20.
        seed: Decides the jitter.

    Raises:
        InputError: The bin width is not the benchmark's.
    """

    def __init__(self, grid: Grid, dataset: NLBDataset, bin_ms: int, seed: int = 0) -> None:
        self.grid = grid
        self.dataset = dataset
        self.bin_ms = check_bin_ms(bin_ms)
        self.seed = seed
        self.notes: list[str] = list(grid.notes)
        self.n_bins = -(-grid.n_ms // bin_ms)
        self._resampled: Floats | None = None
        self._counts: dict[bool, NDArray[np.uint8]] = {}
        self._rows: dict[str, Ints] = {}

    @property
    def group(self) -> str:
        """Name of the dataset at this bin width in files of targets and predictions."""
        return group_name(self.dataset.name, self.bin_ms)

    @property
    def n_forward(self) -> int:
        """Bins of the forward period, ``T_fp``."""
        return self.dataset.forward_ms // self.bin_ms

    def rows(self, split: str) -> Ints:
        """Return the rows of the trial table that ``split`` has and that can be used.

        Raises:
            InputError: There are none.
        """
        if split not in self._rows:
            self._rows[split] = self._usable(split)
        return self._rows[split]

    def train(self, split: str = "train", behavior: bool = True, forward: bool = True) -> Tensors:
        """Return what a model is trained on.

        Returns:
            ``train_spikes_heldin`` and ``train_spikes_heldout`` (B, T, N) counts/bin; with
            ``behavior``, ``train_behavior`` (B, T, D), or (B, D) for behavior by trial; with
            ``forward``, both spikes once more as ``..._forward`` (B, T_fp, N), NaN where not
            observed.

        Raises:
            InputError: Trials overlap that may not.
        """
        return self._inputs("train", split, (False, True), behavior, forward)

    def eval(self, split: str = "val") -> Tensors:
        """Return what a model is given at evaluation: ``eval_spikes_heldin``.

        ``eval_spikes_heldout`` too, where the split is not ``test``.
        """
        kinds = (False,) if split == "test" else (False, True)
        return self._inputs("eval", split, kinds, False, False)

    def targets(self, train: str = "train", evaluated: str = "val", psth: bool = True) -> Tensors:
        """Return what predictions are scored against.

        Returns:
            ``eval_spikes_heldout`` (B, T, N_out), NaN where it is not scored,
            ``eval_spikes_heldin_forward``, ``eval_spikes_heldout_forward`` (B, T_fp, N),
            ``train_behavior``, ``eval_behavior``; ``*_decode_mask`` (B, 2) where decoders are
            fitted by group; with ``psth``, ``psth`` (C, T, N), ``*_cond_idx`` (C lists of trials)
            and, where there is jitter, ``*_jitter`` (B,) bins.
        """
        dataset = self.dataset
        split_of = {"train": train, "eval": evaluated}
        rows = {part: self.rows(split) for part, split in split_of.items()}
        jitter = {part: self._jitter_ms(split) for part, split in split_of.items()}
        windows = self._placed(evaluated)
        heldout = self._count(windows.first, self._n(dataset.length_ms), True)
        if dataset.eval_start is not None:
            heldout[~self._from_start(rows["eval"], jitter["eval"])] = np.nan
        ahead = self._forward(evaluated)
        made: Tensors = {
            "eval_spikes_heldout": heldout,
            "train_behavior": self.behavior(rows["train"], dataset.eval_overlap),
            "eval_behavior": self.behavior(rows["eval"], dataset.eval_overlap),
            "eval_spikes_heldin_forward": self._count(ahead, self.n_forward, False),
            "eval_spikes_heldout_forward": self._count(ahead, self.n_forward, True),
        }
        if dataset.decode_by is not None:
            group = self.grid.trials[dataset.decode_by].to_numpy()
            for part in rows:
                made[f"{part}_decode_mask"] = group[rows[part]][:, None] == [0, 1]
        if psth and dataset.psth is not None:
            made |= self._psths(rows, dataset.psth, every=evaluated == "test")
            if dataset.jitter is not None:
                for part in rows:
                    made[f"{part}_jitter"] = np.round(jitter[part] / self.bin_ms).astype(int)
        return made

    def _count(self, first: Ints, n_bins: int, held_out: bool) -> NDArray[np.float32]:
        """Return (B, n_bins, N) counts/bin from bin ``first`` (B,) on, NaN where not observed."""
        index = first[:, None] + np.arange(n_bins)
        inside = np.clip(index, 0, self.n_bins - 1)
        counts = self._binned(held_out)[inside].astype(np.float32)
        counts[~self._seen(held_out)[inside] | (inside != index)] = np.nan
        return counts

    def _binned(self, held_out: bool) -> NDArray[np.uint8]:
        """Return (n_bins, N) counts/bin of the whole session, held-in or held-out neurons."""
        if held_out not in self._counts:
            neurons = np.flatnonzero(self.grid.held_out == held_out)
            counts = np.zeros(self.n_bins * neurons.size, dtype=np.uint8)
            for i, neuron in enumerate(neurons):
                ms = self.grid.spike_ms[neuron]
                np.add.at(counts, ms // self.bin_ms * neurons.size + i, np.uint8(1))
            self._counts[held_out] = counts.reshape(self.n_bins, neurons.size)
        return self._counts[held_out]

    def behavior(
        self, rows: Ints, overlap: bool, n_more: int = 0, jitter_ms: Floats | None = None
    ) -> Floats:
        """Return behavior of trials, NaN where it is missing.

        Args:
            rows: (B,) rows of the trial table.
            overlap: Whether a trial may go on after the next has begun.
            n_more: Bins after the end of a trial to read on.
            jitter_ms: (B,) by how much trials are moved; not at all by default.

        Returns:
            (B, T + n_more, D) in the file's units, or (B, D) for behavior by trial.
        """
        dataset = self.dataset
        if not isinstance(dataset.behavior, str):
            table = self.grid.trials
            values = table[list(dataset.behavior)].to_numpy(dtype=np.float64)[rows]
            if dataset.outliers is not None:
                values[table[dataset.outliers].to_numpy()[rows] != 0] = np.nan
            return values
        if self._resampled is None:
            self._resampled = self.grid.resampled(dataset.behavior, self.bin_ms)
        lag = dataset.lag_ms or 0
        start, end = (edge + lag for edge in dataset.window_ms)
        shift = np.zeros(rows.size) if jitter_ms is None else jitter_ms
        windows = self._windows(rows, shift, (start, end), overlap)
        longest = int(windows.length.max())
        index = windows.first[:, None] + np.arange(longest + n_more)
        n_held = np.where(windows.length < longest, windows.length, longest + n_more)
        held = (index < self.n_bins) & (index < (windows.first + n_held)[:, None])
        taken = self._resampled[np.clip(index, 0, self.n_bins - 1)]
        return np.where(held[:, :, None], taken, np.nan)

    def start_ms(self, split: str) -> Ints:
        """Return (B,) the millisecond at which the window of each trial of ``split`` begins."""
        return self._placed(split).first * self.bin_ms

    def whole(self, split: str) -> tuple[NDArray[np.float32], Floats]:
        """Return spikes and behavior of trials with their forward periods.

        Returns:
            (B, T + T_fp, N) counts/bin of every neuron by id, and (B, T + T_fp, D) behavior.
        """
        windows, held_out = self._placed(split), self.grid.held_out
        if split == "train" or not self.dataset.eval_overlap:
            self._check_apart(windows)
        n_bins = self._n(self.dataset.length_ms) + self.n_forward
        spikes = np.empty((windows.row.size, n_bins, held_out.size), dtype=np.float32)
        for kind in (False, True):
            spikes[:, :, held_out == kind] = self._count(windows.first, n_bins, kind)
        behavior = self.behavior(windows.row, True, self.n_forward, self._jitter_ms(split))
        if behavior.ndim == 2:
            behavior = np.repeat(behavior[:, None], n_bins, axis=1)
        return spikes, behavior

    def condition(self, split: str) -> NDArray[np.str_] | None:
        """Return (B,) labels of the conditions that PSTHs are made of, such as ``"2/0"``."""
        if self.dataset.psth is None:
            return None
        table = self.grid.trials.loc[self.rows(split), list(self.dataset.psth.conditions)]
        return np.array(["/".join(map(str, row)) for row in table.itertuples(False, None)])

    def _n(self, ms: int) -> int:
        return round(ms / self.bin_ms)

    def _seen(self, held_out: bool) -> Bools:
        """Return (n_bins,) whether a bin's first millisecond was observed."""
        seen = self.grid.observed_out if held_out else self.grid.observed_in
        return seen[:: self.bin_ms]

    def _inputs(
        self, part: str, split: str, kinds: Sequence[bool], behavior: bool, forward: bool
    ) -> Tensors:
        windows, n_bins = self._placed(split), self._n(self.dataset.length_ms)
        self._check_apart(windows)
        names = {f"{part}_spikes_{'heldout' if kind else 'heldin'}": kind for kind in kinds}
        made: Tensors = {n: self._count(windows.first, n_bins, kind) for n, kind in names.items()}
        if behavior:
            jitter = self._jitter_ms(split)
            made[f"{part}_behavior"] = self.behavior(windows.row, self.dataset.overlap, 0, jitter)
        if forward:
            ahead = self._forward(split)
            for name, kind in names.items():
                made[f"{name}_forward"] = self._count(ahead, self.n_forward, kind)
        return made

    def _forward(self, split: str) -> Ints:
        """Return (B,) first bins of the forward periods."""
        end = self.dataset.window_ms[1]
        return self._placed(split, (end, end + self.dataset.forward_ms)).first

    def _placed(self, split: str, range_ms: tuple[int, int] | None = None) -> BinWindows:
        """Return where the trials of a split are, jitter included; by default their window."""
        range_ms = range_ms or self.dataset.window_ms
        return self._windows(self.rows(split), self._jitter_ms(split), range_ms, True)

    def _windows(
        self, rows: Ints, jitter_ms: Floats, range_ms: tuple[int, int], overlap: bool
    ) -> BinWindows:
        """Return the bins that begin within ``range_ms`` of each trial's alignment."""
        at = self._times(self.dataset.align)[rows]
        at = np.where(at == NO_TIME, NO_TIME, at + (jitter_ms * NS_PER_MS).astype(np.int64))
        start, end = (at + edge * NS_PER_MS for edge in range_ms)
        return self._between(rows, at, start, end, overlap)

    def _between(self, rows: Ints, at: Ints, start: Ints, end: Ints, overlap: bool) -> BinWindows:
        """Return the bins that begin from ``start`` on and before ``end``, all in ns.

        The last microsecond before an end does not count, and a trial that may not overlap ends
        where the next one, of those given, begins.
        """
        width = self.bin_ms * NS_PER_MS
        end = end - NS_PER_US
        bound = np.append(start[1:], np.iinfo(np.int64).max)
        bound = np.minimum(bound, self._next_starts(rows))
        overlaps = end > bound
        if not overlap:
            end = np.where(overlaps, bound - NS_PER_US, end)
        first = np.maximum(-(-start // width), 0)
        last = np.minimum(end // width, self.n_bins - 1)
        return BinWindows(rows, first, last, -(-at // width), overlaps)

    def _next_starts(self, rows: Ints) -> Ints:
        """Return for each trial when the trial after the next one given starts."""
        starts = np.append(self._times("start_time")[1:], np.iinfo(np.int64).max)
        following = np.append(starts[rows[1:]], np.iinfo(np.int64).max)
        return np.where(following == NO_TIME, np.iinfo(np.int64).max, following)

    def _times(self, column: str) -> Ints:
        """Return a time column in ns."""
        return self.grid.trials[column].to_numpy(dtype=np.int64)

    def _jitter_ms(self, split: str) -> Floats:
        """Return (B,) how much later trials are aligned, in whole bins."""
        every = self._of_split(split)
        return self._drawn(every)[np.searchsorted(every, self.rows(split))]

    def _drawn(self, rows: Ints) -> Floats:
        jitter = self.dataset.jitter
        if jitter is None:
            return np.zeros(rows.size)
        table = self.grid.trials.iloc[rows]
        of_test = table["split"].to_numpy() == "test"
        length = table[jitter.column].to_numpy(dtype=np.float64) if jitter.column in table else 0.0
        most = np.where(of_test, 0.0, np.clip(jitter.upto_ms - length, 0.0, jitter.most_ms))
        n_most = np.floor(np.round(most / self.bin_ms, 4))
        # the benchmark's legacy generator, one draw a trial
        draws = np.random.RandomState(self.seed).random_sample(rows.size)
        return np.round(draws * n_most) * self.bin_ms

    def _of_split(self, split: str) -> Ints:
        rows = np.flatnonzero(self.grid.trials["split"].to_numpy() == split)
        if not rows.size:
            there = self.grid.trials["split"].value_counts()
            raise InputError(
                f"{self.dataset.name}: no trials of split '{split}'; there are "
                + some(f"{n} of {name}" for name, n in there.items())
            )
        return rows

    def _usable(self, split: str) -> Ints:
        rows = self._of_split(split)
        dataset = self.dataset
        drawn = self._drawn(rows)
        no_time = (self._times(dataset.align)[rows] == NO_TIME) | np.isnan(drawn)
        windows = self._windows(rows, np.nan_to_num(drawn), dataset.window_ms, True)
        # of evaluated trials the forward period is scored, so it must have been observed
        n_bins = self._n(dataset.length_ms) + (self.n_forward if split == "val" else 0)
        index = windows.first[:, None] + np.arange(n_bins)
        inside = (index < self.n_bins).all(axis=1) & (windows.length == self._n(dataset.length_ms))
        seen = self._seen(False) & (self._seen(True) | (split == "test"))
        observed = seen[np.minimum(index, self.n_bins - 1)].all(axis=1)
        if dataset.eval_start is not None and split != "train":
            observed[:] = True
        keep = ~no_time & inside & observed
        if not keep.all():
            self.notes.append(
                f"{int((~keep).sum())} of {rows.size} {split} trials left out: "
                f"{int(no_time.sum())} without a time in '{dataset.align}', "
                f"{int((~inside & ~no_time).sum())} that leave the recording, "
                f"{int((inside & ~observed & ~no_time).sum())} not observed throughout."
            )
        if not keep.any():
            raise InputError(f"{dataset.name}: no {split} trial is left ({self.notes[-1]})")
        return rows[keep]

    def _check_apart(self, windows: BinWindows) -> None:
        """Refuse trials to train on that reach into the next, where they may not."""
        dataset = self.dataset
        if dataset.overlap or not windows.overlaps.any():
            return
        raise InputError(
            f"{dataset.name}: {int(windows.overlaps.sum())} trials reach into the next within "
            f"{dataset.window_ms} ms of '{dataset.align}', which may not overlap here (trials "
            f"{some(windows.row[windows.overlaps])})"
        )

    def _from_start(self, rows: Ints, jitter: Floats) -> Bools:
        """Return (B, T) which bins lie between ``eval_start`` and ``align`` of each trial."""
        # the window of a trial ends its jitter later than the interval; what came before it is cut
        n_bins = self._n(self.dataset.length_ms)
        stop = n_bins - np.round(jitter / self.bin_ms).astype(np.int64)[:, None]
        bins = np.arange(n_bins)
        return (bins < stop) & (bins >= stop - self._scored(rows).length[:, None])

    def _scored(self, rows: Ints) -> BinWindows:
        """Return the bins of trials, without jitter or overlap, that are scored."""
        if self.dataset.eval_start is None:
            return self._windows(rows, np.zeros(rows.size), self.dataset.window_ms, False)
        start, end = (self._times(c)[rows] for c in (self.dataset.eval_start, self.dataset.align))
        return self._between(rows, end, start, end, False)

    def _psths(self, rows: dict[str, Ints], psth: Psth, every: bool) -> Tensors:
        """Return mean smoothed spikes of each condition, and who is in it.

        Args:
            rows: Trials to train and to evaluate, of which PSTHs are made.
            psth: How.
            every: Whether they are made of all trials that the benchmark has in a split.
        """
        table, n_bins = self.grid.trials, self._n(self.dataset.length_ms)
        used = np.isin(np.arange(len(table)), np.concatenate(list(rows.values())))
        if every:
            used = table["split"].to_numpy() != "none"
        used &= self._times(self.dataset.align) != NO_TIME
        if self.dataset.outliers is not None:
            used &= table[self.dataset.outliers].to_numpy() != 1
        smoothers = [_Smoother(self, psth.kernel_ms, kind) for kind in (False, True)]
        means: list[Floats] = []
        members: dict[str, list[Ints]] = {part: [] for part in rows}
        for _, of_condition in table[used].groupby(list(psth.conditions)):
            windows = self._scored(of_condition.index.to_numpy())
            windows = windows.take(windows.length >= SHORT * windows.length.mean())
            mean = np.concatenate([smoother.mean(windows) for smoother in smoothers], axis=1)
            means.append(_fitted(mean, windows, n_bins, self.dataset.eval_start is not None))
            for part, of_part in rows.items():
                members[part].append(np.flatnonzero(np.isin(of_part, windows.row)))
        if not means:
            self.notes.append("No trial has a condition, so there are no PSTHs.")
            return {}
        ragged = {f"{part}_cond_idx": np.empty(len(means), dtype=object) for part in rows}
        for part in rows:
            ragged[f"{part}_cond_idx"][:] = members[part]
        return {"psth": np.stack(means), **ragged}


class _Smoother:
    """Means of spikes that were smoothed by a Gaussian at 1 ms, within observed stretches.

    The window of an even length is centred half a millisecond late, as the benchmark's is.
    """

    def __init__(self, maker: TensorMaker, kernel_ms: int, held_out: bool) -> None:
        grid = maker.grid
        ms = np.arange(6 * kernel_ms) - (6 * kernel_ms - 1) / 2
        self.kernel = np.exp(-0.5 * (ms / kernel_ms) ** 2)
        self.kernel /= self.kernel.sum()
        self.after = (self.kernel.size - 1) // 2
        self.before = self.kernel.size - 1 - self.after
        self.bin_ms = maker.bin_ms
        self.seen = maker._seen(held_out)
        self.runs = _runs(grid.observed_out if held_out else grid.observed_in)
        trains = [grid.spike_ms[neuron] for neuron in np.flatnonzero(grid.held_out == held_out)]
        spikes = np.concatenate([*trains, np.empty(0, dtype=np.int64)])
        order = np.argsort(spikes, kind="stable")
        self.n_neurons = len(trains)
        self.spike_ms = spikes[order]  # ascending
        self.spike_of = np.repeat(np.arange(len(trains)), [train.size for train in trains])[order]
        self._matrices: dict[int, Floats] = {}

    def mean(self, windows: BinWindows) -> Floats:
        """Return (rows, N) mean over trials of each bin relative to the alignment."""
        low = int((windows.first - windows.origin).min())
        n_rows = int((windows.last - windows.origin).max()) - low + 1
        n_ms = n_rows * self.bin_ms
        span = n_ms + self.before + self.after
        total, n_seen = np.zeros((n_rows, self.n_neurons)), np.zeros((n_rows, 1))
        together: list[Ints] = []
        for first, last, origin in zip(windows.first, windows.last, windows.origin, strict=True):
            bins = origin + low + np.arange(n_rows)
            known = (bins >= first) & (bins <= last)
            known[known] = self.seen[bins[known]]
            n_seen += known[:, None]
            start = int(bins[0]) * self.bin_ms
            for run_start, run_end in self._runs_in(first, last):
                inside = (max(run_start - start, 0), min(run_end - start, n_ms))
                spikes = self._spikes(start, span, run_start, run_end)
                if known.all() and inside == (0, n_ms):
                    together.append(spikes)
                else:
                    smooth = self._smoothed([spikes], span, inside)
                    total += np.where(known[:, None], smooth, 0.0)
        total += self._smoothed(together, span, (0, n_ms))
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / np.where(n_seen > 0, n_seen, np.nan)

    def _runs_in(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the observed stretches, in ms, that bins ``first`` to ``last`` touch."""
        starts, ends = self.runs
        low, high = int(first) * self.bin_ms, (int(last) + 1) * self.bin_ms
        touched = slice(np.searchsorted(ends, low, side="right"), np.searchsorted(starts, high))
        return list(zip(starts[touched].tolist(), ends[touched].tolist(), strict=True))

    def _spikes(self, start: int, span: int, run_start: int, run_end: int) -> Ints:
        """Return spikes as places in a (span, N) array.

        Its first ms is as long before ``start`` as the kernel sees.
        """
        begin = start - self.before
        edges = [max(begin, run_start), min(begin + span, run_end)]
        run = slice(*np.searchsorted(self.spike_ms, edges))
        return (self.spike_ms[run] - begin) * self.n_neurons + self.spike_of[run]

    def _smoothed(self, spikes: Sequence[Ints], span: int, inside: tuple[int, int]) -> Floats:
        """Sum spikes of trials, smooth, and return (rows, N) sums over bins' ms ``inside``."""
        places = np.concatenate([*spikes, np.empty(0, dtype=np.int64)])
        counts = np.bincount(places, minlength=span * self.n_neurons).reshape(span, -1)
        n_ms = span - self.kernel.size + 1
        if inside != (0, n_ms):
            return self._matrix(n_ms, inside) @ counts.astype(np.float64)
        if n_ms not in self._matrices:
            self._matrices[n_ms] = self._matrix(n_ms, inside)
        return self._matrices[n_ms] @ counts.astype(np.float64)

    def _matrix(self, n_ms: int, inside: tuple[int, int]) -> Floats:
        """Return (rows, span) weight of a spike at each ms in each bin.

        A spike at ms s adds ``kernel[tap]`` at ms ``s + tap - after``; both count from row 0, and
        the span begins ``before`` ms earlier.
        """
        ms = np.arange(n_ms)[:, None]
        tap = ms - np.arange(n_ms + self.kernel.size - 1) + self.kernel.size - 1
        reaches = (tap >= 0) & (tap < self.kernel.size) & (ms >= inside[0]) & (ms < inside[1])
        weights = np.where(reaches, self.kernel[np.clip(tap, 0, self.kernel.size - 1)], 0.0)
        return weights.reshape(n_ms // self.bin_ms, self.bin_ms, -1).sum(axis=1)


def _runs(seen: Bools) -> tuple[Ints, Ints]:
    """Return starts and ends of the stretches of True."""
    edges = np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def _fitted(rows: Floats, windows: BinWindows, n_bins: int, at_end: bool) -> Floats:
    """Return rows cut to the shortest trial, and padded with NaN to ``n_bins``.

    Both happen at the end, or in front where trials end together.
    """
    kept = min(n_bins, int(windows.length.min()), len(rows))
    missing = n_bins - kept
    if at_end:
        return np.pad(rows[len(rows) - kept :], ((missing, 0), (0, 0)), constant_values=np.nan)
    return np.pad(rows[:kept], ((0, missing), (0, 0)), constant_values=np.nan)
