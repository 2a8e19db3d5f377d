"""Settings from a YAML file, options and ``--set``."""

from pathlib import Path
from typing import Any

import yaml

from neuroblend.errors import InputError
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.experiments.given import Config, settings_from


def within(section: str, **given: Any) -> dict[str, Any]:
    """Return what was given of a section's settings, by their whole names."""
    return {f"{section}.{name}": value for name, value in given.items()}


def kind_in(file: Path | None) -> str | None:
    """Return the kind of experiment that a YAML file names, ``None`` where it names none."""
    content = None if file is None else _read(file)
    return content.get("kind") if isinstance(content, dict) else None


def settings_of(
    kind: type[Config], file: Path | None, given: dict[str, Any], assignments: list[str]
) -> Config:
    """Merge a YAML file, the options that were given and ``--set``; later ones win."""
    content: Any = {}
    if file is not None:
        content = _read(file)
        settings = settings_from(kind, content, str(file))
        if isinstance(settings, RunConfig):
            content = _above_the_file(settings, content, given)
    for key, value in given.items():
        if value is not None:
            _put(content, key.split("."), value)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment}: wanted name=value, e.g. training.lr=0.001")
        _put(content, key.strip().split("."), _scalar(value))  # null too, which lifts a default
    return settings_from(kind, content, "settings")


def _read(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text()) or {}
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not YAML ({str(error).splitlines()[0]})") from None


def _above_the_file(file: RunConfig, content: Any, given: dict[str, Any]) -> Any:
    """Return the file's content with the settings of a preset that the command line asks for."""
    if given.get("model.preset") is None:
        return content
    from neuroblend.experiments.decoding.presets import find_preset

    preset = find_preset(given.get("model.name") or file.model.name, given["model.preset"])
    sections = {("model", "settings"): preset["model"], ("training",): preset["training"]}
    for section, settings in sections.items():
        for key, value in settings.items():
            _put(content, [*section, key], value)
    return content


def _scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set: '{text}' is not YAML ({str(error).splitlines()[0]})") from None
    try:
        return float(value) if isinstance(value, str) else value  # to YAML, 1e-3 is text
    except ValueError:
        return value


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        held = tree.get(part)
        if held is None or (part == "mask" and isinstance(held, str)):  # a kind alone
            tree[part] = {} if held is None else {"kind": held}
        tree = tree[part]
        if not isinstance(tree, dict):
            raise InputError(f"--set {'.'.join(path)}: '{part}' has no settings within")
    tree[path[-1]] = value
