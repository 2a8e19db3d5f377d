"""The engine, by an experiment that it has never heard of."""

import shutil

import pytest
import torch
import yaml
from conftest import make_trials, refuses, tiny_config, watch_fits
from rich.progress import Progress
from torch import nn
from toy import ToyConfig

import neuroblend as nb
from neuroblend.engine.progress import _Left, fits_progress
from neuroblend.errors import InputError

STRATEGIES = ("hard", "soft+hard")


def config(**changes) -> ToyConfig:
    return ToyConfig(**{"distill": {"strategies": STRATEGIES}, "seeds": 2} | changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> nb.RunFolder:
    return nb.run(3, tmp_path_factory.mktemp("toy") / "a", config())


def test_an_experiment_of_ones_own_goes_the_whole_way(finished) -> None:
    results = nb.RunFolder.open(finished.path).results()
    assert results["kind"] == "toy:Toy"
    assert list(results["arms"]) == ["teacher", "baseline", "multitask", *STRATEGIES]
    assert results["selected"] in STRATEGIES
    assert set(results["contrasts"]) == {
        "teacher - baseline", "multitask - baseline",
        *(f"{arm} - {control}" for arm in STRATEGIES for control in ("baseline", "multitask")),
    }  # fmt: skip
    found = results["contrasts"]["hard - baseline"]["fit"]
    means = [results["arms"][arm]["fit"]["mean"] for arm in ("hard", "baseline")]
    assert found["mean"] == pytest.approx(means[0] - means[1])
    assert found["ci95"][0] <= found["mean"] <= found["ci95"][1]
    assert finished.provenance()["data"]["name"] == "tiny"


def test_its_page_and_verdict_need_nothing_of_it(finished) -> None:
    found, page = nb.verdict(finished.results()), nb.write_report(finished).read_text()
    assert found.sentence in page and "fit of counts" in page
    assert {"few seeds", "selection", "teacher sees behavior"} <= {c.kind for c in found.caveats}
    assert page.count("<details>") == 3  # arms, trainings, settings


def test_it_resumes_and_runs_in_workers(finished, tmp_path, monkeypatch) -> None:
    assert nb.run(3, tmp_path / "b", config(), jobs=2).results() == finished.results()
    calls = watch_fits(monkeypatch, stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        nb.run(3, tmp_path / "c", config())
    assert nb.run(3, tmp_path / "c", config()).results() == finished.results()
    assert len(calls) == 11 and len(set(calls)) == 10
    for changed, data in ((config(seeds=3), 3), (config(), 4)):
        refuses(r"holds (another run|a run on other data)", nb.run, data, tmp_path / "c", changed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "decodin"}, "unknown kind of experiment 'decodin': did you mean 'decoding'"),
        ({"kind": "toy:Tin"}, "toy:Tin: no 'Tin' to call; .*Toy"),
        ({"kind": "tin:Toy"}, "cannot import 'tin'"),
        ({"kind": "toy:make_trials"}, "kind toy:make_trials: wanted a class derived from"),
        ({"training": {}}, "names no kind of experiment, so it is of an older layout"),
        ([], "names no kind of experiment"),
        ({"kind": "toy:Toy", "seed": 3}, "unknown setting 'seed': did you mean 'seeds'"),
    ],
)
def test_a_folder_that_cannot_be_opened_is_told_in_a_line(tmp_path, content, message) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    refuses(message, nb.RunFolder.open, tmp_path)


def test_what_is_no_run_is_told_from_what_has_not_ended(finished, tmp_path) -> None:
    assert nb.RunFolder(str(finished.path)).results() == finished.results()
    where = finished.path.parent
    refuses(
        r"b: not the folder of a run \(no such folder\); There are: a$",
        nb.RunFolder(str(where / "b")).results,
    )
    refuses(r"not the folder of a run \(no config.yaml\); runs .*: a$", nb.RunFolder(where).results)
    refuses("run: found None, wanted the path", nb.RunFolder, None)
    unfinished = shutil.copytree(finished.path, tmp_path / "c")
    (unfinished / "results.json").unlink()
    refuses(
        "json: not there; give the same command again .* has not ended",
        nb.RunFolder(unfinished).results,
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training": 5}, "config: training: wanted settings by name, found 5"),
        ({"model": "gru"}, "config: model: wanted settings by name, found 'gru'"),
        ({"distill": {"strategies": 5}}, "config: distill.strategies: wanted a list, found 5"),
        ({"sedes": 1}, "unknown setting 'sedes': did you mean 'seeds'"),
        ({1: 2}, "config: 1: Keys should be strings"),
        ("config.yaml", "config: found str, wanted settings such as RunConfig, or a dict"),
        (nb.TrainingConfig(), "config: found TrainingConfig, wanted"),
    ],
)
def test_settings_of_another_type_are_told_in_a_line(tmp_path, settings, message) -> None:
    refuses(message, nb.run, make_trials(), tmp_path / "a", settings)
    assert not (tmp_path / "a").exists()


