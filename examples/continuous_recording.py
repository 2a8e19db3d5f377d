"""A session without trials: spike times and position, each on its own clock, cut into windows.

    python examples/continuous_recording.py rat_linear_track.npz track.h5
    neuroblend run track.h5

The file holds ``spike_times`` (s, one neuron's after the other's), ``spike_times_index`` (where
each neuron's end), ``position`` (sample, 2) in pixels and ``position_times`` (s). Windows in which
the animal rests are left out.
"""

import sys

import numpy as np

import neuroblend as nb

WINDOW_S, BIN_S = 2.0, 0.05
MOVING = 20.0  # pixels that the animal must cover in a window


def main(source: str, out: str) -> None:
    with np.load(source, allow_pickle=False) as file:
        spike_times = np.split(file["spike_times"], file["spike_times_index"][:-1])
        position = nb.Signal.of(file["position_times"], file["position"], ["x", "y"])
    recording = nb.Recording.of(spike_times, {"position": position}, name="linear-track")
    every = recording.windows(WINDOW_S, BIN_S)
    assert every.behavior is not None
    covered = np.nanmax(every.behavior, axis=1) - np.nanmin(every.behavior, axis=1)
    moving = recording.windows(WINDOW_S, BIN_S, keep=covered.max(axis=1) > MOVING)
    moving.save(out)
    print(f"{every.n_trials} windows, {moving.n_trials} with movement: {moving!r} -> {out}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
