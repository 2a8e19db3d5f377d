"""The public names, each with its home; everything else is imported from its module."""

from ._version import __version__ as __version__
from .config import TrainingConfig as TrainingConfig
from .data.arrays import read_arrays as read_arrays
from .data.calcium.read import read_sessions as read_sessions
from .data.nwb import read_nwb as read_nwb
from .data.recording import Recording as Recording
from .data.recording import Signal as Signal
from .data.split import split_trials as split_trials
from .data.trials import Trials as Trials
from .distill.objective import Objective as Objective
from .engine.folder import RunFolder as RunFolder
from .errors import InputError as InputError
from .estimator import Blend as Blend
from .evaluation.predict import predict as predict
from .evaluation.readout import Decoder as Decoder
from .experiments.decoding.apply import predict_run as predict_run
from .experiments.decoding.settings import RunConfig as RunConfig
from .experiments.identity.settings import IdentityConfig as IdentityConfig
from .experiments.run import run as run
from .privilege.roles import Student as Student
from .privilege.roles import Teacher as Teacher
from .report.page import write_report as write_report
from .report.verdict import verdict as verdict
from .simulate.reaching import simulate_reaching as simulate_reaching
from .task.task import Task as Task
from .training.train import train as train
