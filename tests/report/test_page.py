"""The page of a run: complete, honest, self-contained, and the same at every call."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from conftest import refuses, tiny_config
from matplotlib.figure import Figure
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

from neuroblend.data.trials import Trials
from neuroblend.engine.folder import RunFolder
from neuroblend.experiments.decoding.metrics import METRICS
from neuroblend.experiments.run import run
from neuroblend.report import figures
from neuroblend.report.decoding.raster import _raster
from neuroblend.report.page import render, write_report
from neuroblend.report.style import signed
from neuroblend.report.view import View

CHANNELS = ["<script>alert(1)</script>", "$x_1$", "paw & tail"]
NAME = "<b>odd</b> $a_1$"


def make_trials(rates_known: bool, conditions: bool, gaps: bool) -> Trials:
    rng = np.random.default_rng(0)
    behavior = rng.normal(size=(30, 14, len(CHANNELS)))
    rates = 0.4 * np.exp(0.4 * behavior @ rng.normal(size=(len(CHANNELS), 8)))
    spikes = rng.poisson(rates)
    if gaps:
        behavior[:, 3:6, 1] = np.nan
    return Trials.from_arrays(
        spikes,
        0.02,
        behavior,
        behavior_names=CHANNELS,
        condition=np.arange(30) % 2 if conditions else None,
        rates=rates if rates_known else None,
        name=NAME,
        behavior_units=["cm/s", "", "mm"] if gaps else None,
        event="go_cue_time" if gaps else None,
        start_s=-0.1 if gaps else 0.0,
    )


def make_run(
    out: Path, trials: Trials, seeds: int, strategies: tuple[str, ...], **data
) -> RunFolder:
    config = tiny_config(data=data, distill={"strategies": strategies}, seeds=seeds)
    return run(trials, out, config)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> RunFolder:
    """Two seeds, two strategies, truth, conditions, held-out neurons."""
    trials = make_trials(rates_known=True, conditions=True, gaps=False)
    out = tmp_path_factory.mktemp("page") / "simulated"
    return make_run(out, trials, 2, ("hard", "feature+multitask"))


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> RunFolder:
    """Folds, one seed, one strategy, forward bins, gaps; no held-out, conditions or truth."""
    trials = make_trials(rates_known=False, conditions=False, gaps=True)
    out = tmp_path_factory.mktemp("page") / "odd"
    return make_run(out, trials, 1, ("hard",), held_out=0.0, forward_bins=3, folds=2)


@pytest.fixture(scope="module")
def pages(simulated, odd) -> dict[str, str]:
    """The page of either run."""
    runs = {"simulated": simulated, "odd": odd}
    return {name: write_report(found).read_text(encoding="utf-8") for name, found in runs.items()}


@pytest.fixture(scope="module", params=["simulated", "odd"])
def name(request) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def html(pages, name) -> str:
    return pages[name]


@pytest.fixture(scope="module")
def folder(name, request) -> RunFolder:
    found: RunFolder = request.getfixturevalue(name)
    return found


def test_nothing_is_fetched(html) -> None:
    check_nothing_is_fetched(html)


def test_is_legible_in_the_dark_and_on_a_phone(folder, html) -> None:
    check_dark_and_narrow(html)
    check_every_panel_has_ticks(folder)


def test_names_arms_metrics_and_channels(folder, html):
    text, results = Page(html).text, folder.results()
    assert NAME in text
    for arm, scores in results["arms"].items():
        assert arm in text
        for metric in scores:
            label = METRICS[metric].label if metric in METRICS else metric.partition("/")[2]
            assert label in text, metric
        assert signed(f"{scores['behavior_r2']['mean']:.3f}") in text
    for absent in set(METRICS) - set(results["arms"]["baseline"]):
        assert METRICS[absent].label not in text, absent


def test_tells_the_verdict_with_its_caveats(folder, html):
    check_verdict(folder, html)
    assert "not a fair bound" in Page(html).text


def test_names_of_the_users_are_shown_as_they_are(html):
    assert "<script" not in html
    assert "<b>" not in html
    drawn = drawn_text(html)
    for channel in CHANNELS:
        assert channel in Page(html).text
        assert channel.replace(" ", "") in re.sub(r"\s", "", drawn)  # a long one is broken in two


def test_says_simulated_only_of_simulated_data(name, html):
    text, is_simulated = Page(html).text, name == "simulated"
    assert ("These data are simulated" in text) is is_simulated
    assert ("oracle" in text) is is_simulated
    assert ("true rate" in drawn_text(html)) is is_simulated


def test_has_the_figures_that_the_run_has_data_for(name, html):
    titles = ["One test trial", "Decoded behavior", "PSTHs", "Which neurons gain"]
    titles = [*(t for t in titles if name == "simulated" or t != "PSTHs"), "Training"]
    assert re.findall(r"<h3>([^<]*)</h3>\s*<figure>", html) == titles
    assert len(svgs(html)) == len(titles) + 1  # and the forest plot beside the table


def test_odd_run_speaks_of_what_it_has(pages):
    text = Page(pages["odd"]).text
    assert "One seed" in text
    assert "2 folds" in text
    assert "Gaps in the thin line" in text
    assert "Shaded: the last bins" in text
    assert "held-out neurons 0 of 8" in text
    assert "samples are missing (NaN)" in text


def test_time_runs_from_the_event_and_axes_have_units(pages):
    drawn = drawn_text(pages["odd"])
    assert "time from go_cue_time (s)" in drawn and "(cm/s)" in drawn and "(mm)" in drawn
    assert "time in trial" not in drawn
    text = Page(pages["odd"]).text
    assert "aligned to go_cue_time, −0.1 to 0.18 s" in text
    assert "Dotted: go_cue_time." in text
    assert "time in trial (s)" in drawn_text(pages["simulated"])


def test_ticks_of_a_raster_are_whole_neurons():
    trials = Trials.from_arrays(np.ones((3, 10, 20), dtype=int), 0.02)
    view = SimpleNamespace(
        data=trials,
        splits=[SimpleNamespace(test=np.array([1]), held_out=np.zeros(20, dtype=bool))],
        config=SimpleNamespace(data=SimpleNamespace(forward_bins=0)),
    )
    figure = Figure(figsize=(4, 5))
    ax = figure.subplots()
    _raster(ax, view, 0)
    figure.canvas.draw()
    assert len(ax.get_yticks()) > 3
    assert all(tick == round(tick) for tick in ax.get_yticks())


def test_where_the_baseline_is_selected_no_arm_is_drawn_twice(simulated, tmp_path):
    path = shutil.copytree(simulated.path, tmp_path / "run")
    results = json.loads((path / "results.json").read_text())
    (path / "results.json").write_text(json.dumps(results | {"selected": "baseline"}))
    html = write_report(path).read_text(encoding="utf-8")
    for svg in svgs(html):
        assert svg.count("selected (baseline)") <= 1
    drawn = drawn_text(html)
    assert "hard minus baseline" in drawn or "multitask minus baseline" in drawn
    assert "baseline minus baseline" not in drawn


def test_is_the_same_at_every_call_and_wherever_it_is_called(pages, simulated, tmp_path):
    check_same_everywhere(simulated, pages["simulated"], tmp_path)


def test_figures_are_to_be_had_as_the_page_has_them(name, folder, html, tmp_path):
    of_page = [figures.forest, figures.training, figures.raster, figures.traces]
    if name == "simulated":
        of_page.append(figures.psth)
    else:
        refuses("have no conditions, so no PSTHs", figures.psth, folder)
    check_figures(folder, html, [*of_page, figures.neurons])
    figures.raster(str(folder.path)).savefig(tmp_path / "raster.png", dpi=40)
    assert (tmp_path / "raster.png").stat().st_size > 1000
    refuses("of kind decoding, wanted identity", figures.recall, folder)
    refuses("no label 'layer': There are: ", figures.forest, folder, "layer")


def test_leaves_settings_of_matplotlib_alone(simulated):
    with mpl.rc_context({"font.size": 31, "text.parse_math": True}):
        before = dict(mpl.rcParams)
        render(View(simulated))
        figures.traces(simulated)
        assert dict(mpl.rcParams) == before


def test_a_run_that_has_not_ended_is_refused(simulated, tmp_path):
    check_unfinished_is_refused(simulated, tmp_path)
