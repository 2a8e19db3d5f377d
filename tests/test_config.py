import pytest
from conftest import refuses

from neuroblend.config import HideBins, HideEntries, parse_settings
from neuroblend.distill.hard import Hard
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.experiments.given import settings_from
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.models.gru import GRU


def test_settings_survive_a_file() -> None:
    config = parse_settings(RunConfig, {"data": {"behavior": ["a", "b"]}, "training": {"lr": 0.01}})
    assert parse_settings(RunConfig, config.model_dump(mode="json")) == config
    assert config.data.behavior == ("a", "b")


BINS, ENTRIES = {"kind": "bins"}, {"kind": "entries"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"trainig": {}}, "unknown setting 'trainig': did you mean 'training'"),
        ({"training": {"epoch": 3}}, "'training.epoch': did you mean 'epochs'"),
        ({"training": {"epochs": 0}}, "training.epochs: .* greater than or equal to 1, found 0"),
        ({"training": {"lr": "fast"}}, "training.lr: .*found 'fast'"),
        ({"training": {"lr": float("nan")}}, "training.lr"),
        ({"training": {"precision": "8"}}, "training.precision.*'32-true'"),
        ({"training": {"mask": BINS | {"random": 0.7, "kept": 0.4}}}, "add up to 1 or less"),
        ({"training": {"mask": BINS | {"ramp": [0.5, 0.2]}}}, "wanted the earlier"),
        ({"training": {"mask": BINS | {"ramp": [0.5, 2]}}}, "training.mask.ramp.1: .*found 2"),
        ({"training": {"mask": BINS | {"spam": 3}}}, "mask.spam': did you mean 'span'"),
        ({"training": {"mask": ENTRIES | {"span": 3}}}, "unknown setting 'training.mask.span"),
        ({"training": {"mask": {"span": 3}}}, "training.mask: .*wanted a kind, bins or entries"),
        ({"training": {"mask": "bin"}}, "training.mask: .*wanted a kind, bins or entries"),
        ({"kind": "identity"}, "settings of kind identity, wanted decoding"),
        ({"distill": {"strategies": [lambda pair: 0]}}, "wanted a class or function at the top"),
        ({"distill": {"alpha": 2}}, "distill.alpha"),
        ({"distill": {"strategies": ["hard", "hard"]}}, "wanted each once"),
        ({"distill": {"strategies": []}}, "wanted one or more"),
        ({"data": {"folds": 1}}, "data.folds"),
        ([], "found list"),
    ],
)
def test_what_cannot_be_used_is_named(content, message) -> None:
    refuses(message, parse_settings, RunConfig, content)


NDT, LFADS = ({"name": name, "preset": "mc_maze"} for name in ("ndt", "lfads"))


@pytest.mark.parametrize(
    ("kind", "model", "given", "mask"),
    [
        (RunConfig, {}, {"span": 3}, HideBins(span=3)),
        (RunConfig, {"name": "lfads"}, {"ratio": 0.4}, HideEntries(ratio=0.4)),
        (RunConfig, {"name": GRU}, {"kind": "entries"}, HideEntries()),
        (RunConfig, NDT, {"ratio": 0.3}, HideBins(ratio=0.3, ramp=(0.16, 0.24))),
        (RunConfig, NDT, {"ramp": None}, HideBins()),
        (RunConfig, NDT, "entries", HideEntries()),
        (RunConfig, LFADS, "entries", HideEntries(ratio=0.3)),
        (RunConfig, LFADS, {"kind": "bins", "span": 3}, HideBins(span=3)),
        (IdentityConfig, {}, {"ratio": 0.3}, HideEntries(ratio=0.3)),
    ],
)
def test_a_part_of_a_mask_stands_over_the_one_in_force(kind, model, given, mask) -> None:
    found = settings_from(kind, {"model": model, "training": {"mask": given, "epochs": 3}})
    assert (found.training.mask, found.training.epochs) == (mask, 3)
    assert settings_from(kind, found.model_dump()) == found


def test_a_mask_whose_kind_is_not_known_is_asked_for_it() -> None:
    content = {"model": {"name": "conftest:make_task"}, "training": {"mask": {"ratio": 0.3}}}
    refuses("training.mask: .*wanted a kind, bins or entries", settings_from, RunConfig, content)
    content["model"] = {"preset": "mc_mase"}
    refuses("model ndt has no preset 'mc_mase'", settings_from, RunConfig, content)


def test_a_class_is_stored_by_its_name() -> None:
    config = parse_settings(RunConfig, {"distill": {"strategies": [Hard]}, "model": {"name": GRU}})
    assert config.distill.strategies == ("neuroblend.distill.hard:Hard",)
    assert config.model.name == "neuroblend.models.gru:GRU"


def test_seeds_and_folds() -> None:
    config = RunConfig(seeds=2, first_seed=3)
    assert config.all_seeds == [3, 4]
    assert config.all_folds == [None]
    assert parse_settings(RunConfig, {"data": {"folds": 3}}).all_folds == [0, 1, 2]


@pytest.mark.parametrize(
    ("given", "alpha"),
    [
        ({}, 0.75),
        ({"weighting": "fixed"}, 0.2),
        ({"normalisation": "released"}, 0.5),
        ({"weighting": "fixed", "alpha": 0.6}, 0.6),
    ],
)
def test_alpha_is_that_of_the_weighting_where_none_is_given(given, alpha) -> None:
    assert parse_settings(RunConfig, {"distill": given}).distill.alpha == alpha
