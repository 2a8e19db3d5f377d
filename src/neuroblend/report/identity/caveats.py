"""What an experiment on identity found, in words that its intervals allow."""

from __future__ import annotations

from typing import Any

from neuroblend.errors import some
from neuroblend.experiments.decoding.networks import BASELINE, MULTITASK, TEACHER
from neuroblend.experiments.identity.scores import CHANCE
from neuroblend.report.verdict import Metric, Verdict, direction

METRICS = {
    "top1": Metric("top-1", "share of tested cells whose class is the one called likeliest"),
    "top2": Metric("top-2", "share of tested cells whose class is one of the two called likeliest"),
    "macro_f1": Metric(
        "macro-F1",
        "F1, the harmonic mean of how many cells of a class are found and how many of those called "
        "that class are of it; mean over classes, so that a small class counts as much as a large "
        "one",
    ),
    "balanced_accuracy": Metric(
        "balanced accuracy", "share of a class's tested cells that are found; mean over classes"
    ),
}
DECIDING = ("macro_f1", "top1")
FEW_CELLS = 20
FEW_SEEDS = 3
# references that no one taught
WITHOUT_BEHAVIOR = ("moments", "contrastive", "hand_features", "activity_profile")
WITH_BEHAVIOR = (TEACHER, "stock")


def identity_verdict(results: dict[str, Any]) -> Verdict:
    """Judge the selected strategy against the baseline by intervals on tested cells.

    The outcome is better where macro-F1 or top-1 of the first kind of label is, and neither is
    worse; worse the other way round. Where neither of the two arms lies above chance, it is
    unclear, whatever their difference.
    """
    arm, kind = results["selected"], next(iter(results["labels"]))
    gains = results["contrasts"][f"{arm} - {BASELINE}"]
    if not is_told(results):
        return Verdict("unclear", _nothing(results, arm, kind), _caveats(results))
    outcome = _judged(gains)
    verb = {
        "better": f"tells the {kind} of cells better than",
        "worse": f"tells the {kind} of cells worse than",
        "unclear": f"tells the {kind} of cells neither clearly better nor clearly worse than",
    }[outcome]
    scores = results["arms"]
    numbers = "; ".join(
        f"{METRICS[m].label} {scores[arm][m]['mean']:.3f} against "
        f"{scores[BASELINE][m]['mean']:.3f}, {_difference(gains[m], scores[BASELINE][m]['mean'])}"
        for m in DECIDING
    )
    sentence = (
        f"From activity alone, the student {_how(arm)} {verb} the same network trained without "
        f"behavior: {numbers}."
    )
    return Verdict(outcome, f"{sentence}{_against_control(results, arm)}", _caveats(results))


def is_told(results: dict[str, Any]) -> bool:
    """Whether the selected student or the baseline lies above chance."""
    return bool({results["selected"], BASELINE} & set(above_chance(results)))


def metrics_of(results: dict[str, Any], kind: str) -> dict[str, Metric]:
    """Return the metrics that say something of a kind of label: of two classes, top-2 does not."""
    more = len(results["labels"][kind]["classes"]) > 2
    return {name: metric for name, metric in METRICS.items() if more or name != "top2"}


def above_chance(results: dict[str, Any]) -> list[str]:
    """Return the arms whose macro-F1 or top-1 lies above chance by its interval."""
    return [
        arm
        for arm in results["arms"]
        if any(
            direction(results["contrasts"][f"{arm} - {CHANCE}"][m]["ci95"]) == "better"
            for m in DECIDING
        )
    ]


def _judged(contrast: dict[str, Any]) -> str:
    """Return better or worse where a deciding score is and no other says the opposite."""
    found = {direction(contrast[metric]["ci95"]) for metric in DECIDING} - {"unclear"}
    return found.pop() if len(found) == 1 else "unclear"


def _nothing(results: dict[str, Any], arm: str, kind: str) -> str:
    contrasts = results["contrasts"]
    who = (
        f"neither the student {_how(arm)} nor the baseline tells"
        if above_chance(results)
        else "no arm tells"
    )
    minus_chance = "; ".join(
        f"{METRICS[m].label}, {_difference(contrasts[f'{arm} - {CHANCE}'][m])}" for m in DECIDING
    )
    gain = _difference(contrasts[f"{arm} - {BASELINE}"]["macro_f1"])
    return (
        f"Nothing can be told: {who} the {kind} of cells above chance (the student {_how(arm)} "
        f"minus chance: {minus_chance}). Its difference to the baseline (macro-F1, {gain}) then "
        "says nothing of behavior."
    )


def _how(arm: str) -> str:
    return "trained with a behavior read-out" if arm == MULTITASK else f"distilled with {arm}"


def _against_control(results: dict[str, Any], arm: str) -> str:
    if arm == MULTITASK:
        return ""
    contrast = results["contrasts"][f"{arm} - {MULTITASK}"]
    what = {
        "better": "It does better than",
        "worse": "It does worse than",
        "unclear": "It does not clearly differ from",
    }[_judged(contrast)]
    numbers = "; ".join(f"{METRICS[m].label}, {_difference(contrast[m])}" for m in DECIDING)
    return f" {what} the multitask control, which has no teacher: {numbers}."


def _difference(contrast: dict[str, Any], of: float = 0.0) -> str:
    """Return a difference with its interval, and in percent of the score ``of`` it is from."""
    low, high = contrast["ci95"]
    share = f" ({100 * contrast['mean'] / of:+.0f} %)" if of > 0 else ""
    text = f"difference {contrast['mean']:+.3f}{share}, 95 % interval {low:+.3f} to {high:+.3f}"
    return text.replace("-", "−")


