import numpy as np
import pytest
from conftest import refuses

from neuroblend.errors import InputError
from neuroblend.experiments.identity import classify as module
from neuroblend.experiments.identity.classify import CANDIDATES, Classified, classify
from neuroblend.experiments.identity.metrics import scores

CLASSES = np.array(["Lamp5", "Pvalb", "Vip"])
QUICK = {name: CANDIDATES[name] for name in ("logistic(C=0.03)", "kNN(k=5)")}


def make_cells(n: int = 150, distance: float = 4.0, n_features: int = 6, seed: int = 0):
    """Vectors around one centre a class, labels, and which cells are tested."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
    centres = rng.normal(size=(3, n_features))
    centres *= distance / np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = centres[truth] + rng.normal(size=(n, n_features))
    return vectors, CLASSES[truth], rng.random(n) < 0.4


def top1(done: Classified) -> float:
    return float(scores(done.truth, done.probability, done.classes)["top1"][0])


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES", QUICK)


def test_separable_classes_are_classified() -> None:
    vectors, labels, tested = make_cells(distance=8)
    done = classify(vectors, labels, tested, 0, n_folds=3, n_repeats=1)
    assert top1(done) > 0.95 and done.valid > 0.95
    np.testing.assert_array_equal(done.classes, CLASSES)
    np.testing.assert_array_equal(done.index, np.flatnonzero(tested))
    np.testing.assert_array_equal(done.classes[done.truth], labels[tested])
    assert done.probability.shape == (1, tested.sum(), 3)
    assert done.probability.dtype == np.float32
    np.testing.assert_allclose(done.probability.sum(2), 1, rtol=1e-5)
    assert len(done.chosen) == 1 and set(done.chosen) <= set(CANDIDATES)


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_learns_alone(name, monkeypatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES", {name: CANDIDATES[name]})
    vectors, labels, tested = make_cells(n=300, distance=8)
    done = classify(vectors, labels, tested, 0, n_folds=2, n_repeats=1)
    assert done.chosen == [name]
    assert top1(done) > 0.8


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("distance", "whose"), [(4, "all"), (8, "tested")])
def test_permuted_labels_are_at_chance(distance, whose) -> None:
    vectors, labels, tested = make_cells(n=400, distance=distance)
    moved = tested if whose == "tested" else np.ones(400, dtype=bool)
    reached = []
    for seed in range(5):
        permuted = labels.copy()
        permuted[moved] = np.random.default_rng(seed).permutation(labels[moved])
        done = classify(vectors, permuted, tested, seed, n_repeats=1)
        reached.append(scores(done.truth, done.probability, done.classes)["balanced_accuracy"][0])
    assert np.mean(reached) == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.usefixtures("quick")
def test_the_description_that_tells_is_chosen_and_the_first_used_alone() -> None:
    vectors, labels, tested = make_cells(distance=8)
    noise = np.random.default_rng(1).normal(size=vectors.shape)
    alone = classify(noise, labels, tested, 0)
    done = classify({"noise": noise, "told": vectors}, labels, tested, 0)
    assert all(name.endswith(" of told") for name in done.chosen)
    assert top1(done) > 0.95
    np.testing.assert_array_equal(done.alone, alone.probability)
    other = classify({"told": vectors, "noise": noise}, labels, tested, 0)
    np.testing.assert_array_equal(other.alone, other.probability)
    assert alone.alone is None


@pytest.mark.usefixtures("quick")
def test_one_fold_never_sees_labels_of_tested_cells() -> None:
    vectors, labels, tested = make_cells()
    permuted = labels.copy()
    permuted[tested] = np.random.default_rng(1).permutation(labels[tested])
    one, other = (classify(vectors, given, tested, 0, n_folds=1) for given in (labels, permuted))
    np.testing.assert_array_equal(one.probability, other.probability)
    assert (one.chosen, one.valid) == (other.chosen, other.valid)
    assert top1(one) > top1(other)


@pytest.mark.usefixtures("quick")
def test_no_cell_learns_from_itself(monkeypatch) -> None:
    """Each vector holds its own number, by which learning and predicted cells are known."""
    vectors, labels, tested = make_cells(n=60)
    vectors[:, 0] = np.arange(60)
    seen: list[tuple[set, set]] = []
    predict = module._predict

    def spy(make, x, y, asked, n_classes, seed):
        seen.append((set(x[:, 0]), set(asked[:, 0])))
        return predict(make, x, y, asked, n_classes, seed)

    monkeypatch.setattr(module, "_predict", spy)
    classify(vectors, labels, tested, 0, n_folds=4, n_repeats=2)
    assert all(not learned & asked for learned, asked in seen)
    in_test = set(np.flatnonzero(tested).astype(float))
    final = [(learned, asked) for learned, asked in seen if asked & in_test]
    assert len(final) == 8  # four folds, twice: candidates were compared on other cells
    assert all(learned | asked == set(range(60)) for learned, asked in final)
    assert sorted(n for _, asked in final for n in asked) == sorted(2 * list(in_test))


@pytest.mark.usefixtures("quick")
def test_a_class_of_tested_cells_alone_has_the_choice_made_in_each_fold() -> None:
    vectors, labels, tested = make_cells(distance=8)
    tested |= labels == "Vip"
    done = classify(vectors, labels, tested, 0, n_folds=3)
    assert len(done.chosen) == 6
    assert top1(done) > 0.9
    unseen = classify(vectors, labels, tested, 0, n_folds=1)
    found = scores(unseen.truth, unseen.probability, unseen.classes)
    assert found["recall/Vip"][0] == 0 and found["recall/Lamp5"][0] > 0.9


@pytest.mark.usefixtures("quick")
def test_the_same_seed_gives_the_same() -> None:
    vectors, labels, tested = make_cells(distance=1.5)
    one, again, other = (classify(vectors, labels, tested, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.probability, again.probability)
    assert one.chosen == again.chosen and one.valid == again.valid
    assert (one.probability != other.probability).any()
    assert (one.probability[0] != one.probability[1]).any()


def test_the_mlp_too_is_the_same_for_a_seed(monkeypatch) -> None:
    name = "MLP(alpha=1)"
    monkeypatch.setattr(module, "CANDIDATES", {name: CANDIDATES[name]})
    vectors, labels, tested = make_cells(n=60)
    one, again = (
        classify(vectors, labels, tested, 3, n_folds=1, n_repeats=1).probability for _ in "ab"
    )
    np.testing.assert_array_equal(one, again)


@pytest.mark.usefixtures("quick")
def test_folds_are_fewer_where_no_class_has_as_many_cells() -> None:
    vectors, labels, _ = make_cells()
    tested = np.zeros(150, dtype=bool)
    for name in CLASSES:
        tested[np.flatnonzero(labels == name)[:2]] = True
    done = classify(vectors, labels, tested, 0, n_folds=5)
    assert done.probability.shape == (2, 6, 3)
    assert (done.probability.sum(2) > 0).all()


def test_folds_are_stratified() -> None:
    truth = np.repeat([0, 1, 2], [13, 6, 3])
    fold = module._deal(truth, 4, np.random.default_rng(0))
    table = np.array([np.bincount(truth[fold == k], minlength=3) for k in range(4)])
    assert (np.ptp(table, axis=0) <= 1).all()


@pytest.mark.usefixtures("quick")
def test_what_was_predicted_survives_a_file(tmp_path) -> None:
    vectors, labels, tested = make_cells()
    done = classify(vectors, labels, tested, 0)
    done.save(tmp_path / "deep" / "done.h5")
    back = Classified.load(tmp_path / "deep" / "done.h5")
    for name in ("classes", "index", "truth", "probability"):
        np.testing.assert_array_equal(getattr(back, name), getattr(done, name))
        assert getattr(back, name).dtype == getattr(done, name).dtype
    assert back.chosen == done.chosen and back.valid == done.valid and back.alone is None
    several = classify({"a": vectors, "b": vectors[:, :2]}, labels, tested, 0)
    several.save(tmp_path / "several.h5")
    back = Classified.load(tmp_path / "several.h5")
    np.testing.assert_array_equal(back.alone, several.alone)
    (tmp_path / "bad.h5").write_text("not HDF5")
    for bad in ("bad.h5", "missing.h5"):
        refuses("cannot be read as predicted classes", Classified.load, tmp_path / bad)


@pytest.mark.usefixtures("quick")
def test_what_cannot_be_classified_is_said_in_a_line() -> None:
    vectors, labels, tested = make_cells()
    with pytest.raises(InputError, match="found none among 150 labelled cells, wanted some"):
        classify(vectors, labels, np.zeros(150, dtype=bool), 0)
    with pytest.raises(InputError, match="of Lamp5 alone, wanted 2 or more classes"):
        classify(vectors, labels, tested | (labels != "Lamp5"), 0, n_folds=1)
    with pytest.raises(InputError, match="found none, wanted 2 or more classes"):
        classify(vectors, labels, np.ones(150, dtype=bool), 0, n_folds=1)
    with pytest.raises(InputError, match="of Vip alone, wanted 2 or more classes"):
        classify(vectors, np.full(150, "Vip"), tested, 0)
    vectors[3, 2] = np.nan
    refuses("not finite for 1 of 150 cells", classify, vectors, labels, tested, 0)
