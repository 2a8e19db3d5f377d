"""Sessions of reaches, half of them with a bump of the hand before (``area2_bump``)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuroblend.nlb.simulate.moves import Moves, drawn_moves, positions, reach_latents
from neuroblend.nlb.simulate.session import (
    Array,
    Flags,
    Session,
    Whole,
    blanked,
    gradient,
    laid_out,
    log_normal,
    slow_noise,
)
from neuroblend.nlb.simulate.tables import Bump, NlbDataset


def bump_session(
    dataset: NlbDataset,
    task: Bump,
    split: NDArray[np.str_],
    world: np.random.Generator,
    rng: np.random.Generator,
) -> Session:
    """Simulate one session.

    Args:
        dataset: For its lag.
        task: Its parameters.
        split: (B,) of the trials, in order.
        world: Stream of what all sessions of a seed share.
        rng: Stream of what is this session's own.
    """
    n = len(split)
    result = np.where(split == "none", rng.choice(["A", "I", "F"], n, p=[0.5, 0.4, 0.1]), "R")
    bumped, aborted = rng.permutation(np.arange(n) % 2 == 1), result == "A"
    way = 45.0 * rng.permuted(np.arange(n) % 8)
    bump_way = 45.0 * rng.permuted(np.arange(n) % 8)

    bump = rng.integers(*task.wait_ms, n)
    target_on = bump + np.where(bumped, rng.integers(*task.bump_to_target_ms, n), 200)
    onset = target_on + 1 + log_normal(rng, task.reaction_ms, n)
    length = onset + rng.integers(*task.after_ms, n)
    length = np.where(aborted, rng.integers(400, 1200, n), length)
    start, observed = laid_out(length, task.between_ms, task.n_blocks, task.gap_ms)
    n_ms = int(observed[-1, 1])
    bump, target_on, onset, stop = (start + times for times in (bump, target_on, onset, length))

    planned, executed = _reaches_and_bumps(
        rng, task, bumped & ~aborted, ~aborted, bump, target_on, onset, stop, bump_way, way
    )
    latents = reach_latents(
        world, rng, planned, n_ms, dataset.lag_ms, task.reach_cm, task.duration_s
    )
    hand = positions(rng, executed, n_ms, task.reach_cm)
    signals = _arm_signals(world, rng, hand, observed)

    def unless_aborted(times: Array | Whole, where: Flags | bool = True) -> Array:
        return np.where(~aborted & where, times, np.nan)

    felt = bump + np.rint(8 * rng.standard_normal(n)).astype(int)
    bump_dir = unless_aborted(bump_way, bumped)
    trials = {
        "start_time": start,
        "stop_time": stop,
        "result": result,
        "ctr_hold": np.round(rng.uniform(0.55, 1.45, n), 6),
        "ctr_hold_bump": bumped,
        "bump_dir": bump_dir,
        "target_on_time": unless_aborted(target_on),
        "target_dir": way,
        "go_cue_time": unless_aborted(target_on + 1),
        "bump_time": unless_aborted(bump, bumped),
        "move_onset_time": unless_aborted(np.where(bumped, felt, onset)),
        "cond_dir": np.where(bumped, bump_dir, way),
        "split": split,
    }
    return Session(latents, observed, trials, blanked(signals, observed))


def _reaches_and_bumps(
    rng: np.random.Generator,
    task: Bump,
    bumped: Flags,
    reached: Flags,
    bump: Whole,
    target_on: Whole,
    onset: Whole,
    stop: Whole,
    bump_way: Array,
    way: Array,
) -> tuple[Moves, Moves]:
    """Planned and executed movements: bumped out, back, reach, back to the centre."""

    def towards(degrees: Array, extent: float) -> Array:
        angle = np.deg2rad(degrees)
        return extent * np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    home = np.zeros((len(bump), 2))
    ahead = bump + int(1000 * task.bump_s) + 40
    parts = [  # which trials, onset, from when planned, goal, duration, imposed
        (bumped, bump, bump, towards(bump_way, task.bump_cm), task.bump_s, True),
        (bumped, ahead, ahead - 150, home, 0.3, False),
        (reached, onset, target_on, towards(way, task.reach_cm), task.duration_s, False),
        (reached, stop + 80, stop, home, 0.35, False),
    ]
    onsets, prepared, goals, durations, imposed = (
        np.concatenate(values)
        for values in zip(
            *(
                (begin[w], plan[w], goal[w], np.full(w.sum(), lasts), np.full(w.sum(), by_machine))
                for w, begin, plan, goal, lasts, by_machine in parts
            ),
            strict=True,
        )
    )
    order = np.argsort(onsets, kind="stable")
    curvature = task.curvature_sd * rng.standard_normal(len(order))
    planned, executed = drawn_moves(
        rng,
        onsets[order],
        prepared[order],
        goals[order],
        durations[order],
        curvature,
        chained=True,
    )
    imposed = imposed[order]
    return replace(planned, imposed=imposed), replace(executed, imposed=imposed)


def _arm_signals(
    world: np.random.Generator, rng: np.random.Generator, hand: Array, observed: Whole
) -> dict[str, Array]:
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
