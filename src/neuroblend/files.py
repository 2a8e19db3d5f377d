"""Files that appear whole or not at all, and errors that say which file they are about."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuroblend.errors import InputError


@contextmanager
def errors_of(where: str | Path) -> Iterator[None]:
    """Begin the message of an input error with ``where``, unless it begins so already."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{where}:"):
            raise
        raise InputError(f"{where}: {error}") from None


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it to ``path``."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON that appears whole or not at all. NaN is an error, absent is ``null``."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda partial: partial.write_text(text))


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        InputError: It is not there or is damaged.
    """
    try:
        return json.loads(Path(path).read_text())
    except OSError as error:
        raise InputError(f"{path}: not there ({error.strerror})") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: damaged ({error})") from None
