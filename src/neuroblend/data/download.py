"""Files of the DANDI archive: listed by its client, resumed where cut off, checked when whole.

The client lists assets and gives their digests. Bytes are read here: what it offers for them
does not notice a server that answers a request for the rest with the whole.
"""

import hashlib
import importlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from neuroblend.errors import InputError, some
from neuroblend.files import writing

Progress = Callable[[str, int, int], None]

API_URL = "https://api.dandiarchive.org/api"
ARCHIVE_PAGE = "https://dandiarchive.org/dandiset"
SHA256 = "dandi:sha2-256"
_CHUNK = 2**18
_TIMEOUT_S = 30.0
_TRIES = 5
_WAIT_S = 1.0


@dataclass(frozen=True)
class _Order:
    """What is wanted, and where to."""

    number: str
    folder: Path
    pattern: str

    def failed(self, reason: str) -> InputError:
        """Return an error that says how to do without."""
        return InputError(
            f"dandiset {self.number} cannot be downloaded: {reason}. Run it again (it goes on "
            f"where it ended), or fetch the files by hand from {ARCHIVE_PAGE}/{self.number} and "
            f"put them into {self.folder}"
        )


@dataclass(frozen=True)
class _File:
    """A file of the archive; ``sha256`` is ``None`` while the archive has its own etag alone."""

    name: str
    url: str
    size: int
    sha256: str | None


def download_dandiset(
    number: str,
    folder: Path,
    pattern: str = "*.nwb",
    *,
    api_url: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Download files of a dandiset: of its newest published version, of the draft where none is.

    A file that is there whole is not fetched again. A file in the making is ``<name>.part``, and
    is gone on with where it ends.

    Args:
        number: Of the dandiset, such as ``"000140"``.
        folder: Where to; made where it is missing. Folders of the archive are not kept.
        pattern: Of the files' paths in the archive; ``*`` goes across folders.
        api_url: Address of another archive's API than DANDI's.
        progress: Called with a file's name, its bytes so far, and its bytes in all.

    Returns:
        The files, in the order of their names.

    Raises:
        InputError: The ``[dandi]`` extra is missing, the archive is out of reach or has no such
            files, a checksum differs, or the folder cannot be written.
    """
    if not re.fullmatch(r"[0-9]{1,6}", number):
        raise InputError(f"dandiset '{number}': wanted its number, such as 000140")
    order = _Order(number.zfill(6), Path(folder), pattern)
    if order.folder.exists() and not order.folder.is_dir():
        raise InputError(f"{folder}: a file, wanted a folder")
    api, requests = _client_modules()
    url = (api_url or API_URL).rstrip("/")
    try:
        # the client asks without a time limit, then tries for a minute: see first who answers
        requests.get(f"{url}/info/", timeout=_TIMEOUT_S).raise_for_status()
        with _quiet(), _open_client(api, url, order) as client:
            files = _find_files(api, client, order)
            order.folder.mkdir(parents=True, exist_ok=True)
            tell = progress or (lambda name, done, size: None)
            return [_fetch(requests, client, file, order, tell) for file in files]
    except requests.RequestException as error:
        raise order.failed(_reason(error)) from None
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from None


def _client_modules() -> tuple[Any, Any]:
    """Return ``dandi.dandiapi`` and ``requests``, which is among dandi's dependencies."""
    try:
        return importlib.import_module("dandi.dandiapi"), importlib.import_module("requests")
    except ImportError as error:
        raise InputError(
            "downloads need the dandi client, which is not installed: "
            f"pip install 'neuroblend[dandi]' ({error})"
        ) from None


def _find_files(api: Any, client: Any, order: _Order) -> list[_File]:
    """Return the files that match the pattern, in the order of their names."""
    try:
        dandiset = client.get_dandiset(order.number)
        every = [a for a in dandiset.get_assets() if a.asset_type is api.AssetType.BLOB]
        wanted = [asset for asset in every if fnmatchcase(asset.path, order.pattern)]
        version = dandiset.version_id
        files = [
            _File(
                name=PurePosixPath(asset.path).name,
                url=asset.base_download_url,
                size=asset.size,
                sha256=asset.get_raw_metadata().get("digest", {}).get(SHA256),
            )
            for asset in wanted
        ]
    except (RuntimeError, ValueError) as error:  # no such dandiset; an answer of another form
        if isinstance(error, OSError):
            raise
        raise order.failed(_reason(error)) from None
    if not files:
        raise InputError(
            f"dandiset {order.number}, version {version}: no file matches '{order.pattern}'. "
            f"There are: {some(sorted(asset.path for asset in every)) or 'none'}"
        )
    names = [file.name for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"dandiset {order.number}: several files are named {some(twice)} and would overwrite "
            "each other in one folder; give a pattern that matches one of them"
        )
    return sorted(files, key=lambda file: file.name)


def _fetch(requests: Any, client: Any, file: _File, order: _Order, progress: Progress) -> Path:
    """Download one file, which appears whole and checked or not at all."""
    path = order.folder / file.name
    if path.is_file() and not _difference(path, file):
        progress(file.name, file.size, file.size)
        return path
    part = path.with_name(f"{file.name}.part")
    if _size(part) > file.size:
        part.unlink()
    for attempt in range(_TRIES):
        before = _size(part)
        if before == file.size and part.exists():
            break
        if attempt:
            time.sleep(_WAIT_S)
        try:
            _append(client.session, file, part, progress)
        except requests.RequestException as error:
            is_final = error.response is not None and error.response.status_code < 500
            if is_final or attempt == _TRIES - 1:
                raise
    if difference := _difference(part, file):
        part.unlink()
        raise order.failed(f"{file.name} came with {difference}, and was removed")
    os.replace(part, path)
    return path


def _append(session: Any, file: _File, part: Path, progress: Progress) -> None:
    """Ask for the bytes that ``part`` lacks; start over where the server sends all."""
    start = _size(part)
    headers = {"Accept-Encoding": "identity"}  # ranges are of the file, not of its compression
    if start:
        headers["Range"] = f"bytes={start}-"
    with session.get(file.url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        answer.raise_for_status()
        is_rest = start > 0 and answer.status_code == 206
        done = start if is_rest else 0
        with writing(part), part.open("ab" if is_rest else "wb") as out:
            progress(file.name, done, file.size)
            for chunk in answer.iter_content(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                progress(file.name, done, file.size)


def _difference(path: Path, file: _File) -> str:
    """Return how ``path`` differs from the archive's file, or nothing."""
    if _size(path) != file.size:
        return f"{_size(path)} bytes, wanted {file.size}"
    if file.sha256 is None:
        return ""
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    return "" if found == file.sha256 else f"sha2-256 {found[:12]}, wanted {file.sha256[:12]}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the client from logging tracebacks of what is said in one line."""
    logger = logging.getLogger("dandi")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _open_client(api: Any, url: str, order: _Order) -> Any:
    try:
        return api.DandiAPIClient(url)
    except (RuntimeError, ValueError, SystemExit) as error:  # the last of a client it bars
        raise order.failed(_reason(error)) from None


def _reason(error: BaseException) -> str:
    """Return the cause in a few words: errors of connections nest several others."""
    text = " ".join(str(error).split())
    if system := re.search(r"\[Errno -?\d+\] ([^'\")]+)", text):
        text = system[1]
    if (request := getattr(error, "request", None)) is not None and request.url not in text:
        text += f" at {request.url}"
    return (text[:200] or type(error).__name__).rstrip(". ")
