"""The arms of a run: who is trained, and on what."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neuroblend.config import ModelConfig, RunConfig
from neuroblend.distill.objective import Objective, output_of
from neuroblend.distill.pair import DistillLoss
from neuroblend.errors import InputError, nearest, some
from neuroblend.privilege.concat import Concat
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import find_model, find_reference, find_strategies, load
from neuroblend.seeds import mixed_seed
from neuroblend.task.spec import TaskSpec
from neuroblend.task.task import Task
from neuroblend.training.masking import mask_for

TEACHER, BASELINE, MULTITASK = "teacher", "baseline", "multitask"


@dataclass(frozen=True)
class Arm:
    """Something that is trained and scored.

    Attributes:
        name: As in ``results.json``.
        terms: Names of its loss terms beside the task.
        wants_teacher: Whether a trained teacher must be there first.
        is_reference: Whether it is a model of its own, fitted without gradients.
    """

    name: str
    terms: tuple[str, ...] = ()
    wants_teacher: bool = False
    is_reference: bool = False

    @property
    def folder(self) -> str:
        """Its folder in a run."""
        if self.is_reference:
            return f"reference-{self.name}"
        return self.name if self.name in (TEACHER, BASELINE) else f"student-{self.name}"


def arms_of(config: RunConfig) -> list[Arm]:
    """Return the arms of a run: teacher, baseline, multitask control, strategies, references.

    Raises:
        InputError: A strategy or a reference is unknown.
    """
    arms = [Arm(TEACHER), Arm(BASELINE), Arm(MULTITASK, (MULTITASK,))]
    for name in config.distill.strategies:
        strategies = find_strategies(name)
        if name != MULTITASK:
            wants = any(strategy.wants_teacher for strategy in strategies.values())
            arms.append(Arm(name, tuple(strategies), wants))
    for name in config.references:
        find_reference(name)
        arms.append(Arm(name, is_reference=True))
    return arms


def build_network(config: ModelConfig, spec: TaskSpec) -> nn.Module:
    """Build a network for ``spec``.

    Raises:
        InputError: The builder does not take the settings, or does not give a module.
    """
    builder = load(find_model(config.name).target)
    known = inspect.signature(builder).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
    for key in config.settings:
        if key not in known and not takes_any:
            raise InputError(
                f"model {config.name} has no setting '{key}': {nearest(key, list(known)[1:])}"
            )
    try:
        net = builder(spec, **config.settings)
    except InputError:
        raise
    except Exception as error:  # a user's builder may raise anything
        raise InputError(f"model {config.name}: {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise InputError(
            f"model {config.name}: the builder gave {type(net).__name__}, not a module"
        )
    return net


def build_student(config: RunConfig, task: Task, seed: int) -> Student:
    """Build a student whose initial weights depend on the seed alone, not on the arm."""
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 21))
        return Student(build_network(config.model, task.spec))


def build_reference(name: str, task: Task) -> Student:
    """Build a model without gradients, not fitted yet."""
    return Student(load(find_reference(name).target)(task.spec))


def build_teacher(config: RunConfig, task: Task, seed: int) -> Teacher:
    """Build a teacher for spikes and behavior."""
    fusion = Concat(task.spec)
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 22))
        return Teacher(build_network(config.model, fusion.spec), fusion)


def build_objective(
    config: RunConfig, arm: Arm, spec: TaskSpec, layer: str, teacher: Teacher | None
) -> Objective:
    """Build what ``arm`` is trained on; weights of its terms are made by its ``prepare``."""
    given = {
        "layer": layer,
        "layers": [(layer, layer)],
        "normalisation": config.distill.normalisation,
    }
    terms: dict[str, DistillLoss] = {}
    for name, strategy in find_strategies("+".join(arm.terms)).items() if arm.terms else ():
        terms[name] = load(strategy.target)(**{key: given[key] for key in strategy.takes})
    weights = {MULTITASK: config.distill.multitask_weight} if MULTITASK in terms else None
    counts = 1.0 if config.distill.normalisation == "released" else spec.mean_count
    return Objective(
        terms, teacher, config.distill.alpha, weights, counts, config.distill.cache_teacher
    )


def feature_layer(config: ModelConfig, net: nn.Module) -> str:
    """Return the layer to distil: the one asked for, the model's own, or what the read-out takes.

    For a module of the user's own, the last layer with weights and without children stands for its
    read-out, and features are what that layer is given.

    Raises:
        InputError: The layer asked for does not exist, or the module has no weights.
    """
    named = {name: module for name, module in net.named_modules() if name}
    layer = config.layer or find_model(config.name).layer
    if layer is not None:
        if layer.partition(":")[0] not in named:
            raise InputError(f"no layer '{layer}': {nearest(layer, named)}")
        return layer
    leaves = [
        name
        for name, module in named.items()
        if not list(module.children()) and list(module.parameters())
    ]
    if not leaves:
        raise InputError(f"model {config.name}: no layer has weights; name one with --layer")
    return f"{leaves[-1]}:in"


def check_network(config: RunConfig, task: Task) -> str:
    """Try student and teacher on two trials, in training too, and return the layer to distil.

    Raises:
        InputError: A network fails, gives the wrong shape or values that are not finite, its layer
            gives no (trial, bin, feature) tensor, or settings of its mask do not go together.
    """
    student, teacher = build_student(config, task, 0), build_teacher(config, task, 0)
    if not any(weight.requires_grad for weight in student.parameters()):
        raise InputError(f"model {config.model.name}: has no weights that learn; wanted some")
    layer = feature_layer(config.model, student.net)
    batch = task.batch("train").take(slice(2))
    wanted = (batch.n_trials, task.spec.t_out, task.spec.n_out)
    for role, model in (("student", student), ("teacher", teacher)):
        where = f"as a {role} on spikes of shape {tuple(batch.spikes.shape)}"
        model.eval()
        with torch.no_grad(), _its_failures(config.model.name, where):
            output = output_of(model, batch, [layer])
        if not isinstance(output.log_rates, Tensor):
            raise InputError(
                f"model {config.model.name}: found output of type "
                f"{type(output.log_rates).__name__}, wanted a tensor {wanted} of log rates"
            )
        if tuple(output.log_rates.shape) != wanted:
            raise InputError(
                f"model {config.model.name}: found output {tuple(output.log_rates.shape)}, "
                f"wanted {wanted}, (trial, bin, neuron) log rates"
            )
        if not torch.isfinite(output.log_rates).all():
            raise InputError(f"model {config.model.name}: its first output is not finite")
        features = output.features.get(layer)
        bins = (task.spec.t_in, task.spec.t_out)
        if (
            features is None
            or features.ndim != 3
            or features.shape[0] != batch.n_trials
            or features.shape[1] not in bins
        ):
            found = "nothing" if features is None else f"shape {tuple(features.shape)}"
            layers = some((name for name, _ in student.net.named_modules() if name), most=12)
            raise InputError(
                f"layer '{layer}' gives {found}, wanted (trial, bin, feature); name another with "
                f"--layer; there are: {layers}"
            )
        model.train()
        mask = mask_for(config.training, model.net)
        with torch.random.fork_rng(), _its_failures(config.model.name, f"{where}, in training,"):
            Objective()(model, mask(batch, 0))["loss"].backward()
    return layer


@contextmanager
def _its_failures(name: str, where: str) -> Iterator[None]:
    """Say in one line what went wrong in a network, which may be a user's and raise anything."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        why = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"model {name}: {where} it fails ({type(error).__name__}: {why})"
        ) from error
