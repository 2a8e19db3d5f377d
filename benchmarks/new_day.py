"""A student led to another day's neurons without behavior, next to what one would do instead.

Simulated days: one recording of reaches is cut in two; on the second day a fraction of neurons is
replaced by others, with which behavior is decoded on the last third of the trials. R², mean and
95 % interval (Student's t) over draws of the recording:

  zeros             the student of day 1 as it is, missing neurons taken as silent
  adapt             adapt_student on the spikes of day 2, no behavior
  adapt, unaligned  the same without alignment of latents
  FA + Procrustes   factor analysis of each day, loadings of neurons that stay matched (Degenhart
                    et al. 2020); a read-out with history from day 1
  FA + CCA          the same, latents matched by their mean courses in each condition (Gallego et
                    al. 2020), for which the condition of each trial must be known on day 2 too
  refit             the student's arm trained on day 2 with behavior (with all neurons replaced)
  wiener            a Wiener filter trained on day 2 with behavior
  mean course       day 1's mean behavior in each bin, whatever the spikes

With --uneven, all neurons are others, and four of eight targets (0, 1, 2 and 4) are reached for on
both days, so that latents do not look alike from every side; adapt is given one start and five.

Real days, with --data FOLDER of steinmetz_cori_*.npz: sessions of one animal that share no neuron
and have labels of trials alone. The label of the first session, contrast right minus left, is held
over all bins to stand for behavior. Bits/spike of hidden bins of test trials: adapted, and a fresh
network of the same size and budget trained on the new neurons alone. Balanced accuracy on test
trials of side (contrast right or left) and feedback: logistic regression on trial means of latents,
fitted to the first session and carried over; the same refitted on the new session's latents, and on
its spike counts.

Run: python benchmarks/new_day.py [--draws 5] [--epochs 60] [--model ndt] [--uneven | --data FOLDER]
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import orthogonal_procrustes
from scipy.ndimage import gaussian_filter1d
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import FactorAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neuroblend as nb
from neuroblend.data.split import Part
from neuroblend.data.unit_ids import UnitIds
from neuroblend.deploy.adapt import ALIGNMENT, TRAINING
from neuroblend.deploy.student import TrainedStudent
from neuroblend.evaluation.metrics import ErrorSums
from neuroblend.evaluation.predict import rates_of
from neuroblend.evaluation.readout import FAMILIES, ReadOut, best_of, read_out
from neuroblend.models.build import build_network
from neuroblend.models.references.wiener import smoothed_spikes
from neuroblend.training.masking import TimeMask

N_TRIALS, N_NEURONS, N_FACTORS = 240, 60, 10
FRACTIONS = (0.0, 0.25, 0.5, 1.0)
STRATEGY = "multitask"
Array = NDArray[np.floating]


def main() -> None:
    """Print the table of simulated days, and that of real ones if there are any."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--model", default="ndt")
    parser.add_argument("--uneven", action="store_true")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.uneven:
        uneven(given.draws, given.epochs, given.model)
    elif given.data is None:
        simulated(given.draws, given.epochs, given.model)
    else:
        real(sorted(given.data.glob("steinmetz_cori_*.npz")), given.draws, given.epochs)


