"""Planned and executed movements, and the latents that they drive.

Shapes: ``M`` movements; sessions run on a clock of whole milliseconds.

The components are those that :mod:`neuroblend.simulate.reaching` describes and cites: a plan
is held until a trigger, seeds rotations and gives way to tuning to the planned velocity, ahead of
the hand by the lag at which the benchmark decodes; the executed movement departs from the plan
downstream of the units. A bump is a movement without preparation. It drives, while it lasts, the
latents that hold plans elsewhere, so that active and passive tuning differ, as London & Miller
(2013, J Neurophysiol 109:1505) find in area 2. Sizes are chosen.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from neuroblend.nlb.arrays import Bools, Floats, Ints, Rng
from neuroblend.nlb.simulate.session import shared_latents, slow_noise
from neuroblend.simulate.reaching import minimum_jerk

ENDPOINT_SD = 0.06  # of the extent of a movement; half of the variance is planned
DURATION_LOG_SD = 0.12
CURVATURE_SD = 0.06
LATENCY_SD_MS = 12.0
ROTATION_HZ = (1.5, 2.5)
TREMOR = 0.004  # standard deviation of the position at rest, as a share of the reach
TREMOR_TAU_MS = 200.0
TYPICAL_CURVATURE = 0.25  # that counts as 1 in the plan
MOVEMENT_MS = 900  # how long after its trigger a movement drives the latents


@dataclass(frozen=True)
class Moves:
    """Movements in order; one row each.

    Attributes:
        onset: (M,) ms.
        prepared: (M,) ms; from when on the plan is held.
        displacement: (M, 2), from start to end.
        duration_s: (M,).
        curvature: (M,), largest sideways excursion as a share of the displacement.
        imposed: (M,), True for a bump.
    """

    onset: Ints
    prepared: Ints
    displacement: Floats
    duration_s: Floats
    curvature: Floats
    imposed: Bools


def drawn_moves(
    rng: Rng,
    onset: Ints,
    prepared: Ints,
    goal: Floats,
    duration_s: Floats,
    curvature: Floats,
    imposed: Bools | None = None,
    *,
    chained: bool = False,
) -> tuple[Moves, Moves]:
    """Plans for movements to ``goal`` (M, 2), and the movements executed.

    Args:
        rng: Of the deviations, half of whose variance is planned.
        onset: (M,) ms.
        prepared: (M,) ms.
        goal: (M, 2).
        duration_s: (M,) on average.
        curvature: (M,) on average.
        imposed: (M,), True for a bump; by default none is.
        chained: Whether each begins where the last one ended; else all begin at the origin.
    """
    n = len(onset)
    noise = np.sqrt(0.5) * rng.standard_normal((2, 4, n))
    before = np.concatenate([np.zeros((1, 2)), goal[:-1]]) if chained else np.zeros_like(goal)
    extent = np.linalg.norm(goal - before, axis=1, keepdims=True)
    missed = ENDPOINT_SD * extent * noise[:, :2].transpose(0, 2, 1)
    end = goal + missed.sum(axis=0)
    start = np.concatenate([np.zeros((1, 2)), end[:-1]]) if chained else np.zeros_like(goal)
    planned = Moves(
        onset=onset + np.rint(LATENCY_SD_MS * rng.standard_normal(n)).astype(int),
        prepared=prepared,
        displacement=goal + missed[0] - start,
        duration_s=duration_s * np.exp(DURATION_LOG_SD * noise[0, 2]),
        curvature=curvature + CURVATURE_SD * noise[0, 3],
        imposed=np.zeros(n, bool) if imposed is None else imposed,
    )
    executed = replace(
        planned,
        onset=onset,
        displacement=end - start,
        duration_s=planned.duration_s * np.exp(DURATION_LOG_SD * noise[1, 2]),
        curvature=planned.curvature + CURVATURE_SD * noise[1, 3],
    )
    return planned, executed


def summed_velocity(moves: Moves, n_ms: int) -> Floats:
    """Sum of the velocities of all movements, per second: (n_ms, 2)."""
    velocity = np.zeros((n_ms, 2))
    rows = zip(moves.onset, moves.displacement, moves.duration_s, moves.curvature, strict=True)
    for onset, displacement, duration_s, curvature in rows:
        lasts = int(np.ceil(1000 * duration_s))
        done = minimum_jerk(np.arange(lasts + 1) / (1000 * duration_s))[:, None]
        aside = curvature * np.array([-displacement[1], displacement[0]])
        path = done * displacement + 4 * done * (1 - done) * aside
        part = velocity[onset : onset + lasts]
        part += 1000 * np.diff(path, axis=0)[: len(part)]
    return velocity


def positions(
    rng: Rng, executed: Moves, n_ms: int, reach: float, trials: Iterable[Ints] = ()
) -> Floats:
    """Where a hand is that begins at the origin, again in each of ``trials`` (2,) ms: (n_ms, 2)."""
    position = np.cumsum(summed_velocity(executed, n_ms), axis=0) / 1000
    for start, stop in trials:
        position[start:stop] -= position[start].copy()
    position += TREMOR * reach * slow_noise(rng, n_ms, 2, TREMOR_TAU_MS)
    return position


def reach_latents(
    world: Rng, rng: Rng, planned: Moves, n_ms: int, lag: int, reach: float, duration_s: float
) -> NDArray[np.float32]:
    """Plan (3), rotation (4), trigger (1), velocity (2), shared (2), posture (2): (n_ms, 14)."""
    into_planes = [np.linalg.qr(world.standard_normal((3, 2)))[0] for _ in ROTATION_HZ]
    latents = np.zeros((n_ms, 14), np.float32)
    velocity = summed_velocity(planned, n_ms) / (1.875 * reach / duration_s)
    ahead, behind = max(lag, 0), max(-lag, 0)
    latents[behind : n_ms - ahead, 8:10] = velocity[ahead : n_ms - behind]
    del velocity
    latents[:, 10:12] = shared_latents(rng, n_ms)

    bent = np.clip(planned.curvature / TYPICAL_CURVATURE, -1.5, 1.5)
    plan = np.column_stack([planned.displacement / reach, bent])
    for i, onset in enumerate(planned.onset):
        lo, hi = max(int(planned.prepared[i]), 0), min(int(onset) - lag + MOVEMENT_MS, n_ms)
        if lo >= hi:
            continue
        t = np.arange(lo, hi, dtype=np.float64)
        since, held_ms = (t - onset + lag) / 1000, t - planned.prepared[i]
        seeds, imposed = [plan[i] @ plane for plane in into_planes], bool(planned.imposed[i])
        latents[lo:hi, 12:] += _posture(since, plan[i, :2])
        latents[lo:hi, :8] += _movement_latents(since, held_ms, plan[i], seeds, imposed)
    return latents


def _posture(since: Floats, goal: Floats) -> Floats:
    """Where the limb is held after a movement, until it leaves again: (ms, 2).

    It is what is left to predict once a movement has ended.
    """
    held = expit((since - 0.15) / 0.04) * expit((MOVEMENT_MS / 1000 - 0.1 - since) / 0.02)
    return held[:, None] * goal


def _movement_latents(
    since: Floats, held_ms: Floats, plan: Floats, seeds: list[Floats], imposed: bool
) -> Floats:
    """Plan, rotations and trigger of one movement: (ms, 8).

    ``since`` (ms,) are seconds since the trigger and ``held_ms`` (ms,) those since the ``plan``
    (3,) was made; ``seeds`` has (2,) of each plane of rotation.
    """
    moving = expit(since / 0.02)
    after = np.maximum(since, 0)
    fading = moving * np.exp(-((after / 0.25) ** 2))
    holding = fading if imposed else expit((held_ms - 120) / 30) * (1 - moving)
    columns = [holding[:, None] * plan]
    for hz, (x, y) in zip(ROTATION_HZ, seeds, strict=True):
        cos, sin = np.cos(2 * np.pi * hz * since), np.sin(2 * np.pi * hz * since)
        columns.append((fading * np.stack([x * cos - y * sin, x * sin + y * cos])).T)
    columns.append((moving * np.exp(-after / 0.2))[:, None])
    return np.concatenate(columns, axis=1)
