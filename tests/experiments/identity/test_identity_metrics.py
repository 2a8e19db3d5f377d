import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    recall_score,
    top_k_accuracy_score,
)

from neuroblend.experiments.identity.metrics import confusion, majority_rate, scores

CLASSES = ["Lamp5", "Pvalb", "Sst", "Vip"]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    truth = rng.choice(4, size=80, p=[0.4, 0.3, 0.1, 0.2])
    probability = rng.dirichlet(np.ones(4), size=(3, 80)) + 0.5 * np.eye(4)[truth]
    return truth, (probability / probability.sum(2, keepdims=True)).astype(np.float32), rng


def oracle(truth, probability) -> dict[str, float]:
    """Scores by scikit-learn, mean over repeats."""
    present = np.unique(truth)
    each = []
    for p in probability:
        guess = p.argmax(1)
        recalls = recall_score(truth, guess, labels=present, average=None)
        each.append(
            {
                "top1": accuracy_score(truth, guess),
                "top2": top_k_accuracy_score(truth, p, k=2, labels=np.arange(p.shape[1])),
                "macro_f1": f1_score(truth, guess, labels=present, average="macro"),
                "balanced_accuracy": balanced_accuracy_score(truth, guess),
                **{f"recall/{CLASSES[c]}": r for c, r in zip(present, recalls, strict=True)},
            }
        )
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def test_scores_are_those_of_scikit_learn(data) -> None:
    truth, probability, _ = data
    found = scores(truth, probability, CLASSES)
    expected = oracle(truth, probability)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == (1,)
        assert found[name][0] == pytest.approx(value, rel=1e-12), name


def test_weights_are_cells_drawn_several_times(data) -> None:
    truth, probability, rng = data
    index = rng.integers(80, size=(5, 80))
    weights = np.stack([np.bincount(row, minlength=80) for row in index]).astype(float)
    found = scores(truth, probability, CLASSES, weights)
    for b, row in enumerate(index):
        for name, value in oracle(truth[row], probability[:, row]).items():
            assert found[name][b] == pytest.approx(value, rel=1e-12), name


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_a_class_that_is_not_drawn_is_left_out_of_the_replicate(data) -> None:
    truth, probability, _ = data
    weights = np.stack([np.ones(80), (truth != 2).astype(float), np.zeros(80)])
    found = scores(truth, probability, CLASSES, weights)
    assert [np.isnan(x) for x in found["recall/Sst"]] == [False, True, True]
    some = truth != 2
    for name, value in oracle(truth[some], probability[:, some]).items():
        assert found[name][1] == pytest.approx(value, rel=1e-12), name
    assert all(np.isnan(values[2]) for values in found.values())


def test_ties_go_to_the_first_class_and_two_of_two_always_hold() -> None:
    truth = np.array([0, 1, 1])
    tied = np.full((1, 3, 2), 0.5, dtype=np.float32)
    found = scores(truth, tied, ["EC", "IN"])
    assert found["top1"][0] == pytest.approx(1 / 3)
    assert found["top2"][0] == 1
    three = scores(np.array([0, 1, 2]), np.full((1, 3, 3), 1 / 3), "abc")
    assert three["top2"][0] == pytest.approx(2 / 3)


def test_confusion_is_that_of_scikit_learn(data) -> None:
    truth, probability, _ = data
    expected = np.mean([confusion_matrix(truth, p.argmax(1)) for p in probability], axis=0)
    counts = confusion(truth, probability)
    np.testing.assert_allclose(counts, expected)
    np.testing.assert_array_equal(counts.sum(1), np.bincount(truth))


def test_majority_rate_is_the_fraction_of_the_most_common() -> None:
    assert majority_rate(np.array(["EC", "EC", "IN", "EC"])) == 0.75
    assert majority_rate([0, 1, 1, 2]) == 0.5
