"""What a run found, in words that its intervals allow."""

from dataclasses import dataclass
from typing import Any

from neuroblend.engine.arm import BASELINE, MULTITASK, TEACHER
from neuroblend.engine.results import CHANCE
from neuroblend.errors import InputError
from neuroblend.report.caveat import Caveat
from neuroblend.report.face import Face, Results, face_of, metrics_of
from neuroblend.report.scores import direction
from neuroblend.report.style import signed

FEWEST_TESTED = 10  # below which an interval claims more than there is to know
MEANING = {
    BASELINE: " (the network trained without behavior)",
    MULTITASK: " (the network with a behavior read-out, no teacher)",
}
FEW_SEEDS = 5  # below which seeds say little about how much they vary
FEW_QUANTILES = {2: "12.7", 3: "4.3", 4: "3.2"}  # Student's t, with a degree of freedom less


@dataclass(frozen=True)
class Verdict:
    """The answer to the question of a run.

    Attributes:
        outcome: ``"better"``, ``"worse"`` or ``"unclear"``: the selected student against the
            baseline, by the intervals of the deciding scores.
        sentence: The answer.
        caveats: What to keep in mind.
    """

    outcome: str
    sentence: str
    caveats: tuple[Caveat, ...]


def verdict(results: Results) -> Verdict:
    """Judge the selected arm against the baseline by intervals on what was tested.

    Args:
        results: Content of ``results.json``.
    """
    if not isinstance(results, dict) or "needs_teacher" not in results:
        raise InputError(
            "verdict: wanted the content of a results.json of this version, as RunFolder.results() "
            "gives it; run an older one again"
        )
    face, arm = face_of(results["kind"]), results["selected"]
    caveats = (*_common_caveats(results, face), *face.caveats(results))
    if not is_above_chance(results):
        return Verdict("unclear", _nothing(results, face), caveats)
    if results["n_tested"] < FEWEST_TESTED:
        return Verdict("unclear", _too_few(results, face), caveats)
    if not may_claim(results):
        return Verdict("unclear", _one_fit(results, face), caveats)
    if arm == BASELINE:
        return Verdict("unclear", _baseline_is_best(results, face), caveats)
    gains = results["contrasts"][f"{arm} - {BASELINE}"]
    outcome = judged(gains, results)
    manner = {
        "better": "better than",
        "worse": "worse than",
        "unclear": "neither clearly better nor clearly worse than",
    }[outcome]
    seen = f"past {face.words.seen}" if results.get("causal") else face.words.seen
    scores, labels = results["arms"], deciding(results)
    numbers = "; ".join(
        f"{label} {scores[arm][m]['mean']:.3f} against {scores[BASELINE][m]['mean']:.3f}, "
        f"{difference(gains[m], scores[BASELINE][m]['mean'])}"
        for m, label in labels.items()
    )
    sentence = (
        f"{_advice(results)}From {seen} alone, {_who(results)} "
        f"{face.words.does(results)} {manner} the same network trained without behavior: "
        f"{numbers}{face.clause(results)}."
    )
    return Verdict(outcome, signed(sentence), caveats)


def rivals(results: Results, arm: str) -> dict[str, dict[str, Any]]:
    """Return an arm minus each thing that a lab would use instead, where compared."""
    contrasts, metrics = results["contrasts"], deciding(results)
    found = {name: contrasts.get(f"{arm} - {name}") for name in results["references"]}
    return {name: each for name, each in found.items() if each and metrics.keys() <= each.keys()}


def take_home(results: Results) -> str:
    """Return the simplest student that the selected arm is not clearly better than.

    Where selection looked at further scores (``keeps``), in none of them either.
    """
    arm = results["selected"]
    if arm in results["references"]:
        return str(arm)
    for simpler in (BASELINE, MULTITASK):
        contrast = results["contrasts"].get(f"{arm} - {simpler}")
        if contrast is None or judged(contrast, results) == "better":
            continue
        kept = [contrast[name] for name in results.get("keeps", ()) if name in contrast]
        if all(direction(each["ci95"]) != "better" for each in kept):
            return simpler
    return str(arm)


