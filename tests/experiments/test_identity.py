"""The whole way from sessions to who their cells are, on a small simulated source."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import merged, refuses, tiny_identity, watch_fits
from layouts import edit, with_few, with_types

from neuroblend.config import parse_settings
from neuroblend.engine.arm import Arm, Fit
from neuroblend.engine.folder import RunFolder
from neuroblend.errors import InputError
from neuroblend.experiments.identity.cells import chosen_sessions
from neuroblend.experiments.identity.classify import CANDIDATES, Classified
from neuroblend.experiments.identity.contrast import contrastive_vectors
from neuroblend.experiments.identity.embed import fresh_embeddings
from neuroblend.experiments.identity.experiment import Identity
from neuroblend.experiments.identity.metrics import majority_rate
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.experiments.identity.task import CellTask
from neuroblend.experiments.run import run
from neuroblend.seeds import mixed_seed
from neuroblend.simulate.v1 import Size, simulate_v1
from neuroblend.training.checkpoint import load_weights

STRATEGIES = ["hard", "feature+multitask"]
REFERENCES = ["stock", "hand_features"]
ARMS = ["teacher", "baseline", "multitask", *STRATEGIES, *REFERENCES]
FOLDERS = {
    "multitask": "student-multitask",
    **{name: f"student-{name}" for name in STRATEGIES},
    **{name: f"reference-{name}" for name in REFERENCES},
}
SUBCLASSES = ["Lamp5", "Pvalb", "Vip"]
SEES_BEHAVIOR = {"teacher", "stock"}


@pytest.fixture(scope="module", autouse=True)
def _few_classifiers() -> Iterator[None]:
    """Let classifiers be chosen among the quick ones: they are most of the time of a small fit."""
    with pytest.MonkeyPatch.context() as patch:
        quick = {name: make for name, make in CANDIDATES.items() if name.startswith("kNN")}
        assert len(quick) == 2
        patch.setattr("neuroblend.experiments.identity.classify.CANDIDATES", quick)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Two mice; of Sncg and Sst there are fewer cells than folds."""
    size = Size(n_mice=2, n_sessions=1, n_neurons=48, n_frames=300)
    root = simulate_v1(tmp_path_factory.mktemp("source") / "v1", size=size)
    with_few(root, "Sncg", 2)
    with_few(root, "Sst", 3)
    return root


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the user was told by the run that :func:`finished` gives."""
    return []


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory, said) -> RunFolder:
    config = tiny_identity(distill={"strategies": STRATEGIES}, references=REFERENCES, seeds=2)
    return run(source, tmp_path_factory.mktemp("runs") / "a", config, say=said.append)


def edited(source: Path, to: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """Copy a source, each file called ``name`` changed."""
    if not to.exists():
        shutil.copytree(source, to)
    files = sorted(to.rglob(name))
    assert files
    for file in files:
        before = np.load(file)
        edit(file, change)
        assert not np.array_equal(before, np.load(file), equal_nan=True)
    return to


def with_noise_for_behavior(source: Path, to: Path) -> Path:
    rng = np.random.default_rng(8)
    for name in ("running.speed.npy", "eye.size.npy"):
        edited(
            source, to, name, lambda old: np.where(np.isnan(old), old, rng.normal(size=old.shape))
        )
    return edited(source, to, "frame.states.npy", rng.permutation)


def begun(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Give the command with :func:`tiny_identity`, and interrupt it at the first fit."""
    with monkeypatch.context() as patch:
        watch_fits(patch, stop_at=1)
        with pytest.raises(KeyboardInterrupt):
            run(source, out, tiny_identity())
    return RunFolder.open(out)


def fit_of(folder: RunFolder, arm: str, seed: int = 0) -> Path:
    return folder.path / FOLDERS.get(arm, arm) / f"seed{seed}"


def vectors_of(folder: RunFolder, arm: str, seed: int = 0) -> np.ndarray:
    with h5py.File(fit_of(folder, arm, seed) / "vectors.h5") as file:
        return file["vectors"][()]


def weights_of(folder: RunFolder, arm: str) -> bytes:
    return (fit_of(folder, arm) / "model.safetensors").read_bytes()


def results_bytes(folder: RunFolder) -> bytes:
    return (folder.path / "results.json").read_bytes()


