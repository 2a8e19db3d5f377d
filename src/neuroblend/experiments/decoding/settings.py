"""Settings of decoding: data, network, distillation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from neuroblend.config import (
    ExperimentConfig,
    GuidanceConfig,
    Name,
    Names,
    Settings,
    TrainingConfig,
    once,
)
from neuroblend.data.channel import Channel, Kind
from neuroblend.engine.arm import TEACHER
from neuroblend.errors import InputError
from neuroblend.nlb.datasets import BIN_WIDTHS_MS, check_bin_ms, find_dataset

SIMULATED = "simulated"  # names the built-in recording
WIENER, DIRECT, KALMAN, LOGISTIC = "wiener", "direct", "kalman", "logistic"
BLIND, SELF_DISTILLED = "blind-teacher", "self-distilled"
SHUFFLED_TEACHER, SHUFFLED = "shuffled-teacher", "shuffled"
TEACHERS = (TEACHER, BLIND, SHUFFLED_TEACHER)
RIVALS = {
    "none": (),
    "default": (WIENER, LOGISTIC, DIRECT),
    "all": (WIENER, KALMAN, LOGISTIC, DIRECT),
}
"""What a lab would use instead: decoders of behavior, by the name of a group of controls.

``kalman`` is for continuous channels alone, ``logistic`` for behavior with categories of trials.
"""
ONE_NETWORK = ("two-heads", "masked-modalities")
"""Strategies without a teacher beside ``multitask``, which ``--controls all`` adds."""

Goal = Literal["behavior", "co-bps", "both"]
DEFAULT_STRATEGIES = ("hard", "soft", "feature", "hard+correlation", "feature+multitask")


class ModelConfig(Settings):
    """Which network, and how it is built.

    Attributes:
        name: A registered model, or ``package.module:builder`` of the user's own.
        preset: Published settings of that name, used where others are not given.
        settings: Keyword arguments of its builder.
        fusion: How behavior reaches the teacher: ``concat``, ``film``, ``gated``,
            ``cross-attention`` or ``tokens``, or ``package.module:attribute``.
        layer: Layer whose output is distilled and read out; the model's own default where ``None``.
        causal: Whether nothing that is scored may depend on later spikes: students and what they
            are compared with are built, read out and smoothed that way. A teacher sees the whole
            trial all the same: the future is privileged too.
    """

    name: Name = "ndt"
    preset: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    fusion: Name = "concat"
    layer: str | None = None
    causal: bool = False


class TeacherConfig(Settings):
    """How much a teacher knows, and how many there are: by default one that sees all behavior.

    Attributes:
        behavior_dropout: Probability that a trial's behavior is hidden from it in training.
        behavior_noise: Standard deviation of noise on behavior, in those of the channels; the same
            in training and when it teaches.
        behavior_lag_s: Seconds by which it is shown behavior late.
        bottleneck: Number of learned linear features that behavior is reduced to; ``None`` for
            behavior as it is.
        average: Number of teachers, each with initial weights and an order of its own, whose log
            rates are averaged and whose features stand side by side.
        cross_fitted: Number of teachers of which each leaves out an equal part of the training
            trials, and is the one that teaches these; ``None`` for no such thing.
        sees: ``held-in`` neurons, as students do, or ``all``, of which it is asked for what masks
            hide.
    """

    behavior_dropout: float = Field(0.0, ge=0, lt=1)
    behavior_noise: float = Field(0.0, ge=0)
    behavior_lag_s: float = Field(0.0, ge=0)
    bottleneck: int | None = Field(None, ge=1)
    average: int = Field(1, ge=1)
    cross_fitted: int | None = Field(None, ge=2)
    sees: Literal["held-in", "all"] = "held-in"

    @model_validator(mode="after")
    def _one_kind_of_several(self) -> Self:
        if self.average > 1 and self.cross_fitted:
            raise ValueError(
                f"average {self.average} and cross_fitted {self.cross_fitted}: wanted one of them"
            )
        return self

    @property
    def n_teachers(self) -> int:
        """Number of teachers that are trained."""
        return self.cross_fitted or self.average

    @property
    def weakens(self) -> bool:
        """Whether behavior reaches it other than as it is."""
        doses = (self.behavior_dropout, self.behavior_noise, self.behavior_lag_s, self.bottleneck)
        return any(doses)


class DistillConfig(GuidanceConfig):
    """How students follow a teacher.

    Attributes:
        strategies: As in :class:`~neuroblend.config.GuidanceConfig`.
        alpha: Weight of the task, in nats/spike, against distillation: 0.75 where not given, 0.2
            with fixed weighting, 0.5 as released. There, with a task in nats/entry, 0.5 is 0.09
            here at a mean of 0.1 counts/bin.
        weighting: ``balanced``: distillation is first scaled to the task's gradient at the
            distilled layer, so that alpha means the same on every recording; or ``fixed``.
        multitask_weight: Weight of each term that needs no teacher (``multitask``, ``two-heads``,
            ``masked-modalities``) beside task and distillation, whose weights sum to one; where
            ``None``, 0.1, and 0.3 of ``multitask`` with a GRU.
        normalisation: ``element``, or ``released`` for the published code's forms, the task in
            nats/entry and fixed weights among them.
        cache_teacher: Whether a teacher looks at each training trial once, unmasked, rather than at
            each step with the student's mask.
    """

    strategies: Names = DEFAULT_STRATEGIES
    alpha: float = Field(0.75, ge=0, le=1)
    weighting: Literal["balanced", "fixed"] = "balanced"
    multitask_weight: float | None = Field(None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _alpha_of_weighting(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("alpha") is not None:
            return given
        alpha = 0.2 if given.get("weighting") == "fixed" else 0.75
        return given | {"alpha": 0.5 if given.get("normalisation") == "released" else alpha}

    normalisation: Literal["element", "released"] = "element"
    cache_teacher: bool = False


class DataConfig(Settings):
    """Which data, and how they are divided.

    Attributes:
        source: A file, a folder of NWB files, or ``simulated`` for the built-in reaching recording.
        dataset: A dataset of the Neural Latents Benchmark '21, which says how NWB files are cut
            into trials; its forward period, split and held-out units are then used.
        bin_ms: Width of a bin of that dataset, 5 or 20 ms; of tensor files that do not have one,
            any.
        behavior: Channels to use; all of them where ``None``.
        kinds: Of channels, by name: ``continuous``, ``circular``, ``discrete`` or ``events``, where
            a file does not say or says otherwise. Once data are read, of all channels, unless all
            are continuous.
        per_trial: Channels with one value a trial, which the data say.
        units: How many neurons to draw; all of them where ``None``.
        min_rate_hz: Neurons that fire less are left out.
        held_out: Fraction of neurons that no student sees.
        forward_bins: Bins at the end of each trial that no model sees.
        folds: Number of test folds; one 60/20/20 split where ``None``.
        blocks: How many trials side by side a split keeps together, with one left out where parts
            meet; 0 for none. Where ``None``, a length that suits windows of a continuous recording,
            and none for other trials.
        paired_fraction: Fraction of the training trials with behavior that keep it, drawn by seed;
            the rest are trained on without a teacher. Trials that validate and test keep theirs.
    """

    source: str = "simulated"
    dataset: str | None = None
    bin_ms: float | None = Field(None, gt=0)
    behavior: tuple[str, ...] | None = None
    kinds: dict[str, Kind] = Field(default_factory=dict)
    per_trial: tuple[str, ...] = ()
    units: int | None = Field(None, ge=2)
    min_rate_hz: float = Field(0.0, ge=0)
    held_out: float = Field(0.25, ge=0, le=0.9)
    forward_bins: int = Field(0, ge=0)
    folds: int | None = Field(None, ge=2)
    blocks: int | None = Field(None, ge=0)
    paired_fraction: float = 1.0

    @field_validator("paired_fraction")
    @classmethod
    def _leaves_some(cls, given: float) -> float:
        if not 0 < given <= 1:
            raise ValueError(
                f"found {given:g}, wanted more than 0 and at most 1: a teacher learns from trials "
                "with behavior"
            )
        return given


class RunConfig(ExperimentConfig):
    """Settings of a run that decodes behavior and predicts rates.

    Attributes:
        data: Which data, and how they are divided.
        model: Which network.
        teacher: How much a teacher knows, and how many there are.
        distill: How students follow a teacher.
        training: How any model is trained.
        controls: Further arms. ``default``: what a lab would use instead, ``wiener`` (ridge on
            spikes at several lags), ``direct`` (the network trained on behavior alone), and
            ``logistic`` (regression on spike counts of trials) where some channel is a category of
            trials. ``all``: also ``kalman``, where all channels are
            continuous; one network without a teacher, ``two-heads`` and ``masked-modalities``;
            ``self-distilled`` (its teacher saw no behavior) and ``shuffled`` (its teacher saw
            behavior of other trials), where a strategy of the run needs nothing but a teacher. Or
            ``none``.
        goal: What an arm is selected by on validation trials: ``behavior``, ``co-bps``, or
            ``both``: the best behavior among those within 5 % of the baseline's co-bps.
        references: Models without gradients to score beside the arms, such as ``smoothing``.
        seeds: How many seeds; each redraws split, held-out neurons and initial weights.
        first_seed: The first of them.
    """

    kind: ClassVar[str] = "decoding"

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    teacher: TeacherConfig = TeacherConfig()
    distill: DistillConfig = DistillConfig()
    training: TrainingConfig = TrainingConfig()
    controls: Literal["none", "default", "all"] = "default"
    goal: Goal = "both"
    references: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _references_once(self) -> Self:
        once("references", self.references, may_be_empty=True)
        return self

    @property
    def rivals(self) -> tuple[str, ...]:
        """Decoders of behavior that a lab would use instead, those that are for its kinds."""
        kinds, once = set(self.data.kinds.values()), set(self.data.per_trial)
        out = set[str]()
        if kinds - {"continuous"} or once:
            out.add(KALMAN)
        if not any(self.data.kinds[name] == "discrete" for name in once):
            out.add(LOGISTIC)
        return tuple(name for name in RIVALS[self.controls] if name not in out)

    def of_channels(self, channels: Sequence[Channel]) -> RunConfig:
        """Return the settings with what the channels of data are, unless all are continuous."""
        plain = all(c.kind == "continuous" and not c.per_trial for c in channels)
        update = {
            "kinds": {} if plain else {c.name: c.kind for c in channels},
            "per_trial": tuple(c.name for c in channels if c.per_trial),
        }
        return self.model_copy(update={"data": self.data.model_copy(update=update)})

    @property
    def all_folds(self) -> list[int | None]:
        """The folds of each seed; ``[None]`` for a single split."""
        return [None] if self.data.folds is None else list(range(self.data.folds))

    def with_source(self, source: Any) -> RunConfig:
        """Return the settings with ``data.source`` from a file, ``"simulated"`` or trials."""
        if not isinstance(source, (str, Path)):
            if not isinstance(getattr(source, "name", None), str):
                raise InputError(
                    f"source: found {type(source).__name__}, wanted a file, 'simulated' or Trials"
                )
            name = str(source.name)
        else:
            name = SIMULATED if str(source) == SIMULATED else str(Path(source).resolve())
        return self.model_copy(update={"data": self.data.model_copy(update={"source": name})})


def of_benchmark(config: RunConfig) -> RunConfig:
    """Return settings with the bin width and forward bins of the benchmark's dataset, if any.

    Raises:
        InputError: There is no such dataset or bin width.
    """
    if config.data.dataset is None:
        return config
    dataset = find_dataset(config.data.dataset)
    bin_ms = check_bin_ms(config.data.bin_ms or BIN_WIDTHS_MS[0])
    if config.data.forward_bins not in (0, dataset.forward_ms // bin_ms):
        raise InputError(
            f"--forward-bins {config.data.forward_bins}: {dataset.name} has a forward period of "
            f"{dataset.forward_ms} ms, {dataset.forward_ms // bin_ms} bins of {bin_ms} ms"
        )
    update = {"bin_ms": float(bin_ms), "forward_bins": dataset.forward_ms // bin_ms}
    return config.model_copy(update={"data": config.data.model_copy(update=update)})
