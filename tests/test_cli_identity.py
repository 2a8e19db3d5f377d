"""Identity of cells through the command line, as a user meets it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import yaml
from commands import neuroblend, refused, succeeds
from conftest import watch_fits
from layouts import edit, with_few, with_types
from pages import Page, check_nothing_is_fetched

from neuroblend.experiments.identity.classify import CANDIDATES

SIZE = ["--mice", 2, "--sessions", 1, "--units", 48, "--frames", 300]
TINY = [
    "--epochs", 1, "--window", 20, "--seeds", 1, "--strategies", "hard", "--references", "",
    "--jobs", 1, "--accelerator", "cpu", "--set", "embedding.epochs=1", "--set", "data.folds=3",
    "--set", "data.repeats=1",
]  # fmt: skip
QUIET = [*TINY, "-q"]
DAY = "SB025/2019-10-07"
RUN = f"{DAY}/Blank/01"
EYE = f"{RUN}/eye.size"
ACTIVITY = "frame.neuralActivity.npy"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli_source")
    done = succeeds("simulate", "v1", *SIZE, "-q", cwd=folder)
    assert done.stdout == "v1: simulated sessions, realistic\n"
    return folder / "v1"


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory) -> tuple[Path, CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("cli_identity")
    done = succeeds("identity", source, *QUIET, "--references", "stock", cwd=folder)
    assert done.stderr == ""
    assert "These data are simulated, not recorded" in done.stdout  # with --quiet too
    return folder, done


@pytest.fixture
def v1(source, tmp_path) -> Path:
    """A copy of the source to spoil."""
    shutil.copytree(source, tmp_path / "v1")
    return tmp_path / "v1"


def names_in(folder: Path) -> list[str]:
    """Return everything there, hidden files and folders too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_whole_way_leaves_scores_and_a_page(finished) -> None:
    folder, done = finished
    out = folder / "runs" / "identity-v1"
    results = json.loads((out / "results.json").read_text())
    assert list(results["arms"]) == ["teacher", "baseline", "multitask", "hard", "stock"]
    assert "page: runs/identity-v1/report.html" in done.stdout
    assert all(arm in done.stdout for arm in results["arms"])
    for word in (" *", "top-1", "macro-F1", "ei: scores on tested"):
        assert word in done.stdout
    assert f"{results['arms']['stock']['top1']['mean']:.3f}" in done.stdout
    page = (out / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert Page(page).references
    check_nothing_is_fetched(page)
    assert "<script" not in page


def test_the_same_settings_again_do_nothing_new(finished, source) -> None:
    """Given as the file that they were left in."""
    folder, first = finished
    out = folder / "runs/identity-v1"
    before = (out / "results.json").stat().st_mtime_ns
    again = neuroblend("identity", source, "--config", out / "config.yaml", "-q", cwd=folder)
    assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr
    assert (out / "results.json").stat().st_mtime_ns == before


def test_the_page_is_built_anew(finished) -> None:
    folder, _ = finished
    page = folder / "runs/identity-v1/report.html"
    before = page.read_bytes()
    page.unlink()
    done = succeeds("report", "runs/identity-v1", "-q", cwd=folder)
    assert done.stdout == "page: runs/identity-v1/report.html\n"
    assert page.read_bytes() == before


def unknown_twice(types: list[str]) -> list[str]:
    for name in ("EC", "IN"):
        types[types.index(name)] = "Astro-1"
    return types


def test_what_is_left_out_is_said_and_goes_on(v1, tmp_path, monkeypatch) -> None:
    """A run of other cells, types that are not known, and classes of fewer cells than folds."""
    quick = {"kNN(k=5)": CANDIDATES["kNN(k=5)"]}
    monkeypatch.setattr("neuroblend.experiments.identity.classify.CANDIDATES", quick)
    other = shutil.copytree(v1 / RUN, v1 / DAY / "Blank" / "02")
    edit(other / ACTIVITY, lambda old: old[:, :-3])
    with_few(v1, "Sncg", 2)
    with_types(v1 / DAY, unknown_twice)
    done = succeeds("identity", "v1", *TINY, "--out", "out", cwd=tmp_path)
    notes = [
        "These data are simulated, not recorded (neuroblend simulate v1, realistic, seed 0).",
        f"{DAY}/Blank/02: activity has shape (300, 45) and the table of cells 48 rows; this run is "
        "left out",
        "2 cells of type 'Astro' are kept as 'other'",
        "subclass: class 'Sncg' left out: it has 2 cells, wanted 3 or more",
    ]
    classes = json.loads((tmp_path / "out" / "results.json").read_text())["labels"]
    assert set(classes["ei"]["classes"]) == {"EC", "IN"}
    assert set(classes["subclass"]["classes"]) == {"Lamp5", "Vip", "Pvalb", "Sst"}
    stored = json.loads((tmp_path / "out" / "cells.json").read_text())
    assert stored["notes"] == notes
    for note in notes:
        assert f"note: {note}" in done.stderr.splitlines()
        assert note.replace("'", "&#39;") in (tmp_path / "out" / "report.html").read_text()
    n = sum(classes["subclass"]["classes"].values())
    told = f"2 sessions, 96 cells of 2 animals, labelled: {n} by subclass, 94 by ei"
    assert told in done.stderr.splitlines()


def test_an_interrupted_experiment_says_how_to_go_on(finished, source, tmp_path) -> None:
    """In a worker process, which changes nothing."""
    once = finished[0] / "runs/identity-v1"
    out = shutil.copytree(once, tmp_path / "runs/identity-v1")
    (out / "results.json").unlink()
    (out / "student-hard" / "seed0" / "scores.json").unlink()
    command = ["identity", source, *QUIET, "--references", "stock"]
    with pytest.MonkeyPatch.context() as patch:
        watch_fits(patch, stop_at=1)
        done = neuroblend(*command, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr == "error: interrupted; the same command goes on from here\n"
    assert not (out / "results.json").exists()
    assert "not there; give the same" in refused("report", "runs/identity-v1", cwd=tmp_path)
    done = succeeds(*command, "--jobs", 2, cwd=tmp_path)
    for name in ("results.json", "student-hard/seed0/subclass.h5"):
        assert (out / name).read_bytes() == (once / name).read_bytes()


def test_a_training_that_fails_says_so_in_one_line(source, tmp_path) -> None:
    line = refused("identity", source, *QUIET, "--set", "training.lr=1e30", cwd=tmp_path)
    assert "the loss (task) is" in line and "lower the learning rate" in line


def missing(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def with_other_cells(root: Path) -> None:
    for file in root.rglob(ACTIVITY):
        edit(file, lambda old: old[:, :-1])


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda root: edit(root / RUN / name, change)


def with_nan(activity: np.ndarray) -> np.ndarray:
    activity[[7, 9]] = np.nan
    return activity


def all_types(name: str) -> Callable[[Path], None]:
    return lambda root: with_types(root, lambda types: [name] * len(types))


BAD_LAYOUTS = {
    "no table of types": (missing(f"{DAY}/neuron.ttype.txt"), f"{DAY}/neuron.ttype.txt: not there"),
    "no ids": (missing(f"{DAY}/neuron.UniqueID.npy"), f"{DAY}/neuron.UniqueID.npy: not there"),
    "no times": (missing(f"{RUN}/frame.times.npy"), f"{RUN}/frame.times.npy: not there"),
    "no speed": (missing(f"{RUN}/running.speed.npy"), f"{RUN}/running.speed.npy: not there"),
    "no clock": (missing(f"{RUN}/eye.times.npy"), f"{RUN}/eye.times.npy: not there"),
    "no run that fits": (
        with_other_cells,
        f"no run that can be used ({RUN}: activity has shape (300, 47) and the table of cells 48",
    ),
    "NaN activity": (
        changed(ACTIVITY, with_nan),
        f"{RUN}: activity is not finite in 2 of 300 frames, frame 7 first",
    ),
    "clocks apart": (
        changed("eye.times.npy", lambda t: t + 1e4),
        f"{EYE}: samples from 10003.0 to",
    ),
    "no pupil": (changed("eye.size.npy", lambda s: s * np.nan), f"{EYE}: no sample that is"),
    "no labels": (all_types("nan"), "labels 'subclass': no cell has one"),
    "no subclasses": (
        all_types("EC"),
        "'subclass': no cell has one; there are: ei, type; choose with --labels",
    ),
    "one class": (all_types("Vip"), "ei: labels: found 1 classes of 3 or more cells (IN 96"),
}


@pytest.mark.parametrize("case", BAD_LAYOUTS)
def test_a_bad_folder_is_refused_in_one_line_and_leaves_nothing(v1, tmp_path, case) -> None:
    spoil, message = BAD_LAYOUTS[case]
    spoil(v1)
    before = names_in(tmp_path)
    assert message in refused("identity", "v1", *QUIET, cwd=tmp_path)
    assert names_in(tmp_path) == before


RNG = np.random.default_rng(0)
GOOD = {
    "activity": RNG.exponential(size=(200, 24)),
    "frame_s": 0.2,
    "label": np.array(["a", "b", "c"] * 8),
    "behavior": RNG.normal(size=(200, 2)),
    "behavior_names": ["vx", "vy"],
}
SAME = "(vx, vy) is the same in every frame"
BAD_FILES = {
    "no activity": ({"activity": None}, "no key 'activity'"),
    "NaN activity": ({"activity": np.full((200, 24), np.nan)}, "not finite in 200 of 200 frames"),
    "no labels": ({"label": None}, "no key 'label'"),
    "NaN labels": ({"label": np.full(24, np.nan)}, "no neuron has a label: all are missing"),
    "missing labels": ({"label": np.full(24, "")}, "no neuron has a label: all are missing"),
    "fewer labels": ({"label": GOOD["label"][:20]}, "24 neurons and label 'label' has 20"),
    "one class": ({"label": np.full(24, "a")}, "label: labels: found 1 classes"),
    "a label without a name": ({"label_": GOOD["label"]}, "wanted a name without slashes"),
    "no behavior": ({"behavior": None, "behavior_names": None}, "no behavior, so there is nothing"),
    "fewer frames of behavior": ({"behavior": GOOD["behavior"][:150]}, "behavior has shape (150,"),
    "constant behavior": ({"behavior": GOOD["behavior"] * [0, 0]}, SAME),
    "NaN behavior": ({"behavior": GOOD["behavior"] * np.nan}, SAME),
    "too short": ({"activity": GOOD["activity"][:60], "behavior": GOOD["behavior"][:60]}, "--wind"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line_and_leaves_nothing(tmp_path, case) -> None:
    changes, message = BAD_FILES[case]
    arrays = {key: value for key, value in (GOOD | changes).items() if value is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in refused("identity", "a.npz", *QUIET, cwd=tmp_path)
    assert names_in(tmp_path) == ["a.npz"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--strategies", "fature"], "unknown strategy 'fature': did you mean 'feature'"),
        (["--strategies", "hard+hard"], "strategy 'hard+hard': a name appears twice"),
        (["--strategies", ""], "strategies (none): wanted one or more"),
        (["--strategies", "hard,hard"], "strategies hard, hard: wanted each once"),
        (["--references", "stok"], "unknown reference 'stok': did you mean 'stock'"),
        (["--dynamics", "recurent"], "no dynamics 'recurent': did you mean 'recurrent'"),
        (["--stimuli", "Blnk"], "no stimulus 'Blnk': did you mean 'Blank'"),
        (["--labels", "subclas"], "no labels 'subclas': did you mean 'subclass'"),
        (["--labels", ""], "labels (none): wanted one or more"),
        (["--behavior", "sped"], "no behavior channel 'sped': did you mean 'speed'"),
        (["--behavior", ""], "behavior (none): wanted one or more"),
        (["--window", "61"], "300 frames, wanted 305 or more for windows of 61; lower it with --w"),
        (["--window", "5"], "data.window: Input should be greater than or equal to 10, found 5"),
        (["--seeds", "0"], "seeds: Input should be greater than or equal to 1, found 0"),
        (["--jobs", "0"], "--jobs 0: wanted 1 or more"),
        (["--accelerator", "gpuu"], "training.accelerator: Input should be 'auto', 'cpu'"),
        (["--config", "none.yaml"], "none.yaml: cannot be read"),
        (["--set", "data.fold=3"], "unknown setting 'data.fold': did you mean 'folds'"),
        (
            ["--labels", "subclass", "--set", "data.folds=90"],
            "subclass: labels: found 0 classes of 90 or more cells",
        ),
        (["--set", "training.devices=2"], "unknown setting 'training.devices'"),
        (["--set", "training.augment.thin=0.5"], "unknown setting 'training.augment'"),
        (["--set", "training.precision=16-mixed"], "--precision 16-mixed: needs a CUDA GPU"),
        (["--set", "model.settings.n_stat=3"], "no setting 'n_stat': did you mean 'n_state'"),
        (["--set", "model.settings.n_state=many"], "neuprint: TypeError"),
        (["--set", "model.settings.n_state=0"], "found n_embedding 64, n_state 0"),
        (["--preset", "null"], "No such option: --preset"),
    ],
)
def test_a_bad_option_is_told_and_leaves_nothing(source, tmp_path, args, message) -> None:
    assert message in refused("identity", source, *QUIET, *args, cwd=tmp_path)
    assert names_in(tmp_path) == []


def test_sources_that_are_not_there(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    np.savez(tmp_path / "a.npz", **GOOD)
    before = names_in(tmp_path)
    for source, message in (
        ("v1", "v1: not there; wanted a folder or a file of labelled activity"),
        ("empty", "holds neither sessions in the layout of Bugeon et al. (2022)"),
        ("notes.txt", "unknown file type '.txt', wanted .h5, .hdf5, .npz, .nwb or a folder"),
    ):
        assert message in refused("identity", source, *QUIET, cwd=tmp_path)
    assert "Missing argument 'SOURCE'" in refused("identity", *QUIET, cwd=tmp_path)
    line = refused("identity", "a.npz", *QUIET, "--stimuli", "Blank", cwd=tmp_path)
    assert "--stimuli chooses runs of the layout of Bugeon et al. (2022); this has none" in line
    assert names_in(tmp_path) == before


def test_what_stands_at_out_is_left_alone(finished, source, tmp_path) -> None:
    folder, _ = finished
    (tmp_path / "file").write_text("x")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "main.tex").write_text("x")
    out = shutil.copytree(folder / "runs/identity-v1", tmp_path / "other")
    (shutil.copytree(out, tmp_path / "run") / "config.yaml").unlink()
    before = names_in(tmp_path)
    for name, message in (
        ("file", "file: is a file, wanted a folder for the run"),
        ("file/out", "Not a directory"),
        ("thesis", "thesis: not the folder of a run"),
        ("run", "run: not the folder of a run"),
        ("other", "holds another run (references is stock there and  here); choose another --out"),
    ):
        assert message in refused("identity", source, *QUIET, "--out", name, cwd=tmp_path)
    assert names_in(tmp_path) == before


def test_other_verbs_want_a_run_of_their_own_kind(finished, tmp_path) -> None:
    folder, _ = finished
    np.savez(tmp_path / "s.npz", spikes=np.ones((3, 8, 6), dtype=int))
    out = folder / "runs/identity-v1"
    for args in (["predict", out, "s.npz"], ["submit", out]):
        assert "a run of kind identity, wanted decoding" in refused(*args, cwd=tmp_path)
    told = refused("run", "simulated", "--out", out, cwd=tmp_path)
    assert "holds another run (kind is identity there and decoding here)" in told
    assert names_in(tmp_path) == ["s.npz"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["v1", "--preset", "state_only"], "unknown preset 'state_only': did you mean 'state-only"),
        (["v1", "--mice", 9], "found 9 mice and 2 sessions, wanted 1 to 4"),
        (["v1", "--frames", 20], "found 240 neurons and 20 frames, wanted 20 and 100 or more"),
        (["v1", "--trials", 9], "--trials: v1 has no such setting"),
        (["mc_maze_small", "--preset", "null"], "--preset: mc_maze_small has no such setting"),
        (["v2"], "unknown dataset 'v2': did you mean 'v1'"),
    ],
)
def test_a_bad_simulation_is_told_and_leaves_nothing(tmp_path, args, message) -> None:
    assert message in refused("simulate", *args, "-q", cwd=tmp_path)
    assert names_in(tmp_path) == []


def test_a_simulation_does_not_overwrite(source, tmp_path) -> None:
    shutil.copytree(source, tmp_path / "v1")
    assert "v1: is there already" in refused("simulate", "v1", *SIZE, cwd=tmp_path)
    succeeds("simulate", "v1", *SIZE, "--out", "v1b", "-q", cwd=tmp_path)
    for file in source.rglob("*.npy"):
        again = tmp_path / "v1b" / file.relative_to(source)
        assert again.read_bytes() == file.read_bytes()


def test_settings_are_written_as_given(finished) -> None:
    folder, _ = finished
    config = yaml.safe_load((folder / "runs/identity-v1/config.yaml").read_text())
    assert config["data"]["folds"] == 3
    assert config["embedding"]["epochs"] == 1
    assert config["references"] == ["stock"]
    assert config["training"]["mask"]["kind"] == "entries"  # of cells, beside what is given
