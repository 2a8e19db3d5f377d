"""Sessions of reaches, half of them with a bump of the hand before (``area2_bump``)."""

import numpy as np
from numpy.typing import NDArray

from neuroblend.nlb.arrays import Floats, Ints, Rng
from neuroblend.nlb.simulate.moves import drawn_moves, positions, reach_latents
from neuroblend.nlb.simulate.session import (
    Session,
    blanked,
    gradient,
    known_if,
    laid_out,
    log_normal,
    slow_noise,
)
from neuroblend.nlb.simulate.tables import Bump


def bump_session(task: Bump, lag_ms: int, split: NDArray[np.str_], world: Rng, rng: Rng) -> Session:
    """Simulate one session (:mod:`neuroblend.nlb.simulate.session`)."""
    n = len(split)
    result = np.where(split == "none", rng.choice(["A", "I", "F"], n, p=[0.5, 0.4, 0.1]), "R")
    with_bump, reached = rng.permutation(np.arange(n) % 2 == 1), result != "A"
    bumped = with_bump & reached
    way = 45.0 * rng.permuted(np.arange(n) % 8)
    bump_way = 45.0 * rng.permuted(np.arange(n) % 8)

    bump = rng.integers(*task.wait_ms, n)
    target_on = bump + np.where(with_bump, rng.integers(*task.bump_to_target_ms, n), 200)
    onset = target_on + 1 + log_normal(rng, task.reaction_ms, n)
    length = onset + rng.integers(*task.after_ms, n)
    length = np.where(reached, length, rng.integers(400, 1200, n))
    start, observed = laid_out(length, task)
    n_ms = int(observed[-1, 1])
    bump, target_on, onset, stop = (start + times for times in (bump, target_on, onset, length))

    # Bumped out, back by oneself, the reach, and back to the centre: (4, B), in order of onset.
    home, back = np.zeros((n, 2)), bump + int(1000 * task.bump_s) + 40
    made = np.stack([bumped, bumped, reached, reached])
    begin = np.stack([bump, back, onset, stop + 80])[made]
    order = np.argsort(begin, kind="stable")
    prepared = np.stack([bump, back - 150, target_on, stop])[made]
    out, there = task.bump_cm * _unit_vector(bump_way), task.reach_cm * _unit_vector(way)
    goal = np.stack([out, home, there, home])[made]
    duration_s = np.repeat([task.bump_s, 0.3, task.duration_s, 0.35], made.sum(axis=1))
    imposed = np.repeat([True, False, False, False], made.sum(axis=1))
    begin, prepared, goal, duration_s = (a[order] for a in (begin, prepared, goal, duration_s))
    bent = task.curvature_sd * rng.standard_normal(len(order))
    moves = begin, prepared, goal, duration_s, bent, imposed[order]
    planned, executed = drawn_moves(rng, *moves, chained=True)
    latents = reach_latents(world, rng, planned, n_ms, lag_ms, task.reach_cm, task.duration_s)
    hand = positions(rng, executed, n_ms, task.reach_cm)
    signals = _arm_signals(world, rng, hand, observed)

    felt = bump + np.rint(8 * rng.standard_normal(n)).astype(int)
    bump_dir = known_if(bumped, bump_way)
    trials = {
        "start_time": start,
        "stop_time": stop,
        "result": result,
        "ctr_hold": np.round(rng.uniform(0.55, 1.45, n), 6),
        "ctr_hold_bump": with_bump,
        "bump_dir": bump_dir,
        "target_on_time": known_if(reached, target_on),
        "target_dir": way,
        "go_cue_time": known_if(reached, target_on + 1),
        "bump_time": known_if(bumped, bump),
        "move_onset_time": known_if(reached, np.where(with_bump, felt, onset)),
        "cond_dir": np.where(with_bump, bump_dir, way),
        "split": split,
    }
    return Session(latents, observed, trials, blanked(signals, observed))


def _unit_vector(degrees: Floats) -> Floats:
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _arm_signals(world: Rng, rng: Rng, hand: Floats, observed: Ints) -> dict[str, Floats]:
    """Everything that follows from the position of the hand in cm."""
    into_joints, into_muscles = world.normal(0, 3.0, (2, 7)), world.normal(0, 0.004, (2, 4))
    rest, slack = world.uniform(-20, 60, 7), world.uniform(0.1, 0.3, 4)
    velocity = gradient(hand, observed)
    push = 4e-4 * gradient(velocity, observed) + 0.005 * velocity
    noise = 0.05 * slow_noise(rng, len(hand), 6, 50.0)
    moments = np.column_stack([0.02 * push, np.zeros(len(hand))])
    joints, muscles = rest + hand @ into_joints, slack + hand @ into_muscles
    return {
        "force": noise * [1, 1, 1, 0.1, 0.1, 0.1]
        + np.column_stack([push, 0 * push[:, :1], moments]),
        "hand_pos": hand,
        "hand_vel": velocity,
        "joint_ang": joints,
        "joint_vel": gradient(joints, observed),
        "muscle_len": muscles,
        "muscle_vel": gradient(muscles, observed),
    }
