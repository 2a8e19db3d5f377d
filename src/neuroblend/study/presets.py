"""Published settings by name, which stand beside each model in its file."""

from __future__ import annotations

import importlib
from typing import Any

from neuroblend.config import RunConfig, TrainingConfig
from neuroblend.errors import InputError, nearest, some
from neuroblend.registry import MODELS, find_model


def presets_of(model: str) -> dict[str, dict[str, Any]]:
    """Return a model's presets by name, each with settings of ``model`` and of ``training``."""
    module = importlib.import_module(find_model(model).target.partition(":")[0])
    presets: dict[str, dict[str, Any]] = getattr(module, "PRESETS", {})
    return presets


def with_preset(config: RunConfig) -> RunConfig:
    """Return the settings with those of the preset wherever others were not given.

    Raises:
        InputError: The model has no such preset.
    """
    name = config.model.preset
    if name is None:
        return config
    presets = presets_of(config.model.name)
    if name not in presets:
        have = [model for model in MODELS if presets_of(model)]
        found = f"model {config.model.name} has no preset '{name}'"
        if not presets:
            raise InputError(f"{found}, nor any other; those with presets: {some(have)}")
        raise InputError(f"{found}: {nearest(name, presets)}")
    preset = presets[name]
    model = {"settings": preset["model"] | config.model.settings}
    given = config.training.model_dump(include=config.training.model_fields_set)
    training = TrainingConfig.model_validate(preset["training"] | given)
    return config.model_copy(
        update={"model": config.model.model_copy(update=model), "training": training}
    )
