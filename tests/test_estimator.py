"""The scikit-learn estimator: what a run does, behind fit, predict, transform and score."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_trials, refuses, tiny_config
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator
from torch import Tensor, nn

import neuroblend as nb
from neuroblend.config import TrainingConfig
from neuroblend.data.split import TRAIN_VALID, split_trials
from neuroblend.estimator import Blend
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.score import score_rates
from neuroblend.experiments.decoding.settings import RunConfig

DOCS = Path(__file__).parents[1] / "docs" / "estimator.md"
TRIALS = make_trials()
X, Y = TRIALS.spikes, np.asarray(TRIALS.behavior)
FLAT_X, FLAT_Y = X.reshape(-1, 10), Y.reshape(-1, 2)
QUICK = {
    "model": "gru",
    "model_settings": {"width": 6},
    "epochs": 1,
    "accelerator": "cpu",
    "window_s": 0.24,
}
CANNOT_APPLY = {
    "check_dtype_object": "it wants a TypeError; all bad input is an InputError, a ValueError",
    "check_methods_sample_order_invariance": "bins are in time: what is decoded in one depends on "
    "those around it",
    "check_methods_subset_invariance": "the same, of bins that are cut out alone",
    "check_fit2d_1feature": "its ten bins leave one value of behavior to train on",
}


def quick(**changes: object) -> Blend:
    return Blend(**(QUICK | {"strategy": "multitask"} | changes))


@pytest.fixture(scope="module")
def fitted() -> Blend:
    return quick(strategy="hard", held_out=0.2).fit(X, Y)


@pytest.fixture(scope="module")
def continuous() -> Blend:
    return quick().fit(FLAT_X, FLAT_Y)


class Counted(Blend):
    """Rounds what scikit-learn's checks give down to counts, since Blend takes nothing else."""

    def fit(self, X, y):
        return super().fit(as_counts(X), y)

    def predict(self, X):
        return super().predict(as_counts(X))

    def transform(self, X):
        return super().transform(as_counts(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # of one epoch
        return tags


def as_counts(given: object) -> object:
    values = np.asarray(given)
    if values.ndim != 2 or values.dtype.kind not in "if" or not np.isfinite(values).all():
        return given
    counts = np.floor(values * 2)
    return given.mul(2) // 1 if isinstance(given, pd.DataFrame) else counts


@pytest.mark.filterwarnings("ignore")
def test_the_checks_of_scikit_learn_that_can_apply_pass() -> None:
    estimator = Counted(**QUICK | {"strategy": "multitask", "window_s": 0.02})
    results = check_estimator(
        estimator, expected_failed_checks=CANNOT_APPLY, on_fail=None, on_skip=None
    )
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert not failed
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(CANNOT_APPLY)
    assert sum(r["status"] == "passed" for r in results) > 50
    said = " ".join(DOCS.read_text().split())
    for name, reason in CANNOT_APPLY.items():
        assert f"`{name}` | {reason}" in said


def test_is_an_arm_of_a_run(tmp_path) -> None:
    """A run on the same trials trains the same student, and decodes the same."""
    trials = make_trials(60)
    known, tested = trials[:40], trials[40:]
    blend = Blend(
        model="gru", model_settings={"width": 6}, strategy="hard+multitask", epochs=2,
        accelerator="cpu", random_state=3,
    ).fit(known.spikes, known.behavior)  # fmt: skip
    labels = np.full(60, "test ")
    labels[blend.split_.train], labels[blend.split_.valid] = "train", "valid"
    labelled = make_trials(60, split=[label.strip() for label in labels])
    config = tiny_config(
        data={"held_out": 0.0},
        distill={"strategies": ["hard+multitask"]},
        training={"epochs": 2, "valid_every": TrainingConfig().valid_every},
        controls="none",
        first_seed=3,
    )
    folder = nb.run(labelled, tmp_path / "run", config)
    of_run = nb.predict_run(folder, tested.spikes, arm="hard+multitask")
    np.testing.assert_allclose(blend.predict(tested.spikes), of_run.behavior, atol=1e-5)
    np.testing.assert_allclose(blend.predict_rates(tested.spikes), of_run.rates, rtol=1e-5)
    scores = folder.scores(folder.find("hard+multitask", 3, None))
    assert blend.scores_["decoding_r2"] == pytest.approx(scores["valid"]["decoding_r2"])
    assert blend.score(tested.spikes, tested.behavior) == pytest.approx(
        scores["test"]["decoding_r2"], abs=1e-6
    )
    assert blend.readout_ == scores["readout"]


def test_defaults_are_those_of_a_run() -> None:
    ours, theirs = Blend()._config(0), RunConfig()
    assert ours.model == theirs.model
    assert ours.training == theirs.training
    assert ours.distill.alpha == theirs.distill.alpha
    assert ours.distill.strategies[0] in theirs.distill.strategies
    assert len(Blend().get_params()) <= 16


def test_what_is_predicted_has_the_layout_of_what_was_given(fitted, continuous) -> None:
    n_features = fitted.transform(X).shape[2]
    assert fitted.predict(X).shape == Y.shape
    assert fitted.transform(X).shape == (40, 12, n_features)
    assert fitted.predict_rates(X).shape == X.shape
    assert (fitted.predict_rates(X) > 0).all()
    assert fitted.predict(FLAT_X).shape == FLAT_Y.shape  # of other leading axes than in training
    assert continuous.predict(FLAT_X).shape == FLAT_Y.shape
    assert continuous.transform(FLAT_X).shape == (480, n_features)
    assert continuous.predict_rates(FLAT_X).shape == FLAT_X.shape
    assert continuous.predict(X).shape == Y.shape
    assert quick().fit(X, Y[:, :, 0]).predict(X).shape == X.shape[:2]
    one = quick().fit(FLAT_X, FLAT_Y[:, 0])
    assert one.predict(FLAT_X).shape == (480,)
    assert one.score(FLAT_X, FLAT_Y[:, 0]) == pytest.approx(
        1 - np.mean((one.predict(FLAT_X) - FLAT_Y[:, 0]) ** 2) / FLAT_Y[:, 0].var(), abs=1e-6
    )


def test_fitted_attributes(fitted, continuous) -> None:
    assert isinstance(fitted.student_, nb.Student)
    assert isinstance(fitted.teacher_, nb.Teacher)
    assert continuous.teacher_ is None
    assert isinstance(fitted.decoder_, Decoder)
    assert re.fullmatch(
        r"(same bin|history|history and future) of (rates|features)", fitted.readout_
    )
    assert fitted.n_features_in_ == 10 and fitted.n_bins_ == 12
    assert set(fitted.history_["role"]) == {"teacher", "student"}
    assert {"epoch", "loss", "hard", "valid"} <= set(fitted.history_)
    assert {"decoding_r2", "behavior_r2", "co_bps"} == set(fitted.scores_)
    assert fitted.split_.held_out.sum() == 2 and not fitted.split_.test.size
    assert fitted.split_.valid.size == 8
    assert fitted.layer_ == "norm"


def test_windows_that_train_are_apart_from_those_that_validate(continuous) -> None:
    train, valid = continuous.split_.train, continuous.split_.valid
    assert np.abs(train[:, None] - valid).min() > 1
    assert (np.diff(valid) == 1).any()


def test_the_same_seed_gives_the_same_numbers_and_another_does_not() -> None:
    first, again, other = (quick(random_state=s).fit(X, Y).predict(X) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    drawn = quick(random_state=np.random.RandomState(0)).fit(X, Y)
    assert drawn.split_.seed > 10


@pytest.mark.parametrize("strategy", ["baseline", "multitask", "hard+feature", "two-heads"])
def test_strategies(strategy) -> None:
    blend = quick(strategy=strategy).fit(X, Y)
    assert (blend.teacher_ is None) is (strategy != "hard+feature")
    assert np.isfinite(blend.predict(X)).all()


def test_missing_samples_teach_nothing_and_score_nothing() -> None:
    gaps = Y.copy()
    gaps[:, 3:5, 0] = np.nan
    blend = quick().fit(X, gaps)
    assert np.isfinite(blend.predict(X)).all()
    assert "80 of 480 samples are missing" in blend.notes_[0]
    wrong = gaps.copy()
    wrong[:, 5:] = 100.0
    assert blend.score(X, gaps) > blend.score(X, wrong)


def test_neurons_that_never_fired_have_no_rates_and_are_ignored() -> None:
    silent = X.copy()
    silent[:, :, 4] = 0
    blend = quick(held_out=0.2).fit(silent, Y)
    rates = blend.predict_rates(silent)
    assert np.isnan(rates[:, :, 4]).all()
    assert np.isfinite(np.delete(rates, 4, axis=2)).all()
    assert "never fire" in blend.notes_[0]
    loud = silent.copy()
    loud[:, :, 4] = 9
    np.testing.assert_array_equal(blend.predict(loud), blend.predict(silent))


def test_trials_of_other_lengths(fitted) -> None:
    longer = X[:2].reshape(1, 24, 10)
    latents = fitted.transform(longer)[0]
    first, _, last = (fitted.transform(longer[:, s : s + 12])[0] for s in (0, 6, 12))
    np.testing.assert_allclose(latents[:9], first[:9], atol=1e-6)
    np.testing.assert_allclose(latents[-9:], last[-9:], atol=1e-6)
    assert fitted.predict(longer).shape == (1, 24, 2)
    short = fitted.predict(X[:, :5])
    assert short.shape == (40, 5, 2) and np.isfinite(short).all()
    unpadded = quick(model=own_network).fit(X, Y)  # which knows nothing of padding
    for blend in (fitted, unpadded):
        assert np.isfinite(blend.predict(X[:, :7])).all()


class Own(nn.Module):
    """A network that knows nothing of padding."""

    def __init__(self, spec) -> None:
        super().__init__()
        self.out = nn.Linear(spec.n_in, spec.n_out)

    def forward(self, spikes: Tensor) -> Tensor:
        return self.out(spikes)


def own_network(spec, width: int = 6) -> nn.Module:
    return Own(spec)


def test_clones_and_settings() -> None:
    blend = quick(alpha=0.3)
    copy = clone(blend).set_params(alpha=0.6, strategy="hard")
    assert (blend.alpha, copy.alpha, copy.strategy) == (0.3, 0.6, "hard")
    assert repr(quick(strategy="hard")).startswith("Blend(accelerator='cpu', epochs=1")
    assert not [key for key in vars(copy) if key.endswith("_")]


def test_grid_search_over_alpha_on_trials() -> None:
    search = GridSearchCV(quick(strategy="hard"), {"alpha": [0.0, 1.0]}, cv=2, error_score="raise")
    search.fit(X, Y)
    assert search.best_params_["alpha"] in (0.0, 1.0)
    assert search.predict(X).shape == Y.shape
    assert len(set(search.cv_results_["mean_test_score"])) == 2


def test_cross_validation_of_a_continuous_recording() -> None:
    blend = quick(window_s=0.1)
    scores = cross_val_score(blend, FLAT_X, FLAT_Y, cv=KFold(2), error_score="raise")
    assert np.isfinite(scores).all()


def test_in_pipelines() -> None:
    counted = make_pipeline(FunctionTransformer(np.round), quick()).fit(X + 0.1, Y)
    assert counted.predict(X + 0.1).shape == Y.shape
    ridge = make_pipeline(quick(), Ridge()).fit(FLAT_X, FLAT_Y)
    assert ridge.score(FLAT_X, FLAT_Y) > 0


def test_latents_as_a_data_frame() -> None:
    frame = pd.DataFrame(FLAT_X, columns=[f"unit{i}" for i in range(10)], index=np.arange(480) * 2)
    blend = quick().set_output(transform="pandas")
    latents = blend.fit_transform(frame, pd.DataFrame(FLAT_Y, columns=["x", "y"]))
    assert isinstance(latents, pd.DataFrame)
    assert list(latents.columns) == list(blend.get_feature_names_out())
    assert latents.columns[0] == "blend0"
    assert latents.index.tolist() == frame.index.tolist()
    assert blend.feature_names_in_.tolist() == frame.columns.tolist()
    refuses("feature names", blend.predict, frame[frame.columns[::-1]])
    refuses("found 'pandas' and spikes .trial, bin, neuron.", blend.transform, X)


def test_neurons_of_a_data_frame_are_known_by_name_in_a_file(tmp_path) -> None:
    frame = pd.DataFrame(FLAT_X, columns=[f"unit{i}" for i in range(10)])
    frame["unit4"] = 0
    blend = quick().fit(frame, FLAT_Y)
    names = [name for name in frame.columns if name != "unit4"]
    assert blend.trained_.neurons.unit_id.tolist() == names
    assert blend.unit_id_.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert np.isnan(blend.predict_rates(frame)[:, 4]).all()
    refuses("feature names", blend.predict, frame[frame.columns[::-1]])
    nb.save_student(blend.trained_, tmp_path / "s.nbm")
    student, turned = nb.load_student(tmp_path / "s.nbm"), frame[frame.columns[::-1]]
    found = student.predict(turned.to_numpy(), unit_id=turned.columns)
    assert found.matched == "by id"
    np.testing.assert_allclose(found.behavior[0], blend.predict(frame), atol=1e-5)
    numbered = quick().fit(FLAT_X, FLAT_Y).fit(X, Y).trained_
    assert numbered.neurons.unit_id.tolist() == list(range(10))


def test_trials_after_a_data_frame_do_not_keep_its_names() -> None:
    frame = pd.DataFrame(FLAT_X, columns=[f"unit{i}" for i in range(10)])
    blend = quick().fit(frame, FLAT_Y).fit(X, Y)
    assert blend.trained_.neurons.unit_id.tolist() == list(range(10))
    assert not hasattr(blend, "feature_names_in_")


@pytest.mark.parametrize("model", ["gru", "ndt"])
def test_a_causal_student_streams_what_it_predicts(tmp_path, model) -> None:
    blend = quick(model=model, model_settings={"width": 8}, causal=True, strategy="feature")
    blend.fit(FLAT_X, FLAT_Y)
    later = FLAT_X.copy()
    later[200:] = 3
    np.testing.assert_array_equal(blend.predict(later)[:200], blend.predict(FLAT_X)[:200])
    assert "future" not in blend.readout_
    nb.save_student(blend.trained_, tmp_path / "s.nbm")
    wanted = blend.predict(FLAT_X[:12])
    for student in (blend.trained_, nb.load_student(tmp_path / "s.nbm")):
        stream = student.stream()
        found = np.stack([stream.step(counts).behavior for counts in FLAT_X[:12]])
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_only_the_student_of_a_causal_one_is_causal() -> None:
    blend = quick(causal=True, strategy="hard").fit(X, Y)
    assert not blend.student_.net.recurrent.bidirectional
    assert blend.teacher_.net.recurrent.bidirectional
    assert blend.trained_.network == ("gru", {"width": 6, "bidirectional": False})
    refuses("as built, it looks ahead", quick().fit(X, Y).trained_.stream)
    wrong = quick(causal=True, model_settings={"width": 6, "bidirectional": True})
    refuses("a causal gru has bidirectional False", wrong.fit, X, Y)


def test_numbers_of_numpy_are_settings(tmp_path) -> None:
    settings = {"width": np.int64(6), "dropout": np.float32(0.25), "bidirectional": np.bool_(True)}
    blend = quick(model_settings=settings, alpha=np.float32(0.5), epochs=np.int64(1)).fit(X, Y)
    nb.save_student(blend.trained_, tmp_path / "s.nbm")
    found = nb.load_student(tmp_path / "s.nbm").network[1]
    assert found == {"width": 6, "dropout": 0.25, "bidirectional": True}


def test_a_score_that_is_not_known_does_not_keep_a_student_from_its_file(
    tmp_path, monkeypatch
) -> None:
    def scored(*given):
        found, valid = score_rates(*given)
        return found, valid | {"co_bps": np.nan}  # as of held-out neurons that do not fire

    monkeypatch.setattr("neuroblend.estimator.score_rates", scored)
    blend = quick(held_out=0.2).fit(X, Y)
    assert np.isnan(blend.scores_["co_bps"])
    nb.save_student(blend.trained_, tmp_path / "s.nbm")
    assert set(nb.load_student(tmp_path / "s.nbm").about["scores"]) == {
        "decoding_r2", "behavior_r2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X * 0.5, Y, "fractional counts such as 0.5"),
        (X - 3.0, Y, "Negative values in data passed to X: down to -3"),
        (np.where(X > 0, np.nan, X), Y, "NaN or infinite"),
        (X[0, 0], Y, r"X: found shape \(10,\), wanted counts per bin \(bin, neuron\) or"),
        (X[None], Y, r"X: found shape \(1, 40, 12, 10\)"),
        (X.astype(str)[:, :, :3] + "a", Y, "not compatible with arrays of bytes/strings"),
        (X, None, "the target y is None"),
        (X, Y[:, :5], r"y: found shape \(40, 5, 2\), wanted \(trial, bin\) or .* 40 x 12 trials"),
        (FLAT_X, Y, r"y: found shape .* wanted \(bin,\) or \(bin, channel\) of the 480 bins"),
        (X, Y[:, 0], r"y: found shape \(40, 2\)"),
        (X, Y * 0, "'behavior_0' is 0 in every bin"),
        (X, Y.astype(str) + "a", "y: wanted numbers"),
        (X, Y * np.inf, "infinite"),
        (X[:3], Y[:3], "too few trials: 3 leave"),
        (FLAT_X[:20], FLAT_Y[:20], "found n_samples=20 bins, wanted many windows of 12 bins"),
        (FLAT_X[:60], FLAT_Y[:60], "too few .*; a shorter window_s than 0.24 makes more windows"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used(x, y, message) -> None:
    refuses(message, quick().fit, x, y)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "gruu"}, "did you mean 'gru'"),
        ({"model_settings": {"widht": 4}}, "no setting 'widht': did you mean 'width'"),
        ({"strategy": "fature"}, "did you mean 'feature'"),
        ({"strategy": None}, "Blend: distill.strategies"),
        ({"alpha": 2.0}, "Blend: distill.alpha"),
        ({"bin_s": 20}, "milliseconds"),
        (
            {"validation_fraction": 0.0},
            "validation_fraction: found 0.0, wanted a fraction more than 0",
        ),
        ({"validation_fraction": "a"}, "validation_fraction: found 'a'"),
        ({"held_out": 0.95}, "held_out"),
        ({"epochs": 0}, "Blend: training.epochs"),
        ({"lr": -1.0}, "Blend: training.lr"),
        ({"random_state": -1}, "random_state"),
        ({"window_s": 0.0}, "wanted many windows of 0 bins"),
        ({"window_s": None}, "window_s None"),
        ({"fusion": "konkat"}, "did you mean 'concat'"),
    ],
)
def test_settings_that_cannot_be_used(changes, message) -> None:
    refuses(message, quick(**changes).fit, FLAT_X, FLAT_Y)


def test_use_that_does_not_fit(fitted) -> None:
    refuses("X has 9 features, but Blend is expecting 10", fitted.predict, X[:, :, :9])
    refuses(r"y: found shape \(40, 12\), wanted \(40, 12, 2\)", fitted.score, X, Y[:, :, 0])
    with pytest.raises(ValueError, match="not fitted yet"):
        quick().predict(X)


def test_a_split_may_leave_out_the_test() -> None:
    split = split_trials(TRIALS, 0, shares=(*TRAIN_VALID, 0.0))
    assert (split.train.size, split.valid.size, split.test.size) == (30, 10, 0)
    refuses("in the 75/25 split, wanted 2", split_trials, TRIALS[:5], 0, shares=(*TRAIN_VALID, 0.0))


def test_what_the_docs_show_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(blocks) > 2
    names: dict[str, object] = {}
    torch.manual_seed(0)
    for block in blocks:
        for slow, fast in {
            "simulate_reaching(": "simulate_reaching(n_neurons=8, ",
            "nb.Blend(": "nb.Blend(epochs=1, model='gru', model_settings={'width': 4}, ",
        }.items():
            block = block.replace(slow, fast)  # noqa: PLW2901
        exec(block, names)
