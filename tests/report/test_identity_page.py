"""The page of an experiment on identity: complete, self-contained, the same at every call."""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import refuses, tiny_identity
from pages import (
    Page,
    check_dark_and_narrow,
    check_every_panel_has_ticks,
    check_figures,
    check_nothing_is_fetched,
    check_same_everywhere,
    check_unfinished_is_refused,
    check_verdict,
    drawn_text,
    svgs,
)

from neuroblend.engine.folder import RunFolder
from neuroblend.experiments.identity.experiment import METRICS
from neuroblend.experiments.run import run
from neuroblend.report import figures
from neuroblend.report.identity.behavior import _of_gain
from neuroblend.report.identity.confusion import mean_counts
from neuroblend.report.identity.map import on_components
from neuroblend.report.identity.marks import MARKERS, MUTED, marks
from neuroblend.report.identity.shown import classes
from neuroblend.report.page import write_report
from neuroblend.report.scores import known
from neuroblend.report.style import signed
from neuroblend.report.view import View
from neuroblend.simulate.v1 import Size, simulate_v1

ODD = {"Lamp5": "<script>alert(1)</script>", "pupil": "<b>$x_1$</b> & y", "SB025": "<i>mouse</i>"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> RunFolder:
    """One seed, one strategy, no references."""
    where = tmp_path_factory.mktemp("identity")
    size = Size(n_mice=1, n_sessions=1, n_neurons=60, n_frames=300)
    config = tiny_identity(data={"window": 50}, distill={"strategies": ["feature"]})
    return run(simulate_v1(where / "v1", size=size), where / "run", config)


@pytest.fixture(scope="module")
def html(folder) -> str:
    return write_report(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def odd(folder, tmp_path_factory) -> str:
    """The page of the same with names that are markup."""
    path = tmp_path_factory.mktemp("odd") / "run"
    shutil.copytree(folder.path, path)
    for file in path.rglob("*.json"):
        text = file.read_text()
        for name, markup in ODD.items():
            text = text.replace(name, markup)
        file.write_text(text)
    return write_report(RunFolder.open(path)).read_text(encoding="utf-8")


def test_figures_are_to_be_had_as_the_page_has_them(folder, html) -> None:
    of_label = [figures.forest, figures.recall, figures.confusion, figures.embedding]
    kind = next(iter(folder.results()["labels"]))
    of_first = [partial(draw, label=kind) for draw in of_label]
    check_figures(folder, html, [*of_label, *of_first, figures.behavior])
    refuses("of kind identity, wanted decoding", figures.raster, folder)
    refuses("no label 'clas': .*There are", figures.recall, folder, "clas")


def test_nothing_is_fetched(html) -> None:
    check_nothing_is_fetched(html)


def test_is_legible_in_the_dark_and_on_a_phone(folder, html) -> None:
    check_dark_and_narrow(html)
    check_every_panel_has_ticks(folder)


def test_every_arm_class_kind_and_channel_is_there(folder, html) -> None:
    text, drawn, results = Page(html).text, drawn_text(html), folder.results()
    assert list(results["labels"]) == ["subclass", "ei"]
    for arm, scores in results["arms"].items():
        assert arm in text and arm in drawn
        for metric, score in scores.items():
            kind, _, name = metric.rpartition("/")
            if name != "top2" or kind != "ei":  # of two classes it is always 1
                assert signed(f"{score['mean']:.3f}") in text, metric
    for kind, found in results["labels"].items():
        assert f"{kind}: scores on tested cells" in text
        for name, n in found["classes"].items():
            assert f"{name} {n}" in text
            assert f"{name} ({n})" in drawn
    assert all(metric.label in text for metric in METRICS.values() if metric.headline)
    for channel in results["state_r2"]["teacher"]:
        assert channel in text and channel in drawn


def test_scores_of_a_kind_stand_in_its_section(folder, html) -> None:
    results = folder.results()
    second = Page(html.partition("<h2>ei: scores")[2].partition("<details>")[0]).text
    for metric in ("top1", "macro_f1", "balanced_accuracy"):
        score = signed(f"{results['arms']['teacher'][f'ei/{metric}']['mean']:.3f}")
        assert score in second.partition("teacher")[2]
    assert "top-2" not in second


def test_tells_the_verdict_with_its_caveats(folder, html) -> None:
    check_verdict(folder, html)
    assert "One seed" in Page(html).text


def test_says_that_data_are_simulated_where_they_are(folder, html, tmp_path) -> None:
    said = "These data are simulated, not recorded (neuroblend simulate v1, realistic, seed 0)."
    assert "simulated data" in html.partition("<h1>")[2].partition("</h1>")[0]
    assert said in Page(html.partition("Before you believe it")[2]).text
    path = shutil.copytree(folder.path, tmp_path / "recorded")
    cells = json.loads((path / "cells.json").read_text())
    cells["notes"] = [note for note in cells["notes"] if note != said]
    (path / "cells.json").write_text(json.dumps(cells))
    text = write_report(path).read_text(encoding="utf-8").partition("Data and machine")[0]
    assert "simulated" not in text


def test_figures_in_order(html) -> None:
    titles = re.findall(r"<h3>([^<]*)</h3>\s*<figure>", html)
    assert titles == [
        "Which classes gain (subclass)",
        "Which behavior a gain comes from",
        "What cells are taken for (subclass)",
        "Map of embeddings (subclass)",
        "Which classes gain (ei)",
        "What cells are taken for (ei)",
        "Map of embeddings (ei)",
    ]
    assert len(svgs(html)) == len(titles) + 2  # and the differences beside either table


def test_names_of_the_users_are_shown_as_they_are(odd) -> None:
    assert not {"script", "b", "i"} & set(Page(odd).tags)
    text, drawn = Page(odd).text, re.sub(r"\s", "", drawn_text(odd))
    for markup in ODD.values():
        assert markup in text
    for markup in (ODD["Lamp5"], ODD["pupil"]):
        assert re.sub(r"\s", "", markup) in drawn


def test_negative_r2_is_cut_off_and_said_to_be(folder, html, tmp_path) -> None:
    path = shutil.copytree(folder.path, tmp_path / "run")
    pages = {}
    for value in (0.25, -3.0):
        results = json.loads((path / "results.json").read_text())
        for found in results["state_r2"].values():
            found.update(dict.fromkeys(found, value))
        (path / "results.json").write_text(json.dumps(results))
        page = write_report(RunFolder.open(path))
        pages[value] = page.read_text(encoding="utf-8")
    assert "◀ −3.00" in drawn_text(pages[-3.0])
    assert "bars end at the edge" in Page(pages[-3.0]).text
    assert "◀" not in drawn_text(pages[0.25])
    assert "bars end at the edge" not in Page(pages[0.25]).text


def test_is_the_same_at_every_call_and_wherever_it_is_called(folder, html, tmp_path) -> None:
    check_same_everywhere(folder, html, tmp_path)


def test_an_experiment_that_has_not_ended_is_refused(folder, tmp_path) -> None:
    check_unfinished_is_refused(folder, tmp_path)


def test_a_damaged_file_is_named(folder, tmp_path) -> None:
    path = shutil.copytree(folder.path, tmp_path / "run")
    (path / "baseline" / "seed0" / "vectors.h5").write_bytes(b"nothing")
    refuses(r"vectors\.h5: missing or damaged", write_report, RunFolder(path))


def test_confusion_counts_every_tested_cell_once_and_agrees_with_recall(folder) -> None:
    view = View(folder)
    for kind in view.data.kinds:
        labels, split = view.data.labels[kind], view.splits[0]
        for arm in ("baseline", "feature"):
            counts = mean_counts(view, arm, kind)
            for row, name in enumerate(classes(view, kind)):
                n = sum(labels.get(cell) == name for cell in split.tested)
                recall = view.results["arms"][arm][f"{view.data.prefix(kind)}recall/{name}"]["mean"]
                assert counts[row].sum() == pytest.approx(n)
                assert counts[row, row] / n == pytest.approx(recall)


def test_components_are_those_of_standardised_vectors() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5)) * [1, 10, 100, 1, 1]
    points, shares = on_components(vectors)
    variances = np.linalg.eigvalsh(np.corrcoef(vectors.T))[::-1]
    assert points.var(axis=0) == pytest.approx(variances[:2])
    assert shares == pytest.approx(variances[:2] / 5)
    mirrored = vectors * [1, -1, 1, -1, 1]
    assert np.abs(on_components(mirrored)[0]) == pytest.approx(np.abs(points))