def _advice(results: Results) -> str:
    """Return what to use, next to what a lab would use instead where that was compared."""
    arm, home = results["selected"], take_home(results)
    found = {name: judged(minus, results) for name, minus in rivals(results, home).items()}
    better = [name for name, outcome in found.items() if outcome == "worse"]
    as_good = [name for name, outcome in found.items() if outcome == "unclear"]
    may_be_selected = set(found) <= set(results["candidates"])  # they give all that a student does
    advice = f"Use {home}{MEANING.get(home, '')}"
    if better and may_be_selected:
        advice += f"; {' and '.join(better)} did better on what was tested"
    elif better:
        advice = f"For behavior alone use {' or '.join(better)}; for rates, {home}"
    elif as_good and not may_be_selected:
        advice += f"; for behavior alone, {as_good[0]} is not clearly worse"
    elif as_good and home not in results["references"]:
        advice += f"; {as_good[0]}, which needs no behavior, is not clearly worse"
    if home == arm:
        return f"{advice}. "
    return f"{advice}. {arm} was selected by validation scores, but is not clearly better than it. "


def _baseline_is_best(results: Results, face: Face) -> str:
    metric, label = next(iter(deciding(results).items()))
    score = results["arms"][BASELINE][metric]["mean"]
    return signed(
        f"{_advice(results)}No student that learned from behavior was chosen over the same network "
        f"trained without it, the baseline, by {face.words.chosen_by}: {label} {score:.3f}."
    )


def deciding(results: Results) -> dict[str, str]:
    """Return the labels of the scores that decide, by name, the most telling one first."""
    metrics = metrics_of(results)
    there = results["arms"][BASELINE]
    asked = [name for name in results.get("deciding", ()) if name in there]
    names = asked or [name for name, m in metrics.items() if m.deciding and name in there]
    return {name: metrics[name].label for name in names}


def judged(contrast: dict[str, Any], results: Results) -> str:
    """Return better or worse where a deciding score is and no other says the opposite."""
    if not may_claim(results):
        return "unclear"
    found = {direction(contrast[metric]["ci95"]) for metric in deciding(results)} - {"unclear"}
    return found.pop() if len(found) == 1 else "unclear"


def may_claim(results: Results) -> bool:
    """Whether intervals say enough: of enough that was tested, and of more than one training."""
    return results["n_tested"] >= FEWEST_TESTED and results.get("intervals") != "none"


def difference(contrast: dict[str, Any], of: float = 0.0) -> str:
    """Return a difference with its interval, and in percent of the score ``of`` it is from."""
    low, high = contrast["ci95"]
    part = f" ({100 * contrast['mean'] / of:+.0f} %)" if of > 0.05 else ""
    return f"difference {contrast['mean']:+.3f}{part}, 95 % interval {low:+.3f} to {high:+.3f}"


def above_chance(results: Results) -> list[str]:
    """Return the arms that lie above chance in a deciding score; all where chance is not asked."""
    return [
        arm
        for arm in results["arms"]
        if (contrast := results["contrasts"].get(f"{arm} - {CHANCE}")) is None
        or any(direction(contrast[m]["ci95"]) == "better" for m in deciding(results))
    ]


def is_above_chance(results: Results) -> bool:
    """Whether the selected student or the baseline lies above chance."""
    return bool({results["selected"], BASELINE} & set(above_chance(results)))


def _who(results: Results) -> str:
    arm = results["selected"]
    if arm in results["references"]:
        return f"{arm}, which learned from no behavior,"
    if arm == BASELINE:
        return "the baseline"
    if arm == MULTITASK:
        return "the student trained with a behavior read-out"
    return f"the student {'distilled' if arm in results['needs_teacher'] else 'trained'} with {arm}"


def _nothing(results: Results, face: Face) -> str:
    arm, contrasts = results["selected"], results["contrasts"]
    who = "no arm is"
    if above_chance(results):
        who = f"neither {_who(results)} nor the baseline is"
        if arm == BASELINE:
            who = "the baseline, which was selected, is not"
    numbers = "; ".join(
        f"{label}, {difference(contrasts[f'{arm} - {CHANCE}'][m])}"
        for m, label in deciding(results).items()
    )
    metric, label = next(iter(deciding(results).items()))
    text = f"No conclusion: {who} above chance ({_who(results)} minus chance: {numbers})."
    if arm != BASELINE:
        gain = difference(contrasts[f"{arm} - {BASELINE}"][metric])
        text += f" Its difference to the baseline ({label}, {gain}) then says nothing of behavior."
    return signed(text)