def metrics_of(classes: list[str], prefix: str = "") -> set[str]:
    names = {"top1", "top2", "macro_f1", "balanced_accuracy", *(f"recall/{c}" for c in classes)}
    return {prefix + name for name in (*names, "embedding_f1")}


def test_the_folder_holds_what_is_promised(finished) -> None:
    names = {path.name for path in finished.path.iterdir()}
    files = {"config.yaml", "provenance.json", "cells.json", "splits.json", "results.json"}
    assert names == files | {FOLDERS.get(arm, arm) for arm in ARMS}
    every = {"history.csv", "vectors.h5", "subclass.h5", "ei.h5", "scores.json"}
    for arm in ARMS:
        for seed in (0, 1):
            held = fit_of(finished, arm, seed)
            network = set() if arm == "hand_features" else {"model.safetensors"}
            assert {path.name for path in held.iterdir()} == every | network
            n_epochs = len((held / "history.csv").read_text().splitlines()) - 1
            assert n_epochs == (0 if arm == "hand_features" else 2)
            vectors = vectors_of(finished, arm, seed)
            assert len(vectors) == len(finished.data().names) == 96
            assert np.isfinite(vectors).all()


def test_results_have_every_arm_metric_and_contrast(finished) -> None:
    results = finished.results()
    assert results["dataset"] == "v1"
    assert results["seeds"] == [0, 1]
    assert list(results["arms"]) == ARMS
    assert results["selected"] in results["candidates"]
    assert results["candidates"] == ["multitask", *STRATEGIES, "hand_features"]
    wanted = metrics_of(SUBCLASSES) | metrics_of(["EC", "IN"], "ei/")
    assert set(results["contrasts"]) == {
        *(f"{arm} - baseline" for arm in ARMS if arm != "baseline"),
        *(f"{arm} - multitask" for arm in STRATEGIES),
        *(f"{arm} - hand_features" for arm in ("baseline", "multitask", *STRATEGIES)),
        *(f"{arm} - chance" for arm in ARMS),
    }
    for name, scored in (results["arms"] | results["contrasts"]).items():
        no_embedding = "hand_features" in name
        assert set(scored) == {n for n in wanted if not (no_embedding and "embedding" in n)}
        for score in scored.values():
            assert set(score) == {"mean", "ci95", "per_seed"}
            assert len(score["per_seed"]) == 2
            assert score["mean"] == pytest.approx(np.mean(score["per_seed"]))
            assert score["ci95"][0] <= score["mean"] <= score["ci95"][1]
    labels = results["labels"]
    assert list(labels) == ["subclass", "ei"]
    for kind in labels:
        found = list(finished.data().labels[kind].values())
        assert labels[kind]["classes"] == {name: found.count(name) for name in sorted(set(found))}
        assert labels[kind]["majority_rate"] == majority_rate(found)
    channels = {"speed", "pupil", "running", "desynchronized", "synchronized"}
    assert set(results["state_r2"]) == set(ARMS)
    assert results["state_r2"]["hand_features"] == {}
    assert set(results["state_r2"]["baseline"]) <= channels
    assert set(results["state_r2"]["teacher"]) >= {"speed", "pupil"}


def test_a_network_is_classified_by_embedding_profile_or_both(finished) -> None:
    for fit in finished.fits():
        stored = finished.scores(fit)
        for kind, chosen in stored["classifiers"].items():
            told = Classified.load(finished.of(fit) / f"{kind}.h5")
            if fit.arm.name == "hand_features":
                assert set(chosen) <= set(CANDIDATES) and told.alone is None
                continue
            taken = {name.rpartition(" of ")[2] for name in chosen}
            assert taken <= {"embedding", "profile", "both"}
            if taken == {"embedding"}:
                np.testing.assert_array_equal(told.alone, told.probability)
    results = finished.results()["arms"]
    assert any(s["embedding_f1"] != s["macro_f1"] for s in results.values() if "embedding_f1" in s)


