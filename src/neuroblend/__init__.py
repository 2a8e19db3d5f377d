"""neuroblend: neural-only models that learned from behavior they will not have later.

The public API on one screen. Names are imported when first used, so that ``import neuroblend`` and
``neuroblend --help`` cost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from neuroblend._version import __version__
from neuroblend.errors import InputError

if TYPE_CHECKING:
    from neuroblend.config import RunConfig, TrainingConfig
    from neuroblend.data.arrays import read_arrays, read_spikes
    from neuroblend.data.batch import Batch, Behavior, Task, TaskSpec
    from neuroblend.data.recording import Recording, Signal
    from neuroblend.data.simulate import simulate_reaching
    from neuroblend.data.split import Split, split_trials
    from neuroblend.data.trials import Trials
    from neuroblend.distill.correlation import Correlation
    from neuroblend.distill.feature import Feature
    from neuroblend.distill.hard import Hard
    from neuroblend.distill.multitask import Multitask
    from neuroblend.distill.objective import Objective
    from neuroblend.distill.pair import DistillLoss, Pair
    from neuroblend.distill.soft import Soft
    from neuroblend.evaluation.decode import Decoder
    from neuroblend.evaluation.metrics import bits_per_spike
    from neuroblend.evaluation.predict import predict
    from neuroblend.models.gru import GRU
    from neuroblend.models.ndt import NDT
    from neuroblend.privilege.concat import Concat
    from neuroblend.privilege.roles import Student, Teacher
    from neuroblend.report.page import write_report
    from neuroblend.report.verdict import verdict
    from neuroblend.study.apply import predict_run
    from neuroblend.study.folder import RunFolder
    from neuroblend.study.run import run
    from neuroblend.training.fit import fit

_HOMES = {
    "config": ("RunConfig", "TrainingConfig"),
    "data.arrays": ("read_arrays", "read_spikes"),
    "data.batch": ("Batch", "Behavior", "Task", "TaskSpec"),
    "data.recording": ("Recording", "Signal"),
    "data.simulate": ("simulate_reaching",),
    "data.split": ("Split", "split_trials"),
    "data.trials": ("Trials",),
    "distill.correlation": ("Correlation",),
    "distill.feature": ("Feature",),
    "distill.hard": ("Hard",),
    "distill.multitask": ("Multitask",),
    "distill.objective": ("Objective",),
    "distill.pair": ("DistillLoss", "Pair"),
    "distill.soft": ("Soft",),
    "evaluation.decode": ("Decoder",),
    "evaluation.metrics": ("bits_per_spike",),
    "evaluation.predict": ("predict",),
    "models.gru": ("GRU",),
    "models.ndt": ("NDT",),
    "privilege.concat": ("Concat",),
    "privilege.roles": ("Student", "Teacher"),
    "report.page": ("write_report",),
    "report.verdict": ("verdict",),
    "study.apply": ("predict_run",),
    "study.folder": ("RunFolder",),
    "study.run": ("run",),
    "training.fit": ("fit",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["InputError", "__version__", *sorted(_HOME_OF)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'neuroblend' has no attribute '{name}'")
    return getattr(importlib.import_module(f"neuroblend.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
