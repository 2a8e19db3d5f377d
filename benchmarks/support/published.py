"""The published BLEND code (Guo et al., ICLR 2025), imported from a checkout, in place.

Nothing of it is copied. Modules that it imports and that are not installed are given small
stand-ins: settings (yacs), a writer that writes nothing (tensorboard), and optimiser and schedule
of the same formulas (pytorch_transformers, out of maintenance since 2019).
"""

import copy
import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import yaml
from torch.optim.lr_scheduler import LambdaLR


class Settings(dict[str, Any]):
    """Nested settings by attribute, and the few methods of yacs that are called on them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def clone(self) -> "Settings":
        return copy.deepcopy(self)

    def merge_from_file(self, path: str) -> None:
        self.merge(yaml.safe_load(Path(path).read_text()))

    def merge(self, changes: dict[str, Any]) -> None:
        for key, value in changes.items():
            if isinstance(value, dict):
                self[key].merge(value)
            else:
                self[key] = value

    def freeze(self) -> None:
        """Nothing is frozen."""

    def defrost(self) -> None:
        """Nothing is frozen."""


class Silence:
    """Takes any call of a TensorBoard writer and does nothing."""

    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *args: object) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


def warmup_cosine(optimiser: torch.optim.Optimizer, warmup_steps: int, t_total: int) -> LambdaLR:
    """A linear rise from 0 and half a cosine down to 0."""

    def scale(step: int) -> float:
        if step < warmup_steps:
            return step / max(1, warmup_steps)
        progress = (step - warmup_steps) / max(1, t_total - warmup_steps)
        return max(0.0, 0.5 + 0.5 * math.cos(math.pi * progress))

    return LambdaLR(optimiser, scale)


def use(reference: str) -> None:
    """Make ``import src...`` find the published code."""
    sys.dont_write_bytecode = True  # the checkout is someone else's
    sys.path.insert(0, reference)
    _stand_in("pytorch_lightning", {}, always=True)  # imported there, and not used
    _stand_in("yacs.config", {"CfgNode": Settings})
    _stand_in("torch.utils.tensorboard", {"SummaryWriter": Silence}, wants="tensorboard")
    _stand_in(
        "pytorch_transformers",
        {"AdamW": torch.optim.AdamW, "WarmupCosineSchedule": warmup_cosine},
    )


def _stand_in(
    name: str, content: dict[str, Any], wants: str | None = None, always: bool = False
) -> None:
    package = name.partition(".")[0]
    if not always and importlib.util.find_spec(wants or package) is not None:
        return
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
    module = ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module


def settings_of(reference: str, file: str, folder: str) -> Any:
    """Return the settings of ``configs/FILE``; what is written goes to ``folder``."""
    config = importlib.import_module("src.config.default").get_config(
        str(Path(reference) / "configs" / file)
    )
    config.defrost()
    for key in ("LOG_DIR", "CHECKPOINT_DIR", "TENSORBOARD_DIR"):
        setattr(config, key, folder)
    return config


class OneBatch:
    """What their training loop takes its batches from: the same trials once an epoch.

    Args:
        parts: spikes, rates, behavior, held-out spikes, forward spikes, forward behavior.
    """

    dataset = SimpleNamespace(
        has_behavior=True, has_fp_behavior=True, has_heldout=True, has_forward=True
    )

    def __init__(self, parts: tuple[torch.Tensor, ...]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        yield self.parts