def simulated(n_draws: int, epochs: int, model: str) -> None:
    """Print R² by method and fraction of neurons that are replaced."""
    scores: dict[tuple[str, float], list[float]] = defaultdict(list)
    for draw in range(n_draws):
        trials = nb.simulate_reaching(2 * N_TRIALS, 2 * N_NEURONS, seed=200 + draw)
        order = np.random.default_rng(draw).permutation(trials.n_neurons)
        first, second = trials[:N_TRIALS], trials[N_TRIALS:]
        one = first.take_neurons(np.sort(order[:N_NEURONS]))
        student = fitted(one, draw, epochs, model)
        for fraction in FRACTIONS:
            gone = round(fraction * N_NEURONS)
            two = second.take_neurons(np.sort(order[gone : gone + N_NEURONS]))
            learn, test = two[: 2 * N_TRIALS // 3], two[2 * N_TRIALS // 3 :]
            found = by_factors(one, learn, test, np.intersect1d(one.unit_id, two.unit_id))
            if gone < N_NEURONS:
                found["zeros"] = student.predict(test, missing_units="zeros").behavior
            if gone:
                for name, weight in (("adapt", ALIGNMENT), ("adapt, unaligned", 0.0)):
                    led = nb.adapt_student(
                        student, learn, settings={"epochs": epochs}, seed=draw, weight=weight
                    )
                    found[name] = led.predict(test).behavior
            if gone == N_NEURONS:
                found["refit"] = fitted(learn, draw, epochs, model).predict(test).behavior
            found["wiener"] = by_wiener(learn, test)
            true = behavior_of(test)
            found["mean course"] = np.broadcast_to(behavior_of(one).mean(axis=0), true.shape)
            for name, decoded in found.items():
                scores[name, fraction].append(r2(decoded, true))
            told = ", ".join(f"{n} {v[-1]:.3f}" for (n, f), v in scores.items() if f == fraction)
            print(f"draw {draw}, {fraction:.0%} replaced: {told}", flush=True)
    names = list(dict.fromkeys(name for name, _ in scores))
    print(
        f"\n{model}, behavior R²{'':7}" + "".join(f"{f'{f:.0%} replaced':>24}" for f in FRACTIONS)
    )
    for name in names:
        print(f"{name:20}" + "".join(f"{interval(scores[name, f]):>24}" for f in FRACTIONS))
    for rival in ("zeros", "adapt, unaligned", "FA + Procrustes", "wiener"):
        cells = [
            [a - b for a, b in zip(scores["adapt", f], scores[rival, f], strict=False)]
            for f in FRACTIONS
        ]
        print(f"adapt - {rival:17}" + "".join(f"{interval(c):>24}" for c in cells))


def uneven(n_draws: int, epochs: int, model: str) -> None:
    """Print R² where targets lie unevenly and no neuron stays."""
    scores: dict[str, list[float]] = defaultdict(list)
    for draw in range(n_draws):
        trials = nb.simulate_reaching(4 * N_TRIALS, 2 * N_NEURONS, seed=300 + draw)
        order = np.random.default_rng(draw).permutation(trials.n_neurons)
        assert trials.condition is not None
        kept = np.flatnonzero(np.isin(trials.condition.astype(int), (0, 1, 2, 4)))
        first, second = trials[kept[kept < 2 * N_TRIALS]], trials[kept[kept >= 2 * N_TRIALS]]
        one = first.take_neurons(np.sort(order[:N_NEURONS]))
        two = second.take_neurons(np.sort(order[N_NEURONS:]))
        learn, test = two[: 2 * N_TRIALS // 3], two[2 * N_TRIALS // 3 :]
        student, true = fitted(one, draw, epochs, model), behavior_of(test)
        found: dict[str, Array] = {}
        for starts in (1, 5):
            led = nb.adapt_student(
                student, learn, settings={"epochs": epochs}, seed=draw, starts=starts
            )
            found[f"adapt, {starts} start(s)"] = led.predict(test).behavior
        found["refit"] = fitted(learn, draw, epochs, model).predict(test).behavior
        found["mean course"] = np.broadcast_to(behavior_of(one).mean(axis=0), true.shape)
        for name, decoded in found.items():
            scores[name].append(r2(decoded, true))
        told = ", ".join(f"{name} {values[-1]:.3f}" for name, values in scores.items())
        print(f"draw {draw}, uneven targets: {told}", flush=True)
    for name, values in scores.items():
        print(f"{name:20}{interval(values):>24}")


def fitted(trials: nb.Trials, seed: int, epochs: int, model: str = "ndt") -> TrainedStudent:
    """Return a student of trials with behavior, which knows their neurons by id."""
    blend = nb.Blend(
        model=model, strategy=STRATEGY, bin_s=trials.bin_s, epochs=epochs, random_state=seed,
        accelerator="cpu",
    ).fit(trials.spikes, behavior_of(trials))  # fmt: skip
    ids = trials.unit_id[blend.unit_id_]
    neurons = replace(blend.trained_.neurons, unit_id=ids, are_named=True)
    return replace(blend.trained_, neurons=neurons)


def by_factors(
    one: nb.Trials, learn: nb.Trials, test: nb.Trials, shared: UnitIds
) -> dict[str, Array]:
    """Return behavior decoded by factors of day 1's spikes, to which day 2's are matched."""

    def smooth(trials: nb.Trials) -> Array:
        return gaussian_filter1d(trials.spikes.astype(float), 2.0, axis=1)

    def factors(model: FactorAnalysis, trials: nb.Trials) -> Array:
        flat = model.transform(smooth(trials).reshape(-1, trials.n_neurons))
        return flat.reshape(len(trials), trials.n_bins, -1)

    def fit(trials: nb.Trials) -> FactorAnalysis:
        flat = smooth(trials).reshape(-1, trials.n_neurons)
        return FactorAnalysis(N_FACTORS, random_state=0).fit(flat)

    old, new = fit(one), fit(learn)
    before, after = factors(old, one), factors(new, learn)
    n_train = 3 * len(one) // 4
    decoder = best_read_out({"latents": before}, behavior_of(one), n_train).decoder
    found: dict[str, Array] = {}
    if shared.size:
        at = [old.components_[:, np.isin(one.unit_id, shared)].T]
        at.append(new.components_[:, np.isin(learn.unit_id, shared)].T)
        turn, _ = orthogonal_procrustes(at[1], at[0])
        found["FA + Procrustes"] = decoder(factors(new, test) @ turn)
    assert one.condition is not None
    courses = [
        np.concatenate([z[t.condition == c].mean(axis=0) for c in np.unique(one.condition)])
        for z, t in ((before, one), (after, learn))
    ]
    cca = CCA(N_FACTORS, max_iter=2000).fit(courses[1], courses[0])
    flat = factors(new, test)
    found["FA + CCA"] = decoder(cca.predict(flat.reshape(-1, N_FACTORS)).reshape(flat.shape))
    return found


def by_wiener(learn: nb.Trials, test: nb.Trials) -> Array:
    """Return behavior by a Wiener filter, its smoothing chosen on validation trials."""
    spec = nb.Task.of(learn, nb.split_trials(learn, 0)).spec
    n_train = 3 * len(learn) // 4
    both = np.concatenate([learn.spikes, test.spikes]).astype(float)
    signals = smoothed_spikes(both, spec)
    known = {name: signal[: len(learn)] for name, signal in signals.items()}
    best = best_read_out(known, behavior_of(learn), n_train)
    return best.decoder(signals[best.signal][len(learn) :])


def best_read_out(signals: Mapping[str, Array], behavior: Array, n_train: int) -> ReadOut:
    """Return the read-out that is best on the trials after the first ``n_train``."""

    def parts(values: Array) -> dict[Part, Array]:
        last = values[n_train:]
        return {"train": values[:n_train], "valid": last, "test": last}

    return best_of(
        read_out(parts(signal), parts(behavior), family, name=name)
        for name, signal in signals.items()
        for family in FAMILIES
    )


def behavior_of(trials: nb.Trials) -> Array:
    """Return behavior, which all trials here have."""
    assert trials.behavior is not None
    return trials.behavior


def r2(decoded: Array, true: Array) -> float:
    """Return R², mean over channels."""
    return float(ErrorSums.of(decoded, true).r2().mean())


def interval(values: object) -> str:
    """Return a mean with its 95 % interval over draws."""
    found = np.asarray(values, dtype=float)
    if not found.size:
        return "-"
    if found.size == 1:
        return f"{found[0]:.3f}"
    half = stats.t.ppf(0.975, found.size - 1) * stats.sem(found)
    return f"{found.mean():.3f} [{found.mean() - half:.2f} {found.mean() + half:.2f}]"


def real(paths: list[Path], n_draws: int, epochs: int) -> None:
    """Print likelihood and decoding of trials' labels from each session to each other one."""
    sessions = {path.stem.removeprefix("steinmetz_"): session(path) for path in paths}
    scores: dict[str, list[float]] = defaultdict(list)
    for draw in range(n_draws):
        students = {name: fitted(s, draw, epochs) for name, (s, _) in sessions.items()}
        for old, new in permutations(sessions, 2):
            found = carried(students[old], sessions[old], sessions[new], draw, epochs)
            for name, value in found.items():
                scores[name].append(value)
            told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
            print(f"draw {draw}, {old} to {new}: {told}", flush=True)
    print(f"\n{'mean over pairs and draws':40}")
    for name, values in scores.items():
        by_draw = np.reshape(values, (n_draws, -1)).mean(axis=1)
        print(f"{name:40}{interval(by_draw):>24}")


def session(path: Path) -> tuple[nb.Trials, dict[str, NDArray[np.int64]]]:
    """Return 100 neurons of a session that fire at 1 Hz or more, and labels of its trials."""
    with np.load(path) as arrays:
        side = np.sign(arrays["contrast_right"] - arrays["contrast_left"]).astype(int)
        difference = arrays["contrast_right"] - arrays["contrast_left"]
        labels = {"side": side, "feedback": arrays["feedback"].astype(int)}
        spikes = arrays["spikes"]
        over_bins = np.repeat(difference[:, None, None], spikes.shape[1], axis=1)
        ids = [f"{path.stem[-5:]}/{i}" for i in range(spikes.shape[2])]
        trials = nb.Trials.from_arrays(
            spikes, float(arrays["bin_s"]), over_bins, ["contrast_difference"], unit_id=ids
        )
    return trials.above_rate(1.0).draw_units(100, 0), labels


def carried(
    student: TrainedStudent,
    old: tuple[nb.Trials, dict[str, NDArray[np.int64]]],
    new: tuple[nb.Trials, dict[str, NDArray[np.int64]]],
    seed: int,
    epochs: int,
) -> dict[str, float]:
    """Return scores of one pair of sessions on the test trials of a split of the second."""
    trials, labels = new
    split = nb.split_trials(trials, seed, 0.0, shares=(0.5, 0.1, 0.4))
    seen = np.sort(np.concatenate([split.train, split.valid]))
    led = nb.adapt_student(student, trials[seen], settings={"epochs": epochs}, seed=seed)
    trials = trials.take_neurons(np.isin(trials.unit_id, led.neurons.unit_id))
    split = replace(split, held_out=np.zeros(trials.n_neurons, dtype=bool))
    task = nb.Task.of(trials, split)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        assert student.network is not None
        fresh = nb.Student(build_network(*student.network, task.spec))
    nb.train(fresh, task, settings={"epochs": epochs, "batch_size": TRAINING["batch_size"]})
    assert led.model is not None
    found = {
        "bits/spike, adapted": hidden_bits(led.model, task),
        "bits/spike, fresh": hidden_bits(fresh, task),
    }
    latents_before, latents_now = student.predict(old[0]).latents, led.predict(trials).latents
    assert latents_before is not None and latents_now is not None
    means = {
        "latents of the old": latents_before.mean(axis=1),
        "latents": latents_now.mean(axis=1),
        "counts": trials.spikes.sum(axis=1).astype(float),
    }
    for label, values in labels.items():
        before, after = old[1][label], values
        test = split.test[after[split.test] != 0]
        rows = seen[after[seen] != 0]
        for name, z, y, at in (
            ("carried over", means["latents of the old"], before, np.flatnonzero(before)),
            ("latents refitted", means["latents"], after, rows),
            ("counts refitted", means["counts"], after, rows),
        ):
            model = make_pipeline(
                StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000)
            ).fit(z[at], y[at])
            given = means["counts" if name.startswith("counts") else "latents"][test]
            found[f"{label}, {name}"] = float(
                balanced_accuracy_score(after[test], model.predict(given))
            )
    return found


def hidden_bits(model: torch.nn.Module, task: nb.Task) -> float:
    """Return bits/spike of hidden bins of test trials, against each neuron's mean in training."""
    batch = task.batch("test")
    hidden = TimeMask(0.25, max_span=1)
    gain, n_spikes = 0.0, 0.0
    for seed in range(4):
        bins = hidden.draw(batch.n_trials, batch.spikes.shape[1], seed).numpy()
        spikes = batch.spikes.masked_fill(torch.from_numpy(bins)[:, :, None], 0.0)
        rates = rates_of(model, batch._replace(spikes=spikes))[bins]
        assert batch.target is not None
        counts = batch.target.numpy()[bins]
        mean = np.exp(task.spec.log_rate)
        gain += float((counts * np.log(rates / mean) - rates + mean).sum())
        n_spikes += float(counts.sum())
    return gain / n_spikes / np.log(2)


if __name__ == "__main__":
    main()
