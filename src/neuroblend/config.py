"""What a run is: every setting, its default, and the check of what a user gives."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neuroblend.errors import InputError, nearest

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
DEFAULT_STRATEGIES = ("hard", "soft", "feature", "correlation", "feature+multitask")


class _Settings(BaseModel):
    """Settings that refuse what they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TrainingConfig(_Settings):
    """How any model is trained.

    Attributes:
        epochs: Most epochs.
        batch_size: Trials in a batch.
        lr: Peak learning rate of AdamW.
        weight_decay: Of AdamW.
        warmup: Share of all steps in which the learning rate rises; it falls as a cosine after.
        clip: Largest gradient norm.
        patience: Epochs without a better validation score before training stops.
        valid_every: Epochs from one validation to the next.
        mask: What is hidden from the input: whole ``bins``, or ``entries`` one by one, the rest
            scaled up (coordinated dropout); the model's own default where ``None``.
        mask_ratio: Share that is hidden.
        mask_span: Longest span of hidden bins; half of all batches hide spans.
        mask_ramp: Shares of training between which the share of batches that hide spans rises from
            none to all instead, such as ``[0.16, 0.24]``.
        mask_random: Share of hidden entries (of hidden bins) that show a count of the same neuron
            at another time, rather than 0.
        mask_kept: Share of hidden entries (of hidden bins) that show what they are.
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        devices: How many devices (on a CPU, processes) train one model together.
        strategy: How: ``ddp``, each on its part of every batch. ``auto`` is that for several.
    """

    epochs: int = Field(60, ge=1)
    batch_size: int = Field(16, ge=1)
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    warmup: float = Field(0.1, ge=0, le=1)
    clip: float = Field(1.0, gt=0)
    patience: int = Field(30, ge=1)
    valid_every: int = Field(2, ge=1)
    mask: Literal["bins", "entries"] | None = None
    mask_ratio: float = Field(0.25, gt=0, lt=1)
    mask_span: int = Field(5, ge=1)
    mask_ramp: tuple[Share, Share] | None = None
    mask_random: float = Field(0.0, ge=0, le=1)
    mask_kept: float = Field(0.0, ge=0, le=1)
    accelerator: Accelerator = "auto"
    precision: Precision = "32-true"
    devices: int = Field(1, ge=1)
    strategy: Literal["auto", "ddp"] = "auto"

    @model_validator(mode="after")
    def _masks_that_can_be(self) -> Self:
        if self.mask_random + self.mask_kept > 1:
            raise ValueError(
                f"mask_random {self.mask_random:g} and mask_kept {self.mask_kept:g}: wanted shares "
                "that add up to 1 or less"
            )
        if self.mask_ramp is not None and self.mask_ramp[0] > self.mask_ramp[1]:
            raise ValueError(f"mask_ramp {list(self.mask_ramp)}: wanted the earlier share first")
        return self


class ModelConfig(_Settings):
    """Which network, and how it is built.

    Attributes:
        name: A registered model, or ``package.module:builder`` of the user's own.
        preset: Published settings of that name, which stand where others are not given.
        settings: Keyword arguments of its builder.
        layer: Layer whose output is distilled and read out; the model's own default where ``None``.
    """

    name: str = "ndt"
    preset: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    layer: str | None = None


class DistillConfig(_Settings):
    """How students follow a teacher.

    Attributes:
        strategies: Arms: names of strategies, combined by ``+``.
        alpha: Weight of the task, in nats/spike, against distillation. The released code has 0.5
            with a task in nats/entry, which at a mean of 0.1 counts/bin is 0.09 here.
        multitask_weight: Weight of the behavior read-out, where ``multitask`` takes part, beside
            task and distillation, whose weights sum to one.
        normalisation: ``element``, or ``released`` for the published code's forms, the task in
            nats/entry among them.
        cache_teacher: Whether a teacher looks at each training trial once, unmasked, rather than at
            each step with the student's mask.
    """

    strategies: tuple[str, ...] = DEFAULT_STRATEGIES
    alpha: float = Field(0.2, ge=0, le=1)
    multitask_weight: float = Field(0.1, gt=0)
    normalisation: Literal["element", "released"] = "element"
    cache_teacher: bool = False


