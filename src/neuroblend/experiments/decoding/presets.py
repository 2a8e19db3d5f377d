"""Published settings by name, which are beside each model in its file."""

import importlib
from typing import Any

from neuroblend.config import TrainingConfig
from neuroblend.errors import InputError, nearest, some
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.registry import MODELS, find_model


def presets_of(model: str) -> dict[str, dict[str, Any]]:
    """Return a model's presets by name, each with settings of ``model`` and of ``training``."""
    module = importlib.import_module(find_model(model).target.partition(":")[0])
    presets: dict[str, dict[str, Any]] = getattr(module, "PRESETS", {})
    return presets


def find_preset(model: str, name: str) -> dict[str, Any]:
    """Return one preset.

    Raises:
        InputError: The model has no such preset.
    """
    presets = presets_of(model)
    if name not in presets:
        have = [other for other in MODELS if presets_of(other)]
        found = f"model {model} has no preset '{name}'"
        if not presets:
            raise InputError(f"{found}, nor any other; those with presets: {some(have)}")
        raise InputError(f"{found}: {nearest(name, presets)}")
    return presets[name]


def with_preset(config: RunConfig) -> RunConfig:
    """Return the settings with those of the preset wherever others were not given.

    Raises:
        InputError: The model has no such preset.
    """
    name = config.model.preset
    if name is None:
        return config
    preset = find_preset(config.model.name, name)
    model = {"settings": preset["model"] | config.model.settings}
    given = config.training.model_dump(include=config.training.model_fields_set)
    training = TrainingConfig.model_validate(preset["training"] | given)
    return config.model_copy(
        update={"model": config.model.model_copy(update=model), "training": training}
    )
