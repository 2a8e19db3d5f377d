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
from neuroblend.nlb.datasets import Jitter, NLBDataset, check_bin_ms, group_name
from neuroblend.nlb.grid import NO_TIME, NS_PER_MS, Grid

Tensors = dict[str, Any]

SHORT = 0.8  # a trial shorter than this share of its condition's mean enters no PSTH
NS_PER_US = 1000


@dataclass(frozen=True, eq=False)
class Windows:
    """Which bins each trial covers.

    Attributes:
        row: (B,) rows of the trial table.
        first: (B,) first bin of the session's clock.
        last: (B,) last bin, within the session; before ``first`` where there is none.
        origin: (B,) bin at or after the time that trials are aligned to.
        overlaps: (B,) bool, whether a trial would reach into the next.
    """

    row: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    origin: NDArray[np.int64]
    overlaps: NDArray[np.bool_]

    @property
    def length(self) -> NDArray[np.int64]:
        """(B,) bins."""
        return self.last - self.first + 1

    def take(self, keep: NDArray[np.bool_]) -> Windows:
        """Return some of the trials."""
        return Windows(
            self.row[keep],
            self.first[keep],
            self.last[keep],
            self.origin[keep],
            self.overlaps[keep],
        )


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
        self._resampled: NDArray[np.float64] | None = None
        self._counts: dict[bool, NDArray[np.uint8]] = {}
        self._rows: dict[str, NDArray[np.int64]] = {}

    @property
    def group(self) -> str:
        """Name of the dataset at this bin width in files of targets and predictions."""
        return group_name(self.dataset.name, self.bin_ms)

    @property
    def n_forward(self) -> int:
        """Bins of the forward period, ``T_fp``."""
        return self.dataset.forward_ms // self.bin_ms

    def rows(self, split: str) -> NDArray[np.int64]:
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
        rows = self.rows(split)
        return self._inputs("train", rows, self._jitter_ms(split), True, behavior, forward)

    def eval(self, split: str = "val") -> Tensors:
        """Return what a model is given at evaluation: ``eval_spikes_heldin``.

        ``eval_spikes_heldout`` too, where the split is not ``test``.
        """
        rows = self.rows(split)
        held_out = split != "test"
        return self._inputs("eval", rows, self._jitter_ms(split), held_out, False, False)

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
        rows = {"train": self.rows(train), "eval": self.rows(evaluated)}
        split_of = {"train": train, "eval": evaluated}
        jitter = {part: self._jitter_ms(split_of[part]) for part in rows}
        windows = self._windows(rows["eval"], jitter["eval"], dataset.window_ms, True)
        heldout = self.count(windows.first, self._n(dataset.length_ms), self.grid.held_out)
        if dataset.eval_start is not None:
            heldout[~self._from_start(windows, rows["eval"], jitter["eval"])] = np.nan
        ahead = self._forward(rows["eval"], jitter["eval"])
        made: Tensors = {
            "eval_spikes_heldout": heldout,
            **{
                f"{part}_behavior": self.behavior(rows[part], dataset.eval_overlap) for part in rows
            },
            "eval_spikes_heldin_forward": self.count(ahead, self.n_forward, ~self.grid.held_out),
            "eval_spikes_heldout_forward": self.count(ahead, self.n_forward, self.grid.held_out),
        }
        if dataset.decode_by is not None:
            group = self.grid.trials[dataset.decode_by].to_numpy()
            for part in rows:
                made[f"{part}_decode_mask"] = np.stack(
                    [group[rows[part]] == 0, group[rows[part]] == 1], axis=1
                )
        if psth and dataset.psth is not None:
            made |= self._psths(rows, every=evaluated == "test")
            if dataset.jitter is not None:
                for part in rows:
                    made[f"{part}_jitter"] = np.round(jitter[part] / self.bin_ms).astype(int)
        return made

    def count(
        self, first: NDArray[np.int64], n_bins: int, neurons: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Return (B, n_bins, N) counts/bin from bin ``first`` (B,) on, NaN where not observed."""
        index = first[:, None] + np.arange(n_bins)
        inside = np.clip(index, 0, self.n_bins - 1)
        counts = np.empty((*index.shape, int(neurons.sum())), dtype=np.float32)
        for kind in (False, True):
            of_kind = self.grid.held_out == kind
            chosen = neurons[of_kind]
            if not chosen.any():
                continue
            taken = self._binned(kind)[inside]
            place = of_kind[neurons]
            counts[:, :, slice(None) if place.all() else place] = (
                taken if chosen.all() else taken[:, :, chosen]
            )
            unseen = ~self._seen(kind)[inside] | (inside != index)
            if unseen.any():
                counts[unseen[:, :, None] & place] = np.nan
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
        self,
        rows: NDArray[np.int64],
        overlap: bool,
        n_more: int = 0,
        jitter_ms: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
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
        end_of = windows.first + np.where(
            windows.length < longest, windows.length, longest + n_more
        )
        held = (index >= 0) & (index < self.n_bins) & (index < end_of[:, None])
        taken = self._resampled[np.clip(index, 0, self.n_bins - 1)]
        return np.where(held[:, :, None], taken, np.nan)

    def start_ms(self, split: str) -> NDArray[np.int64]:
        """Return (B,) the millisecond at which the window of each trial of ``split`` begins."""
        windows = self._windows(
            self.rows(split), self._jitter_ms(split), self.dataset.window_ms, True
        )
        return windows.first * self.bin_ms

    def whole(self, split: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return spikes and behavior of trials with their forward periods.

        Returns:
            (B, T + T_fp, N) counts/bin of every neuron by id, and (B, T + T_fp, D) behavior.
        """
        rows, jitter = self.rows(split), self._jitter_ms(split)
        windows = self._windows(rows, jitter, self.dataset.window_ms, True)
        if split == "train" or not self.dataset.eval_overlap:
            self._check_apart(windows)
        n_bins = self._n(self.dataset.length_ms) + self.n_forward
        spikes = self.count(windows.first, n_bins, np.ones(self.grid.held_out.size, dtype=bool))
        behavior = self.behavior(rows, True, self.n_forward, jitter)
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

    def _seen(self, held_out: bool) -> NDArray[np.bool_]:
        """Return (n_bins,) whether a bin's first millisecond was observed."""
        seen = self.grid.observed_out if held_out else self.grid.observed_in
        return seen[:: self.bin_ms]

    def _inputs(
        self,
        part: str,
        rows: NDArray[np.int64],
        jitter: NDArray[np.float64],
        held_out: bool,
        behavior: bool,
        forward: bool,
    ) -> Tensors:
        windows = self._windows(rows, jitter, self.dataset.window_ms, True)
        self._check_apart(windows)
        kinds = {"heldin": ~self.grid.held_out} | (
            {"heldout": self.grid.held_out} if held_out else {}
        )
        n_bins = self._n(self.dataset.length_ms)
        made: Tensors = {
            f"{part}_spikes_{kind}": self.count(windows.first, n_bins, neurons)
            for kind, neurons in kinds.items()
        }
        if behavior:
            made[f"{part}_behavior"] = self.behavior(rows, self.dataset.overlap, 0, jitter)
        if forward:
            ahead = self._forward(rows, jitter)
            for kind, neurons in kinds.items():
                made[f"{part}_spikes_{kind}_forward"] = self.count(ahead, self.n_forward, neurons)
        return made

    def _forward(self, rows: NDArray[np.int64], jitter: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return (B,) first bins of the forward periods."""
        end = self.dataset.window_ms[1]
        return self._windows(rows, jitter, (end, end + self.dataset.forward_ms), True).first

    def _windows(
        self,
        rows: NDArray[np.int64],
        jitter_ms: NDArray[np.float64],
        range_ms: tuple[int, int],
        overlap: bool,
    ) -> Windows:
        """Return the bins that begin within ``range_ms`` of each trial's alignment."""
        at = self._times(self.dataset.align, rows)
        at = np.where(at == NO_TIME, NO_TIME, at + (jitter_ms * NS_PER_MS).astype(np.int64))
        start, end = (at + edge * NS_PER_MS for edge in range_ms)
        return self._between(rows, at, start, end, overlap)

    def _between(
        self,
        rows: NDArray[np.int64],
        at: NDArray[np.int64],
        start: NDArray[np.int64],
        end: NDArray[np.int64],
        overlap: bool,
    ) -> Windows:
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
        return Windows(rows, first, last, -(-at // width), overlaps)

    def _next_starts(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each trial when the trial after the next one given starts."""
        starts = np.append(self._times("start_time", None)[1:], np.iinfo(np.int64).max)
        following = np.append(starts[rows[1:]], np.iinfo(np.int64).max)
        return np.where(following == NO_TIME, np.iinfo(np.int64).max, following)

    def _times(self, column: str, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Return a time column in ns."""
        times: NDArray[np.int64] = self.grid.trials[column].to_numpy(dtype=np.int64)
        return times if rows is None else times[rows]

    def _jitter_ms(self, split: str) -> NDArray[np.float64]:
        """Return (B,) how much later trials are aligned, in whole bins."""
        rows = self.rows(split)
        if self.dataset.jitter is None:
            return np.zeros(rows.size)
        every = self._of_split(split)
        drawn = self._drawn(every, self.dataset.jitter)
        return drawn[np.searchsorted(every, rows)]

    def _drawn(self, rows: NDArray[np.int64], jitter: Jitter) -> NDArray[np.float64]:
        table = self.grid.trials.iloc[rows]
        of_test = table["split"].to_numpy() == "test"
        length = table[jitter.column].to_numpy(dtype=np.float64) if jitter.column in table else 0.0
        most = np.where(of_test, 0.0, np.clip(jitter.upto_ms - length, 0.0, jitter.most_ms))
        n_most = np.floor(np.round(most / self.bin_ms, 4))
        # the benchmark's legacy generator, one draw a trial
        draws = np.random.RandomState(self.seed).random_sample(rows.size)
        shift: NDArray[np.float64] = np.round(draws * n_most) * self.bin_ms
        return shift

    def _of_split(self, split: str) -> NDArray[np.int64]:
        rows = np.flatnonzero(self.grid.trials["split"].to_numpy() == split)
        if not rows.size:
            there = self.grid.trials["split"].value_counts()
            raise InputError(
                f"{self.dataset.name}: no trials of split '{split}'; there are "
                + some(f"{n} of {name}" for name, n in there.items())
            )
        return rows

    def _usable(self, split: str) -> NDArray[np.int64]:
        rows = self._of_split(split)
        dataset = self.dataset
        no_time = self._times(dataset.align, rows) == NO_TIME
        if dataset.jitter is not None:
            drawn = self._drawn(rows, dataset.jitter)
            no_time |= np.isnan(drawn)
            drawn = np.nan_to_num(drawn)
        else:
            drawn = np.zeros(rows.size)
        windows = self._windows(rows, drawn, dataset.window_ms, True)
        # of evaluated trials the forward period is scored, so it must have been observed
        n_bins = self._n(dataset.length_ms) + (self.n_forward if split == "val" else 0)
        index = windows.first[:, None] + np.arange(n_bins)
        inside = (index < self.n_bins).all(axis=1) & (windows.length == self._n(dataset.length_ms))
        seen = self._seen(False)
        if split != "test":
            seen = seen & self._seen(True)
        if dataset.eval_start is None or split == "train":
            observed = seen[np.minimum(index, self.n_bins - 1)].all(axis=1)
        else:
            observed = np.ones(rows.size, dtype=bool)
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

    def _check_apart(self, windows: Windows) -> None:
        """Refuse trials to train on that reach into the next, where they may not."""
        dataset = self.dataset
        if dataset.overlap or not windows.overlaps.any():
            return
        raise InputError(
            f"{dataset.name}: {int(windows.overlaps.sum())} trials reach into the next within "
            f"{dataset.window_ms} ms of '{dataset.align}', which may not overlap here (trials "
            f"{some(windows.row[windows.overlaps])})"
        )

    def _from_start(
        self, windows: Windows, rows: NDArray[np.int64], jitter: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return (B, T) which bins lie between ``eval_start`` and ``align`` of each trial."""
        assert self.dataset.eval_start is not None
        start = self._times(self.dataset.eval_start, rows)
        end = self._times(self.dataset.align, rows)
        between = self._between(rows, end, start, end, False)
        # the window of a trial ends its jitter later than the interval; what came before it is cut
        n_bins = self._n(self.dataset.length_ms)
        shift = np.round(jitter / self.bin_ms).astype(np.int64)
        stop = n_bins - shift
        bins = np.arange(n_bins)
        return (bins < stop[:, None]) & (bins >= (stop - between.length)[:, None])

    def _psths(self, rows: dict[str, NDArray[np.int64]], every: bool) -> Tensors:
        """Return mean smoothed spikes of each condition, and who is in it.

        Args:
            rows: Trials to train and to evaluate, of which PSTHs are made.
            every: Whether they are made of all trials that the benchmark has in a split.
        """
        psth = self.dataset.psth
        assert psth is not None
        table = self.grid.trials
        used = np.zeros(len(table), dtype=bool)
        used[np.concatenate(list(rows.values()))] = True
        if every:
            used = table["split"].to_numpy() != "none"
        keys = list(psth.conditions)
        labels = sorted(table.loc[used, keys].dropna().set_index(keys).index.unique().tolist())
        skipped = np.zeros(len(table), dtype=bool)
        if self.dataset.outliers is not None:
            skipped = table[self.dataset.outliers].to_numpy() == 1
        code = {label: i for i, label in enumerate(labels)}
        of_trial = np.array([code.get(row, -1) for row in table[keys].itertuples(False, None)])
        used &= ~skipped & (self._times(self.dataset.align, None) != NO_TIME)
        smoother = _Smoother(self, psth.kernel_ms)
        means: list[NDArray[np.float64]] = []
        members: dict[str, list[NDArray[np.int64]]] = {part: [] for part in rows}
        n_bins = self._n(self.dataset.length_ms)
        for label in range(len(labels)):
            chosen = np.flatnonzero((of_trial == label) & used)
            if not chosen.size:
                continue
            windows = self._psth_windows(chosen)
            windows = windows.take(windows.length >= SHORT * windows.length.mean())
            means.append(
                _fitted(smoother.mean(windows), n_bins, self.dataset.eval_start is not None)
            )
            for part, of_part in rows.items():
                members[part].append(np.flatnonzero(np.isin(of_part, windows.row)))
        if not means:
            self.notes.append("No trial has a condition, so there are no PSTHs.")
            return {}
        return {
            "psth": np.stack(means),
            **{f"{part}_cond_idx": _ragged(members[part]) for part in rows},
        }

    def _psth_windows(self, rows: NDArray[np.int64]) -> Windows:
        if self.dataset.eval_start is None:
            return self._windows(rows, np.zeros(rows.size), self.dataset.window_ms, False)
        start, end = (self._times(c, rows) for c in (self.dataset.eval_start, self.dataset.align))
        return self._between(rows, end, start, end, False)


class _Smoother:
    """Means of spikes that were smoothed by a Gaussian at 1 ms, within observed stretches.

    The window of an even length is centred half a millisecond late, as the benchmark's is.
    """

    def __init__(self, maker: TensorMaker, kernel_ms: int) -> None:
        self.maker = maker
        ms = np.arange(6 * kernel_ms) - (6 * kernel_ms - 1) / 2
        self.kernel = np.exp(-0.5 * (ms / kernel_ms) ** 2)
        self.kernel /= self.kernel.sum()
        self.before = self.kernel.size - 1 - (self.kernel.size - 1) // 2
        self.after = (self.kernel.size - 1) // 2
        grid = maker.grid
        order = np.concatenate([np.flatnonzero(~grid.held_out), np.flatnonzero(grid.held_out)])
        self.order = order
        self.n_in = int((~grid.held_out).sum())
        self.runs = {
            False: _runs(grid.observed_in),
            True: _runs(grid.observed_out),
        }
        self.spikes = {
            False: self._merged(order[: self.n_in]),
            True: self._merged(order[self.n_in :]),
        }
        self._matrices: dict[int, NDArray[np.float64]] = {}

    def _merged(self, neurons: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return every spike's ms, ascending, and whose it is (0, 1, ... among ``neurons``)."""
        trains = [self.maker.grid.spike_ms[neuron] for neuron in neurons]
        ms = np.concatenate(trains) if trains else np.empty(0, dtype=np.int64)
        of = np.repeat(np.arange(len(trains)), [train.size for train in trains])
        order = np.argsort(ms, kind="stable")
        return ms[order], of[order]

    def mean(self, windows: Windows) -> NDArray[np.float64]:
        """Return (rows, N) mean over trials of each bin relative to the alignment, held-in first.

        Rows are cut at the end to the length of the shortest trial (at the front for trials that
        end together).
        """
        relative = windows.first - windows.origin
        low = int(relative.min())
        n_rows = int((windows.last - windows.origin).max()) - low + 1
        shortest = int(windows.length.min())
        parts = [self._mean_of(windows, low, n_rows, kind) for kind in (False, True)]
        rows = np.concatenate(parts, axis=1)
        from_end = self.maker.dataset.eval_start is not None
        return rows[-shortest:] if from_end else rows[:shortest]

    def _mean_of(
        self, windows: Windows, low: int, n_rows: int, held_out: bool
    ) -> NDArray[np.float64]:
        bin_ms = self.maker.bin_ms
        n_ms = n_rows * bin_ms
        span = n_ms + self.before + self.after
        n_neurons = self.order.size - self.n_in if held_out else self.n_in
        total = np.zeros((n_rows, n_neurons))
        n_seen = np.zeros((n_rows, 1))
        seen_bin = self.maker._seen(held_out)
        together: list[NDArray[np.int64]] = []
        bins = np.arange(n_rows)
        for first, last, origin in zip(windows.first, windows.last, windows.origin, strict=True):
            start = (int(origin) + low) * bin_ms  # of row 0
            rows = (bins + origin + low >= first) & (bins + origin + low <= last)
            known = rows.copy()
            known[rows] = seen_bin[origin + low + bins[rows]]
            n_seen += known[:, None]
            for run_start, run_end in self._runs_in(first, last, held_out):
                inside = (max(run_start - start, 0), min(run_end - start, n_ms))
                spikes = self._spikes(start, span, (run_start, run_end), held_out)
                if known.all() and inside == (0, n_ms):
                    together.append(spikes)
                else:
                    smooth = self._smoothed([spikes], n_neurons, span, inside)
                    total += np.where(known[:, None], smooth, 0.0)
        total += self._smoothed(together, n_neurons, span, (0, n_ms))
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / np.where(n_seen > 0, n_seen, np.nan)

    def _runs_in(self, first: int, last: int, held_out: bool) -> list[tuple[int, int]]:
        """Return the observed stretches, in ms, that bins ``first`` to ``last`` touch."""
        starts, ends = self.runs[held_out]
        low, high = int(first) * self.maker.bin_ms, (int(last) + 1) * self.maker.bin_ms
        touched = slice(np.searchsorted(ends, low, side="right"), np.searchsorted(starts, high))
        return list(zip(starts[touched].tolist(), ends[touched].tolist(), strict=True))

    def _spikes(
        self, start: int, span: int, run: tuple[int, int], held_out: bool
    ) -> NDArray[np.int64]:
        """Return spikes as places in a (span, N) array.

        Its first ms is as long before ``start`` as the kernel sees.
        """
        ms, of = self.spikes[held_out]
        n_neurons = self.order.size - self.n_in if held_out else self.n_in
        begin = start - self.before
        low, high = np.searchsorted(ms, [max(begin, run[0]), min(begin + span, run[1])])
        return (ms[low:high] - begin) * n_neurons + of[low:high]

    def _smoothed(
        self,
        spikes: Sequence[NDArray[np.int64]],
        n_neurons: int,
        span: int,
        inside: tuple[int, int],
    ) -> NDArray[np.float64]:
        """Sum spikes of trials, smooth, and return (rows, N) sums over bins' ms ``inside``."""
        places = np.concatenate([*spikes, np.empty(0, dtype=np.int64)])
        counts = np.bincount(places, minlength=span * n_neurons).reshape(span, n_neurons)
        n_ms = span - self.kernel.size + 1
        if inside != (0, n_ms):
            return self._matrix(n_ms, inside) @ counts.astype(np.float64)
        if n_ms not in self._matrices:
            self._matrices[n_ms] = self._matrix(n_ms, inside)
        return self._matrices[n_ms] @ counts.astype(np.float64)

    def _matrix(self, n_ms: int, inside: tuple[int, int]) -> NDArray[np.float64]:
        """Return (rows, span) weight of a spike at each ms in each bin.

        A spike at ms s adds ``kernel[tap]`` at ms ``s + tap - after``; both count from row 0, and
        the span begins ``before`` ms earlier.
        """
        ms = np.arange(n_ms)[:, None]
        tap = ms - np.arange(n_ms + self.kernel.size - 1) + self.kernel.size - 1
        reaches = (tap >= 0) & (tap < self.kernel.size) & (ms >= inside[0]) & (ms < inside[1])
        weights = np.where(reaches, self.kernel[np.clip(tap, 0, self.kernel.size - 1)], 0.0)
        return weights.reshape(n_ms // self.maker.bin_ms, self.maker.bin_ms, -1).sum(axis=1)


def _runs(seen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return starts and ends of the stretches of True."""
    edges = np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def _fitted(rows: NDArray[np.float64], n_bins: int, at_end: bool) -> NDArray[np.float64]:
    """Return rows cut or padded with NaN to ``n_bins``, in front where trials end together."""
    missing = n_bins - len(rows)
    if missing <= 0:
        return rows[-n_bins:] if at_end else rows[:n_bins]
    pad = np.full((missing, rows.shape[1]), np.nan)
    return np.concatenate([pad, rows] if at_end else [rows, pad])


def _ragged(lists: Sequence[NDArray[np.int64]]) -> NDArray[np.object_]:
    out = np.empty(len(lists), dtype=object)
    out[:] = lists
    return out
