"""Counts from a Lab Streaming Layer outlet in, decoded behavior to another outlet out.

One thread plays the rig: it sends the counts of a simulated recording, a sample a bin. The rest is
what a decoder on a rig is: an inlet, a student that steps, an outlet. Wants `pip install pylsl`.

Run: python examples/lsl_stream.py [--student student.nbm] [--bins 500]
"""

import argparse
import threading
import time

import numpy as np
from pylsl import StreamInfo, StreamInlet, StreamOutlet, resolve_byprop
from stream import causal_student

import neuroblend as nb
from neuroblend.deploy.student import TrainedStudent

COUNTS, DECODED = "neuroblend-counts", "neuroblend-decoded"


def send(counts: np.ndarray, bin_s: float, pace: float = 1.0) -> None:
    """Play a rig: send (bin, neuron) counts, one bin every ``pace`` times its width."""
    n_neurons = counts.shape[1]
    outlet = StreamOutlet(StreamInfo(COUNTS, "counts", n_neurons, 1 / bin_s, "int32", "rig"))
    outlet.wait_for_consumers(10.0)
    for sample in counts:
        outlet.push_sample(sample.tolist())
        time.sleep(bin_s * pace)
    time.sleep(1.0)  # what is in flight arrives


def decode(student: TrainedStudent, n_bins: int) -> tuple[np.ndarray, list[float]]:
    """Decode what arrives and send it on; return (bin, channel) behavior and ms from bin to bin."""
    (found,) = resolve_byprop("name", COUNTS, minimum=1, timeout=10.0)[:1]
    names = student.spec.behavior
    inlet = StreamInlet(found, max_chunklen=1)
    info = StreamInfo(DECODED, "behavior", len(names), 1 / student.spec.bin_s, "float32", "decoder")
    outlet, stream, decoded, took = StreamOutlet(info), student.stream(), [], []
    for _ in range(n_bins):
        counts, _ = inlet.pull_sample(timeout=5.0)
        if counts is None:
            break
        began = time.perf_counter()
        behavior = np.asarray(stream.step(counts).behavior)
        outlet.push_sample(behavior.tolist())
        took.append(1000 * (time.perf_counter() - began))
        decoded.append(behavior)
    return np.array(decoded), took


def main(student: TrainedStudent, n_bins: int, pace: float = 1.0) -> None:
    """Send and decode on this machine, and print what came of it."""
    trials = nb.simulate_reaching(n_trials=240, n_neurons=60, seed=0)
    known = np.isin(trials.unit_id, student.neurons.seen)
    counts = trials.spikes[:, :, known].reshape(-1, int(known.sum()))[:n_bins]
    rig = threading.Thread(target=send, args=(counts, trials.bin_s, pace), daemon=True)
    rig.start()
    decoded, took = decode(student, len(counts))
    whole = student.predict(counts, unit_id=student.neurons.seen).behavior[0, : len(decoded)]
    print(f"{len(decoded)} of {len(counts)} bins arrived and were decoded")
    away = np.abs(decoded - whole).max() / np.abs(whole).max()
    print(f"largest difference to the whole at once, over the largest value: {away:.0e}")
    print(f"from counts to the outlet: {np.median(took):.2f} ms (median), {max(took):.2f} at most")
    rig.join()


if __name__ == "__main__":  # worker processes import this file
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", help="a file that `neuroblend export` wrote; causal")
    parser.add_argument("--bins", type=int, default=500)
    given = parser.parse_args()
    main(nb.load_student(given.student) if given.student else causal_student(), given.bins)
