"""What the simulated files of the Neural Latents Benchmark '21 hold: one declaration a dataset.

Where the figures come from ("published" below means the files on DANDI, version 0.220113):

- Names, types and numbers of rows of the units and trials tables, names and units of the signals,
  and which columns the test files keep: the listings of the published files in github
  magland/ai_generated_dandiset_summaries (``dandisets/000127`` to ``000130``, ``000138`` to
  ``000140``).
- Times, splits, conditions, unit ids, column names of the signals and the gaps between trials: the
  outputs printed in the notebooks of github neurallatents/neurallatents.github.io and in
  ``examples/tutorials/basic_example.ipynb`` of github neurallatents/nlb_tools. These also print
  375 training and 125 validation trials for ``mc_maze_large``.
- Mean rates: published numbers of spikes by units and seconds observed.
- That ``mc_maze*`` carry timestamps, and ``mc_rtt`` and ``area2_bump`` a rate, follows from the
  sizes of the published files; for ``area2_bump`` a public reader says so as well.
- Windows and lags: ``nlb_tools`` 0.0.4, ``make_tensors.PARAMS``.

What could not be checked: how train and validation trials divide, except for ``mc_maze_large``
(their sums are published, as are all numbers of units); the attributes ``unit``, ``conversion``
and ``reference_frame`` of the signals; the exact text of ``comments`` (here what ``nlb_tools``
reads); the types of the rewarded, aborted and incomplete trials of ``area2_bump`` that belong to
no split; and, beyond the few rows printed, how event times are distributed.

Where we differ on purpose: the published ``mc_maze*`` have no trials of split "none", ours have a
few, so that leaving them out is exercised; ``area2_bump`` has fewer muscles; times lie on the
1 ms grid throughout, while those of ``dmfc_rsg`` are published to 0.5 ms; the sessions of
``mc_rtt``, ``area2_bump`` and ``dmfc_rsg`` run on through their unobserved gaps. In ``mc_maze*``,
``cursor_pos`` has samples, of NaN, between trials: the published signals have none there, which
makes ``nlb_tools`` with pandas 2 put the rows out of order and fail to resample. It does so unless
the signal that comes first by name is complete; beside it, the others are as published.
"""

from dataclasses import dataclass

from neuroblend.nlb.datasets import NLBDataset, find_dataset


@dataclass(frozen=True)
class Signal:
    """A time series of the behavior module.

    Attributes:
        name: Of the series.
        columns: Names of its columns, as ``comments`` gives them.
        description: With the unit of the numbers stored.
        unit: SI unit after ``conversion``.
        conversion: Factor from the numbers stored to ``unit``.
        spatial: Whether it is a ``SpatialSeries``.
        throughout: Whether samples of NaN fill the time between trials, where other signals with
            timestamps have no samples.
    """

    name: str
    columns: tuple[str, ...]
    description: str
    unit: str
    conversion: float = 1.0
    spatial: bool = False
    throughout: bool = False


@dataclass(frozen=True)
class Latents:
    """Latents of one kind.

    Attributes:
        name: What they follow.
        n: How many.
        sd: Standard deviation over neurons of their loadings, in log rate per unit of latent.
        mean: Mean over neurons of their loadings.
    """

    name: str
    n: int
    sd: float
    mean: float = 0.0


@dataclass(frozen=True)
class Maze:
    """Delayed reaches around barriers, recorded trial by trial (``mc_maze*``).

    Attributes:
        n_mazes: Configurations; each in three versions, so three conditions a maze.
        date: Of the recording whose schema this is, ISO.
        trials_per_maze: Small sessions have fewer mazes, so that each has this many trials.
    """

    n_mazes: int
    date: str
    trials_per_maze: int = 9
    reach_mm: float = 140.0
    duration_s: float = 0.265
    curvature_sd: float = 0.25
    # From start of trial to target, target to go cue, go cue to movement, movement to end of trial.
    wait_ms: tuple[int, int] = (680, 920)
    delay_ms: tuple[int, int] = (350, 900)
    reaction_ms: tuple[int, float] = (360, 0.18)  # median and standard deviation of its log
    after_ms: tuple[int, int] = (1100, 1350)
    grid_ms: int = 100  # trials start on this grid, and the time between them is not recorded


