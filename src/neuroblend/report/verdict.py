"""What a run found, in words that its intervals allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER
from neuroblend.registry import REFERENCES


@dataclass(frozen=True)
class Metric:
    """How a score is called and explained.

    Attributes:
        label: Short name.
        meaning: What it is, in a sentence without a full stop.
    """

    label: str
    meaning: str


METRICS = {
    "behavior_r2": Metric(
        "behavior R²",
        "share of the variance of behavior, mean over channels, that a ridge regression fitted on "
        "training trials decodes from a model's rates on test trials",
    ),
    "co_bps": Metric(
        "co-bps",
        "bits per spike by which rates of held-out neurons predict their spikes better than each "
        "neuron's mean does",
    ),
    "fp_bps": Metric(
        "fp-bps",
        "bits per spike by which rates of all neurons, in bins after the last one that a model "
        "sees, predict spikes better than each neuron's mean does",
    ),
    "psth_r2": Metric(
        "PSTH R²",
        "match of the rates' condition means to those of all recorded trials, mean over neurons",
    ),
    "rate_r2": Metric(
        "R² to true rates",
        "share of the variance of the true rates, mean over neurons; simulated data alone have it",
    ),
}


def headline_metrics(results: dict[str, Any]) -> list[str]:
    """Return the metrics that the run has, in the order of ``METRICS``."""
    return [metric for metric in METRICS if metric in results["arms"][BASELINE]]


@dataclass(frozen=True)
class Verdict:
    """The answer to the question of a run.

    Attributes:
        outcome: ``"better"``, ``"worse"`` or ``"unclear"``: the selected student's behavior R²
            against the baseline's, by its interval.
        sentence: The answer.
        caveats: What to keep in mind.
    """

    outcome: str
    sentence: str
    caveats: tuple[str, ...]


def verdict(results: dict[str, Any]) -> Verdict:
    """Judge the selected strategy against the baseline by its interval on test trials."""
    arm = results["selected"]
    contrast = results["contrasts"][f"{arm} - {BASELINE}"]
    gain = contrast["behavior_r2"]
    outcome = direction(gain["ci95"])
    verb = {
        "better": "decodes behavior better than",
        "worse": "decodes behavior worse than",
        "unclear": "shows no clear difference in behavior decoding from",
    }[outcome]
    how = "trained with a behavior read-out" if arm == MULTITASK else f"distilled with {arm}"
    scores = results["arms"]
    sentence = (
        f"From spikes alone, the student {how} {verb} the same network trained "
        f"without behavior: R² {scores[arm]['behavior_r2']['mean']:.3f} against "
        f"{scores[BASELINE]['behavior_r2']['mean']:.3f}, {_difference(gain)}"
    )
    if "co_bps" in contrast:
        kept = {"better": "gains", "worse": "loses", "unclear": "neither clearly gains nor loses"}
        cost = contrast["co_bps"]
        sentence += f"; it {kept[direction(cost['ci95'])]} co-bps, {_difference(cost)}"
    return Verdict(outcome, sentence + ".", _caveats(results))


def direction(ci95: list[float]) -> str:
    """Return ``"better"``, ``"worse"`` or ``"unclear"`` for a difference with this interval."""
    if ci95[0] > 0:
        return "better"
    return "worse" if ci95[1] < 0 else "unclear"


def _difference(contrast: dict[str, Any]) -> str:
    low, high = contrast["ci95"]
    text = f"difference {contrast['mean']:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}"
    return text.replace("-", "−")


def _caveats(results: dict[str, Any]) -> tuple[str, ...]:
    caveats = (
        _of_control(results),
        _of_baseline(results),
        _of_seeds(results),
        _of_selection(results),
        "The teacher is given behavior, so its decoding score is a reference and not a fair bound "
        "for a student, which sees spikes alone.",
    )
    return tuple(caveat for caveat in caveats if caveat)


def _of_control(results: dict[str, Any]) -> str:
    arm = results["selected"]
    if arm == MULTITASK:
        return (
            "The selected arm has no teacher: it is the multitask control, a network with a "
            "behavior read-out. A teacher is not needed for what it gains."
        )
    gain = results["contrasts"][f"{arm} - {MULTITASK}"]["behavior_r2"]
    what = {
        "better": "A teacher earns its keep: the student also decodes better than",
        "worse": "A teacher is not worth it here: the student decodes worse than",
        "unclear": "It is not clear that a teacher is needed: the student does not clearly "
        "differ from",
    }[direction(gain["ci95"])]
    return (
        f"{what} the multitask control, a network with a behavior read-out and no teacher "
        f"(behavior R², {_difference(gain)})."
    )


def _of_baseline(results: dict[str, Any]) -> str:
    scores = results["arms"][BASELINE]
    metric = "co_bps" if "co_bps" in scores else "fp_bps"
    score = scores.get(metric)
    if score is None or score["ci95"][0] > 0:
        return ""
    low, high = score["ci95"]
    what = "held-out neurons" if metric == "co_bps" else "forward bins"
    return (
        f"The baseline predicts spikes of {what} no better than mean rates do "
        f"({METRICS[metric].label} {score['mean']:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}): "
        "a model that hardly works says little about distillation. Train longer, or check the data."
    ).replace(" -0", " −0")


def _of_seeds(results: dict[str, Any]) -> str:
    n_seeds = len(results["seeds"])
    if n_seeds == 1:
        return (
            "One seed: the interval covers the choice of test trials, not that of held-out neurons "
            "and initial weights. Give --seeds 3 or more before you believe a small difference."
        )
    if n_seeds < 5:
        return (
            f"{n_seeds} seeds: the interval draws seeds with replacement, and so few tell little "
            "about how much they vary."
        )
    return ""


def _of_selection(results: dict[str, Any]) -> str:
    strategies = [pair.removesuffix(f" - {BASELINE}") for pair in results["contrasts"]]
    fixed = (TEACHER, MULTITASK, *REFERENCES)
    n = len([arm for arm in strategies if " - " not in arm and arm not in fixed])
    if n < 2 and results["selected"] != MULTITASK:
        return ""
    caveat = (
        "The strategy was selected by validation scores, not by the test scores shown here; the "
        "intervals are not widened for the number of arms that are compared."
    )
    if results["folds"] or len(results["seeds"]) > 1:
        caveat += (
            " A trial that validates in one split may test in another, so what selection gains "
            "by chance is not wholly kept out."
        )
    return caveat
