"""Settings: their defaults, and the check of what a user gives.

Each experiment adds its own; see ``experiments/<kind>/settings.py``.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from neuroblend.errors import InputError, nearest

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
PLAIN = {"model_type": "wanted settings by name", "tuple_type": "wanted a list"}
MASKS = ("bins", "entries")


def _as_name(given: Any) -> Any:
    """Return ``package.module:attribute`` of a class or function, so that a run can store it."""
    if isinstance(given, str) or not callable(given):
        return given
    module, name = getattr(given, "__module__", ""), getattr(given, "__qualname__", "")
    if module == "__main__":
        import __main__  # noqa: PLC0415  # the script that runs, which workers import by its name

        spec = getattr(__main__, "__spec__", None)
        module = spec.name if spec else Path(getattr(__main__, "__file__", "")).stem
    parts = [*module.split("."), name]
    if not all(part.isidentifier() for part in parts):
        raise ValueError(
            f"{name}: wanted a class or function at the top of a module that can be imported, not "
            "of a notebook or of a script whose name is no identifier; or package.module:attribute"
        )
    return f"{module}:{name}"


def _as_several(given: Any) -> Any:
    """Return one name, or names joined by commas, as several."""
    if isinstance(given, str):
        return [name.strip() for name in given.split(",") if name.strip()]
    return [given] if callable(given) else given


Name = Annotated[str, BeforeValidator(_as_name)]
"""A registered name, ``package.module:attribute``, or the class or function itself."""

Names = Annotated[tuple[Name, ...], BeforeValidator(_as_several)]


class Settings(BaseModel):
    """Settings that refuse what they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HideBins(Settings):
    """Whole bins are hidden from the input, and asked for.

    Attributes:
        kind: ``bins``.
        ratio: Fraction that is hidden.
        span: Longest span of hidden bins; half of all batches hide spans.
        ramp: Fractions of training between which the fraction of batches that hide spans rises
            from none to all instead, such as ``[0.16, 0.24]``.
        random: Fraction of hidden entries that show a count of the same neuron at another time,
            rather than 0.
        kept: Fraction of hidden entries that show what they are.
    """

    kind: Literal["bins"] = "bins"
    ratio: float = Field(0.25, gt=0, lt=1)
    span: int = Field(5, ge=1)
    ramp: tuple[Fraction, Fraction] | None = None
    random: Fraction = 0.0
    kept: Fraction = 0.0

    @model_validator(mode="after")
    def _fractions_that_can_be(self) -> Self:
        if self.random + self.kept > 1:
            raise ValueError(
                f"random {self.random:g} and kept {self.kept:g}: wanted fractions that add up to 1 "
                "or less"
            )
        if self.ramp is not None and self.ramp[0] > self.ramp[1]:
            raise ValueError(f"ramp {list(self.ramp)}: wanted the earlier fraction first")
        return self


class HideEntries(Settings):
    """Single entries are hidden and asked for, the rest scaled up (coordinated dropout).

    Attributes:
        kind: ``entries``.
        ratio: Fraction that is hidden.
    """

    kind: Literal["entries"] = "entries"
    ratio: float = Field(0.25, gt=0, lt=1)


def _as_mask(given: Any) -> Any:
    """Return a mask that was given by its kind alone as settings, and refuse one without a kind."""
    if isinstance(given, str):
        given = {"kind": given}
    if isinstance(given, dict) and given.get("kind") not in MASKS:
        raise ValueError(
            f"found {given}, wanted a kind, bins or entries, and settings of that kind"
        )
    return given


Mask = Annotated[
    Annotated[HideBins | HideEntries, Field(discriminator="kind")], BeforeValidator(_as_mask)
]


class Augment(Settings):
    """Input changed at random at each training step, for recordings of few trials; targets are not.

    Attributes:
        thin: Fraction of spikes that are kept, each by chance, and counts scaled up by its inverse.
        neurons: Fraction of held-in neurons that are dropped whole, drawn anew for each trial, and
            the counts of the others scaled up.
    """

    thin: float = Field(1.0, gt=0, le=1)
    neurons: float = Field(0.0, ge=0, lt=1)


ENOUGH_STEPS = 900  # with which small recordings converge