@dataclass(frozen=True)
class RandomTarget:
    """Reaches from target to target without pause, cut into segments (``mc_rtt``)."""

    date: str = "2017-02-02"
    segment_ms: int = 600
    n_blocks: int = 4  # continuous stretches of the session
    gap_ms: int = 100  # between them
    between_ms: int = 0  # from the end of a trial to the start of the next
    after_block_ms: int = 200  # observed beyond the last trial of a block
    targets_per_side: int = 8
    spacing_mm: float = 15.0
    reaction_ms: tuple[int, int] = (180, 320)
    hold_ms: tuple[int, int] = (60, 200)
    # Duration of a reach of 60 mm; it grows with the square root of the distance.
    duration_s: float = 0.62
    reach_mm: float = 60.0
    curvature_sd: float = 0.12


@dataclass(frozen=True)
class Bump:
    """Reaches and bumps of the hand (``area2_bump``); lengths in cm, as published."""

    date: str = "2017-12-07"
    n_blocks: int = 4
    gap_ms: int = 100
    between_ms: int = 503
    after_block_ms: int = 400
    reach_cm: float = 8.0
    duration_s: float = 0.42
    bump_cm: float = 2.2
    bump_s: float = 0.16
    curvature_sd: float = 0.06
    wait_ms: tuple[int, int] = (1000, 2200)
    bump_to_target_ms: tuple[int, int] = (450, 950)
    reaction_ms: tuple[int, float] = (310, 0.12)
    after_ms: tuple[int, int] = (470, 620)


@dataclass(frozen=True)
class ReadySetGo:
    """Reproduction of a time interval (``dmfc_rsg``); no continuous behavior is published."""

    date: str = "2016-12-11"
    n_blocks: int = 6
    gap_ms: int = 100
    between_ms: int = 517
    after_block_ms: int = 400
    short_ms: tuple[int, ...] = (480, 560, 640, 720, 800)
    long_ms: tuple[int, ...] = (800, 900, 1000, 1100, 1200)
    to_prior_mean: float = 0.2  # how far the produced interval is drawn to the mean of its prior
    weber: float = 0.1  # its standard deviation, as a share of the interval
    produced_ms: tuple[int, int] = (400, 1500)
    outlier_share: float = 0.03
    block_trials: int = 20  # trials of one effector and prior in a row


Blocks = RandomTarget | Bump | ReadySetGo  # recorded in continuous stretches
Task = Maze | Blocks


@dataclass(frozen=True)
class UnitIds:
    """How published unit ids are made: ``array * per_array + electrode * per_electrode + unit``.

    Attributes:
        n_arrays: Arrays or probes.
        n_electrodes: Electrodes an array; for a probe without ``per_electrode``, sorted clusters.
        per_array: 0 where the id does not name the array.
        per_electrode: 1 where the id does not name the electrode; the units table then has no
            column ``electrodes``, as published.
    """

    n_arrays: int
    n_electrodes: int
    per_array: int
    per_electrode: int


@dataclass(frozen=True)
class NlbDataset:
    """One dataset of the benchmark.

    Attributes:
        name: As in the benchmark, whose own declaration says where the published files are, what
            windows are aligned to, and by what lag neural activity leads behavior.
        held_in, held_out: Units.
        train, val, test: Trials of the splits.
        mean_hz: Mean over units of the mean rate.
        task: Parameters of the task.
        ids: Style of the unit ids.
        latents: What drives the units.
        signals: Of the behavior module; none, no such module.
        none: Trials of no split, as a share of training and validation trials.
        sampled: Whether signals carry a rate and not timestamps.
        rate_log_sd: Standard deviation over units of the log of the mean rate.
    """

    name: str
    held_in: int
    held_out: int
    train: int
    val: int
    test: int
    mean_hz: float
    task: Task
    ids: UnitIds
    latents: tuple[Latents, ...]
    signals: tuple[Signal, ...] = ()
    none: float = 0.0
    sampled: bool = False
    rate_log_sd: float = 1.1

    @property
    def benchmark(self) -> NLBDataset:
        """The benchmark's own declaration."""
        return find_dataset(self.name)


