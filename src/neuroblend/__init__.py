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
    from neuroblend.config import IdentityConfig as IdentityConfig
    from neuroblend.config import RunConfig as RunConfig
    from neuroblend.config import TrainingConfig as TrainingConfig
    from neuroblend.data.arrays import read_arrays as read_arrays
    from neuroblend.data.arrays import read_spikes as read_spikes
    from neuroblend.data.batch import Batch as Batch
    from neuroblend.data.batch import Behavior as Behavior
    from neuroblend.data.batch import Task as Task
    from neuroblend.data.batch import TaskSpec as TaskSpec
    from neuroblend.data.calcium import CalciumSession as CalciumSession
    from neuroblend.data.calcium import read_sessions as read_sessions
    from neuroblend.data.nlb_trials import read_nlb as read_nlb
    from neuroblend.data.nwb import read_nwb as read_nwb
    from neuroblend.data.recording import Recording as Recording
    from neuroblend.data.recording import Signal as Signal
    from neuroblend.data.simulate import simulate_reaching as simulate_reaching
    from neuroblend.data.simulate.nlb import simulate_nlb as simulate_nlb
    from neuroblend.data.simulate.v1 import simulate_v1 as simulate_v1
    from neuroblend.data.split import Split as Split
    from neuroblend.data.split import split_trials as split_trials
    from neuroblend.data.trials import Trials as Trials
    from neuroblend.distill.correlation import Correlation as Correlation
    from neuroblend.distill.embedding import Embedding as Embedding
    from neuroblend.distill.feature import Feature as Feature
    from neuroblend.distill.hard import Hard as Hard
    from neuroblend.distill.multitask import Multitask as Multitask
    from neuroblend.distill.objective import Objective as Objective
    from neuroblend.distill.pair import DistillLoss as DistillLoss
    from neuroblend.distill.pair import Pair as Pair
    from neuroblend.distill.soft import Soft as Soft
    from neuroblend.evaluation.decode import Decoder as Decoder
    from neuroblend.evaluation.metrics import bits_per_spike as bits_per_spike
    from neuroblend.evaluation.nlb import evaluate_nlb as evaluate_nlb
    from neuroblend.evaluation.predict import predict as predict
    from neuroblend.identity.embed import fresh_embeddings as fresh_embeddings
    from neuroblend.identity.task import CellTask as CellTask
    from neuroblend.models.factor_analysis import FactorAnalysis as FactorAnalysis
    from neuroblend.models.gru import GRU as GRU
    from neuroblend.models.lfads import LFADS as LFADS
    from neuroblend.models.ndt import NDT as NDT
    from neuroblend.models.neuprint import NeuPRINT as NeuPRINT
    from neuroblend.models.smoothing import Smoothing as Smoothing
    from neuroblend.models.stndt import STNDT as STNDT
    from neuroblend.privilege.concat import Concat as Concat
    from neuroblend.privilege.population import PopulationState as PopulationState
    from neuroblend.privilege.population import on_cells as on_cells
    from neuroblend.privilege.roles import Student as Student
    from neuroblend.privilege.roles import Teacher as Teacher
    from neuroblend.report.identity_page import write_identity_report as write_identity_report
    from neuroblend.report.identity_verdict import identity_verdict as identity_verdict
    from neuroblend.report.page import write_report as write_report
    from neuroblend.report.verdict import verdict as verdict
    from neuroblend.study.apply import predict_run as predict_run
    from neuroblend.study.folder import RunFolder as RunFolder
    from neuroblend.study.identity import run_identity as run_identity
    from neuroblend.study.identity_folder import IdentityFolder as IdentityFolder
    from neuroblend.study.run import run as run
    from neuroblend.study.submission import submission_of as submission_of
    from neuroblend.training.fit import fit as fit

_HOMES = {
    "config": ("IdentityConfig", "RunConfig", "TrainingConfig"),
    "data.arrays": ("read_arrays", "read_spikes"),
    "data.batch": ("Batch", "Behavior", "Task", "TaskSpec"),
    "data.calcium": ("CalciumSession", "read_sessions"),
    "data.nlb_trials": ("read_nlb",),
    "data.nwb": ("read_nwb",),
    "data.recording": ("Recording", "Signal"),
    "data.simulate": ("simulate_reaching",),
    "data.simulate.nlb": ("simulate_nlb",),
    "data.simulate.v1": ("simulate_v1",),
    "data.split": ("Split", "split_trials"),
    "data.trials": ("Trials",),
    "distill.correlation": ("Correlation",),
    "distill.embedding": ("Embedding",),
    "distill.feature": ("Feature",),
    "distill.hard": ("Hard",),
    "distill.multitask": ("Multitask",),
    "distill.objective": ("Objective",),
    "distill.pair": ("DistillLoss", "Pair"),
    "distill.soft": ("Soft",),
    "evaluation.decode": ("Decoder",),
    "evaluation.metrics": ("bits_per_spike",),
    "evaluation.nlb": ("evaluate_nlb",),
    "evaluation.predict": ("predict",),
    "identity.embed": ("fresh_embeddings",),
    "identity.task": ("CellTask",),
    "models.factor_analysis": ("FactorAnalysis",),
    "models.gru": ("GRU",),
    "models.lfads": ("LFADS",),
    "models.ndt": ("NDT",),
    "models.neuprint": ("NeuPRINT",),
    "models.smoothing": ("Smoothing",),
    "models.stndt": ("STNDT",),
    "privilege.concat": ("Concat",),
    "privilege.population": ("on_cells", "PopulationState"),
    "privilege.roles": ("Student", "Teacher"),
    "report.identity_page": ("write_identity_report",),
    "report.identity_verdict": ("identity_verdict",),
    "report.page": ("write_report",),
    "report.verdict": ("verdict",),
    "study.apply": ("predict_run",),
    "study.folder": ("RunFolder",),
    "study.identity": ("run_identity",),
    "study.identity_folder": ("IdentityFolder",),
    "study.run": ("run",),
    "study.submission": ("submission_of",),
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
