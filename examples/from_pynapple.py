"""From pynapple objects, as they are in a notebook, to a verdict.

    python examples/from_pynapple.py

Units are a ``TsGroup``, the hand is a ``TsdFrame``, licks are a ``Ts``, trials an ``IntervalSet``
whose metadata say what the animal chose. Needs ``pip install neuroblend[pynapple]``.
"""

import sys

import numpy as np
import pynapple as nap

import neuroblend as nb

N_TRIALS, N_UNITS = 60, 16


def session(seed: int = 0) -> tuple[nap.TsGroup, dict[str, object], nap.IntervalSet]:
    """Make a session in which units fire with the velocity of the hand and the choice."""
    rng = np.random.default_rng(seed)
    go = 1.0 + 1.5 * np.arange(N_TRIALS)
    choice = rng.integers(0, 2, N_TRIALS)
    clock = np.arange(0, go[-1] + 2, 0.01)
    trial = np.clip(np.searchsorted(go, clock) - 1, 0, N_TRIALS - 1)
    pulse = np.exp(-(((clock - go[trial] - 0.4) / 0.12) ** 2))
    angle = np.where(choice == 1, 0.3, 2.6) + rng.normal(0, 0.5, N_TRIALS)
    velocity = 20 * pulse[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)[trial]
    drive = velocity @ rng.normal(0, 0.06, (2, N_UNITS))
    spikes = rng.poisson(15 * np.exp(np.clip(drive, -2, 2)) * 0.01)
    trains = {i: nap.Ts(clock[spikes[:, i] > 0]) for i in range(N_UNITS)}
    units = nap.TsGroup(trains, metadata={"region": ["M1"] * 8 + ["PMd"] * 8})
    signals = {
        "hand_vel": nap.TsdFrame(t=clock, d=velocity, columns=["x", "y"]),
        "licks": nap.Ts(np.sort(go[choice == 1] + 0.8)),
    }
    sides = np.array(["left", "right"])[choice]
    return units, signals, nap.IntervalSet(go, go + 1.2, metadata={"choice": sides})


def main(out: str = "runs/pynapple", epochs: int = 20) -> None:
    units, signals, trials = session()
    recording = nb.Recording.from_pynapple(units, signals, trials, name="session")
    print(recording)
    cut = recording.align(
        recording.trials["start_time"], (0.0, 1.0), 0.025, ["hand_vel"], event="go cue",
        condition=recording.trials["choice"],
    )  # fmt: skip
    print(cut)
    settings = {
        "seeds": 1,
        "controls": "none",
        "model": {"name": "gru", "settings": {"width": 24}},
        "distill": {"strategies": ["feature+multitask"]},
        "training": {"epochs": epochs},
    }
    run = nb.run(cut, out, settings, jobs=1, quiet=True)
    print(nb.verdict(run.results()).sentence)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/pynapple")