MM, CM = 1e-3, 1e-2
XY = ("x", "y")

MAZE_SIGNALS = (
    Signal("cursor_pos", XY, "Position of the cursor in mm", "m", MM, True, throughout=True),
    Signal("eye_pos", XY, "Point of gaze on the screen in mm", "m", MM, spatial=True),
    Signal("hand_pos", XY, "Position of the hand in mm", "m", MM, spatial=True),
    Signal("hand_vel", XY, "Velocity of the hand in mm/s, the gradient of hand_pos", "m/s", MM),
)
RANDOM_TARGET_SIGNALS = (
    Signal("cursor_pos", XY, "Position of the cursor in mm", "m", MM, spatial=True),
    Signal("finger_pos", ("x", "y", "z"), "Position of the finger in mm", "m", MM, spatial=True),
    Signal("finger_vel", XY, "Velocity of the finger in mm/s, its gradient", "m/s", MM),
    Signal("target_pos", XY, "Position of the target in mm", "m", MM, spatial=True),
)
FORCES = ("x", "y", "z", "xmo", "ymo", "zmo")
SHOULDER = ("shoulder_adduction", "shoulder_rotation", "shoulder_flexion")
JOINTS = (*SHOULDER, "elbow_flexion", "radial_pronation", "wrist_flexion", "wrist_abduction")
MUSCLES = ("brachialis", "deltoid_ant", "lat_dorsi_sup", "tricep_lat")
BUMP_SIGNALS = (
    Signal("force", FORCES, "Forces at the handle in N, and its moments in N m", "N"),
    Signal("hand_pos", XY, "Position of the hand in cm", "m", CM, spatial=True),
    Signal("hand_vel", XY, "Velocity of the hand in cm/s, the gradient of hand_pos", "m/s", CM),
    Signal("joint_ang", JOINTS, "Angles of the joints of the arm in degrees", "degrees"),
    Signal("joint_vel", JOINTS, "Their velocities in degrees/s", "degrees/s"),
    Signal("muscle_len", MUSCLES, "Lengths of muscles of the arm in m", "m"),
    Signal("muscle_vel", MUSCLES, "Their velocities in m/s", "m/s"),
)


def _reach_latents(scale: float) -> tuple[Latents, ...]:
    return (
        Latents("plan", 3, 0.5 * scale),
        Latents("rotation", 4, 0.55 * scale),
        Latents("trigger", 1, 0.9 * scale, 0.3 * scale),
        Latents("velocity", 2, 1.0 * scale),
        Latents("shared", 2, 0.18, 0.05),
        Latents("posture", 2, 0.5 * scale),
    )


INTERVAL_LATENTS = (
    Latents("context", 3, 0.25),
    Latents("cue", 2, 0.45),
    Latents("production", 5, 0.4),
    Latents("shared", 2, 0.15, 0.05),
)

ONE_ARRAY = UnitIds(n_arrays=1, n_electrodes=96, per_array=0, per_electrode=100)
TWO_ARRAYS = UnitIds(n_arrays=2, n_electrodes=96, per_array=1000, per_electrode=10)
PROBES = UnitIds(n_arrays=3, n_electrodes=110, per_array=1000, per_electrode=1)
OF_MAZES = (TWO_ARRAYS, _reach_latents(1.4), MAZE_SIGNALS, 0.02)
OF_TARGETS = (ONE_ARRAY, _reach_latents(0.65), RANDOM_TARGET_SIGNALS, 0.0, True)
OF_BUMPS = (ONE_ARRAY, _reach_latents(0.9), BUMP_SIGNALS, 462 / 364, True)
OF_INTERVALS = (PROBES, INTERVAL_LATENTS, (), 154 / 1006)

