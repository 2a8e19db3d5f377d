"""A causal student called bin by bin, as on a rig, next to what it says of the whole at once.

Run: python examples/stream.py
"""

import time

import numpy as np
from sklearn.metrics import r2_score

import neuroblend as nb
from neuroblend.deploy.student import TrainedStudent


def causal_student(out: str = "runs/stream", epochs: int = 40) -> TrainedStudent:
    """Train on a simulated recording; only the teacher sees behavior and later spikes."""
    trials = nb.simulate_reaching(n_trials=240, n_neurons=60, seed=0)[:200]
    settings = {
        "model": {"name": "gru", "causal": True},
        "distill": {"strategies": ["feature+multitask"]},
        "training": {"epochs": epochs},
        "seeds": 1,
        "controls": "none",
    }
    return nb.run(trials, out=out, config=settings, quiet=False).student("feature+multitask")


def main(student: TrainedStudent) -> None:
    """Stream trials that the student has not seen, and print how well and how fast."""
    later = nb.simulate_reaching(n_trials=240, n_neurons=60, seed=0)[200:]
    known = np.isin(later.unit_id, student.neurons.seen)  # the others were held out
    stream, decoded, took = student.stream(), [], []
    for trial in later.spikes:
        stream.reset()  # a trial begins
        for counts in trial[:, known]:
            began = time.perf_counter()
            step = stream.step(counts)  # rates, latents and behavior
            took.append(time.perf_counter() - began)
            decoded.append(np.asarray(step.behavior))
    behavior = np.asarray(later.behavior)
    found = np.stack(decoded).reshape(behavior.shape)
    whole = student.predict(later).behavior
    r2 = r2_score(behavior.reshape(-1, 2), found.reshape(-1, 2))
    print(f"{len(took)} bins of {later.bin_s * 1000:g} ms, {step.latents.size} latents in each")
    print(f"behavior R² {r2:.3f}, mean over {', '.join(later.behavior_names)}")
    away = np.abs(found - whole).max() / np.abs(whole).max()
    print(f"largest difference to the whole at once, over the largest value: {away:.0e}")
    print(f"a bin took {1000 * np.median(took):.2f} ms (median)")


if __name__ == "__main__":  # worker processes import this file
    main(causal_student())