def test_scores_are_those_of_the_stored_predictions(finished) -> None:
    """By scikit-learn, from predicted classes of the cells that the split sets aside."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

    results, cells = finished.results(), finished.data()
    for kind, prefix in (("subclass", ""), ("ei", "ei/")):
        rows, labels = cells.labelled(kind)
        for seed, split in enumerate(finished.splits()):
            tested = split.is_tested(np.array(cells.names)[rows])
            path = fit_of(finished, "hard", seed) / f"{kind}.h5"
            found = Classified.load(path)
            assert found.index.tolist() == np.flatnonzero(tested).tolist()
            fit = json.loads((path.parent / "scores.json").read_text())
            assert fit["valid"][kind] == found.valid
            assert fit["classifiers"][kind] == found.chosen
            truth = labels[tested]
            assert found.classes[found.truth].tolist() == truth.tolist()
            each = [found.classes[repeat.argmax(axis=1)] for repeat in found.probability]
            assert len(each) == 2
            wanted = {
                "top1": [accuracy_score(truth, guess) for guess in each],
                "balanced_accuracy": [balanced_accuracy_score(truth, guess) for guess in each],
                "macro_f1": [f1_score(truth, guess, average="macro") for guess in each],
                **{
                    f"recall/{name}": [
                        recall_score(truth, guess, labels=[name], average="macro") for guess in each
                    ]
                    for name in found.classes
                },
            }
            for name, values in wanted.items():
                score = results["arms"]["hard"][prefix + name]["per_seed"][seed]
                assert score == pytest.approx(np.mean(values)), (kind, name)
                assert fit["test"][prefix + name] == pytest.approx(score)


def test_seeds_and_arms_share_their_splits(finished) -> None:
    first, second = finished.splits()
    assert (first.seed, second.seed) == (0, 1)
    assert first.tested != second.tested
    for seed in (0, 1):
        tested = [Classified.load(fit_of(finished, arm, seed) / "ei.h5").index for arm in ARMS]
        assert all(index.tolist() == tested[0].tolist() for index in tested)


def test_classes_with_fewer_cells_than_folds_are_left_out_and_said(finished, said) -> None:
    cells = finished.data()
    assert sorted(set(cells.labels["subclass"].values())) == SUBCLASSES
    assert "simulated, not recorded" in cells.notes[0]
    assert cells.notes[1:] == (
        "subclass: class 'Sncg' left out: it has 2 cells, wanted 4 or more",
        "subclass: class 'Sst' left out: it has 3 cells, wanted 4 or more",
    )
    assert [f"note: {note}" for note in cells.notes] == said[:3]
    assert finished.provenance()["data"]["notes"] == list(cells.notes)
    n = len(cells.labels["subclass"])
    assert f"2 sessions, 96 cells of 2 animals, labelled: {n} by subclass, 96 by ei" in said


def test_a_channel_that_tells_nothing_is_noted(source, tmp_path, monkeypatch) -> None:
    """In no session; a pupil that is the same in one of them does tell something."""
    to = edited(source, tmp_path / "v1", "running.speed.npy", np.zeros_like)
    edit(next(to.rglob("eye.size.npy")), np.ones_like)
    folder = begun(to, tmp_path / "out", monkeypatch)
    note = "behavior 'speed' is the same in every frame, or missing: it tells a teacher nothing"
    assert [held for held in folder.data().notes if "behavior" in held] == [note]


def test_silent_neurons_and_labels_that_are_too_few_are_noted(
    source, tmp_path, monkeypatch
) -> None:
    def silence(activity: np.ndarray) -> np.ndarray:
        activity = activity.copy()
        activity[:, :3] = 0
        return activity

    to = edited(source, tmp_path / "v1", "frame.neuralActivity.npy", silence)
    with_types(to, lambda types: ["EC" if name == "EC" else "Vip" for name in types])
    cells = begun(to, tmp_path / "out", monkeypatch).data()
    assert cells.kinds == ("ei",)
    assert sum("3 of 48 neurons have the same activity" in note for note in cells.notes) == 2
    (note,) = (note for note in cells.notes if note.startswith("subclass: labels: found 1 class"))
    assert note.endswith("cells are not classified by it")


def test_provenance_tells_how(finished, source) -> None:
    provenance = finished.provenance()
    assert provenance["data"]["source"] == str(source)
    sessions = provenance["data"]["sessions"]
    assert [held["animal"] for held in sessions.values()] == ["SB025", "SB026"]
    assert all((held["n_frames"], held["n_neurons"]) == (300, 48) for held in sessions.values())
    assert provenance["seeds"] == [0, 1]
    assert provenance["versions"]["torch"]
    assert provenance["data_hash"].startswith("sha256:")
    assert set(provenance["fits"]) == {f"{arm} seed {seed}" for arm in ARMS for seed in (0, 1)}
    assert finished.config().distill.strategies == tuple(STRATEGIES)


def test_the_same_command_twice_gives_the_same_bytes(finished, source, tmp_path) -> None:
    again = run(source, tmp_path / "b", finished.config())
    assert results_bytes(again) == results_bytes(finished)
    for arm in ARMS:
        assert np.array_equal(vectors_of(again, arm, 1), vectors_of(finished, arm, 1)), arm


def test_an_interrupted_experiment_goes_on(finished, source, tmp_path, monkeypatch) -> None:
    copy = shutil.copytree(finished.path, tmp_path / "copy")
    calls = watch_fits(monkeypatch)
    teacher = copy / "teacher" / "seed0"
    shutil.rmtree(copy / "student-hard" / "seed1")
    (teacher / "model.safetensors").write_bytes(b"")  # no student of another seed needs it
    (copy / "results.json").unlink()
    again = run(source, copy, finished.config())
    assert calls == ["hard seed 1"]
    assert results_bytes(again) == results_bytes(finished)
    (teacher / "scores.json").unlink()
    run(source, copy, finished.config())
    assert calls == ["hard seed 1", "teacher seed 0"]
    assert weights_of(again, "teacher") == weights_of(finished, "teacher")


def test_nothing_is_scored_before_all_fits_have_ended(source, tmp_path, monkeypatch) -> None:
    watch_fits(monkeypatch, stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "c", tiny_identity())
    folder = RunFolder.open(tmp_path / "c")
    assert [folder.is_done(fit) for fit in folder.fits()] == [True, False, False, False]
    refuses(r"results\.json: not there; give the same", folder.results)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 1}, "seeds is 2 there and 1 here"),
        ({"distill": {"strategies": ["soft"]}}, "is hard,feature.multitask there and soft here"),
        ({"training": {"epochs": 3}}, "training.epochs is 2 there and 3 here"),
        ({"data": {"animals": True}}, "data.animals is False there and True here"),
    ],
)
def test_other_settings_are_refused(finished, source, change, message) -> None:
    before = results_bytes(finished)
    config = parse_settings(IdentityConfig, merged(finished.config().model_dump(), change))
    refuses(f"holds another run .*{message}.*another --out$", run, source, finished.path, config)
    assert results_bytes(finished) == before


def test_other_data_are_refused(finished, source, tmp_path, monkeypatch) -> None:
    """Elsewhere, and, as the source is read anew, in the same place."""
    before = results_bytes(finished)
    elsewhere = with_noise_for_behavior(source, tmp_path / "v1")
    with pytest.raises(InputError, match=r"data\.source is \S+ there and \S+ here"):
        run(elsewhere, finished.path, finished.config())
    copy = shutil.copytree(source, tmp_path / "copy" / "v1")
    folder = begun(copy, tmp_path / "d", monkeypatch)
    for name in ("frame.neuralActivity.npy", "frame.states.npy"):
        edited(copy, copy, name, lambda old: old[::-1])
        with pytest.raises(InputError, match=r"d: holds a run on other data; choose another --out"):
            run(copy, folder.path, tiny_identity())
        edited(copy, copy, name, lambda old: old[::-1])
    assert begun(copy, folder.path, monkeypatch) == folder
    assert results_bytes(finished) == before


def test_the_baseline_never_sees_behavior(finished, source, tmp_path) -> None:
    """Noise for behavior: who sees it changes, in training or through a teacher; others do not."""
    noise = with_noise_for_behavior(source, tmp_path / "v1")
    config = finished.config().model_copy(update={"seeds": 1})
    other = run(noise, tmp_path / "e", config)
    for arm in ARMS:
        same = np.array_equal(vectors_of(other, arm), vectors_of(finished, arm))
        assert same == (arm in ("baseline", "hand_features")), arm
    assert weights_of(other, "baseline") == weights_of(finished, "baseline")
    before, after = (folder.results()["arms"]["baseline"] for folder in (finished, other))
    for metric, score in after.items():
        assert score["per_seed"][0] == before[metric]["per_seed"][0]


def test_students_meet_cells_without_behavior(finished, source, tmp_path) -> None:
    """A trained network, and noise for behavior when embeddings are fitted."""
    noise = with_noise_for_behavior(source, tmp_path / "v1")
    config, split = finished.config(), finished.splits()[0]
    elsewhere = config.data.model_copy(update={"source": str(noise)})
    tasks = [
        CellTask.of(chosen_sessions(which), split.tested, config.data.window)
        for which in (config, config.model_copy(update={"data": elsewhere}))
    ]
    fits = {fit.arm.name: fit for fit in finished.fits() if fit.seed == 0}
    seed = mixed_seed(0, 7, 0)
    for arm in set(ARMS) - {"hand_features"}:
        found = []
        for task in tasks:
            model = Identity(config).build(fits[arm].arm, task, seed)
            load_weights(model, finished.of(fits[arm]) / "model.safetensors")
            found.append(fresh_embeddings(model, task, seed, config.embedding.epochs))
        np.testing.assert_allclose(found[0], vectors_of(finished, arm), rtol=1e-3, atol=1e-5)
        assert np.array_equal(found[0], found[1]) == (arm not in SEES_BEHAVIOR), arm


def test_activity_of_tested_cells_reaches_no_network(finished, source, tmp_path) -> None:
    split = finished.splits()[0]
    to = shutil.copytree(source, tmp_path / "v1")
    rng = np.random.default_rng(9)
    for session in chosen_sessions(finished.config()):
        tested = split.is_tested(session.neuron_id)
        assert tested.any()
        noise = rng.exponential(size=session.activity.shape)
        path = to / session.name / "frame.neuralActivity.npy"
        edit(path, lambda old, tested=tested, noise=noise: np.where(tested, noise, old))
    other = run(to, tmp_path / "f", tiny_identity())
    assert other.splits()[0].tested == split.tested
    for arm in ("teacher", "baseline", "multitask", "hard"):
        assert weights_of(other, arm) == weights_of(finished, arm), arm
        assert not np.array_equal(vectors_of(other, arm), vectors_of(finished, arm))


def test_labels_of_tested_cells_choose_nothing(finished, source, tmp_path) -> None:
    """Other labels for tested cells: vectors, choices and validation stay, scores do not."""
    copy = shutil.copytree(finished.path, tmp_path / "copy")
    split, stored = finished.splits()[0], json.loads((copy / "cells.json").read_text())
    labels = stored["labels"]["subclass"]
    tested = sorted(name for name in labels if name in split.tested)
    labels |= dict(zip(tested, [labels[name] for name in tested[::-1]], strict=True))
    (copy / "cells.json").write_text(json.dumps(stored))
    (copy / "results.json").unlink()
    arms = [name for name in ARMS if name != "teacher"]
    for arm in arms:
        (copy / FOLDERS.get(arm, arm) / "seed0" / "scores.json").unlink()
    other = run(source, copy, finished.config())
    changed = set()
    for fit in other.fits():
        if fit.seed == 0 and fit.arm.name in arms:
            before, after = finished.scores(fit), other.scores(fit)
            assert before["valid"] == after["valid"], fit.label
            assert before["classifiers"] == after["classifiers"]
            assert np.array_equal(
                vectors_of(other, fit.arm.name), vectors_of(finished, fit.arm.name)
            )
            if before["test"]["top1"] != after["test"]["top1"]:
                changed.add(fit.arm.name)
    assert changed
    assert other.results()["selected"] == finished.results()["selected"]


def test_one_animal_after_the_other_is_tested(source, tmp_path) -> None:
    folder = run(source, tmp_path / "g", tiny_identity(data={"animals": True}))
    splits, cells = folder.splits(), folder.data()
    assert [(split.fold, split.animal) for split in splits] == [(0, "SB025"), (1, "SB026")]
    for split in splits:
        whose = {
            animal
            for name, animal in zip(cells.names, cells.animals, strict=True)
            if name in split.tested
        }
        assert whose == {split.animal}
        assert len(split.tested) == 48
    rows, _ = cells.labelled("subclass")
    parts = [
        Classified.load(folder.path / "baseline" / "seed0" / f"fold{k}" / "subclass.h5")
        for k in (0, 1)
    ]
    assert sorted(np.concatenate([part.index for part in parts])) == list(range(len(rows)))
    assert all(len(part.probability) == 1 for part in parts)
    score = folder.results()["arms"]["baseline"]["top1"]
    hits = [part.probability[0].argmax(axis=1) == part.truth for part in parts]
    assert score["per_seed"] == [pytest.approx(np.concatenate(hits).mean())]


def test_labels_channels_and_stimuli_are_chosen(source, tmp_path) -> None:
    data = {"labels": ["ei"], "behavior": ["pupil", "speed"], "stimuli": ["Blank"]}
    folder = run(source, tmp_path / "h", tiny_identity(data=data))
    results = folder.results()
    assert set(results["arms"]["baseline"]) == metrics_of(["EC", "IN"])
    assert set(results["state_r2"]["teacher"]) == {"pupil", "speed"}
    assert folder.provenance()["data"]["behavior"] == ["pupil", "speed"]
    assert not list(folder.path.rglob("subclass.h5"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"labels": ["subclas"]}}, "no labels 'subclas': did you mean 'subclass'"),
        ({"data": {"behavior": ["pupl"]}}, "no behavior channel 'pupl': did you mean 'pupil'"),
        ({"data": {"stimuli": ["Blnk"]}}, "no stimulus 'Blnk': did you mean 'Blank'"),
        ({"data": {"window": 61}}, "300 frames, wanted 305 or more for windows of 61"),
        (
            {"data": {"folds": 40, "labels": ["subclass", "ei"]}},
            "^subclass: labels: found 0 classes of 40 or more cells",
        ),
        ({"data": {"folds": 80}}, r"by \(subclass: labels: .*; ei: labels: found 0 classes of 80"),
        ({"model": {"dynamics": "linaer"}}, "no dynamics 'linaer': did you mean 'linear'"),
        ({"distill": {"strategies": ["embeding"]}}, "did you mean 'embedding'"),
        ({"references": ["moment"]}, "unknown reference 'moment': did you mean 'moments'"),
        ({"model": {"settings": {"n_embeding": 3}}}, "'n_embeding': did you mean 'n_embedding'"),
        ({"model": {"settings": {"n_embedding": 2.5}}}, "neuprint: TypeError"),
        ({"model": {"settings": {"radius": "near"}}}, "neuprint: TypeError"),
        ({"model": {"settings": {"spec": 1}}}, "no setting 'spec'"),
        ({"model": {"settings": {"dynamics": "linear"}}}, "give it as model.dynamics"),
    ],
)
def test_what_cannot_be_used_leaves_no_folder(source, tmp_path, changes, message) -> None:
    refuses(message, run, source, tmp_path / "out", tiny_identity(**changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["labels", "behavior", "stimuli"])
def test_names_are_given_once_and_some(what) -> None:
    refuses(rf"{what} \(none\): wanted one or more", tiny_identity, data={what: []})
    refuses(f"{what} a, a: wanted each once", tiny_identity, data={what: ["a", "a"]})


def test_a_folder_of_something_else_is_left_alone(source, tmp_path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    refuses("not the folder of a run", run, source, tmp_path, tiny_identity())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_contrastive_reference_is_scored_like_the_others(source, tmp_path, monkeypatch) -> None:
    def few(task: CellTask, seed: int, progress: Callable[[int, int], None]) -> np.ndarray:
        return contrastive_vectors(task, seed, steps=3, progress=progress)

    monkeypatch.setattr("neuroblend.experiments.identity.describe.contrastive_vectors", few)
    folder = run(source, tmp_path / "a", tiny_identity(references=["contrastive"]))
    results = folder.results()
    assert set(results["arms"]["contrastive"]) == set(results["arms"]["baseline"])
    assert results["state_r2"]["contrastive"] == {}
    assert 0 <= results["ablation"]["contrastive"]["full"] <= 1
    fit = Fit(Arm("contrastive", is_reference=True), 0, None)
    assert not (folder.of(fit) / "model.safetensors").exists()
    with h5py.File(folder.of(fit) / "vectors.h5") as file:
        assert file["vectors"].shape == (96, 32)
