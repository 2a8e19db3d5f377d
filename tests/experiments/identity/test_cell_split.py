import json
from collections import Counter

import numpy as np
import pytest
from conftest import refuses

from neuroblend.experiments.identity.split import (
    NeuronSplit,
    split_animals,
    split_neurons,
    usable_labels,
)

SIZES = {"Lamp5": 40, "Pvalb": 21, "Sst": 7, "Sncg": 2}
LABELS = {f"{name}{i}": name for name, n in SIZES.items() for i in range(n)}
EVERY = [*LABELS, *(f"unknown{i}" for i in range(100))]
ANIMALS = {neuron: "abc"[i % 3] for i, neuron in enumerate(EVERY)}


def test_a_split_is_stratified_by_label() -> None:
    split = split_neurons(LABELS, EVERY, seed=1)
    tested = Counter(LABELS.get(neuron, "none") for neuron in split.tested)
    assert tested == {"Lamp5": 16, "Pvalb": 8, "Sst": 3, "Sncg": 1, "none": 40}


def test_a_cell_that_recurs_is_on_one_side() -> None:
    sessions = [np.array(EVERY[:120]), np.array(EVERY[60:])]
    split = split_neurons(LABELS, [n for ids in sessions for n in ids], seed=0)
    assert split.tested == split_neurons(LABELS, EVERY, seed=0).tested
    sides = [
        dict(zip(ids.tolist(), split.is_tested(ids).tolist(), strict=True)) for ids in sessions
    ]
    assert all(sides[0][n] == sides[1][n] for n in set(sides[0]) & set(sides[1]))
    assert sum(split.is_tested(EVERY)) == len(split.tested)


def test_the_seed_decides_and_the_order_does_not() -> None:
    first = split_neurons(LABELS, EVERY, 3, animals=ANIMALS)
    again = split_neurons(
        dict(reversed(LABELS.items())), EVERY[::-1], 3, animals=dict(reversed(ANIMALS.items()))
    )
    assert first.tested == again.tested
    assert first.tested != split_neurons(LABELS, EVERY, 4, animals=ANIMALS).tested


@pytest.mark.parametrize("animals", [None, ANIMALS])
def test_over_seeds_each_cell_is_tested_as_often(animals) -> None:
    n_seeds = 400
    times = Counter(
        n
        for seed in range(n_seeds)
        for n in split_neurons(LABELS, EVERY, seed, 0.4, animals).tested
    )
    for name in ("Lamp5", "Pvalb"):
        share = np.array([times[n] for n in LABELS if LABELS[n] == name]) / n_seeds
        assert share.mean() == pytest.approx(0.4, abs=0.025)
        assert np.abs(share - 0.4).max() < 5 * np.sqrt(0.24 / n_seeds)


def test_draws_are_spread_over_animals() -> None:
    split = split_neurons(LABELS, EVERY, 0, animals=ANIMALS)
    tested = Counter(ANIMALS[n] for n in split.tested if LABELS.get(n) == "Lamp5")
    assert sorted(tested.values()) == [5, 5, 6]


def test_a_split_survives_json() -> None:
    for split in (split_neurons(LABELS, EVERY, 2), *split_animals(LABELS, EVERY, 2, ANIMALS)):
        back = NeuronSplit.from_json(json.loads(json.dumps(split.to_json())))
        assert (back.seed, back.fold, back.animal) == (split.seed, split.fold, split.animal)
        assert back.tested == split.tested


def test_each_animal_is_left_out_once() -> None:
    animals = ANIMALS | {f"stray{i}": "d" for i in range(5)}  # an animal without labels
    splits = split_animals(LABELS, animals, 0, animals)
    assert [(split.fold, split.animal) for split in splits] == [(0, "a"), (1, "b"), (2, "c")]
    for split in splits:
        assert split.tested == {n for n in animals if animals[n] == split.animal}


def test_a_class_that_is_too_small_is_left_out_and_said() -> None:
    kept, notes = usable_labels(LABELS, 5)
    assert set(kept.values()) == {"Lamp5", "Pvalb", "Sst"}
    assert notes == ("class 'Sncg' left out: it has 2 cells, wanted 5 or more",)
    assert usable_labels(LABELS, 2) == (LABELS, ())
    many = LABELS | {f"x{i}": f"small{i}" for i in range(6)}
    kept, (note,) = usable_labels(many, 2)
    assert kept == LABELS
    assert note.startswith("6 classes of fewer than 2 cells left out: small0 1, small1 1")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: usable_labels(LABELS, 30),
            r"found 1 classes of 30 or more cells \(Lamp5 40, .*, wanted 2",
        ),
        (lambda: usable_labels({}, 5), "found 0 classes .*no labelled cell.*wanted 2"),
        (lambda: split_neurons(LABELS, EVERY, 0, fraction=1.0), "found 1, wanted between 0 and 1"),
        (lambda: split_neurons({}, ["x"], 0), "0.4 of 1 cells is 0, wanted at least one"),
        (
            lambda: split_animals(LABELS, EVERY, 0, dict.fromkeys(EVERY, "a")),
            r"found 1 of 1 animals with labelled cells \(a\), wanted 2",
        ),
        (
            lambda: split_animals(
                {"x": "EC", "y": "EC", "z": "IN"}, "xyz", 0, {"x": "a", "y": "a", "z": "b"}
            ),
            "without 'a' there are labelled cells of IN alone",
        ),
    ],
)
def test_what_cannot_be_split_is_said_in_a_line(call, message) -> None:
    refuses(message, call)