class DataConfig(_Settings):
    """Which data, and how they are divided.

    Attributes:
        source: A file, a folder of NWB files, or ``simulated`` for the built-in reaching recording.
        dataset: A dataset of the Neural Latents Benchmark '21, which tells how NWB files are cut
            into trials; its forward period, split and held-out units are then used.
        bin_ms: Width of a bin of that dataset, 5 or 20 ms; of tensor files that do not tell theirs,
            any.
        behavior: Channels to use; all of them where ``None``.
        units: How many neurons to draw; all of them where ``None``.
        min_rate_hz: Neurons that fire less are left out.
        held_out: Fraction of neurons that no student sees.
        forward_bins: Bins at the end of each trial that no model sees.
        folds: Number of test folds; one 60/20/20 split where ``None``.
    """

    source: str = "simulated"
    dataset: str | None = None
    bin_ms: float | None = Field(None, gt=0)
    behavior: tuple[str, ...] | None = None
    units: int | None = Field(None, ge=2)
    min_rate_hz: float = Field(0.0, ge=0)
    held_out: float = Field(0.25, ge=0, le=0.9)
    forward_bins: int = Field(0, ge=0)
    folds: int | None = Field(None, ge=2)


class RunConfig(_Settings):
    """A whole run; two runs with equal settings give equal scores on one machine.

    Attributes:
        data: Which data, and how they are divided.
        model: Which network.
        distill: How students follow a teacher.
        training: How any model is trained.
        references: Models without gradients to score beside the arms, such as ``smoothing``.
        seeds: How many seeds; each redraws split, held-out neurons and initial weights.
        first_seed: The first of them.
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    distill: DistillConfig = DistillConfig()
    training: TrainingConfig = TrainingConfig()
    references: tuple[str, ...] = ()
    seeds: int = Field(2, ge=1)
    first_seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _strategies_once(self) -> Self:
        strategies = self.distill.strategies
        if not strategies or len(set(strategies)) != len(strategies):
            raise ValueError(f"strategies {', '.join(strategies) or '(none)'}: wanted each once")
        if len(set(self.references)) != len(self.references):
            raise ValueError(f"references {', '.join(self.references)}: wanted each once")
        return self

    @property
    def all_seeds(self) -> list[int]:
        """The seeds of the run."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def all_folds(self) -> list[int | None]:
        """The folds of each seed; ``[None]`` for a single split."""
        return [None] if self.data.folds is None else list(range(self.data.folds))


class CellsConfig(_Settings):
    """Which sessions, and which of their cells are tested.

    Attributes:
        source: A folder in the layout of Bugeon et al. (2022), or files of labelled activity.
        stimuli: Runs of that layout to use; all of them where ``None``.
        labels: What to tell cells by, the first of them first; ``subclass`` and ``ei`` where there
            are those and ``None`` is given, else all that there are.
        behavior: Channels for the teacher; all of them where ``None``.
        share: Of the cells, those that no network trains on and classifiers are tested on.
        animals: Whether one animal after the other is tested, rather than a share of all cells.
        folds: Test folds of a classifier.
        repeats: How often folds are drawn.
        window: Frames that a network sees at a time.
    """

    source: str = ""
    stimuli: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    behavior: tuple[str, ...] | None = None
    share: float = Field(0.4, gt=0, lt=1)
    animals: bool = False
    folds: int = Field(5, ge=2)
    repeats: int = Field(2, ge=1)
    window: int = Field(200, ge=10)


class NetworkConfig(_Settings):
    """How NeuPRINT is built.

    Attributes:
        dynamics: ``linear``, ``recurrent`` or ``attention``.
        settings: Further keyword arguments of the network and of its dynamics.
    """

    dynamics: str = "linear"
    settings: dict[str, Any] = Field(default_factory=dict)