class TrainingSettings(Settings):
    """How any model is trained, on one device.

    Attributes:
        epochs: Most epochs; where ``None``, as many as make about 900 steps, 60 to 300, since
            small recordings have few batches in an epoch.
        batch_size: Trials in a batch.
        lr: Peak learning rate of AdamW.
        weight_decay: Of AdamW.
        warmup: Fraction of all steps in which the learning rate rises; it falls as a cosine after.
        clip: Largest gradient norm.
        patience: Epochs without a better validation score before training stops.
        valid_every: Epochs from one validation to the next.
        mask: What is hidden from the input: ``bins`` or ``entries``, with settings of its own; the
            model's own default where ``None``.
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
    """

    epochs: int | None = Field(None, ge=1)
    batch_size: int = Field(16, ge=1)
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    warmup: float = Field(0.1, ge=0, le=1)
    clip: float = Field(1.0, gt=0)
    patience: int = Field(30, ge=1)
    valid_every: int = Field(2, ge=1)
    mask: Mask | None = None
    accelerator: Accelerator = "auto"
    precision: Precision = "32-true"

    def most_epochs(self, n_batches: int) -> int:
        """Return the most epochs for so many batches in each."""
        return self.epochs or min(300, max(60, -(-ENOUGH_STEPS // n_batches)))

    @property
    def n_devices(self) -> int:
        """How many devices train one model together."""
        return 1

    @property
    def augments(self) -> Augment:
        """How the input of training steps is changed at random."""
        return Augment()


class TrainingConfig(TrainingSettings):
    """How a model of spikes is trained.

    Attributes:
        augment: How the input of training steps is changed at random; not at all by default.
        devices: How many devices (on a CPU, processes) train one model together, each on its part
            of every batch.
    """

    augment: Augment = Augment()
    devices: int = Field(1, ge=1)

    @property
    def n_devices(self) -> int:
        """How many devices train one model together."""
        return self.devices

    @property
    def augments(self) -> Augment:
        """How the input of training steps is changed at random."""
        return self.augment


class GuidanceConfig(Settings):
    """How students follow a teacher.

    Attributes:
        strategies: Arms: strategies, combined by ``+``; each a name, or
            ``package.module:attribute`` of the user's own.
        alpha: Weight of the task against distillation.
        multitask_weight: Weight of the behavior read-out, where ``multitask`` takes part.
    """

    strategies: Names
    alpha: float = Field(0.2, ge=0, le=1)
    multitask_weight: float | None = Field(0.1, gt=0)

    @model_validator(mode="after")
    def _strategies_once(self) -> Self:
        once("strategies", self.strategies)
        return self


class ExperimentConfig(Settings):
    """What every experiment is set by; two runs with equal settings give equal scores.

    Attributes:
        kind: Name of the experiment, as in ``config.yaml``.
        distill: How students follow a teacher.
        training: How any model is trained.
        seeds: How many seeds; each redraws what is tested and initial weights.
        first_seed: The first of them.
    """

    kind: ClassVar[str]

    distill: GuidanceConfig
    training: TrainingSettings
    seeds: int = Field(3, ge=1)
    first_seed: int = Field(0, ge=0)

    @property
    def all_seeds(self) -> list[int]:
        """The seeds of the run."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    def with_source(self, source: Any) -> Self:
        """Return the settings with the name of what they are run on, where they hold one."""
        return self


def once(what: str, names: tuple[str, ...] | None, may_be_empty: bool = False) -> None:
    """Refuse names that appear twice, or none at all; ``None`` is a default and passes.

    Raises:
        ValueError: They do, or there are none.
    """
    if names is None:
        return
    if len(set(names)) != len(names):
        raise ValueError(f"{what} {', '.join(names)}: wanted each once")
    if not names and not may_be_empty:
        raise ValueError(f"{what} (none): wanted one or more")


Kind = TypeVar("Kind", bound=Settings)


def parse_settings(kind: type[Kind], content: Any, origin: str = "config") -> Kind:
    """Check settings as read from YAML.

    Args:
        kind: What they are settings of.
        content: Nested mappings, as ``kind`` has them.
        origin: Where they come from, for the error.

    Raises:
        InputError: A key is unknown (the nearest is named) or a value cannot be used.
    """
    if not isinstance(content, dict):
        raise InputError(f"{origin}: found {type(content).__name__}, wanted settings by name")
    if issubclass(kind, ExperimentConfig) and "kind" in content:
        content = dict(content)
        if (found := content.pop("kind")) != kind.kind:
            raise InputError(f"{origin}: settings of kind {found}, wanted {kind.kind}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{origin}: {_first_problem(kind, error)}") from None


def _first_problem(kind: type[BaseModel], error: ValidationError) -> str:
    problem = error.errors()[0]
    path, models = [], [kind]
    for part in map(str, problem["loc"]):
        if len(models) > 1:  # settings of one kind or another: pydantic names the kind in the path
            models = [m for m in models if m.model_fields["kind"].default == part]
            continue
        path.append(part)
        if models and part in models[0].model_fields:
            models = _models_in(models[0].model_fields[part].annotation)
    where = ".".join(path)
    if problem["type"] == "extra_forbidden" and models:
        return f"unknown setting '{where}': {nearest(path[-1], models[0].model_fields)}"
    found = "" if problem["type"] == "value_error" else f", found {problem['input']!r}"
    message = PLAIN.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}{found}" if where else message


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the groups of settings that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
