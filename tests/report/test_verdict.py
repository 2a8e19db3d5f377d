"""The verdict, for results made by hand."""

import io

import pytest
from rich.console import Console

from neuroblend.errors import InputError
from neuroblend.report.table import print_table
from neuroblend.report.verdict import above_chance, is_above_chance, take_home, verdict

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
        "kind": "identity",
        "dataset": "made",
        "candidates": ["feature", "hard"],
        "references": [name for name in ("hand_features", "stock") if name in more],
        "sees_behavior": ["teacher", *(["stock"] if "stock" in more else [])],
        "needs_teacher": ["feature", "hard"],
        "n_tested": 40,
        "animals": [],
        "seeds": list(range(seeds)),
        "labels": {"kind": {"classes": {"A": 30, "B": 40, "C": 30}, "majority_rate": 0.4}},
        "selected": selected,
        "arms": each,
        "contrasts": found,
        "state_r2": {},
    }


def caveats(results: dict) -> dict:
    return {caveat.kind: caveat.numbers for caveat in verdict(results).caveats}


@pytest.mark.parametrize(
    ("gain", "top1", "outcome", "kind"),
    [
        (CLEAR, CLEAR, "better", None),
        (CLEAR, NOTHING, "better", "one score"),
        (NOTHING, CLEAR, "better", "one score"),
        (NOTHING, NOTHING, "unclear", None),
        (CLEAR, LESS, "unclear", "scores disagree"),
        (LESS, NOTHING, "worse", "one score"),
        (LESS, LESS, "worse", None),
    ],
)
def test_outcome_is_what_the_intervals_say(gain, top1, outcome, kind) -> None:
    results = make_results(gain, top1)
    found = verdict(results)
    assert found.outcome == outcome
    words = {"better": "better than", "worse": "worse than", "unclear": "neither clearly better"}
    first = found.sentence.split(":")[0]
    assert words[outcome] in first
    assert f"{gain[0]:+.3f}".replace("-", "−") in found.sentence
    assert "95 % interval" in found.sentence
    assert {"one score", "scores disagree"} & set(caveats(results)) == ({kind} if kind else set())


def test_a_gain_is_told_in_percent_of_the_baseline() -> None:
    assert "difference +0.100 (+25 %), 95 % interval" in verdict(make_results()).sentence


@pytest.mark.parametrize("gain", [CLEAR, NOTHING, LESS])
def test_nothing_is_concluded_where_no_arm_lies_above_chance(gain) -> None:
    results = make_results(gain, above=())
    found = verdict(results)
    assert above_chance(results) == []
    assert not is_above_chance(results)
    assert found.outcome == "unclear"
    assert found.sentence.startswith("No conclusion: no arm is above chance")
    assert not [kind for kind in caveats(results) if kind.startswith(("teacher b", "teacher w"))]


def test_nothing_is_concluded_where_others_alone_lie_above_chance() -> None:
    results = make_results(CLEAR, above=("hard",))
    found = verdict(results)
    assert found.outcome == "unclear"
    assert found.sentence.startswith("No conclusion: neither")
    assert caveats(results)["chance"]["above"] == ["hard"]


def test_one_of_the_two_above_chance_is_enough_and_the_others_are_named() -> None:
    results = make_results(CLEAR, above=("feature", "teacher", "hard", "multitask"))
    assert verdict(results).outcome == "better"
    assert caveats(results)["chance"]["below"] == ["baseline"]


@pytest.mark.parametrize(
    ("control", "kind"),
    [(CLEAR, "teacher better"), (NOTHING, "teacher unclear"), (LESS, "teacher worse")],
)
def test_the_control_tells_whether_a_teacher_is_needed(control, kind) -> None:
    found = caveats(make_results(control=control))
    assert found[kind] == {"macro_f1": control[0], "top1": control[0]}
    assert len([k for k in found if k.startswith("teacher ") and k != "teacher sees behavior"]) == 1


def test_the_control_itself_may_be_selected() -> None:
    results = make_results(selected="multitask")
    found = verdict(results)
    assert found.outcome == "better"
    assert "trained with a behavior read-out" in found.sentence
    assert "no teacher" in caveats(results)


@pytest.mark.parametrize("seeds", [1, 2, 4, 5])
def test_few_seeds_are_a_caveat(seeds) -> None:
    found = caveats(make_results(seeds=seeds))
    assert found.get("few seeds") == ({"n_seeds": seeds} if seeds < 5 else None)


def test_classes_of_few_cells_are_named_and_others_are_not() -> None:
    results = make_results()
    assert "small classes" not in caveats(results)
    results["labels"]["kind"]["classes"]["C"] = 19
    assert caveats(results)["small classes"] == {"C (kind)": 19}


@pytest.mark.parametrize(("score", "named"), [(0.49, False), (0.51, True)])
def test_what_does_as_well_without_behavior_is_named(score, named) -> None:
    found = caveats(make_results(hand_features=score, stock=0.7))
    assert found.get("references ahead") == ({"hand_features": score} if named else None)


