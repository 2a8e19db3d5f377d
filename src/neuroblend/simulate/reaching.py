"""A simulated recording of motor cortex during delayed centre-out reaches, with its true rates.

Shapes: ``B`` trials, ``T`` bins, ``N`` neurons, ``K`` latents. Units: seconds, mm, mm/s, Hz, and
counts/bin for spikes and rates.

Each trial has a *plan*: where to reach, how far, how fast, how curved, and when to start. The plan
drives the neurons. The *executed* movement is the plan plus deviations that arise downstream of the
recorded neurons. What makes the recording hard to read is therefore what makes a real one hard:
the spikes are few, other fluctuations share the neurons, and a part of the movement is not there.

Where the parameters come from. They were set from the published recordings named here, and were
**not** tuned to the scores of any network; no network had been trained on the recording when they
were set. What was looked at while setting them: rates, kinematics and Fano factors, the oracle's
bits/spike, and a ridge regression from smoothed spikes to the hand, which led to storing behavior
with a lag as NLB'21 does. "Chosen" marks our own choice where we know of no single published
number.

*Movement*

- Reaches of 140 mm with a median duration of 280 ms follow a minimum-jerk profile (Flash & Hogan
  1985), which peaks at 1.875 x distance / duration, here about 940 mm/s. Two single trials of the
  MC_Maze recording (Churchland & Kaufman, DANDI 000128) reach 141 and 143 mm and peak at 979 and
  907 mm/s; the faster one is 145 ms wide at half its peak, as is a minimum-jerk reach of 268 ms.
- At rest the hand of those two trials moves with a standard deviation of 1 to 4 mm/s per axis.
- Reaction times (median 250 ms), the spread of duration, extent, direction and curvature over
  trials, and a mean curvature that differs between targets: chosen.
- Half of the variance of a movement around its condition mean is planned (``central_share``).
  Churchland, Afshar & Shenoy (2006) put the share with a source in preparation at one half or more;
  Chaisanguanthum, Shen & Sabes (2014) find that motor cortex does not account for the fast
  trial-by-trial part. The latency from trigger to movement varies little (15 ms, chosen), as the
  neural trigger predicts most of the variance of the reaction time (Kaufman et al. 2016).

*Latents*: the components are published, their relative sizes are chosen.

- A preparatory state holds the plan until the trigger. Its tuning is independent of the tuning
  during movement, to which it was found to be only weakly related (Churchland et al. 2010, Neuron).
- At the trigger it seeds brief rotations, whose phase and amplitude follow from the preparatory
  state (Churchland et al. 2012). Frequencies of 1.5 and 2.5 Hz: chosen.
- A condition-invariant component follows the trigger alone. It is the largest single component of
  the condition means, as in Kaufman et al. (2016), though by a smaller margin.
- Cosine tuning to velocity (Georgopoulos et al. 1982) and an additive effect of speed (Moran &
  Schwartz 1999), ahead of the hand by 100 ms, the median lag of Moran & Schwartz (1999). Wang et
  al. (2007) find 122 ms.
- Fluctuations that say nothing about the movement: a gain per trial, as found in visual cortex by
  Goris, Movshon & Simoncelli (2014), and slow latents, since cortical variability beyond Poisson is
  partly shared between neurons (Churchland et al. 2010, Nature Neuroscience). Size and time
  constant: chosen. Counts in 200 ms then have mean Fano factors of 1.1 to 1.3 and mean noise
  correlations of 0.01 to 0.04.

*Neurons*

- Mean rates are lognormal (Buzsaki & Mizuseki 2014). The defaults give quartiles of about 0.8, 1.8
  and 3.9 Hz, mean 3.4 Hz. The 182 sorted units of the two MC_Maze trials have 0.5, 1.5 and 4.5 Hz,
  mean 3.4 Hz, in one second around each reach. The fastest of them fires at 21 Hz; the tail is cut
  at 2.5 standard deviations, 32 Hz (chosen).
- Spikes are Poisson given the rates: no refractory period, no bursts.

What is left out: sensory feedback, activity that holds the final posture, the change of shared
variability over the trial, drift over the session, errors of spike sorting, and reaches other than
straight or slightly curved ones. The hand is drawn from the plan in closed form, not from the
neurons' dynamics.

References:
    Buzsaki & Mizuseki 2014, Nat Rev Neurosci 15:264. Chaisanguanthum, Shen & Sabes 2014, J Neurosci
    34:12071. Churchland, Afshar & Shenoy 2006, Neuron 52:1085. Churchland, Cunningham, Kaufman, Ryu
    & Shenoy 2010, Neuron 68:387. Churchland et al. 2010, Nat Neurosci 13:369. Churchland et al.
    2012, Nature 487:51. Flash & Hogan 1985, J Neurosci 5:1688. Georgopoulos et al. 1982, J Neurosci
    2:1527. Goris, Movshon & Simoncelli 2014, Nat Neurosci 17:858. Kaufman et al. 2016, eNeuro 3(4).
    Moran & Schwartz 1999, J Neurophysiol 82:2676. Pei et al. 2021, NeurIPS Datasets and Benchmarks
    (NLB'21). Wang et al. 2007, J Neurophysiol 97:4258.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.trials import Trials
from neuroblend.errors import InputError

Array = NDArray[np.float64]
Rng = np.random.Generator

# Movement (module docstring, "Movement").
GO_CUE_S = 0.2
REACTION_S = 0.25
REACH_MM = 140.0
DURATION_S = 0.28
REST_SD_MM_S = 3.0
REST_TAU_S = 0.1

# Spread over trials of one condition, plan and execution together.
REACTION_LOG_SD = 0.15
LATENCY_SD_S = 0.015
DIRECTION_SD = np.deg2rad(5.0)
EXTENT_SD = 0.05
DURATION_LOG_SD = 0.15
CURVATURE_SD = 0.08
CURVATURE_SD_OVER_TARGETS = 0.08

# Standard deviation over neurons of the effect of each latent on the log rate.
PREPARATORY_SD = 0.5
ROTATION_SD = 0.6
TRIGGER_MEAN, TRIGGER_SD = 0.6, 1.4
VELOCITY_SD = 1.0  # per 1000 mm/s
SPEED_MEAN, SPEED_SD = 0.3, 0.6  # per 1000 mm/s
ROTATION_HZ = (1.5, 2.5)
SHARED_TAU_S = 0.3
N_SHARED = 3
MAX_LOG_MODULATION = 2.0
MAX_RATE_SD = 2.5


@dataclass(frozen=True)
class _Reaches:
    """One reach a trial; every field has shape (B,).

    Attributes:
        direction: Of the endpoint, radians.
        extent: Distance from start to endpoint, mm.
        log_duration: Natural log of the duration in seconds.
        curvature: Largest sideways excursion as a fraction of the extent.
        onset: Time of movement onset from the start of the trial, seconds.
    """

    direction: Array
    extent: Array
    log_duration: Array
    curvature: Array
    onset: Array

    def position(self, times: Array) -> Array:
        """Hand position in mm at ``times`` (M,) in seconds; returns (B, M, 2)."""
        phase = (times - self.onset[:, None]) / np.exp(self.log_duration)[:, None]
        done = minimum_jerk(phase)
        extent = self.extent[:, None]
        along, aside = extent * done, extent * self.curvature[:, None] * 4 * done * (1 - done)
        cos, sin = np.cos(self.direction)[:, None], np.sin(self.direction)[:, None]
        return np.stack([along * cos - aside * sin, along * sin + aside * cos], axis=-1)

    def velocity(self, edges: Array) -> Array:
        """Mean hand velocity in mm/s between successive ``edges`` (T+1,); returns (B, T, 2)."""
        return np.diff(self.position(edges), axis=1) / np.diff(edges)[:, None]


def simulate_reaching(
    n_trials: int = 240,
    n_neurons: int = 60,
    n_bins: int = 50,
    bin_s: float = 0.02,
    n_conditions: int = 8,
    seed: int = 0,
    *,
    median_rate_hz: float = 1.8,
    rate_log_sd: float = 1.15,
    lead_s: float = 0.1,
    behavior_lag_s: float = 0.1,
    central_share: float = 0.5,
    shared_sd: float = 0.35,
) -> Trials:
    """Simulate spikes and hand velocity of delayed centre-out reaches, with the true rates.

    Trials are aligned to the go cue at 200 ms, so movement onset varies with the reaction time:
    median 450 ms on the clock of the spikes, 350 ms (bin 17) in ``behavior``, which is stored
    ``behavior_lag_s`` early. A window well under 0.8 s cuts the reach off. The sources of all
    values, and what is left out, are in the module docstring; none was tuned to a model's score.

    Args:
        n_trials: Trials ``B``.
        n_neurons: Neurons ``N``.
        n_bins: Bins ``T``.
        bin_s: Bin width in seconds.
        n_conditions: Targets, evenly spaced on a circle; trials per target differ by at most one.
        seed: Of everything random. With one seed the movements do not depend on ``n_neurons``.
        median_rate_hz: Median over neurons of the mean rate, Hz.
        rate_log_sd: Standard deviation over neurons of the natural log of the mean rate.
        lead_s: Time by which neural activity leads the hand, seconds.
        behavior_lag_s: Behavior stored with a bin is that of this many seconds later, so that a
            decoder without lags of its own can be used. NLB'21 (Pei et al. 2021) does the same to
            MC_Maze, by 100 ms. At 0 the clocks of spikes and behavior agree.
        central_share: Share in [0, 1] of the trial-to-trial variance of the movement that is
            planned, and so in the rates. The rest arises downstream. At 0 the neurons know the
            condition and the reaction time only.
        shared_sd: Standard deviation, in log rate, of the fluctuations shared between neurons that
            say nothing about the movement. At 0 there are none.

    Returns:
        Trials with ``spikes`` (B, T, N) counts/bin; ``behavior`` (B, T, 2), the mean hand velocity
        in each bin in mm/s, named ``hand_vel_x`` and ``hand_vel_y``; ``condition`` (B,), the index
        of the target, at the angle ``2 * pi * condition / n_conditions``; and ``rates`` (B, T, N),
        the true expected counts/bin. A neuron without a single spike is kept out, as in any
        other recording.

    Raises:
        InputError: A count or a scale is not positive, a spread or the lead is negative, or
            ``central_share`` is outside [0, 1].
    """
    counts = {"n_trials": n_trials, "n_neurons": n_neurons, "n_bins": n_bins, "bin_s": bin_s}
    scales = {"n_conditions": n_conditions, "median_rate_hz": median_rate_hz}
    for name, value in (counts | scales).items():
        if not value > 0:
            raise InputError(f"{name} must be greater than 0, got {value}")
    spreads = {"rate_log_sd": rate_log_sd, "lead_s": lead_s, "shared_sd": shared_sd}
    for name, value in spreads.items():
        if not value >= 0:
            raise InputError(f"{name} must not be negative, got {value}")
    if not 0 <= central_share <= 1:
        raise InputError(f"central_share must lie in [0, 1], got {central_share}")

    # One stream each, so that a change of one part of the recording leaves the others as they were.
    move_rng, hand_rng, shared_rng, neuron_rng, spike_rng = np.random.default_rng(seed).spawn(5)
    edges = np.linspace(0, n_bins * bin_s, n_bins + 1)
    centres = edges[:-1] + bin_s / 2

    condition = move_rng.permutation(np.arange(n_trials) % n_conditions)
    intended = _intended_reaches(move_rng, condition, n_conditions)
    planned = _vary(move_rng, intended, np.sqrt(central_share))
    executed = _vary(move_rng, planned, np.sqrt(1 - central_share), LATENCY_SD_S)
    hand = executed.velocity(edges + behavior_lag_s) + REST_SD_MM_S * _ornstein_uhlenbeck(
        hand_rng, (n_trials, n_bins, 2), bin_s / REST_TAU_S
    )

    # (B, T) seconds since the neural trigger, which precedes movement onset by the lead
    since = centres - (planned.onset - lead_s)[:, None]
    shape = n_trials, n_bins, n_neurons
    log_modulation = (
        _preparation_and_rotation(neuron_rng, planned, intended, since, n_neurons)
        + _trigger(neuron_rng, since, n_neurons)
        + _velocity_tuning(neuron_rng, planned, edges, lead_s, n_neurons)
        + shared_sd * _shared_fluctuations(shared_rng, neuron_rng, shape, bin_s)
    )
    deviate = np.clip(neuron_rng.standard_normal(n_neurons), -MAX_RATE_SD, MAX_RATE_SD)
    mean_hz = median_rate_hz * np.exp(rate_log_sd * deviate)
    # Rounded to the stored precision before drawing: the stored rates are then exactly the truth.
    rates = (_modulated(log_modulation) * mean_hz * bin_s).astype(np.float32)

    return Trials.from_arrays(
        spikes=spike_rng.poisson(rates).astype(np.uint16),
        bin_s=bin_s,
        behavior=hand.astype(np.float32),
        behavior_names=("hand_vel_x", "hand_vel_y"),
        condition=condition,
        rates=rates,
        name="simulated-reaching",
        behavior_units="mm/s",
        event="go cue",
        start_s=-GO_CUE_S,
        unit_id=np.arange(rates.shape[2]),
    )


def minimum_jerk(phase: Array) -> Array:
    """Fraction of the way covered at a fraction ``phase`` of the duration (Flash & Hogan 1985)."""
    x = np.clip(phase, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x**2)


def _intended_reaches(rng: Rng, condition: NDArray[np.int64], n_conditions: int) -> _Reaches:
    """The mean reach of each trial's condition, started after that trial's reaction time."""
    curvature_of_target = CURVATURE_SD_OVER_TARGETS * rng.standard_normal(n_conditions)
    n_trials = len(condition)
    reaction = REACTION_S * np.exp(REACTION_LOG_SD * rng.standard_normal(n_trials))
    return _Reaches(
        direction=2 * np.pi * condition / n_conditions,
        extent=np.full(n_trials, REACH_MM),
        log_duration=np.full(n_trials, np.log(DURATION_S)),
        curvature=curvature_of_target[condition],
        onset=GO_CUE_S + reaction,
    )


def _vary(rng: Rng, reaches: _Reaches, scale: float, onset_sd_s: float = 0.0) -> _Reaches:
    """Add ``scale`` times the full trial-to-trial spread to every reach."""
    noise = rng.standard_normal((5, len(reaches.onset)))
    return _Reaches(
        direction=reaches.direction + scale * DIRECTION_SD * noise[0],
        extent=reaches.extent * (1 + scale * EXTENT_SD * noise[1]),
        log_duration=reaches.log_duration + scale * DURATION_LOG_SD * noise[2],
        curvature=reaches.curvature + scale * CURVATURE_SD * noise[3],
        onset=reaches.onset + onset_sd_s * noise[4],
    )


def _logistic(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


def _preparation_and_rotation(
    rng: Rng, planned: _Reaches, intended: _Reaches, since: Array, n_neurons: int
) -> Array:
    """A preparatory state that, at the trigger, gives way to rotations it seeds: (B, T, N)."""
    plan = np.stack(  # as a state of unit-sized coordinates: (B, 4)
        [
            np.cos(planned.direction),
            np.sin(planned.direction),
            (planned.log_duration - intended.log_duration) / DURATION_LOG_SD,
            planned.curvature / np.hypot(CURVATURE_SD, CURVATURE_SD_OVER_TARGETS),
        ],
        axis=-1,
    )
    moving = _logistic(since / 0.02)
    preparatory = (1 - moving)[..., None] * plan[:, None]

    fading = moving * np.exp(-((np.maximum(since, 0) / 0.25) ** 2))
    planes = []
    for hz in ROTATION_HZ:
        seed_map, _ = np.linalg.qr(rng.standard_normal((plan.shape[1], 2)))
        x, y = (plan @ seed_map * np.sqrt(2)).T[..., None]
        cos, sin = np.cos(2 * np.pi * hz * since), np.sin(2 * np.pi * hz * since)
        planes += [fading * (x * cos - y * sin), fading * (x * sin + y * cos)]
    rotation = np.stack(planes, axis=-1)

    into_preparatory = PREPARATORY_SD * rng.standard_normal((plan.shape[1], n_neurons))
    into_rotation = ROTATION_SD * rng.standard_normal((len(planes), n_neurons))
    return preparatory @ into_preparatory + rotation @ into_rotation


def _trigger(rng: Rng, since: Array, n_neurons: int) -> Array:
    """A transient at the start of the movement, the same for all movements: (B, T, N)."""
    transient = _logistic(since / 0.02) * (0.3 + 0.7 * np.exp(-np.maximum(since, 0) / 0.2))
    return transient[..., None] * (TRIGGER_MEAN + TRIGGER_SD * rng.standard_normal(n_neurons))


def _velocity_tuning(
    rng: Rng, planned: _Reaches, edges: Array, lead_s: float, n_neurons: int
) -> Array:
    """Tuning to the planned velocity and speed, ahead of the hand by the lead: (B, T, N)."""
    velocity = planned.velocity(edges + lead_s) / 1000
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
    # Independent normal weights on x and y make preferred directions uniform on the circle.
    into_velocity = VELOCITY_SD * rng.standard_normal((2, n_neurons))
    into_speed = SPEED_MEAN + SPEED_SD * rng.standard_normal((1, n_neurons))
    return velocity @ into_velocity + speed @ into_speed


def _shared_fluctuations(
    rng: Rng, neuron_rng: Rng, shape: tuple[int, int, int], bin_s: float
) -> Array:
    """Fluctuations unrelated to the movement, of unit variance in expectation: (B, T, N).

    Half of the variance is a gain that lasts a whole trial, half are slow latents.
    """
    n_trials, n_bins, n_neurons = shape
    gain = rng.standard_normal((n_trials, 1, 1))
    slow = _ornstein_uhlenbeck(rng, (n_trials, n_bins, N_SHARED), bin_s / SHARED_TAU_S)
    # A gain moves nearly all neurons the same way, hence a loading with a positive mean.
    into_gain = np.sqrt(0.8) + np.sqrt(0.2) * neuron_rng.standard_normal(n_neurons)
    into_slow = neuron_rng.standard_normal((N_SHARED, n_neurons)) / np.sqrt(N_SHARED)
    return np.sqrt(0.5) * (gain * into_gain + slow @ into_slow)


def _ornstein_uhlenbeck(rng: Rng, shape: tuple[int, int, int], bin_in_taus: float) -> Array:
    """Stationary Ornstein-Uhlenbeck processes of unit variance along axis 1: (B, T, K)."""
    decay = np.exp(-bin_in_taus)
    noise = rng.standard_normal(shape)
    path = np.empty(shape)
    path[:, 0] = noise[:, 0]
    for t in range(1, shape[1]):
        path[:, t] = decay * path[:, t - 1] + np.sqrt(1 - decay**2) * noise[:, t]
    return path


def _modulated(log_modulation: Array) -> Array:
    """Multipliers of each neuron's mean rate, with mean exactly one over trials and bins.

    The log is bounded smoothly, as no neuron's rate grows without limit.
    """
    bounded = MAX_LOG_MODULATION * np.tanh(log_modulation / MAX_LOG_MODULATION)
    multiplier = np.exp(bounded)
    return multiplier / multiplier.mean(axis=(0, 1))
