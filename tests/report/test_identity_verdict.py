"""The verdict of an experiment on identity, for results made by hand."""

import io

import pytest
from rich.console import Console

from neuroblend.report.identity.caveats import above_chance, identity_verdict, is_told
from neuroblend.report.identity.table import print_identity_table

CLEAR, NOTHING, LESS = (0.10, 0.05, 0.15), (0.01, -0.04, 0.06), (-0.10, -0.15, -0.05)
SCORES = {"baseline": 0.4, "multitask": 0.45, "feature": 0.5, "hard": 0.4, "teacher": 0.6}


def difference(triple: tuple[float, float, float]) -> dict:
    mean, low, high = triple
    return {"mean": mean, "ci95": [low, high], "per_seed": [mean]}


def make_results(
    gain=CLEAR, top1=None, control=CLEAR, above=tuple(SCORES), seeds=3, selected="feature", **more
) -> dict:
    """Results in which ``selected`` differs from baseline and control by what is given."""
    scores = SCORES | more
    each = {
        arm: {
            m: {"mean": s, "ci95": [s - 0.05, s + 0.05], "per_seed": [s] * seeds}
            for m in ("macro_f1", "top1", "top2", "balanced_accuracy")
        }
        for arm, s in scores.items()
    }
    contrasts = {f"{arm} - baseline": NOTHING for arm in scores if arm != "baseline"}
    contrasts |= {f"{arm} - chance": CLEAR if arm in above else NOTHING for arm in scores}
    contrasts |= {f"{arm} - multitask": control for arm in ("feature", "hard")}
    found = {pair: dict.fromkeys(each["baseline"], difference(d)) for pair, d in contrasts.items()}
    deciding = {"macro_f1": difference(gain), "top1": difference(gain if top1 is None else top1)}
    found[f"{selected} - baseline"] |= deciding
    return {
        "dataset": "made",
        "seeds": list(range(seeds)),
        "labels": {"kind": {"classes": {"A": 30, "B": 40, "C": 30}, "majority_rate": 0.4}},
        "selected": selected,
        "arms": each,
        "contrasts": found,
        "state_r2": {},
    }


def said(results: dict) -> str:
    return " ".join(identity_verdict(results).caveats)


@pytest.mark.parametrize(
    ("gain", "top1", "outcome"),
    [
        (CLEAR, CLEAR, "better"),
        (CLEAR, NOTHING, "better"),
        (NOTHING, CLEAR, "better"),
        (NOTHING, NOTHING, "unclear"),
        (CLEAR, LESS, "unclear"),
        (LESS, NOTHING, "worse"),
        (LESS, LESS, "worse"),
    ],
)
def test_outcome_is_what_the_intervals_say(gain, top1, outcome) -> None:
    results = make_results(gain, top1)
    found = identity_verdict(results)
    assert found.outcome == outcome
    words = {"better": "better than", "worse": "worse than", "unclear": "neither clearly better"}
    first = found.sentence.split(":")[0]
    assert words[outcome] in first
    assert f"{gain[0]:+.3f}".replace("-", "−") in found.sentence
    assert "95 % interval" in found.sentence
    is_alone = NOTHING in (gain, top1) and gain != top1
    assert ("alone shows a difference" in said(results)) is is_alone
    assert ("One score goes up" in said(results)) is ({gain, top1} == {CLEAR, LESS})


def test_a_gain_is_told_in_percent_of_the_baseline() -> None:
    assert "difference +0.100 (+25 %), 95 % interval" in identity_verdict(make_results()).sentence


@pytest.mark.parametrize("gain", [CLEAR, NOTHING, LESS])
def test_nothing_is_told_where_no_arm_lies_above_chance(gain) -> None:
    results = make_results(gain, above=())
    found = identity_verdict(results)
    assert above_chance(results) == []
    assert not is_told(results)
    assert found.outcome == "unclear"
    assert found.sentence.startswith("Nothing can be told: no arm")
    assert "teacher is not" not in said(results)


