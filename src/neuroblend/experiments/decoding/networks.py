"""The networks of a run, built from its settings and tried before anything is trained."""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from neuroblend.deploy.direct import DirectDecoder
from neuroblend.distill.committee import LAYER as MEMBERS
from neuroblend.distill.committee import Committee, on_batch
from neuroblend.distill.objective import Objective, output_of
from neuroblend.engine.arm import Arm
from neuroblend.errors import InputError, blamed_on, nearest, some
from neuroblend.evaluation.reach import receptive_field
from neuroblend.experiments.decoding.settings import ModelConfig, RunConfig
from neuroblend.experiments.decoding.teaching import left_out_by, seed_of
from neuroblend.models.build import build_network
from neuroblend.models.sessions import CORE, OneSession, SessionNet
from neuroblend.privilege.all_neurons import AllNeurons
from neuroblend.privilege.dose import Dose
from neuroblend.privilege.roles import Student, Teacher, on_spikes
from neuroblend.registry import FUSIONS, find_fusion, find_model, find_reference, load
from neuroblend.seeds import mixed_seed
from neuroblend.task.batch import Batch
from neuroblend.task.spec import TaskSpec
from neuroblend.task.task import Task
from neuroblend.training.masking import mask_for

N_PROBED = 24  # bins that are changed to see whether a network is causal before it is trained
JITTER = 0.02  # standard deviation of what is added to its weights for that


def student_settings(config: ModelConfig) -> dict[str, Any]:
    """Return what a student's network is built with: of a causal run, also what makes it causal.

    That is what its entry in the registry says; a user's own builder is told if it takes
    ``causal``.

    Raises:
        InputError: A setting that was given looks ahead, in a causal run.
    """
    if not config.causal:
        return config.settings
    model = find_model(config.name)
    wanted = model.causal
    if wanted is None:
        is_told = "causal" in inspect.signature(load(model.target)).parameters
        wanted = {"causal": True} if is_told else {}
    for key, value in wanted.items():
        if config.settings.get(key, value) != value:
            raise InputError(
                f"--causal with model.settings.{key} {config.settings[key]}: a causal "
                f"{config.name} has {key} {value}; leave one of the two out"
            )
    return dict(model.causal_defaults) | config.settings | dict(wanted)


def build_student(config: RunConfig, task: Task, seed: int) -> Student:
    """Build a student whose initial weights depend on the seed alone, not on the arm."""
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 21))
        settings = student_settings(config.model)
        return Student(build_network(config.model.name, settings, task.spec))


def build_direct(config: RunConfig, task: Task, seed: int) -> Student:
    """Build the student's network, from the student's initial weights, as a decoder of behavior."""
    net = build_student(config, task, seed).net
    with torch.random.fork_rng():
        torch.manual_seed(mixed_seed(seed, 23))
        layer, example = feature_layer(config.model, net), task.example().take(slice(2))
        return Student(DirectDecoder(net, layer, task.spec.n_behavior, example))


def build_reference(name: str, task: Task, causal: bool = False) -> Student:
    """Build a model without gradients, not fitted yet."""
    reference = find_reference(name)
    settings = (reference.causal or {}) if causal else {}
    return Student(load(reference.target)(task.spec, **settings))


def build_blind_teacher(config: RunConfig, task: Task, seed: int) -> Teacher:
    """Build a teacher that is called like any other and sees spikes alone."""
    return _of_members(config, task, seed, Blind)


def build_teacher(config: RunConfig, task: Task, seed: int) -> Teacher:
    """Build a teacher for spikes and behavior.

    Raises:
        InputError: The fusion is unknown or cannot be built, the network cannot, or the recording
            is too small for what ``config.teacher`` asks for.
    """
    return _of_members(config, task, seed, fusion_of(config, task.split.seed))


def fusion_of(config: RunConfig, seed: int) -> Callable[[TaskSpec], Any]:
    """Return what makes the fusion of a teacher, for the sizes of its students' task.

    Args:
        config: Settings, which may weaken behavior.
        seed: Of noise on behavior.
    """
    given, name = config.teacher, config.model.fusion

    def fusion(spec: TaskSpec) -> Any:
        with blamed_on(f"fusion {name}:"):
            built = load(find_fusion(name))(spec)
        if not isinstance(getattr(built, "spec", None), TaskSpec) or not callable(built):
            raise InputError(
                f"fusion {name}: found {type(built).__name__}, wanted a callable (net, batch) "
                "with an attribute 'spec', the TaskSpec of the teacher's network"
            )
        return built

    def dosed(spec: TaskSpec) -> Dose:
        return Dose(
            spec,
            fusion,
            given.behavior_dropout,
            given.behavior_noise,
            given.behavior_lag_s,
            given.bottleneck,
            mixed_seed(seed, 24),
        )

    return dosed if given.weakens else fusion


def _of_members(
    config: RunConfig, task: Task, seed: int, fusion: Callable[[TaskSpec], Any]
) -> Teacher:
    """Build a teacher, or several as one, whose networks see what ``fusion`` gives them."""
    given, members = config.teacher, []
    for i in range(given.n_teachers):
        with torch.random.fork_rng():
            torch.manual_seed(mixed_seed(seed_of(seed, i), 22))
            made = AllNeurons(task.spec, fusion) if given.sees == "all" else fusion(task.spec)
            members.append(
                Teacher(build_network(config.model.name, config.model.settings, made.spec), made)
            )
    if len(members) == 1:
        return members[0]
    left_out = None
    if given.cross_fitted:
        left_out = left_out_by(task, given.cross_fitted, in_blocks(config, task))
    layer, example = feature_layer(config.model, members[0].net), task.example().take(slice(2))
    return Teacher(Committee(members, layer, left_out, example), on_batch)


