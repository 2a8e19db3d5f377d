"""Sessions of reaches from target to target, cut into segments (``mc_rtt``)."""

import numpy as np
from numpy.typing import NDArray

from neuroblend.nlb.arrays import Floats, Ints, Rng
from neuroblend.nlb.simulate.moves import drawn_moves, positions, reach_latents
from neuroblend.nlb.simulate.session import Session, blanked, gradient, laid_out, slow_noise
from neuroblend.nlb.simulate.tables import RandomTarget


def random_target_session(
    task: RandomTarget, lag_ms: int, split: NDArray[np.str_], world: Rng, rng: Rng
) -> Session:
    """Simulate one session (:mod:`neuroblend.nlb.simulate.session`)."""
    start, observed = laid_out(np.full(len(split), task.segment_ms), task)
    n_ms = int(observed[-1, 1])

    shown, onset, goal, duration_s = _chase(rng, task, n_ms)
    curvature = task.curvature_sd * rng.standard_normal(len(onset))
    planned, executed = drawn_moves(rng, onset, shown, goal, duration_s, curvature, chained=True)
    latents = reach_latents(world, rng, planned, n_ms, lag_ms, task.reach_mm, task.duration_s)
    finger = positions(rng, executed, n_ms, task.reach_mm)
    depth = 90 + finger @ [0.02, -0.05] + 1.5 * slow_noise(rng, n_ms, 1, 800.0)[:, 0]
    target = goal[np.maximum(np.searchsorted(shown, np.arange(n_ms), side="right") - 1, 0)]
    centre = np.array([0.0, 60.0])  # of the grid of targets, as published
    signals = {
        "cursor_pos": finger + centre + 0.02 * slow_noise(rng, n_ms, 2, 60.0),
        "finger_pos": np.column_stack([finger + centre, depth]),
        "finger_vel": gradient(finger, observed),
        "target_pos": target + centre,
    }
    trials = {"start_time": start, "stop_time": start + task.segment_ms, "split": split}
    return Session(latents, observed, trials, blanked(signals, observed))


def _chase(rng: Rng, task: RandomTarget, n_ms: int) -> tuple[Ints, Ints, Floats, Floats]:
    """When targets are shown (ms) and reaches begin (ms), where targets are, reaches' durations."""
    low = -task.spacing_mm * (task.targets_per_side - 1) / 2
    rows = []
    shown = 0
    place: Floats = np.zeros(2)
    while shown < n_ms:
        goal = low + task.spacing_mm * rng.integers(0, task.targets_per_side, 2).astype(np.float64)
        distance = float(np.linalg.norm(goal - place))
        if distance < task.spacing_mm:
            continue
        duration_s = task.duration_s * np.sqrt(distance / task.reach_mm)
        onset = shown + rng.integers(*task.reaction_ms)
        rows.append((shown, onset, *goal, duration_s))
        shown, place = int(onset + 1000 * duration_s + rng.integers(*task.hold_ms)), goal
    table = np.array(rows, np.float64)
    return table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:4], table[:, 4]