def _too_few(results: Results, face: Face) -> str:
    more = "Record more."
    if results.get("folds", 0) is None:
        more = "Test every trial once with --folds 5, or record more."
    return (
        f"No conclusion: {results['n_tested']} {face.words.unit} a seed are too few to believe an "
        f"interval. {more}"
    )


def _one_fit(results: Results, face: Face) -> str:
    """Return that one training an arm does not tell, where another might come out otherwise."""
    metric, label = next(iter(deciding(results).items()))
    scores, arm = results["arms"], results["selected"]
    seen = "" if arm == BASELINE else f", {scores[arm][metric]['mean']:.3f} with {arm}"
    again = "--folds 5 or --seeds 3" if "folds" in results else "--seeds 3"
    return signed(
        "No conclusion: each network was trained once, so how much another split and other initial "
        f"weights would change is not known ({label} {scores[BASELINE][metric]['mean']:.3f} "
        f"without behavior{seen}). Give {again}, or more."
    )


def _common_caveats(results: Results, face: Face) -> list[Caveat]:
    found = (
        _of_chance(results),
        _of_one_score(results),
        _of_control(results),
        _of_rivals(results),
        _of_references(results),
        _of_seeds(results, face),
        _of_selection(results, face),
        _of_teacher(results),
    )
    return [caveat for caveat in found if caveat]


def _of_chance(results: Results) -> Caveat | None:
    above, arms = above_chance(results), list(results["arms"])
    if len(above) == len(arms) or not above:
        return None
    below = [arm for arm in arms if arm not in above]
    scores = " or ".join(deciding(results).values())
    if len(above) <= len(below):
        text = f"Of {len(arms)} arms, above chance in {scores}: {', '.join(above)}"
    else:
        text = f"Not above chance in {scores}: {', '.join(below)}"
    if not is_above_chance(results):
        text += "; of so many intervals, one or another lies above chance by luck"
    return Caveat("chance", f"{text}.", {"above": above, "below": below})


def _of_one_score(results: Results) -> Caveat | None:
    if results["selected"] == BASELINE:
        return None
    contrast = results["contrasts"][f"{results['selected']} - {BASELINE}"]
    found = {m: direction(contrast[m]["ci95"]) for m in deciding(results)}
    if len(set(found.values())) == 1 or not is_above_chance(results) or not may_claim(results):
        return None
    if "unclear" not in found.values():
        return Caveat(
            "scores disagree",
            "One score goes up and another down.",
            found,
        )
    names = deciding(results)
    clear = [names[m] for m, way in found.items() if way != "unclear"]
    other = [names[m] for m, way in found.items() if way == "unclear"]
    return Caveat(
        "one score",
        f"{' and '.join(clear)} alone shows a difference to the baseline; {' and '.join(other)} "
        "does not clearly differ.",
        found,
    )


def _of_control(results: Results) -> Caveat | None:
    arm = results["selected"]
    if not is_above_chance(results) or arm == BASELINE:
        return None
    if arm not in results["needs_teacher"]:
        what = ": it is the multitask control, a network with a behavior read-out"
        return Caveat(
            "no teacher",
            f"The selected arm has no teacher{what if arm == MULTITASK else ''}. A teacher is not "
            "needed for what it gains.",
        )
    contrast = results["contrasts"].get(f"{arm} - {MULTITASK}")
    if contrast is None:
        return None
    outcome = judged(contrast, results)
    others = {
        name: judged(minus, results)
        for name in results["candidates"]
        if name not in (BASELINE, MULTITASK, *results["needs_teacher"], *results["references"])
        and (minus := results["contrasts"].get(f"{arm} - {name}"))
    }
    as_good = [name for name, found in others.items() if found != "better"]
    is_gain = judged(results["contrasts"][f"{arm} - {BASELINE}"], results) == "better"
    earns = "A teacher earns its keep: the student does better than"
    if as_good:
        earns = f"A teacher is not clearly needed ({' and '.join(as_good)} may do as well), but"
        earns += " the student does better than"
    what = {
        "better": earns if is_gain else "The student does better than",
        "worse": "A teacher is not worth it here: the student does worse than",
        "unclear": "It is not clear that a teacher is needed: the student does not clearly differ "
        "from",
    }[outcome]
    names = deciding(results)
    numbers = "; ".join(f"{names[m]}, {difference(contrast[m])}" for m in names)
    return Caveat(
        f"teacher {outcome}",
        signed(
            f"{what} the multitask control, a network with a behavior read-out and no teacher "
            f"({numbers})."
        ),
        {m: contrast[m]["mean"] for m in names},
    )


