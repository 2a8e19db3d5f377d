"""Sessions of delayed reaches around barriers (``mc_maze*``), recorded trial by trial."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.nlb.arrays import Floats, Ints, Rng
from neuroblend.nlb.simulate.moves import drawn_moves, positions, reach_latents
from neuroblend.nlb.simulate.session import Session, blanked, gradient, log_normal, slow_noise
from neuroblend.nlb.simulate.tables import Maze
from neuroblend.simulate.reaching import minimum_jerk


def maze_session(task: Maze, lag_ms: int, split: NDArray[np.str_], world: Rng, rng: Rng) -> Session:
    """Simulate one session (:mod:`neuroblend.nlb.simulate.session`)."""
    n = len(split)
    mazes = Mazes.drawn(task, world)
    n_mazes = int(np.clip(n // task.trials_per_maze, 1, task.n_mazes))
    condition = rng.permutation(np.arange(n) % (3 * n_mazes))
    maze, version = condition // 3, condition % 3

    ranges = task.wait_ms, task.delay_ms, task.after_ms
    wait, delay, after = (rng.integers(low, high + 1, n) for low, high in ranges)
    reaction = log_normal(rng, task.reaction_ms, n)
    length = wait + delay + reaction + after
    start = np.concatenate([[0], np.cumsum((length // task.grid_ms + 1) * task.grid_ms)[:-1]])
    target_on = start + wait
    onset = target_on + delay + reaction
    observed = np.stack([start, start + length], axis=1)
    n_ms = int(observed[-1, 1])

    goal, duration_s = mazes.target[maze], mazes.duration_s[maze]
    curvature = mazes.curvature[maze, version]
    planned, executed = drawn_moves(rng, onset, target_on, goal, duration_s, curvature)
    latents = reach_latents(world, rng, planned, n_ms, lag_ms, task.reach_mm, task.duration_s)
    hand = positions(rng, executed, n_ms, task.reach_mm, observed)
    signals = {
        "cursor_pos": hand + [0.0, 35.0] + 0.4 * slow_noise(rng, n_ms, 2, 60.0),
        "eye_pos": _gaze(rng, observed, target_on + 200, goal, n_ms),
        "hand_pos": hand,
        "hand_vel": gradient(hand, observed),
    }
    trials = {
        "start_time": start,
        "stop_time": start + length,
        "trial_type": maze + 1,
        "trial_version": version,
        "maze_id": mazes.number[maze],
        "success": np.ones(n, bool),
        "target_on_time": target_on,
        "go_cue_time": target_on + delay,
        "move_onset_time": onset,
        "rt": reaction,
        "delay": delay,
        **mazes.shown(maze, version),
        "split": split,
    }
    return Session(latents, observed, trials, blanked(signals, observed))


@dataclass(frozen=True)
class Mazes:
    """The mazes of a dataset: targets, barriers and how the hand gets around them.

    Attributes:
        number: (mazes,), the ``maze_id``.
        target: (mazes, 2) mm, the one that can be reached.
        others: (mazes, 2, 2) mm, the two that cannot.
        active: (mazes,), index of the former among all three.
        barriers: Of each maze, (barriers, 4).
        duration_s: (mazes,).
        curvature: (mazes, 3), by version.
    """

    number: Ints
    target: Floats
    others: Floats
    active: Ints
    barriers: list[Ints]
    duration_s: Floats
    curvature: Floats

    @classmethod
    def drawn(cls, task: Maze, rng: Rng) -> "Mazes":
        """Mazes of targets all around the centre, on an ellipse as the screen is wide."""
        n = task.n_mazes
        angle = rng.permutation(n) / n + rng.uniform(0, 1 / n) + np.array([[0.0], [0.3], [0.62]])
        place = np.stack([np.cos(2 * np.pi * angle), np.sin(2 * np.pi * angle)], axis=-1)
        place = np.rint(place * rng.uniform(0.8, 1.05, (3, n, 1)) * task.reach_mm * [1.0, 0.8])
        around = task.curvature_sd * rng.standard_normal(n)
        curvature = np.stack([0.15 * around, around, 1.1 * around], axis=1)
        return cls(
            number=rng.permutation(3 * n)[:n] + 1,
            target=place[0],
            others=place[1:].transpose(1, 0, 2),
            active=rng.integers(0, 3, n),
            barriers=[_barriers(rng) for _ in range(n)],
            duration_s=task.duration_s * np.exp(0.08 * rng.standard_normal(n)),
            curvature=np.clip(curvature, -0.6, 0.6),
        )

    def shown(self, maze: Ints, version: Ints) -> dict[str, Any]:
        """Columns that say what was on the screen of trials with these mazes and versions."""
        targets = [self._targets(m, v) for m, v in zip(maze, version, strict=True)]
        none = np.empty((0, 4), np.int64)
        barriers = [self.barriers[m] if v else none for m, v in zip(maze, version, strict=True)]
        return {
            "num_targets": np.array([len(rows) for rows in targets]),
            "target_pos": targets,
            "num_barriers": np.array([len(rows) for rows in barriers]),
            "barrier_pos": barriers,
            "active_target": np.where(version == 2, self.active[maze], 0),
        }

    def _targets(self, maze: int, version: int) -> Ints:
        rows = self.target[maze][None]
        if version == 2:
            rows = np.insert(self.others[maze], self.active[maze], self.target[maze], axis=0)
        return rows.astype(np.int64)


def _barriers(rng: Rng) -> Ints:
    """Between six and nine: centre x and y, half width, half height, mm; (barriers, 4)."""
    n = rng.integers(6, 10)
    return np.concatenate(
        [rng.integers([-130, -90], [131, 91], (n, 2)), rng.integers(5, 100, (n, 2))], axis=1
    )


def _gaze(rng: Rng, observed: Ints, saccade: Ints, goal: Floats, n_ms: int) -> Floats:
    """Gaze that jumps in 45 ms from the centre to the target: (n_ms, 2) mm."""
    gaze = 2.0 * slow_noise(rng, n_ms, 2, 40.0)
    for (start, stop), onset, place in zip(observed, saccade, goal, strict=True):
        done = minimum_jerk((np.arange(start, stop) - onset) / 45)
        gaze[start:stop] += done[:, None] * place
    return gaze