def test_folders_and_jobs_of_another_type_are_told_in_a_line(tmp_path) -> None:
    refuses("out: found None, wanted the path", nb.run, 3, None, config())
    refuses(
        "--jobs '2': wanted 1 or more, as a whole number",
        nb.run,
        3,
        tmp_path / "a",
        config(),
        jobs="2",
    )


def test_the_time_left_is_told_where_it_is_known(finished, monkeypatch) -> None:
    fits, now, drawn = finished.fits(), 0.0, []

    def bar(*columns: object, **given: object) -> Progress:
        drawn.append(Progress(*columns, get_time=lambda: now, auto_refresh=False))
        return drawn[0]

    def left() -> str:
        (task,) = drawn[0].tasks
        return _Left().render(task).plain

    monkeypatch.setattr("neuroblend.engine.progress.Progress", bar)
    with fits_progress(fits, fits[:3], quiet=False) as tell:  # of a run that goes on
        assert left() == ""
        now = 30.0
        tell(fits[3], 0.5)
        n = len(fits) - 3
        assert left() == f"about 0:{n - 1:02d}:30 left"
        for fit in fits[3:]:
            tell(fit, 0.9)
            tell(fit, 1)
        assert left() == ""


class Own(nn.Module):
    """A strategy of a user's, which is as good as ``hard``."""

    wants_teacher = True
    layers = ()

    def forward(self, pair):
        return (pair.student.log_rates - pair.guide.log_rates).square().mean()


class OtherLayer(Own):
    layers = (("norn", "norm"),)


def answers(answer) -> type[Own]:
    """A strategy with another loss."""

    class Other(Own):
        def forward(self, pair):
            return answer(pair, super().forward(pair))

    return Other


NoScalar = answers(lambda pair, loss: pair.student.log_rates)
NotANumber = answers(lambda pair, loss: loss * float("nan"))
Raises = answers(lambda pair, loss: {}["velocity"])
Careless = answers(lambda pair, loss: 0.0)
Whole = answers(lambda pair, loss: torch.tensor(1))


class BadLayers(Own):
    layers = ("norm",)


class Unprepared(Own):
    def prepare(self, pair):
        raise KeyError("width")


class Undecided(Own):
    wants_teacher = None


class Demanding(Own):
    def __init__(self, strength) -> None:
        super().__init__()


def given(name: str) -> nb.RunConfig:
    return tiny_config(distill={"strategies": [name]})


def test_a_strategy_of_ones_own_is_an_arm(tmp_path) -> None:
    """By its name joined with ours, and with weights of its own to train."""
    name = f"{__name__}:Own+multitask"
    folder = nb.run(make_trials(), tmp_path / "a", given(name))
    assert {name, "teacher"} <= set(folder.results()["arms"])
    history = folder.of(folder.find(name, 0, None)) / "history.csv"
    assert f"{__name__}:Own" in history.read_text().splitlines()[0]
    assert folder.of(folder.find(name, 0, None)).parent.name == f"student-{name.replace(':', '.')}"
    alike = nb.run(make_trials(), tmp_path / "b", given("hard+multitask")).results()
    scores = [r["arms"][arm]["co_bps"]["mean"] for r, arm in (
        (folder.results(), name), (alike, "hard+multitask")
    )]  # fmt: skip
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("OtherLayer", "strategy .*OtherLayer: no layer 'norn': did you mean 'norm'"),
        ("BadLayers", r"found layers \('norm',\), wanted pairs"),
        ("Unprepared", "Unprepared: in prepare, it fails .KeyError: 'width'"),
        ("Whole", "found shape .* of torch.int64, wanted a scalar tensor of floats"),
        ("NoScalar", r"NoScalar: found shape \(2, 12, 10\) of torch.float32, wanted a scalar"),
        ("NotANumber", "NotANumber: gives nan, wanted a number"),
        ("Raises", "Raises: it fails .KeyError: 'velocity'"),
        ("Undecided", "found wants_teacher None, wanted a class with an attribute"),
        ("Demanding", "needs 'strength', which nothing gives"),
        ("Careless", "Careless: found float, wanted a scalar tensor"),
        ("Owm", "no 'Owm' to call; did you mean 'Own'"),
        ("Own+hardd", "unknown strategy 'hardd': did you mean 'hard'"),
    ],
)
def test_a_strategy_that_cannot_be_used_is_told_before_anything_is_written(
    strategy, message, tmp_path
) -> None:
    refuses(message, nb.run, make_trials(), tmp_path / "run", given(f"{__name__}:{strategy}"))
    assert not (tmp_path / "run").exists()


