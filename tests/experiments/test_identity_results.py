"""Scores, intervals, contrasts and choice, from predictions that are made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from neuroblend.config import parse_settings
from neuroblend.engine.folder import RunFolder
from neuroblend.engine.results import _is_constant, gather
from neuroblend.experiments.identity.cells import Cells
from neuroblend.experiments.identity.classify import Classified
from neuroblend.experiments.identity.experiment import Identity
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.experiments.identity.split import split_neurons
from neuroblend.files import write_json

CLASSES = ("a", "b", "c")


class Made(Identity):
    """Cells that no session is read for."""

    def data_hash(self, data: Cells) -> str:
        return ""


N = 300

Predict = Callable[[str, int, NDArray[np.int64]], NDArray[np.float32]]
"""From arm, seed and (m,) classes of tested cells to (m, C) probabilities."""


def predicted(
    path: Path,
    predict: Predict,
    strategies: Sequence[str] = ("hard", "soft"),
    n_seeds: int = 2,
    valid: dict[str, float] | None = None,
    rare: Sequence[int] = (),
) -> RunFolder:
    """An experiment whose classifiers said what ``predict`` says; ``rare`` cells are of class d."""
    given = {"distill": {"strategies": list(strategies)}, "references": [], "seeds": n_seeds}
    config = parse_settings(IdentityConfig, given)
    names = tuple(f"cell{i:03d}" for i in range(N))
    classes = (*CLASSES, "d") if rare else CLASSES
    truth = np.arange(N) % len(CLASSES)
    truth[list(rare)] = 3
    labels = {name: classes[k] for name, k in zip(names, truth, strict=True)}
    cells = Cells("made", 1, names, ("m",) * N, {"kind": labels}, ())
    splits = [split_neurons({}, names, seed) for seed in config.all_seeds]
    folder = RunFolder.create(path, Made(config), cells, splits)
    for fit in folder.fits():
        index = np.flatnonzero(folder.split(fit).is_tested(names))
        found = predict(fit.arm.name, fit.seed, truth[index])
        score = (valid or {}).get(fit.arm.name, 0.5)
        told = Classified(np.array(classes), index, truth[index], found[None], ["x"], score)
        told.save(folder.of(fit) / "kind.h5")
        stored = {"test": {}, "valid": {"kind": score}, "state_r2": {"speed": fit.seed / 4}}
        without = {"speed": 0.5 + fit.seed / 4}
        stored["ablation"] = {"full": 0.75, "without_all": fit.seed / 2, "without": without}
        write_json(folder.of(fit) / "scores.json", stored)
    return folder


def guesses(arm: str, seed: int, truth: NDArray[np.int64]) -> NDArray[np.float32]:
    """Chances that have nothing to do with the truth."""
    rng = np.random.default_rng([seed, *arm.encode()])
    return rng.random((truth.size, len(CLASSES)), dtype=np.float32)


def better(share: float) -> Predict:
    """Right for a share of cells and a guess for the others."""

    def predict(arm: str, seed: int, truth: NDArray[np.int64]) -> NDArray[np.float32]:
        found = guesses(arm, seed, truth)
        rng = np.random.default_rng([seed, 3, *arm.encode()])
        known = rng.random(truth.size) < share
        found[known, truth[known]] += 1
        return found

    return predict


def by_arm(**predictors: Predict) -> Predict:
    return lambda arm, seed, truth: predictors.get(arm, guesses)(arm, seed, truth)


def test_scores_are_shares_of_tested_cells(tmp_path) -> None:
    folder = predicted(tmp_path / "a", better(0.3))
    results = gather(folder)
    for arm in ("baseline", "hard"):
        scores = results["arms"][arm]
        for seed in (0, 1):
            truth = np.flatnonzero(folder.splits()[seed].is_tested(folder.data().names)) % 3
            guess = better(0.3)(arm, seed, truth).argmax(axis=1)
            assert scores["top1"]["per_seed"][seed] == pytest.approx((guess == truth).mean())
            recall = [(guess[truth == k] == k).mean() for k in range(3)]
            assert scores["balanced_accuracy"]["per_seed"][seed] == pytest.approx(np.mean(recall))
            assert scores["recall/b"]["per_seed"][seed] == pytest.approx(recall[1])
    assert results["labels"] == {
        "kind": {"classes": dict.fromkeys(CLASSES, 100), "majority_rate": pytest.approx(1 / 3)}
    }
    assert results["state_r2"]["hard"] == {"speed": 0.125}
    without = {"full": 0.75, "without_all": 0.25, "without": {"speed": 0.625}}
    assert results["ablation"]["hard"] == without


def test_an_interval_is_as_wide_as_the_cells_are_few(tmp_path) -> None:
    """Of one seed, as wide as that of a share of m cells."""
    score = gather(predicted(tmp_path / "a", better(0.5), n_seeds=1))["arms"]["hard"]
    share = score["top1"]["mean"]
    low, high = score["top1"]["ci95"]
    wanted = 2 * 1.96 * np.sqrt(share * (1 - share) / (0.4 * N))
    assert high - low == pytest.approx(wanted, rel=0.1)
    assert (low + high) / 2 == pytest.approx(share, abs=0.02)


def test_contrasts_are_differences_of_the_same_seeds(tmp_path) -> None:
    results = gather(predicted(tmp_path / "a", by_arm(hard=better(0.6)), n_seeds=3))
    arms = results["arms"]
    assert set(results["contrasts"]) == {
        "teacher - baseline", "multitask - baseline", "hard - baseline", "soft - baseline",
        "hard - multitask", "soft - multitask",
        "teacher - chance", "baseline - chance", "multitask - chance", "hard - chance",
        "soft - chance",
    }  # fmt: skip
    for contrast, metrics in results["contrasts"].items():
        arm, _, control = contrast.partition(" - ")
        for metric, found in metrics.items():
            assert found["mean"] == pytest.approx(np.mean(found["per_seed"]))
            if control != "chance":
                each = np.subtract(arms[arm][metric]["per_seed"], arms[control][metric]["per_seed"])
                assert found["per_seed"] == pytest.approx(each)
    for control in ("baseline", "multitask", "chance"):
        assert results["contrasts"][f"hard - {control}"]["top1"]["ci95"][0] > 0.1


def test_contrasts_are_paired(tmp_path) -> None:
    """Two arms that say the same differ by nothing, for certain."""
    same = better(0.4)
    results = gather(predicted(tmp_path / "a", lambda _, *given: same("same", *given)))
    low, high = results["arms"]["hard"]["top1"]["ci95"]
    assert high - low > 0.05
    for found in results["contrasts"]["hard - baseline"].values():
        assert found["per_seed"] == [0, 0]
        assert found["ci95"] == pytest.approx([0, 0], abs=1e-12)


def test_chance_is_what_predictions_reach_by_their_shares(tmp_path) -> None:
    """The expected share of hits where guesses and truth are independent, in closed form."""
    half = better(0.5)
    bias = np.float32([0.6, 0, 0])
    folder = predicted(tmp_path / "a", lambda *given: half(*given) + bias)
    results = gather(folder)
    found = results["contrasts"]["hard - chance"]["top1"]["per_seed"]
    for seed in (0, 1):
        told = Classified.load(folder.path / "student-hard" / f"seed{seed}" / "kind.h5")
        guess = told.probability[0].argmax(axis=1)
        chance = sum((guess == k).mean() * (told.truth == k).mean() for k in range(3))
        assert found[seed] == pytest.approx((guess == told.truth).mean() - chance, abs=0.01)


def test_who_knows_nothing_is_not_above_chance(tmp_path) -> None:
    strategies = ["hard", "soft", "feature", "correlation", "embedding", "hard+soft"]
    results = gather(predicted(tmp_path / "a", guesses, strategies))
    covers = []
    for arm, metric in product(results["arms"], ("top1", "macro_f1", "balanced_accuracy")):
        low, high = results["contrasts"][f"{arm} - chance"][metric]["ci95"]
        covers.append(low <= 0 <= high)
    assert len(covers) == 27
    assert np.mean(covers) >= 0.9


def test_who_always_says_the_same_is_at_chance(tmp_path) -> None:
    always = np.float32([[0.2, 0.5, 0.3]])
    folder = predicted(tmp_path / "a", lambda arm, seed, truth: always.repeat(truth.size, axis=0))
    contrast = gather(folder)["contrasts"]["hard - chance"]
    for metric in ("top1", "top2", "macro_f1", "balanced_accuracy"):
        found = contrast[metric]
        assert found["per_seed"] == pytest.approx([0, 0], abs=1e-12)
        assert found["ci95"][0] <= 1e-12 and found["ci95"][1] >= -1e-12


@pytest.mark.parametrize("best", ["hard", "soft"])
def test_a_strategy_is_selected_by_validation_alone(tmp_path, best) -> None:
    other = {"hard": "soft", "soft": "hard"}[best]
    valid = {"teacher": 0.9, "multitask": 0.3, best: 0.6, other: 0.55}
    tested = by_arm(**{other: better(0.9)})
    results = gather(predicted(tmp_path / "a", tested, valid=valid))
    assert results["arms"][other]["top1"]["mean"] > results["arms"][best]["top1"]["mean"] + 0.3
    assert results["selected"] == best


@pytest.mark.parametrize(
    ("profile", "moments", "selected"),
    [
        (0.4, 0.5, "soft"),
        (0.4, 0.55, "moments"),
        (0.51, 0.55, "activity_profile"),
        (0.55, 0.5, "activity_profile"),
        (0.49, 0.5, "soft"),
    ],
)
def test_what_is_less_simple_must_validate_better(profile, moments, selected) -> None:
    scores = {"moments": moments, "hard": 0.56, "soft": 0.58, "activity_profile": profile}
    valid = {arm: {"kind": score, "kind/error": 0.05} for arm, score in scores.items()}
    experiment = Made(parse_settings(IdentityConfig, {}))
    assert experiment.select(valid, list(scores)) == selected
    assert experiment.select(valid, ["hard", "soft"]) == "soft"


def test_references_without_behavior_are_candidates() -> None:
    arms = {arm.name: arm for arm in Made(parse_settings(IdentityConfig, {})).arms()}
    assert not arms["stock"].candidate
    plain = ("moments", "contrastive", "hand_features", "activity_profile")
    assert all(arms[name].candidate and arms[name].is_reference for name in plain)
    assert arms["feature"].compared_with == ("baseline", "multitask", *plain)
    assert arms["moments"].compared_with == ("baseline", *plain[1:])
    assert arms["teacher"].compared_with == ("baseline",)


def test_a_class_that_a_seed_does_not_test_has_no_recall_there(tmp_path) -> None:
    """No score and no warning; the other scores are those of the classes that were tested."""
    names = tuple(f"cell{i:03d}" for i in range(N))
    tested = [split_neurons({}, names, seed).is_tested(names) for seed in (0, 1)]
    rare = np.flatnonzero(tested[0] & ~tested[1])[:3].tolist()
    right = np.eye(3, 4, dtype=np.float32)
    four = predicted(tmp_path / "a", lambda *given: right[given[2].clip(max=2)], rare=rare)
    results = gather(four)
    found = results["arms"]["hard"]["recall/d"]
    assert found["per_seed"][0] == 0
    assert [found["per_seed"][1], found["mean"], *found["ci95"]] == [None] * 4
    assert results["contrasts"]["hard - chance"]["recall/d"]["ci95"] == [None, None]
    assert results["arms"]["hard"]["balanced_accuracy"]["per_seed"] == pytest.approx([0.75, 1])


def test_a_class_that_is_never_found_has_no_interval_against_chance(tmp_path) -> None:
    known = better(0.7)
    folder = predicted(tmp_path / "a", lambda *given: known(*given) * np.float32([1, 0, 1]))
    contrasts = gather(folder)["contrasts"]
    for control in ("chance", "baseline"):
        assert contrasts[f"hard - {control}"]["recall/b"]["ci95"] == [None, None]
        assert None not in contrasts[f"hard - {control}"]["top1"]["ci95"]


def test_constant_scores_are_known_among_draws_that_lack_them() -> None:
    assert _is_constant(np.array([0.0, np.nan, 0.0]))
    assert not _is_constant(np.array([0.0, np.nan, 0.5]))
    assert not _is_constant(np.array([np.nan, np.nan]))
