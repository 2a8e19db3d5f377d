"""Settings of an experiment as a user gives them, who may give a mask in part."""

from typing import Any, TypeVar

from neuroblend.config import ExperimentConfig, parse_settings
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.registry import find_model, load

Config = TypeVar("Config", bound=ExperimentConfig)


def settings_from(kind: type[Config], content: Any, origin: str = "config") -> Config:
    """Check settings as :func:`~neuroblend.config.parse_settings` does.

    What is given of ``training.mask`` stands over the mask that is in force without it (the
    preset's, the experiment's, else the network's own), unless that is of another kind.

    Raises:
        InputError: A key is unknown or a value cannot be used.
    """
    training: Any = content.get("training") if isinstance(content, dict) else None
    mask = training.get("mask") if isinstance(training, dict) else None
    mask = {"kind": mask} if isinstance(mask, str) else mask
    if not isinstance(mask, dict):
        return parse_settings(kind, content, origin)
    others = {key: value for key, value in training.items() if key != "mask"}
    in_force = _mask_of(parse_settings(kind, content | {"training": others}, origin))
    if mask.get("kind", in_force.get("kind")) == in_force.get("kind"):
        mask = in_force | mask
    return parse_settings(kind, content | {"training": training | {"mask": mask}}, origin)


def _mask_of(settings: ExperimentConfig) -> dict[str, Any]:
    """Return the mask that settings come to, by name; its kind alone, or nothing, if unknown."""
    from neuroblend.engine.folder import bind  # noqa: PLC0415  # torch: not for all settings

    config: ExperimentConfig = bind(settings).config
    if config.training.mask is not None:
        return config.training.mask.model_dump()
    network = load(find_model(config.model.name).target) if isinstance(config, RunConfig) else None
    if not isinstance(network, type):  # a builder of the user's own tells once it has built
        return {}
    return {"kind": getattr(network, "default_mask", "bins")}