def _of_rivals(results: Results) -> Caveat | None:
    """Return how the selected arm compares with what a lab would use instead."""
    found = rivals(results, results["selected"])
    if not found:
        return None
    metric, label = next(iter(deciding(results).items()))
    scores = results["arms"]
    each = "; ".join(
        f"{name} {scores[name][metric]['mean']:.3f} ({difference(contrast[metric])})"
        for name, contrast in found.items()
    )
    own = scores[results["selected"]][metric]["mean"]
    whose = "its" if results["selected"] in results["references"] else "the student's"
    text = f"What a lab would use instead, {label} against {whose} {own:.3f}: {each}."
    means = {name: contrast[metric]["mean"] for name, contrast in found.items()}
    return Caveat("rivals", signed(text), means)


def _of_references(results: Results) -> Caveat | None:
    metric, label = next(iter(deciding(results).items()))
    scores, arm = results["arms"], results["selected"]
    own = scores[arm][metric]["mean"]
    ahead = {
        name: scores[name][metric]["mean"]
        for name in results["references"]
        if name not in (arm, *results["sees_behavior"], *rivals(results, arm))
        and metric in scores[name]
        and scores[name][metric]["mean"] >= own
    }
    if not ahead or not is_above_chance(results):
        return None
    names = ", ".join(f"{name} {score:.3f}" for name, score in ahead.items())
    return Caveat(
        "references ahead",
        signed(
            f"Without any behavior in training, as good or better in {label} than the student's "
            f"{own:.3f}: {names} (no interval is computed for these differences)."
        ),
        ahead,
    )


def _of_seeds(results: Results, face: Face) -> Caveat | None:
    n_seeds = len(results["seeds"])
    if n_seeds >= FEW_SEEDS:
        return None
    if n_seeds > 1:
        text = (
            f"{n_seeds} seeds say little about how much seeds vary, and intervals are wide for it: "
            f"{FEW_QUANTILES[n_seeds]} standard errors between seeds; with many seeds 2 would do."
        )
    elif results.get("intervals") == "folds":
        text = (
            "One seed: the interval covers the choice of trials and what differs between folds, "
            "but not what all folds share, held-out neurons above all. Give --seeds 3 or more."
        )
    else:
        text = (
            f"One seed: the interval covers the choice of {face.words.unit}, not that of the split "
            "and of initial weights. Give --seeds 3 or more before you believe a difference."
        )
    return Caveat("few seeds", text, {"n_seeds": n_seeds})


def _of_selection(results: Results, face: Face) -> Caveat | None:
    candidates = results["candidates"]
    if len(candidates) < 2:
        return None
    text = (
        f"The arm was selected by {face.words.chosen_by}, not by the scores shown here; the "
        "intervals are not widened for the number of arms that are compared."
    )
    if results.get("folds") or len(results["seeds"]) > 1:
        text += (
            " What validates in one split may be tested in another, so what selection gains by "
            "chance is not wholly kept out."
        )
    return Caveat("selection", text, {"n_candidates": len(candidates)})


def _of_teacher(results: Results) -> Caveat | None:
    shown = results["sees_behavior"]
    if TEACHER not in shown:
        return None
    others = [arm for arm in shown if arm != TEACHER]
    who = f"The teacher and {', '.join(others)} are" if others else "The teacher is"
    return Caveat(
        "teacher sees behavior",
        f"{who} given behavior when tested too: a reference, and not a fair bound for a student.",
        {"arms": shown},
    )