@pytest.mark.parametrize(("selected", "told"), [("feature", False), ("hand_features", True)])
def test_a_selected_reference_says_that_no_behavior_is_needed(selected, told) -> None:
    results = make_results(selected=selected, hand_features=0.6)
    assert ("no behavior needed" in caveats(results)) == told


def test_the_largest_class_may_be_the_better_guess() -> None:
    results = make_results()
    assert "majority rate" not in caveats(results)
    results["labels"]["kind"]["majority_rate"] = 0.55
    assert caveats(results)["majority rate"] == {"largest": "B", "rate": 0.55, "top1": 0.5}


def test_arms_that_see_behavior_are_named() -> None:
    assert caveats(make_results())["teacher sees behavior"] == {"arms": ["teacher"]}
    found = caveats(make_results(stock=0.6))
    assert found["teacher sees behavior"] == {"arms": ["teacher", "stock"]}


def test_animals_are_not_resampled() -> None:
    results = make_results() | {"animals": ["a", "b"]}
    assert caveats(results)["animals"] == {"n_animals": 2}


def test_decoding_is_judged_by_the_same_rules() -> None:
    """With a cost in co-bps in the sentence, and a baseline that may be too weak to tell."""
    results = make_results()
    renamed = {"macro_f1": "decoding_r2", "top1": "co_bps"}
    for part in ("arms", "contrasts"):
        results[part] = {
            pair: {new: dict(found[old]) for old, new in renamed.items()}
            for pair, found in results[part].items()
            if "chance" not in pair
        }
    results |= {"kind": "decoding", "folds": None}
    results["contrasts"]["feature - baseline"]["co_bps"] = difference(LESS)
    found = verdict(results)
    assert found.outcome == "better"
    assert "decodes behavior better than" in found.sentence
    assert "; it loses co-bps, difference −0.100" in found.sentence
    assert set(caveats(results)) == {
        "teacher better", "few seeds", "selection", "teacher sees behavior"
    }  # fmt: skip
    results["arms"]["baseline"]["co_bps"]["ci95"] = [-0.1, 0.2]
    assert "weak baseline" in caveats(results)


def test_what_a_lab_would_use_instead_is_compared() -> None:
    """What is better for behavior alone is named first, else the arm that was chosen."""
    for minus, first in (
        (CLEAR, "Use feature. From"),
        (NOTHING, "Use feature; for behavior alone, hand_features is not clearly worse. "),
        (LESS, "For behavior alone use hand_features; for rates, feature. "),
    ):
        results = make_results(hand_features=0.4)
        results["contrasts"]["feature - hand_features"] = {
            m: difference(minus) for m in ("macro_f1", "top1")
        }
        found = verdict(results)
        assert found.sentence.startswith(first)
        assert caveats(results)["rivals"] == {"hand_features": minus[0]}


@pytest.mark.parametrize(
    ("gain", "control", "home"),
    [
        (CLEAR, CLEAR, "feature"),
        (CLEAR, NOTHING, "multitask"),
        (NOTHING, CLEAR, "baseline"),
        (LESS, LESS, "baseline"),
    ],
)
def test_the_simplest_student_that_is_not_clearly_worse_is_named(gain, control, home) -> None:
    results = make_results(gain, control=control, hand_features=0.4)
    results["contrasts"]["feature - hand_features"] = {
        m: difference(CLEAR) for m in ("macro_f1", "top1")
    }
    assert take_home(results) == home
    sentence = verdict(results).sentence
    assert sentence.startswith(f"Use {home}")
    assert ("feature was selected by validation scores, but" in sentence) is (home != "feature")


def test_rivals_are_judged_against_the_student_that_is_named() -> None:
    """The selected arm is clearly better than the rival, the simpler one that is named is not."""
    results = make_results(NOTHING, hand_features=0.4)
    for arm, minus in (("feature", CLEAR), ("baseline", LESS)):
        results["contrasts"][f"{arm} - hand_features"] = {
            m: difference(minus) for m in ("macro_f1", "top1")
        }
    sentence = verdict(results).sentence
    assert sentence.startswith("For behavior alone use hand_features; for rates, baseline. feature")


@pytest.mark.parametrize(("kept", "home"), [(CLEAR, "feature"), (NOTHING, "baseline")])
def test_a_simpler_student_that_loses_what_selection_kept_is_not_named(kept, home) -> None:
    results = make_results(NOTHING, NOTHING, control=NOTHING) | {"keeps": ["top2"]}
    for control in ("baseline", "multitask"):
        results["contrasts"][f"feature - {control}"]["top2"] = difference(kept)
    assert take_home(results) == home


def test_a_teacher_is_not_needed_where_another_single_network_does_as_well() -> None:
    results = make_results()
    results["candidates"] += ["two-heads"]
    results["contrasts"]["feature - two-heads"] = {
        m: difference(NOTHING) for m in ("macro_f1", "top1")
    }
    (text,) = [c.text for c in verdict(results).caveats if c.kind == "teacher better"]
    assert text.startswith("A teacher is not clearly needed (two-heads may do as well)")
    assert "earns its keep" in next(
        c.text for c in verdict(make_results()).caveats if c.kind == "teacher better"
    )


