"""Published settings by name."""

import pytest
from conftest import make_task, refuses, tiny_config

from neuroblend.config import HideEntries, parse_settings
from neuroblend.experiments.decoding.presets import presets_of, with_preset
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.models.build import build_network
from neuroblend.registry import MODELS

EVERY = [(model, name) for model in MODELS for name in presets_of(model)]


def test_the_three_published_models_have_presets() -> None:
    assert {model for model, _ in EVERY} == {"ndt", "stndt", "lfads"}


@pytest.mark.parametrize(("model", "name"), EVERY)
def test_a_preset_builds_and_is_valid(model, name) -> None:
    config = with_preset(parse_settings(RunConfig, {"model": {"name": model, "preset": name}}))
    build_network(config.model.name, config.model.settings, make_task().spec)
    assert parse_settings(RunConfig, config.model_dump(mode="json")) == config
    assert with_preset(config) == config


def test_what_is_given_stands_over_the_preset() -> None:
    config = parse_settings(
        RunConfig,
        {
            "model": {"name": "lfads", "preset": "mc_maze", "settings": {"factors": 7}},
            "training": {"lr": 0.5},
        },
    )
    found = with_preset(config)
    assert (found.model.settings["factors"], found.model.settings["generator"]) == (7, 200)
    assert (found.training.lr, found.training.batch_size) == (0.5, 256)
    assert found.training.mask == HideEntries(ratio=0.3)


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        ("lfads", "mc_maize", "model lfads has no preset 'mc_maize': .*mc_maze"),
        ("gru", "mc_maze", "model gru has no preset 'mc_maze', nor any other; .*ndt"),
    ],
)
def test_an_unknown_preset_is_named(model, name, message) -> None:
    config = tiny_config(model={"name": model, "preset": name, "settings": {}})
    refuses(message, with_preset, config)
