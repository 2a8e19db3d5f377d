"""Activity of simulated cells of visual cortex, and the behavior that modulates it.

Shape legend: ``T`` frames, ``N`` cells, ``B`` drives by behavior, ``K`` shared fluctuations.

Log rates are a sum of what each cell has of its own (its rate), what behavior does to it (running,
pupil, synchronised state) and what fluctuations that have nothing to do with behavior do to it.
Events are Poisson with exponential amplitudes, smeared over a few frames as imperfect deconvolution
does, so that activity is not negative and often zero.

Where the numbers come from. Class means of state modulation, (R - S) / (R + S) of mean activity
while the animal runs and while it is stationary and cortex synchronised, are those of Keijser et
al. (2023), and shares of the classes those of two sessions of Bugeon et al. (2022). How classes
differ in what pupil and state do to them at a given running, in rate, in smearing and in their
share of common fluctuations follows no source: it was chosen, so that what behavior does tells two
to three cells in four, and mean and deviation of the population next to none. Behavior explains 5
to 10 % of a cell's variance, and the fluctuations two to three times as much.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rng = np.random.Generator

FRAME_S = 0.23344201  # of Bugeon et al. (2022)
FLUCTUATION_S = (1.0, 4.0, 15.0, 60.0)  # time constants of what cells share beside behavior
FLUCTUATION_SIZE = 0.35  # change of the log rate, for a cell that takes its mean share
LOADING_MEAN = 0.5  # of a cell's share of each fluctuation, in units of its spread
WITHIN_CLASS = 0.2  # spread of modulations within a class
GAIN = 1.5  # of modulations by pupil and state
# mean of each drive while running, less that while stationary and synchronised
RUNNING_LESS_SYNCHRONISED = (0.94, 1.46, -1.0)
RUNNING, DESYNCHRONISED, SYNCHRONISED = 0, 1, 2


@dataclass(frozen=True)
class CellClass:
    """What the cells of a class have in common.

    Attributes:
        state: Mean of (R - S) / (R + S), all that changes from one to the other taken together.
        pupil: Mean change of the log rate for a pupil one standard deviation larger, in units of
            ``GAIN``.
        synchronised: Mean change of the log rate in the synchronised state, in units of ``GAIN``.
        log_rate: Mean log of events/frame.
        smear_s: Time constant of an event, in seconds.
        coupling: Share of common fluctuations, 1 for the mean cell.
    """

    state: float
    pupil: float
    synchronised: float
    log_rate: float = -1.5
    smear_s: float = 0.3
    coupling: float = 1.0


EXCITATORY = CellClass(0.04, 0.0, 0.0, -1.9, 0.25, 1.0)
SUBCLASSES = {
    "Lamp5": CellClass(0.02, -0.25, 0.25, -1.7, 0.40, 0.9),
    "Vip": CellClass(0.13, 0.30, -0.25, -1.5, 0.30, 0.8),
    "Pvalb": CellClass(-0.13, 0.05, -0.30, -1.1, 0.15, 1.4),
    "Sst": CellClass(0.02, -0.35, -0.30, -1.3, 0.60, 1.2),
    "Sncg": CellClass(0.21, 0.35, 0.30, -1.8, 0.30, 0.6),
}


def by_state_alone(cells: CellClass) -> CellClass:
    """Return a class that differs from others in what behavior does to it, and in nothing else."""
    return replace(cells, log_rate=-1.5, smear_s=0.3, coupling=1.0)


@dataclass(frozen=True, eq=False)
class MouseBehavior:
    """Behavior frame by frame.

    Attributes:
        speed: (T,) cm/s, 0 at rest.
        pupil: (T,) standardised size.
        state: (T,) 0 running, 1 stationary and desynchronised, 2 stationary and synchronised.
    """

    speed: Floats
    pupil: Floats
    state: Ints

    def drives(self) -> Floats:
        """Return (T, 3) what cells follow: running, lagging a little, pupil, synchronised state."""
        running = _smoothed((self.state == RUNNING).astype(float), 4.0)
        return np.stack([running, self.pupil, self.state == SYNCHRONISED], axis=1)


def simulate_behavior(n_frames: int, rng: Rng) -> MouseBehavior:
    """Return bouts of running, a pupil that follows them and drifts, and the state of cortex."""
    running = np.zeros(n_frames, dtype=bool)
    frame, runs = 0, rng.random() < 0.3
    while frame < n_frames:
        seconds = 3 + rng.exponential(15) if runs else 8 + rng.exponential(35)
        n = int(seconds / FRAME_S) + 1
        running[frame : frame + n] = runs
        frame, runs = frame + n, not runs
    speed = running * np.exp(2.3 + 0.5 * wandering(n_frames, 8, 1, rng)[:, 0])
    pupil = 1.5 * _smoothed(running.astype(float), 20) + 0.8 * wandering(n_frames, 40, 1, rng)[:, 0]
    pupil = (pupil - pupil.mean()) / pupil.std()
    drowsy = wandering(n_frames, 60, 1, rng)[:, 0] - 0.6 * pupil
    asleep = (drowsy > np.quantile(drowsy, 0.7)) & ~running
    state = np.where(running, RUNNING, np.where(asleep, SYNCHRONISED, DESYNCHRONISED))
    return MouseBehavior(speed, pupil, state)


@dataclass(frozen=True, eq=False)
class CellTraits:
    """What each cell is, the same in all sessions that record it.

    Attributes:
        offset: (N,) log events/frame.
        modulation: (N, 3) change of the log rate with each drive of behavior.
        loading: (N, K) change of the log rate with each shared fluctuation.
        smear_s: (N,) time constant of an event.
    """

    offset: Floats
    modulation: Floats
    loading: Floats
    smear_s: Floats

    @classmethod
    def draw(cls, kinds: list[CellClass], rng: Rng) -> CellTraits:
        """Draw the traits of cells of the given classes."""
        n = len(kinds)
        spread = WITHIN_CLASS * rng.normal(size=(n, 3))
        means = np.array([(kind.state, kind.pupil, kind.synchronised) for kind in kinds])
        index, others = np.split(means + spread, [1], axis=1)
        others = GAIN * others
        # of that change, a part comes from the pupil, which is wider, and from the state that ends
        run, *rest = RUNNING_LESS_SYNCHRONISED
        running = (2 * np.arctanh(index.clip(-0.8, 0.8)) - others @ np.array(rest)[:, None]) / run
        modulation = np.concatenate([running, others], axis=1)
        share = np.array([kind.coupling for kind in kinds])[:, None]
        loading = FLUCTUATION_SIZE * (LOADING_MEAN + rng.normal(size=(n, len(FLUCTUATION_S))))
        return cls(
            np.array([kind.log_rate for kind in kinds]) + 0.4 * rng.normal(size=n),
            modulation,
            share * loading,
            np.array([kind.smear_s for kind in kinds]) * np.exp(0.2 * rng.normal(size=n)),
        )

    def take(self, index: Ints) -> CellTraits:
        """Return the cells ``index``."""
        parts = (self.offset, self.modulation, self.loading, self.smear_s)
        return CellTraits(*(part[index] for part in parts))


def simulate_activity(traits: CellTraits, behavior: MouseBehavior, rng: Rng) -> Floats:
    """Return (T, N) activity of cells under behavior and fluctuations drawn again."""
    drives = behavior.drives()
    n_frames = len(drives)
    shared = np.concatenate(
        [wandering(n_frames, seconds / FRAME_S, 1, rng) for seconds in FLUCTUATION_S], axis=1
    )
    log_rate = traits.offset + drives @ traits.modulation.T + shared @ traits.loading.T
    events = rng.poisson(np.exp(log_rate.clip(-8, 2)))
    amplitude = np.where(events > 0, rng.gamma(np.maximum(events, 1)), 0.0)
    keep = np.exp(-FRAME_S / traits.smear_s)
    smeared = [lfilter([1 - k], [1, -k], a) for k, a in zip(keep, amplitude.T, strict=True)]
    activity = np.stack(smeared, axis=1)
    activity[activity < 0.02] = 0
    return activity


def wandering(n: int, tau: float, n_signals: int, rng: Rng) -> Floats:
    """Return (n, n_signals) Ornstein-Uhlenbeck processes of variance 1, ``tau`` in frames."""
    keep = np.exp(-1 / tau)
    noise = rng.normal(size=(n, n_signals)) * np.sqrt(1 - keep**2)
    noise[0] /= np.sqrt(1 - keep**2)  # begins where it will be
    return np.asarray(lfilter([1], [1, -keep], noise, axis=0))


def _smoothed(signal: Floats, tau: float) -> Floats:
    keep = np.exp(-1 / tau)
    return np.asarray(lfilter([1 - keep], [1, -keep], signal))