@pytest.mark.parametrize(("gain", "outcome"), [(CLEAR, "better"), (NOTHING, "unclear")])
def test_a_reference_that_is_selected_is_no_student(gain, outcome) -> None:
    results = make_results(gain, selected="hand_features", hand_features=0.5, moments=0.5)
    results["candidates"] += ["hand_features", "moments"]
    results["references"] += ["moments"]
    results["contrasts"]["hand_features - moments"] = {
        m: difference(LESS) for m in ("macro_f1", "top1")
    }
    found = verdict(results)
    assert found.outcome == outcome
    first = "Use hand_features; moments did better on what was tested. From activity alone, hand_"
    assert found.sentence.startswith(first)
    assert "student" not in found.sentence and "rates" not in found.sentence
    assert "references ahead" not in caveats(results)


def test_the_baseline_may_be_the_best() -> None:
    results = make_results() | {"selected": "baseline"}
    found = verdict(results)
    assert found.outcome == "unclear"
    assert "No student that learned from behavior was chosen" in found.sentence


@pytest.mark.parametrize(("n", "concludes"), [(9, False), (10, True)])
def test_few_tests_allow_no_conclusion(n, concludes) -> None:
    found = verdict(make_results() | {"n_tested": n})
    assert (found.outcome == "better") is concludes
    assert found.sentence.startswith("No conclusion: 9 tested cells") is not concludes


@pytest.mark.parametrize(
    ("folds", "proposed"), [({"folds": None}, "--folds 5, or record more"), ({}, "Record more.")]
)
def test_folds_are_proposed_where_there_are_such_and_none_were_asked_for(folds, proposed) -> None:
    assert verdict(make_results() | {"n_tested": 4, **folds}).sentence.endswith(
        (proposed, f"{proposed}.")
    )


@pytest.mark.parametrize("control", [CLEAR, LESS])
def test_one_training_allows_no_claim(control) -> None:
    """Neither against the baseline nor against the control, clear as the intervals are."""
    results = make_results(CLEAR, NOTHING, control=control, seeds=1) | {"intervals": "none"}
    found = verdict(results)
    assert found.outcome == "unclear"
    assert found.sentence.startswith("No conclusion: each network was trained once")
    assert found.sentence.endswith("Give --seeds 3, or more.")
    assert "--folds 5 or --seeds 3" in verdict(results | {"folds": None}).sentence
    assert {"few seeds", "teacher unclear"} <= set(caveats(results))
    assert "one score" not in caveats(results)


def test_folds_of_one_seed_allow_a_claim_with_a_caveat() -> None:
    results = make_results(seeds=1) | {"intervals": "folds"}
    assert verdict(results).outcome == "better"
    (text,) = [c.text for c in verdict(results).caveats if c.kind == "few seeds"]
    assert "not what all folds share" in text


@pytest.mark.parametrize(("seeds", "says"), [(2, "12.7"), (3, "4.3"), (4, "3.2"), (5, None)])
def test_few_seeds_say_how_wide_intervals_are_for_it(seeds, says) -> None:
    texts = [c.text for c in verdict(make_results(seeds=seeds)).caveats if c.kind == "few seeds"]
    assert [f"wide for it: {says} standard errors" in text for text in texts] == [True] * bool(says)


def test_a_strategy_without_a_teacher_is_not_judged_as_one_with() -> None:
    found = make_results() | {"needs_teacher": []}
    assert "no teacher" in caveats(found)
    assert "trained with feature" in verdict(found).sentence


def test_results_of_another_version_are_refused() -> None:
    results = make_results()
    del results["needs_teacher"]
    for wrong in (results, "runs/x"):
        with pytest.raises(InputError, match=r"wanted the content of a results\.json"):
            verdict(wrong)


def test_the_screen_shows_the_table_and_ends_with_the_verdict() -> None:
    results = make_results()
    found = results["labels"].pop("kind")
    found["classes"]["[/b]"] = found["classes"].pop("A")  # what rich would take for markup
    results["labels"]["[bold]kind"] = found

    class Folder:
        def results(self) -> dict:
            return results

    text = io.StringIO()
    print_table(Folder(), Console(file=text, width=80))
    shown = text.getvalue()
    assert shown.rstrip().endswith(verdict(results).sentence)
    assert "[bold]kind: scores on tested cells" in shown
    assert "[/b] 30" in shown
    assert max(map(len, shown.split("*")[0].splitlines())) <= 80
    rows = [line for line in shown.splitlines() if line.startswith("│feature *")]
    assert [row.count("0.500") for row in rows] == [2, 2]
    assert "0.500 +0.100 [+0.050 +0.150]" in rows[0]
    assert all(f"- {caveat.text}" in shown for caveat in verdict(results).caveats)