@pytest.mark.parametrize("shape", [(1, 4), (6, 1)])
def test_too_little_for_two_components_is_padded(shape) -> None:
    points, shares = on_components(np.arange(np.prod(shape), dtype=float).reshape(shape))
    assert points.shape == (shape[0], 2)
    assert not points[:, 1].any() and shares[1] == 0


def test_no_two_of_many_classes_look_alike() -> None:
    n = len(MUTED) * len(MARKERS)
    drawn = marks(map(str, range(n)))
    assert len({(mark.color, mark.marker) for mark in drawn.values()}) == n


def test_a_class_that_was_never_tested_has_no_score() -> None:
    entries = {"a": {"mean": None, "ci95": [None, None]}, "b": {"mean": 0.5, "ci95": [0.4, 0.6]}}
    assert known(entries, "a") is None
    assert known(entries, "missing") is None
    assert known(entries, "b") == entries["b"]


# the behavior that a gain comes from


def said(student: dict[str, float], baseline: dict[str, float], full: tuple[float, float]) -> str:
    without = {"hard": student, "baseline": baseline}
    ablation = {
        arm: {"full": f, "without_all": sum(found.values()) / 10, "without": found}
        for (arm, found), f in zip(without.items(), full, strict=True)
    }
    view = SimpleNamespace(results={"ablation": ablation}, selected="hard")
    return _of_gain(view)


def test_a_gain_is_divided_among_channels() -> None:
    text = said({"pupil": 0.3, "speed": 0.55}, {"pupil": 0.25, "speed": 0.3}, (0.6, 0.3))
    assert "gain of +0.300 by such a classifier, +0.050 is left without pupil" in text
    assert "the least of all channels, and +0.030 without all of them." in text


def test_one_channel_is_not_the_least_of_all() -> None:
    text = said({"pupil": 0.3}, {"pupil": 0.25}, (0.6, 0.3))
    assert text.endswith("+0.050 is left without pupil.")


def test_where_there_is_no_gain_none_is_divided() -> None:
    text = said({"pupil": 0.3}, {"pupil": 0.25}, (0.3, 0.32))
    assert text.endswith("the student does not gain, so that there is nothing to divide.")
    assert "pupil" not in text
