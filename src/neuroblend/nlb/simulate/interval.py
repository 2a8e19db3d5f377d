"""Sessions of reproducing a time interval (``dmfc_rsg``).

The units run through one trajectory between set and go, at a speed that scales with the interval
to produce (Wang, Narain, Hosseini & Jazayeri 2018, Nat Neurosci 21:102). Sizes are chosen.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from neuroblend.nlb.arrays import Bools, Floats, Ints, Rng
from neuroblend.nlb.simulate.session import Session, known_if, laid_out, shared_latents
from neuroblend.nlb.simulate.tables import ReadySetGo


def interval_session(task: ReadySetGo, split: NDArray[np.str_], rng: Rng) -> Session:
    """Simulate one session (:mod:`neuroblend.nlb.simulate.session`).

    Trials of split "none" were aborted. Sessions of a seed share nothing, and nothing lags.
    """
    n = len(split)
    aborted = split == "none"
    block = np.arange(n) // task.block_trials
    short, eye = (block + rng.integers(2)) % 2 == 0, (block // 2) % 2 == 0
    right = rng.random(n) < 0.5
    ts = np.where(short, rng.choice(task.short_ms, n), rng.choice(task.long_ms, n))
    outlier = ~aborted & (rng.random(n) < task.outlier_share)
    meant, produced = _produced(rng, task, ts, short, outlier)

    fixed = rng.integers(34, 150, n)
    target_on = fixed + rng.integers(500, 900, n)
    ready = target_on + rng.integers(300, 1000, n)
    set_time = ready + ts
    go = set_time + produced
    acquired = go + np.where(eye, 5, 1)
    length = np.where(aborted, ready + rng.integers(0, 400, n), go + rng.integers(60, 500, n))
    start, observed = laid_out(length, task)

    rewarded = ~aborted & (np.abs(produced - ts) < 0.15 * ts)
    missed = np.where(aborted, -rng.uniform(50, 2400, n), produced + rng.uniform(-0.5, 0.5, n))
    trials = {
        "start_time": start,
        "stop_time": start + length,
        "fix_on_time": start,
        "fix_time": start + fixed,
        "target_on_time": start + target_on,
        "ready_time": start + ready,
        "set_time": known_if(~aborted, start + set_time),
        "go_time": known_if(~aborted, start + go),
        "target_acq_time": known_if(~aborted, start + acquired),
        "reward_time": known_if(rewarded, start + acquired + 20),
        "bad_time": known_if(aborted, start + length),
        "is_short": short,
        "is_eye": eye,
        "theta": np.where(right, 0.0, 180.0),
        "ts": ts.astype(np.float64),
        "tp": np.round(missed, 3),
        "fix_time_dur": (target_on - fixed).astype(np.float64),
        "target_time_dur": (ready - target_on).astype(np.float64),
        "iti": np.where(short, 500.0, 1220.0),
        "reward_dur": np.where(rewarded, 60.0, 0.0),
        "is_outlier": outlier | aborted,
        "split": split,
    }
    context = np.stack([np.where(right, 1, -1), np.where(eye, 1, -1), np.where(short, 1, -1)], -1)
    latents = _interval_latents(rng, trials, context, meant, int(observed[-1, 1]))
    return Session(latents, observed, trials, {})


def _produced(
    rng: Rng, task: ReadySetGo, ts: Ints, short: Bools, outlier: Bools
) -> tuple[Floats, Ints]:
    """The interval that is meant, ms (B,), and the one produced, whole ms (B,)."""
    prior = np.where(short, np.mean(task.short_ms), np.mean(task.long_ms))
    aim = ts + task.to_prior_mean * (prior - ts)
    # Most of the scatter is in the units: what they run through in time is the interval meant.
    meant = aim * (1 + np.sqrt(0.7) * task.weber * rng.standard_normal(len(ts)))
    meant = np.where(outlier, aim * rng.choice([0.6, 1.7], len(ts)), meant)
    produced = meant + np.sqrt(0.3) * task.weber * aim * rng.standard_normal(len(ts))
    low, high = task.produced_ms
    return meant, np.clip(np.rint(produced), low, np.where(outlier, 2 * high, high)).astype(int)


def _interval_latents(
    rng: Rng, trials: dict[str, Any], context: Ints, meant: Floats, n_ms: int
) -> NDArray[np.float32]:
    """Context, cues and the trajectory from set to go: (n_ms, 12)."""
    latents = np.zeros((n_ms, 12), np.float32)
    latents[:, 10:] = shared_latents(rng, n_ms)
    for i, (start, stop) in enumerate(zip(trials["start_time"], trials["stop_time"], strict=True)):
        lo, hi = int(start), min(int(stop) + 300, n_ms)
        t = np.arange(lo, hi, dtype=np.float64)
        ready, begin = trials["ready_time"][i], trials["set_time"][i]
        held = expit((t - trials["fix_time"][i] - 100) / 30) * expit((stop + 100 - t) / 30)
        latents[lo:hi, :3] += held[:, None] * context[i]
        # a burst at the ready cue, of smooth onset and exponential decay
        latents[lo:hi, 3] += expit((t - ready) / 15) * np.exp(-np.maximum(t - ready, 0) / 150)
        if np.isnan(begin):
            continue
        latents[lo:hi, 4] += expit((t - ready) / 20) * expit((begin - t) / 20) * (t - ready) / 1000
        done = (t - begin) / meant[i]
        over = expit((t - begin) / 20) * expit((trials["go_time"][i] + 40 - t) / 20)
        angle = np.pi * np.clip(done, 0, 1.1)
        path = [np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)]
        latents[lo:hi, 5:9] += (over * np.stack(path)).T
        latents[lo:hi, 9] += over * 2 * np.clip(done, 0, 1.1) ** 2
    return latents
