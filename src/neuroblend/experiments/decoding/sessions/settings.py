"""Settings of decoding in several sessions: those of one, and what is of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from neuroblend.config import once
from neuroblend.errors import InputError, some
from neuroblend.experiments.decoding.settings import (
    ONE_NETWORK,
    DataConfig,
    ModelConfig,
    RunConfig,
)

TOGETHER = " + "


class SessionsData(DataConfig):
    """Which sessions, and how each is divided.

    Attributes:
        sources: Of each session: a file, or a name that trials were given with.
        source: All of them in one line.
        hold_out_session: Names of sessions that only a read-in and a read-out are fitted to, on
            their training trials' spikes; scores are then of their test trials.
        alone: Whether baseline and multitask are trained on each session alone, too.
    """

    sources: tuple[str, ...] = ()
    hold_out_session: tuple[str, ...] = ()
    alone: bool = False


class SessionsModel(ModelConfig):
    """Which network, and how it is built.

    Attributes:
        core_width: Inputs and outputs of the core that sessions share; where ``None``, as many as
            neurons are seen in the session with most, 64 at most.
        read_in_dropout: Fraction of counts that are dropped in training, before a read-in.
    """

    core_width: int | None = Field(None, ge=2)
    read_in_dropout: float = Field(0.5, ge=0, lt=1)


class SessionsConfig(RunConfig):
    """Settings of a run on several sessions of one task; others are those of one.

    Attributes:
        data: Which sessions, and how each is divided.
        model: Which network.
    """

    kind: ClassVar[str] = "sessions"

    data: SessionsData = SessionsData()
    model: SessionsModel = SessionsModel()

    @model_validator(mode="after")
    def _what_several_can(self) -> SessionsConfig:
        once("data.hold_out_session", self.data.hold_out_session, may_be_empty=True)
        if self.teacher.cross_fitted:
            raise ValueError("teacher.cross_fitted: wanted none with several sessions; average is")
        if self.distill.cache_teacher:
            raise ValueError("distill.cache_teacher: wanted false with several sessions")
        names = [n for s in self.distill.strategies for n in s.split("+") if n in ONE_NETWORK]
        if names:
            raise ValueError(
                f"strategy {names[0]}: its head has the neurons of one session; wanted another "
                "with several sessions"
            )
        return self

    @classmethod
    def of(cls, config: RunConfig) -> SessionsConfig:
        """Return settings of several sessions from those of one."""
        if isinstance(config, cls):
            return config
        return cls.model_validate(config.model_dump(exclude_unset=True))

    @property
    def trains_alone(self) -> bool:
        """Whether there are networks of each session alone."""
        return self.data.alone or self.controls == "all"

    def with_source(self, source: Any) -> SessionsConfig:
        """Return the settings with the names of files or trials, one for each session."""
        if isinstance(source, (str, Path)) or not isinstance(source, Sequence):
            raise InputError(f"source: found {source!r}, wanted a list of files or Trials")
        names = tuple(RunConfig().with_source(each).data.source for each in source)
        again = [name for i, name in enumerate(names) if Path(name).exists() and name in names[:i]]
        if again:
            raise InputError(f"{again[0]}: given twice; wanted each session once")
        if len(names) < 2:
            raise InputError(f"source: found {some(names) or 'none'}, wanted two or more sessions")
        update = {"sources": names, "source": TOGETHER.join(names)}
        return self.model_copy(update={"data": self.data.model_copy(update=update)})