def test_nothing_is_told_where_others_alone_lie_above_chance() -> None:
    results = make_results(CLEAR, above=("hard",))
    found = identity_verdict(results)
    assert found.outcome == "unclear"
    assert found.sentence.startswith("Nothing can be told: neither")
    assert "above chance in macro-F1 or top-1: hard;" in said(results)
    assert "by luck" in said(results)


def test_one_of_the_two_above_chance_is_enough_and_the_others_are_named() -> None:
    results = make_results(CLEAR, above=("feature", "teacher", "hard", "multitask"))
    assert identity_verdict(results).outcome == "better"
    assert "Not above chance in macro-F1 or top-1: baseline." in said(results)


@pytest.mark.parametrize(
    ("control", "words", "caveat"),
    [
        (CLEAR, "It does better than the multitask control", None),
        (NOTHING, "It does not clearly differ from the multitask", "A teacher is not shown"),
        (LESS, "It does worse than the multitask control", "A teacher is not worth it"),
    ],
)
def test_the_control_tells_whether_a_teacher_is_needed(control, words, caveat) -> None:
    results = make_results(control=control)
    assert words in identity_verdict(results).sentence
    for text in ("A teacher is not shown", "A teacher is not worth it"):
        assert (text in said(results)) is (text == caveat)


def test_the_control_itself_may_be_selected() -> None:
    results = make_results(selected="multitask")
    found = identity_verdict(results)
    assert found.outcome == "better"
    assert "trained with a behavior read-out" in found.sentence
    assert "has no teacher: it is the multitask control" in said(results)


@pytest.mark.parametrize(("seeds", "words"), [(1, "One seed"), (2, "2 seeds"), (3, None)])
def test_few_seeds_are_a_caveat(seeds, words) -> None:
    caveats = said(make_results(seeds=seeds))
    for text in ("One seed", "2 seeds"):
        assert (text in caveats) is (text == words)


def test_classes_of_few_cells_are_named_and_others_are_not() -> None:
    results = make_results()
    assert "fewer than 20" not in said(results)
    results["labels"]["kind"]["classes"]["C"] = 19
    assert "fewer than 20 cells: C 19 (kind)" in said(results)


@pytest.mark.parametrize(("score", "named"), [(0.49, False), (0.51, True)])
def test_what_does_as_well_without_behavior_is_named(score, named) -> None:
    caveats = said(make_results(hand_features=score, stock=0.7))
    assert (f"hand_features {score:.3f}" in caveats) is named
    assert ("Without any behavior" in caveats) is named
    assert "stock 0.7" not in caveats


def test_the_largest_class_may_be_the_better_guess() -> None:
    results = make_results()
    assert "call every cell" not in said(results)
    results["labels"]["kind"]["majority_rate"] = 0.55
    assert "To call every cell B" in said(results)


def test_references_that_see_behavior_are_said_to() -> None:
    assert "The teacher is given behavior" in said(make_results())
    assert "The teacher and stock are given behavior" in said(make_results(stock=0.6))


def test_the_screen_shows_the_table_and_ends_with_the_verdict() -> None:
    results = make_results()
    found = results["labels"].pop("kind")
    found["classes"]["[/b]"] = found["classes"].pop("A")  # what rich would take for markup
    results["labels"]["[bold]kind"] = found

    class Folder:
        def results(self) -> dict:
            return results

    text = io.StringIO()
    print_identity_table(Folder(), Console(file=text, width=80))
    shown = text.getvalue()
    assert shown.rstrip().endswith(identity_verdict(results).sentence)
    assert "[bold]kind of tested cells" in shown
    assert "[/b] 30" in shown
    rows = [line for line in shown.splitlines() if line.startswith("│ feature *")]
    assert len(rows) == 1 and rows[0].count("0.500") == 4