class EmbeddingConfig(_Settings):
    """How embeddings are fitted afresh.

    Attributes:
        epochs: Passes through all frames.
        lr: Of Adam; falls as a cosine.
    """

    epochs: int = Field(30, ge=1)
    lr: float = Field(3e-2, gt=0)


class GuidanceConfig(_Settings):
    """How students follow a teacher.

    Attributes:
        strategies: Arms: names of strategies, combined by ``+``.
        alpha: Weight of the task, in units of a cell's variance, against distillation.
        multitask_weight: Weight of the behavior read-out, where ``multitask`` takes part.
    """

    strategies: tuple[str, ...] = (*DEFAULT_STRATEGIES[:-1], "embedding", "feature+multitask")
    alpha: float = Field(0.2, ge=0, le=1)
    multitask_weight: float = Field(0.3, gt=0)


CELLS_TRAINING = TrainingConfig(
    epochs=40, batch_size=4, lr=1e-2, weight_decay=1e-4, patience=40, valid_every=5, mask="entries"
)


class IdentityConfig(_Settings):
    """A whole experiment on the identity of cells.

    Attributes:
        data: Which sessions and cells.
        model: Which network.
        distill: How students follow a teacher.
        training: How any network is trained.
        embedding: How embeddings are fitted afresh.
        references: What to score beside the arms: ``stock`` (the published statistics, behavior
            among them, when cells are met too), ``moments`` (the same without behavior),
            ``contrastive``, ``hand_features`` and ``activity_profile``.
        seeds: How many seeds; each redraws tested cells and initial weights.
        first_seed: The first of them.
    """

    data: CellsConfig = CellsConfig()
    model: NetworkConfig = NetworkConfig()
    distill: GuidanceConfig = GuidanceConfig()
    training: TrainingConfig = CELLS_TRAINING
    embedding: EmbeddingConfig = EmbeddingConfig()
    references: tuple[str, ...] = (
        "stock", "moments", "contrastive", "hand_features", "activity_profile"
    )  # fmt: skip
    seeds: int = Field(3, ge=1)
    first_seed: int = Field(0, ge=0)

    @property
    def all_seeds(self) -> list[int]:
        """The seeds of the experiment."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        given = {
            "strategies": self.distill.strategies,
            "references": self.references,
            "labels": self.data.labels,
            "behavior": self.data.behavior,
            "stimuli": self.data.stimuli,
        }
        for what, names in given.items():
            if names is not None and len(set(names)) != len(names):
                raise ValueError(f"{what} {', '.join(names)}: wanted each once")
            if names == () and what != "references":
                raise ValueError(f"{what} (none): wanted one or more")
        if self.training.devices > 1:
            raise ValueError("training.devices: cells are told apart on one device; wanted 1")
        return self

    @model_validator(mode="before")
    @classmethod
    def _training_of_cells(cls, content: Any) -> Any:
        """Let training settings that are not given be those for cells."""
        if isinstance(content, dict) and isinstance(content.get("training"), dict):
            defaults = CELLS_TRAINING.model_dump(exclude_unset=True)
            content = content | {"training": defaults | content["training"]}
        return content


Settings = TypeVar("Settings", RunConfig, IdentityConfig)


def parse_config(content: Any, origin: str = "config") -> RunConfig:
    """Check settings of a run as read from YAML; see :func:`parse_settings`."""
    return parse_settings(RunConfig, content, origin)


def parse_settings(kind: type[Settings], content: Any, origin: str = "config") -> Settings:
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
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{origin}: {_first_problem(kind, error)}") from None


def _first_problem(kind: type[BaseModel], error: ValidationError) -> str:
    problem = error.errors()[0]
    path = [str(part) for part in problem["loc"]]
    where = ".".join(path)
    if problem["type"] == "extra_forbidden":
        model = kind
        for part in path[:-1]:
            annotation = model.model_fields[part].annotation
            assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
            model = annotation
        return f"unknown setting '{where}': {nearest(path[-1], model.model_fields)}"
    found = "" if problem["type"] == "value_error" else f", found {problem['input']!r}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}{found}" if where else message