def _caveats(results: dict[str, Any]) -> tuple[str, ...]:
    caveats = (
        _of_chance(results),
        _of_one_score(results),
        _of_control(results),
        _of_references(results),
        _of_majority(results),
        _of_classes(results),
        _of_seeds(results),
        _of_animals(results),
        _of_selection(results),
        _of_teacher(results),
    )
    return tuple(caveat for caveat in caveats if caveat)


def _of_chance(results: dict[str, Any]) -> str:
    above, arms = above_chance(results), list(results["arms"])
    if len(above) == len(arms) or not above:
        return ""
    below = [arm for arm in arms if arm not in above]
    if len(above) <= len(below):
        said = f"Of {len(arms)} arms, above chance in macro-F1 or top-1: {', '.join(above)}"
    else:
        said = f"Not above chance in macro-F1 or top-1: {', '.join(below)}"
    if is_told(results):
        return f"{said}."
    return f"{said}; of so many intervals, one or another lies above chance by luck."


def _of_one_score(results: dict[str, Any]) -> str:
    contrast = results["contrasts"][f"{results['selected']} - {BASELINE}"]
    found = {metric: direction(contrast[metric]["ci95"]) for metric in DECIDING}
    first, second = DECIDING
    if found[first] == found[second] or not is_told(results):
        return ""
    if "unclear" not in found.values():
        return "One score goes up and the other down: classifiers trade small classes for large."
    clear = first if found[first] != "unclear" else second
    other = second if clear == first else first
    return (
        f"{METRICS[clear].label} alone shows a difference to the baseline; {METRICS[other].label} "
        "does not clearly differ."
    )


def _of_control(results: dict[str, Any]) -> str:
    arm = results["selected"]
    if not is_told(results):
        return ""
    if arm == MULTITASK:
        return (
            "The selected arm has no teacher: it is the multitask control, a network with a "
            "behavior read-out. A teacher is not needed for what it gains."
        )
    return {
        "better": "",
        "worse": "A teacher is not worth it here: a network that is merely trained to give "
        "behavior as well, the multitask control, does better than the student.",
        "unclear": "A teacher is not shown to be needed: a network that is merely trained to give "
        "behavior as well, the multitask control, is not clearly worse than the student.",
    }[_judged(results["contrasts"][f"{arm} - {MULTITASK}"])]


def _of_references(results: dict[str, Any]) -> str:
    scores, arm = results["arms"], results["selected"]
    own = scores[arm]["macro_f1"]["mean"]
    ahead = {
        name: scores[name]["macro_f1"]["mean"]
        for name in WITHOUT_BEHAVIOR
        if name in scores and scores[name]["macro_f1"]["mean"] >= own
    }
    if not ahead or not is_told(results):
        return ""
    names = ", ".join(f"{name} {score:.3f}" for name, score in ahead.items())
    return (
        f"Without any behavior in training, as good or better in macro-F1 than the student's "
        f"{own:.3f}: {names} (no interval is computed for these differences)."
    )


def _of_majority(results: dict[str, Any]) -> str:
    found = next(iter(results["labels"].values()))
    top1, rate = results["arms"][results["selected"]]["top1"]["mean"], found["majority_rate"]
    if top1 > rate:
        return ""
    largest = max(found["classes"], key=found["classes"].__getitem__)
    return (
        f"To call every cell {largest}, the largest class, would be right for {100 * rate:.1f} % "
        f"of cells, and the student is for {100 * top1:.1f} %."
    )


def _of_classes(results: dict[str, Any]) -> str:
    few = [
        f"{name} {n} ({kind})"
        for kind, found in results["labels"].items()
        for name, n in found["classes"].items()
        if n < FEW_CELLS
    ]
    if not few:
        return ""
    return (
        f"Classes of fewer than {FEW_CELLS} cells: {', '.join(few)}. Their recall hangs on a "
        "handful of cells, and macro-F1 and balanced accuracy count them as much as the others."
    )


def _of_seeds(results: dict[str, Any]) -> str:
    n_seeds = len(results["seeds"])
    if n_seeds >= FEW_SEEDS:
        return ""
    if n_seeds == 1:
        return (
            "One seed: the interval is over tested cells alone and does not cover how they were "
            "drawn and what initial weights were. Give --seeds 3 or more before you believe a "
            "small difference."
        )
    return (
        f"{n_seeds} seeds: the interval draws seeds with replacement, and so few tell little about "
        "how much they vary."
    )


def _of_animals(results: dict[str, Any]) -> str:
    animals = results.get("animals")
    if not animals:
        return ""
    return (
        f"{len(animals)} animals ({some(animals)}) were tested one after the other. The interval "
        "draws tested cells and seeds and no animals, so it says nothing of how much another "
        "animal would differ."
    )


def _of_selection(results: dict[str, Any]) -> str:
    fixed = (BASELINE, MULTITASK, *WITH_BEHAVIOR, *WITHOUT_BEHAVIOR)
    if len([arm for arm in results["arms"] if arm not in fixed]) < 2:
        return ""
    caveat = (
        "The strategy was selected by how well classifiers validate on cells that are not tested; "
        "the intervals are not widened for the number of arms that are compared."
    )
    if len(results["seeds"]) > 1:
        caveat += (
            " A cell that validates in one seed may be tested in another, so what selection gains "
            "by chance is not wholly kept out."
        )
    return caveat


def _of_teacher(results: dict[str, Any]) -> str:
    shown = set(WITH_BEHAVIOR) & set(results["arms"])
    who = "The teacher and stock are" if len(shown) > 1 else "The teacher is"
    return (
        f"{who} given behavior when new cells are met too: a reference, and not a fair bound for a "
        "student, which sees activity alone."
    )
