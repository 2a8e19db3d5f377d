"""What sessions gain by being learned together: joint networks against one for each session.

One row an arm: the score that decides and co-bps, means over sessions, of the network of all and of
those of each session alone, and the paired differences with 95 % intervals.

Without sources, three sessions are drawn from one simulated recording: a third of its trials each,
with other neurons.

Run: python benchmarks/joint_sessions.py [SOURCE SOURCE ...] [--behavior a,b]
     [--out runs/joint-sessions] [--trials 240] [--neurons 90] [--seeds 2] [--epochs 60] [--jobs 2]
     [--model gru] [--strategies feature+multitask]
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from support.recordings import table, with_interval

import neuroblend as nb
from neuroblend.experiments.decoding.sessions.networks import ALONE

CO_BPS = "co_bps"
HEAD = ["arm", "joint", "alone", "difference", "joint co-bps", "alone co-bps", "difference"]


def drawn_sessions(n_trials: int, n_neurons: int, n_sessions: int = 3) -> list[nb.Trials]:
    """Return sessions with truth: other trials and other neurons of one simulated recording."""
    whole = nb.simulate_reaching(n_trials=n_trials, n_neurons=n_neurons, seed=0)
    rng = np.random.default_rng(0)
    neurons, trials = rng.permutation(whole.n_neurons), rng.permutation(whole.n_trials)
    return [
        replace(
            whole[np.sort(trials[i::n_sessions])].take_neurons(np.sort(neurons[i::n_sessions])),
            name=f"part-{i}",
        )
        for i in range(n_sessions)
    ]


def row_of(arm: str, results: dict[str, Any]) -> list[str]:
    """Return the cells of an arm, against the same arm alone or, of a strategy, multitask."""
    alone = ALONE.get(arm, ALONE["multitask"])
    cells = [arm if arm in ALONE else f"{arm} (alone: multitask)"]
    for score in (results["deciding"][0], CO_BPS):
        means = [results["arms"][a][score]["mean"] for a in (arm, alone)]
        contrast = results["contrasts"][f"{arm} - {alone}"][score]
        cells += [*(f"{mean:.3f}" for mean in means), with_interval(contrast)]
    return cells


def main() -> None:
    """Run what is asked for, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--behavior", type=lambda text: text.split(","))
    parser.add_argument("--out", type=Path, default=Path("runs/joint-sessions"))
    parser.add_argument("--trials", type=int, default=240)
    parser.add_argument("--neurons", type=int, default=90)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default="gru")
    parser.add_argument("--strategies", default="feature+multitask")
    given = parser.parse_args()
    config = {
        "data": {"alone": True, "behavior": given.behavior},
        "model": {"name": given.model},
        "distill": {"strategies": given.strategies},
        "training": {"epochs": given.epochs, "accelerator": "cpu"},
        "controls": "none",
        "seeds": given.seeds,
    }
    sources = given.sources or drawn_sessions(given.trials, given.neurons)
    run = nb.run(sources, given.out, config, jobs=given.jobs)
    results = run.results()
    table(HEAD, [row_of(arm, results) for arm in results["candidates"]])


if __name__ == "__main__":
    main()
