"""The header of a student's file: what JSON can hold, and what a student can be built of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neuroblend.errors import InputError

Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Size = Annotated[int, Field(ge=1, lt=2**31)]
Bins = Annotated[int, Field(ge=0, lt=2**31)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Network(_Part):
    name: str
    settings: dict[str, Any]


class _Spec(_Part):
    n_in: Size
    n_out: Size
    t_in: Size
    t_out: Size
    behavior: list[str]
    bin_s: Annotated[float, Field(gt=0)]
    log_rate: list[float]
    behavior_gaps: bool = False
    n_encoded: Size | None = None


class _Reach(_Part):
    past: Bins
    future: Bins
    is_bounded: bool = True
    knows_place: bool = False


class _Header(_Part):
    arm: str
    seed: Whole
    network: _Network
    layer: str
    role: Literal["decoder", "student"]
    spec: _Spec
    unit_id: list[Whole] | list[str]
    n_source_neurons: Size
    readout: Annotated[list[str], Field(min_length=2, max_length=2)]
    latents: str | None = None
    behavior_units: list[str]
    channels: list[str] = []
    reach: _Reach
    about: dict[str, Any]


def check_header(content: Mapping[str, Any]) -> None:
    """Refuse a header of which no student can be built.

    Raises:
        InputError: A key is missing, or holds what it must not; the first of them is named.
    """
    try:
        _Header.model_validate(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise InputError(f"its header is damaged ({where}: {problem['msg']})") from None


def plain(value: Any, where: str) -> Any:
    """Return a value as JSON has it; numpy's numbers become Python's, and tuples lists.

    Args:
        value: Mappings with names as keys, sequences, strings, numbers, ``None``.
        where: What it is called in errors.

    Raises:
        InputError: JSON cannot hold it: NaN, an infinite number, or another kind of object.
    """
    try:
        return _plain(value, where)
    except RecursionError:
        raise InputError(f"{where}: nested too deeply for JSON") from None


def as_json(value: Any) -> str:
    """Return the one text of a :func:`plain` value, whatever the order of its keys.

    Raises:
        InputError: It is nested too deeply, or has a number that is not finite.
    """
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"cannot be written as JSON ({error})") from None


def _plain(value: Any, where: str) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not isfinite(value):
            raise InputError(
                f"{where}: found {value}, wanted a finite number, as JSON has no other"
            )
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(each, f"{where}.{i}") for i, each in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InputError(f"{where}: found the key {key!r}, wanted names alone")
        return {str(key): _plain(each, f"{where}.{key}") for key, each in value.items()}
    raise InputError(
        f"{where}: found {type(value).__name__}, wanted what JSON can hold: names, numbers, lists"
    )