def in_blocks(config: RunConfig, task: Task) -> bool:
    """Whether trials that follow one another are alike, and are split in blocks."""
    return task.trials.window_id is not None or bool(config.data.blocks)


@dataclass(frozen=True)
class Blind:
    """A fusion that leaves behavior out.

    Attributes:
        spec: Sizes of the network's task.
    """

    spec: TaskSpec

    def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return (B, T, N) log expected counts/bin that ``net`` predicts."""
        return on_spikes(net, batch)


def layer_in(config: ModelConfig, model: Student | Teacher) -> str:
    """Return the layer of a model of the run that is distilled; see :func:`feature_layer`."""
    return MEMBERS if isinstance(model.net, Committee) else feature_layer(config, model.net)


def feature_layer(config: ModelConfig, net: nn.Module) -> str:
    """Return the layer to distil: the one asked for, the model's own, or what the read-out takes.

    For a module of the user's own, the last layer with weights and without children is taken for
    its read-out, and features are what that layer is given.

    Raises:
        InputError: The layer asked for does not exist, or the module has no weights.
    """
    if isinstance(net, (SessionNet, OneSession)):
        return f"{CORE}.{feature_layer(config, net.core)}"
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


def layer_of(config: RunConfig, arm: Arm, model: Student | Teacher) -> str:
    """Return the layer of a model that behavior may be read out of."""
    layer = find_reference(arm.name).layer if arm.is_reference else None
    return layer or layer_in(config.model, model)


def check_network(config: RunConfig, task: Task) -> str:
    """Try student and teacher on two trials, in training too, and return the layer to distil.

    Raises:
        InputError: A network fails, gives the wrong shape or values that are not finite, or its
            layer gives no (trial, bin, feature) tensor.
    """
    student, teacher = build_student(config, task, 0), build_teacher(config, task, 0)
    name = config.model.name
    if not any(weight.requires_grad for weight in student.parameters()):
        raise InputError(f"model {name}: has no weights that learn; wanted some")
    layer = feature_layer(config.model, student.net)
    batch = task.batch("train").with_behavior().take(slice(2))
    wanted = (batch.n_trials, task.spec.t_out, task.spec.n_out)
    for role, model in (("student", student), ("teacher", teacher)):
        where = f"as a {role} on spikes of shape {tuple(batch.spikes.shape)}"
        model.eval()
        with torch.no_grad(), blamed_on(f"model {name}: {where}"):
            output = output_of(model, batch, [taken := layer_in(config.model, model)])
        if not isinstance(output.log_rates, Tensor):
            raise InputError(
                f"model {name}: found output of type {type(output.log_rates).__name__}, wanted a "
                f"tensor {wanted} of log rates"
            )
        if tuple(output.log_rates.shape) != wanted:
            raise InputError(
                f"model {name}: found output {tuple(output.log_rates.shape)}, "
                f"wanted {wanted}, (trial, bin, neuron) log rates"
            )
        if not torch.isfinite(output.log_rates).all():
            raise InputError(f"model {name}: its first output is not finite")
        features = output.features.get(taken)
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
        with torch.random.fork_rng(), blamed_on(f"model {name}: {where}, in training,"):
            Objective()(model, mask(batch, 0))["loss"].backward()
    _check_behavior_matters(config, teacher, batch)
    if config.model.causal:
        check_causal(f"model {name}", _jittered(student), task.spec, [layer], N_PROBED)
    return layer


def _check_behavior_matters(config: RunConfig, teacher: Teacher, batch: Batch) -> None:
    """Refuse a teacher that predicts the same whatever behavior is, with other weights too."""
    behavior = batch.behavior
    if behavior is None:
        return
    changed = behavior._replace(values=(behavior.values + 1).where(behavior.present, 0.0))
    model, predicted = _jittered(teacher).eval(), []
    for given in (behavior, changed):
        with torch.no_grad(), torch.random.fork_rng():
            predicted.append(model(batch._replace(behavior=given)))
    if torch.equal(*predicted):
        model_name, fusion = config.model.name, config.model.fusion
        others = ", ".join(other for other in FUSIONS if other != fusion)
        raise InputError(
            f"fusion {fusion}: found that behavior changes nothing that a teacher of model "
            f"{model_name} predicts (does it look at one bin alone?); wanted one that it changes, "
            f"such as {others}"
        )


AnyModel = TypeVar("AnyModel", Student, Teacher)


def _jittered(model: AnyModel) -> AnyModel:
    """Return a copy with other weights, so that none that starts at 0 hides what is behind it."""
    model, generator = copy.deepcopy(model), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.add_(noise.to(weight), alpha=JITTER)
    return model


def check_causal(
    name: str,
    student: Student,
    spec: TaskSpec,
    layers: Sequence[str],
    n_probed: int | None = None,
) -> None:
    """Check that no later spike changes what a student says of a bin, in rates or in ``layers``.

    Args:
        name: What the student is called in errors.
        student: It, with the weights that are asked about.
        spec: Sizes of its task.
        layers: Layers that count as well as the rates.
        n_probed: How many bins are changed; all where ``None``.

    Raises:
        InputError: One does.
    """
    with blamed_on(f"{name}: probed for what it looks at,"):
        found = receptive_field(student, spec.t_in, spec.n_in, layers, n_probed)
    if found.future != 0:
        far = "to the end of a trial" if found.future is None else f"by bins: {found.future}"
        raise InputError(
            f"{name}: found that it looks ahead ({far}), wanted with --causal that no spike "
            "changes what it says of earlier bins; build it so, or leave --causal out"
        )
