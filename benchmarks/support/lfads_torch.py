"""lfads-torch (Sedler & Pandarinath 2023), imported from a checkout, in place.

Its settings are read from its own YAML; the few that are changed are sizes. Hydra is not needed.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import yaml


def use(checkout: str) -> None:
    """Make ``import lfads_torch`` find the checkout, on whichever Lightning is installed."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, checkout)
    import lightning.pytorch

    sys.modules["pytorch_lightning"] = lightning.pytorch


def build(checkout: str, **sizes: int) -> Any:
    """Return its model with the settings of ``nlb_mc_maze.yaml``, ``sizes`` changed."""
    path = Path(checkout) / "configs/model/nlb_mc_maze.yaml"
    settings = yaml.safe_load(path.read_text()) | sizes
    return _made(settings, settings)


def _made(value: Any, settings: dict[str, Any]) -> Any:
    """Follow references to other settings and build whatever names a ``_target_``."""
    if isinstance(value, list):
        return [_made(item, settings) for item in value]
    if isinstance(value, str) and value.startswith("${model."):
        return settings[value.removeprefix("${model.").removesuffix("}")]
    if not isinstance(value, dict):
        return value
    made = {key: _made(item, settings) for key, item in value.items() if key != "_target_"}
    if "_target_" not in value:
        return made
    module, _, name = value["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**made)
