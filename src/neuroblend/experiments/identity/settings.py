"""Settings of the identity of cells: sessions, network, embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from neuroblend.config import (
    ExperimentConfig,
    GuidanceConfig,
    HideEntries,
    Names,
    Settings,
    TrainingSettings,
    once,
)
from neuroblend.errors import InputError
from neuroblend.experiments.identity.ids import Ids
from neuroblend.experiments.identity.references import CELL_REFERENCES


class CellsConfig(Settings):
    """Which sessions, and which of their cells are tested.

    Attributes:
        source: A folder in the layout of Bugeon et al. (2022), or files of labelled activity.
        stimuli: Runs of that layout to use; all of them where ``None``.
        labels: What to classify cells by, the deciding one first; where ``None``, ``subclass`` and
            ``ei`` if there are those, else all that there are.
        behavior: Channels for the teacher; all of them where ``None``.
        test_fraction: Of the cells, those that no network trains on and classifiers are tested on.
        animals: Whether one animal after the other is tested, rather than a fraction of all cells.
        ids: Whether an id that recurs over animals is the same cell in each, ``shared``, or
            another in every ``animal``; decided by names and labels where ``None``.
        folds: Test folds of a classifier.
        repeats: How often folds are drawn.
        window: Frames that a network sees at a time; from the shortest session where ``None``.
    """

    source: str = ""
    stimuli: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    behavior: tuple[str, ...] | None = None
    test_fraction: float = Field(0.4, gt=0, lt=1)
    animals: bool = False
    ids: Ids | None = None
    folds: int = Field(5, ge=2)
    repeats: int = Field(2, ge=1)
    window: int | None = Field(None, ge=10)


class NetworkConfig(Settings):
    """How NeuPRINT is built.

    Attributes:
        dynamics: ``linear``, ``recurrent`` or ``attention``.
        settings: Further keyword arguments of the network and of its dynamics.
    """

    dynamics: str = "linear"
    settings: dict[str, Any] = Field(default_factory=dict)


class EmbeddingConfig(Settings):
    """How embeddings of all cells are fitted, the network frozen.

    Attributes:
        epochs: Passes through all frames.
        lr: Of Adam; falls as a cosine.
    """

    epochs: int = Field(30, ge=1)
    lr: float = Field(3e-2, gt=0)


class CellGuidance(GuidanceConfig):
    """How students follow a teacher.

    Attributes:
        strategies: As in :class:`~neuroblend.config.GuidanceConfig`.
        alpha: Weight of the task, in units of a cell's variance, against distillation.
        multitask_weight: Weight of the behavior read-out, where ``multitask`` takes part.
    """

    strategies: Names = (
        "hard", "soft", "feature", "correlation", "embedding", "feature+multitask"
    )  # fmt: skip
    multitask_weight: float = Field(0.3, gt=0)


CELLS_TRAINING = TrainingSettings(
    epochs=40,
    batch_size=4,
    lr=1e-2,
    weight_decay=1e-4,
    patience=40,
    valid_every=5,
    mask=HideEntries(kind="entries"),
)


class IdentityConfig(ExperimentConfig):
    """A whole experiment on the identity of cells.

    Attributes:
        data: Which sessions and cells.
        model: Which network.
        distill: How students follow a teacher.
        training: How any network is trained.
        embedding: How embeddings are fitted from scratch.
        references: What to score beside the arms, of
            :data:`~neuroblend.experiments.identity.references.CELL_REFERENCES`.
        seeds: How many seeds; each redraws tested cells and initial weights.
        first_seed: The first of them.
    """

    kind: ClassVar[str] = "identity"

    data: CellsConfig = CellsConfig()
    model: NetworkConfig = NetworkConfig()
    distill: CellGuidance = CellGuidance()
    training: TrainingSettings = CELLS_TRAINING
    embedding: EmbeddingConfig = EmbeddingConfig()
    references: tuple[str, ...] = tuple(CELL_REFERENCES)
    seeds: int = Field(3, ge=1)

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        once("references", self.references, may_be_empty=True)
        for what in ("labels", "behavior", "stimuli"):
            once(what, getattr(self.data, what))
        return self

    @property
    def n_test_folds(self) -> int:
        """In how many folds tested cells are predicted; one where an animal is left out."""
        return 1 if self.data.animals else self.data.folds

    def with_source(self, source: Any) -> IdentityConfig:
        """Return the settings with ``data.source`` from a folder or file."""
        if not isinstance(source, (str, Path)):
            found = type(source).__name__
            raise InputError(f"source: found {found}, wanted a folder or file of sessions")
        data = self.data.model_copy(update={"source": str(Path(source).resolve())})
        return self.model_copy(update={"data": data})

    @model_validator(mode="before")
    @classmethod
    def _training_of_cells(cls, content: Any) -> Any:
        """Let training settings that are not given be those for cells."""
        if isinstance(content, dict) and isinstance(content.get("training"), dict):
            defaults = CELLS_TRAINING.model_dump(exclude_unset=True)
            content = content | {"training": defaults | content["training"]}
        return content