class Late(Own):
    """Fails once training has begun."""

    calls = 0

    def forward(self, pair):
        Late.calls += 1
        if Late.calls > 4:
            raise RuntimeError("the mouse ran away\nfar away")
        return super().forward(pair)


def test_a_strategy_that_fails_in_training_ends_the_run_in_a_line(tmp_path) -> None:
    with pytest.raises(InputError, match=r"Late: it fails \(RuntimeError: the mouse ran away\)$"):
        nb.run(make_trials(), tmp_path / "run", given(f"{__name__}:Late"))
    assert not (tmp_path / "run" / "results.json").exists()


class Doubled:
    """Behavior twice: a fusion of a user's."""

    def __init__(self, spec) -> None:
        self.spec = spec.widened(2 * spec.n_behavior)

    def __call__(self, net, batch):
        return net(torch.cat([batch.spikes, *[batch.behavior.values] * 2], dim=2))


class NoSpec(Doubled):
    def __init__(self, spec) -> None: ...


def test_a_fusion_of_ones_own_is_used_or_refused_in_a_line(tmp_path) -> None:
    scores = []
    for fusion in ("concat", Doubled):
        model = {"fusion": fusion}
        folder = nb.run(make_trials(), tmp_path / str(len(scores)), tiny_config(model=model))
        scores.append(folder.results()["arms"])
    assert scores[0]["teacher"] != scores[1]["teacher"]
    assert scores[0]["baseline"] == scores[1]["baseline"]
    for fusion, message in (
        (f"{__name__}:NoSpec", "found NoSpec, wanted a callable .* attribute 'spec'"),
        ("concatt", "unknown fusion 'concatt': did you mean 'concat'"),
    ):
        with pytest.raises(InputError, match=message):
            nb.run(make_trials(), tmp_path / "x", tiny_config(model={"fusion": fusion}))


@pytest.mark.parametrize("wrong", [3, "fast", ["hard"]])
def test_settings_of_another_type_are_refused(wrong, tmp_path) -> None:
    refuses("wanted settings", nb.run, make_trials(), tmp_path / "run", wrong)


def test_a_run_is_given_by_a_dict_of_any_kind_and_found_by_its_path(finished, tmp_path) -> None:
    content = yaml.safe_load((finished.path / "config.yaml").read_text())
    assert nb.run(3, tmp_path / "a", content).results() == finished.results()
    assert nb.write_report(str(finished.path)).is_file()
    refuses("not the folder of a run", nb.RunFolder(tmp_path / "none").results)
    refuses("no arm 'harf': did you mean 'hard'", finished.find, "harf", 0, None)
    refuses("found int, wanted a file, 'simulated' or Trials", nb.run, 3, tmp_path / "b")


def test_an_objective_takes_names_and_objects() -> None:
    teacher = nb.Teacher(nn.Linear(2, 2), lambda net, batch: net(batch.spikes))
    for terms in ("hard+soft", ["hard", "soft"], {"x": "hard+soft"}):
        assert list(nb.Objective(terms, teacher).terms) == ["hard", "soft"]
    own = Own()
    assert nb.Objective(own, teacher).terms == {"own": own}
    assert list(nb.Objective(["hard", own], teacher).terms) == ["hard", "own"]
    refuses("looks at a layer of the network; wanted layer=", nb.Objective, "feature", teacher)
    for wrong in (Own, 3, {"a": None}):
        refuses("objective: found .* wanted a callable", nb.Objective, wrong, teacher)
    refuses("found fusion 'concat', wanted a callable", nb.Teacher, nn.Linear(2, 2), "concat")
