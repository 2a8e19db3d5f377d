"""Files that appear whole or not at all, and errors that say which file they are about."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

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


def no_room(error: BaseException) -> str:
    """Return how an error tells of a full disk, or nothing.

    h5py, safetensors and NumPy have words of their own for it, and not always its number.

    >>> no_room(RuntimeError("unable to close file (errno = 28, 'No space left on device')"))
    'no space left on device'
    >>> no_room(OSError("480000 requested and 40944 written"))
    'no space left on device'
    """
    told = re.sub(r"^\d+ requested and \d+ written$", os.strerror(errno.ENOSPC), str(error)).lower()
    known = {code: os.strerror(code).lower() for code in (errno.ENOSPC, errno.EDQUOT)}
    there = [why for c, why in known.items() if getattr(error, "errno", None) == c or why in told]
    return there[0] if there else ""


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Name ``path`` where the disk that it is written to is full.

    Raises:
        InputError: It is.
    """
    try:
        yield
    except Exception as error:
        if why := no_room(error):
            raise InputError(
                f"{path}: cannot be written, {why}; make room and give the same command again, or "
                "choose another --out"
            ) from None
        raise


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it to ``path``.

    Raises:
        InputError: The disk is full.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def new_h5(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file to fill in memory, then write it; HDF5 itself crashes on a full disk."""
    import h5py  # noqa: PLC0415  # not before it is needed, as for --help

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        yield file
    path.write_bytes(content.getbuffer())


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` to fill, then rename it to ``path``.

    Raises:
        InputError: The disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        try:
            partial.mkdir(parents=True)
            yield partial
            if path.is_dir():
                path.rmdir()  # there may be an empty one
            os.replace(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


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