DATASETS = {
    dataset.name: dataset
    for dataset in (  # units held in and out; train, val and test trials; mean rate in Hz
        NlbDataset("mc_maze", 137, 45, 1721, 574, 574, 2.9, Maze(36, "2009-09-25"), *OF_MAZES),
        NlbDataset("mc_maze_large", 122, 40, 375, 125, 100, 3.8, Maze(9, "2009-10-06"), *OF_MAZES),
        NlbDataset("mc_maze_medium", 114, 38, 188, 62, 100, 3.2, Maze(9, "2009-09-29"), *OF_MAZES),
        NlbDataset("mc_maze_small", 107, 35, 75, 25, 100, 3.1, Maze(9, "2009-09-28"), *OF_MAZES),
        NlbDataset("mc_rtt", 98, 32, 810, 270, 272, 4.0, RandomTarget(), *OF_TARGETS),
        NlbDataset("area2_bump", 49, 16, 272, 92, 98, 7.0, Bump(), *OF_BUMPS),
        NlbDataset("dmfc_rsg", 40, 14, 748, 258, 283, 6.6, ReadySetGo(), *OF_INTERVALS),
    )
}

# Of the columns of the trials tables.
DESCRIPTIONS = {
    "active_target": "Index into target_pos of the target that can be reached",
    "bad_time": "Time of failure, NaN if there was none",
    "barrier_pos": "One row a barrier: centre x and y, half width, half height, in mm",
    "bump_dir": "Direction of the bump in degrees, NaN without one",
    "bump_time": "Time of the bump, NaN without one",
    "cond_dir": "bump_dir with a bump, target_dir without, in degrees",
    "ctr_hold": "Required hold at the centre in s",
    "ctr_hold_bump": "Whether the hand was to be bumped during the hold",
    "delay": "From target_on_time to go_cue_time in ms",
    "fix_on_time": "Time at which the fixation point appears",
    "fix_time": "Time of fixation",
    "fix_time_dur": "From fixation to target in ms",
    "go_cue_time": "Time of the go cue",
    "go_time": "Time of the response",
    "is_eye": "Whether the response was a saccade and not a movement of the hand",
    "is_outlier": "Whether tp is an outlier",
    "is_short": "Whether ts was drawn from the short prior",
    "iti": "Interval between trials in ms",
    "maze_id": "Maze, numbered across datasets; its three versions share the number",
    "move_onset_time": "Time of movement onset",
    "num_barriers": "Number of barriers",
    "num_targets": "Number of targets",
    "ready_time": "Time of the ready cue",
    "result": "R rewarded, A aborted, I incomplete, F failed",
    "reward_dur": "Duration of the reward in ms",
    "reward_time": "Time of the reward, NaN without one",
    "rt": "From go_cue_time to move_onset_time in ms",
    "set_time": "Time of the set cue",
    "split": "train, val, test or none",
    "start_time": "Start of the trial in s",
    "stop_time": "End of the trial in s",
    "success": "Whether the trial succeeded",
    "target_acq_time": "Time at which the target was acquired",
    "target_dir": "Direction of the target in degrees",
    "target_on_time": "Time at which the target appears",
    "target_pos": "One row a target: x and y in mm",
    "target_time_dur": "From target to ready in ms",
    "theta": "Side of the target in degrees: 0 right, 180 left",
    "tp": "From set_time to go_time in ms",
    "trial_type": "Maze, numbered within this dataset",
    "trial_version": "0 one target, 1 one target and barriers, 2 three targets and barriers",
    "ts": "From ready_time to set_time in ms",
}
