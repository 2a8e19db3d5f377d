"""The seven datasets of the Neural Latents Benchmark '21 (Pei, Ye et al. 2021), as declarations.

Alignments, windows, lags, conditions and kernels are those of ``nlb_tools`` 0.0.4, with which the
tensors of :mod:`neuroblend.nlb.tensors` agree; ``docs/nlb.md`` tells where it is left.
"""

from dataclasses import dataclass, replace

from neuroblend.errors import InputError, nearest

SUFFIXES = {5: "", 20: "_20"}  # by bin width in ms, in names of groups of targets and predictions
BIN_WIDTHS_MS = tuple(SUFFIXES)


@dataclass(frozen=True)
class Psth:
    """How peristimulus time histograms are made.

    Attributes:
        conditions: Columns of the trial table whose values define a condition.
        kernel_ms: Standard deviation of the Gaussian that spikes are smoothed with.
    """

    conditions: tuple[str, ...]
    kernel_ms: int


@dataclass(frozen=True)
class Jitter:
    """How far the alignment of trials is moved at random, so that time does not tell the interval.

    Attributes:
        column: Column with an interval in ms.
        upto_ms: The interval may grow up to this.
        most_ms: And the jitter up to this.
    """

    column: str
    upto_ms: float
    most_ms: float


@dataclass(frozen=True)
class NLBDataset:
    """One dataset of the benchmark.

    Attributes:
        name: As in the benchmark.
        align: Column of the trial table that trials are aligned to.
        window_ms: Start and end of a trial, relative to that.
        behavior: A time series, or columns of the trial table.
        dandiset: Number in the DANDI archive.
        lag_ms: How much later than spikes behavior is read; ``None`` for behavior by trial.
        overlap: Whether training trials may overlap.
        eval_overlap: Whether evaluated trials may.
        forward_ms: How long after a trial's end its spikes are to be predicted.
        psth: How PSTHs are made, where the benchmark scores them.
        decode_by: A column of two values, of which each has a decoder of its own.
        eval_start: Column from which on held-out spikes are scored, up to ``align``; those before
            are NaN. ``None`` where the whole window is scored.
        jitter: How alignment is moved, of other trials than those of the test split.
        outliers: Column that is true of trials whose behavior does not count.
        scaling: Label in the joint scores of the scaling datasets.
    """

    name: str
    align: str
    window_ms: tuple[int, int]
    behavior: str | tuple[str, ...]
    dandiset: str
    lag_ms: int | None = None
    overlap: bool = False
    eval_overlap: bool = False
    forward_ms: int = 200
    psth: Psth | None = None
    decode_by: str | None = None
    eval_start: str | None = None
    jitter: Jitter | None = None
    outliers: str | None = None
    scaling: str | None = None

    @property
    def length_ms(self) -> int:
        """Length of a trial, forward period excluded."""
        return self.window_ms[1] - self.window_ms[0]

    @property
    def columns(self) -> list[str]:
        """Columns of the trial table that are needed."""
        wanted = ["start_time", "stop_time", "split", self.align]
        wanted += [] if self.psth is None else self.psth.conditions
        wanted += [] if isinstance(self.behavior, str) else self.behavior
        single = (self.decode_by, self.eval_start, self.outliers)
        return list(dict.fromkeys(wanted + [column for column in single if column]))


_MAZE = NLBDataset(
    "mc_maze", "move_onset_time", (-250, 450), "hand_vel", "000128",
    lag_ms=100, psth=Psth(("trial_type", "trial_version"), 70),
)  # fmt: skip
_SCALING = replace(_MAZE, lag_ms=120, psth=Psth(("trial_type", "trial_version"), 50))
_RTT = NLBDataset(
    "mc_rtt", "start_time", (0, 600), "finger_vel", "000129",
    lag_ms=140, overlap=True, eval_overlap=True,
)  # fmt: skip
_BUMP = NLBDataset(
    "area2_bump", "move_onset_time", (-100, 500), "hand_vel", "000127",
    lag_ms=-20, eval_overlap=True,
    psth=Psth(("cond_dir", "ctr_hold_bump"), 40), decode_by="ctr_hold_bump",
)  # fmt: skip
_RSG = NLBDataset(
    "dmfc_rsg", "go_time", (-1500, 0), ("is_eye", "theta", "is_short", "ts", "tp"), "000130",
    overlap=True, psth=Psth(("is_eye", "theta", "is_short", "ts"), 70), eval_start="set_time",
    jitter=Jitter("tp", 1500.0, 300.0), outliers="is_outlier",
)  # fmt: skip
_ALL = (
    *(_MAZE, _RTT, _BUMP, _RSG),
    replace(_SCALING, name="mc_maze_large", dandiset="000138", scaling="[500]"),
    replace(_SCALING, name="mc_maze_medium", dandiset="000139", scaling="[250]"),
    replace(_SCALING, name="mc_maze_small", dandiset="000140", scaling="[100]"),
)
DATASETS = {dataset.name: dataset for dataset in _ALL}


def find_dataset(name: str) -> NLBDataset:
    """Return a dataset of the benchmark.

    Raises:
        InputError: There is none of that name.
    """
    if name not in DATASETS:
        raise InputError(f"no dataset '{name}': {nearest(name, DATASETS)}")
    return DATASETS[name]


def check_bin_ms(bin_ms: float) -> int:
    """Return a bin width of the benchmark.

    Raises:
        InputError: It is not 5 or 20 ms.
    """
    if bin_ms not in BIN_WIDTHS_MS:
        raise InputError(f"--bin-ms {bin_ms:g}: the benchmark has bins of 5 or 20 ms")
    return int(bin_ms)


def group_name(dataset: str, bin_ms: int) -> str:
    """Return what a dataset is called at a bin width, in files of targets and predictions.

    >>> group_name("area2_bump", 20)
    'area2_bump_20'
    """
    return dataset + SUFFIXES[bin_ms]
