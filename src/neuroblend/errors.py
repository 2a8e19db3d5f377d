"""The one error that a user's input can raise, and the help that it gives."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """What was given cannot be used. The message is one line: what was found, what was wanted."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'? "`` (or nothing) and the names that there are, for an error.

    >>> nearest("fature", ["hard", "feature"])
    "did you mean 'feature'? There are: hard, feature"
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}There are: {', '.join(names) or 'none'}"


def some(items: Iterable[object], most: int = 6) -> str:
    """Return a short listing of ``items``: the first ``most`` of them, then a count of the rest."""
    words = [str(item) for item in items]
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


@contextmanager
def blamed_on(what: str) -> Iterator[None]:
    """Turn whatever a user's own code raises into one line that begins with ``what``."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        why = (str(error).splitlines() or [""])[0]
        raise InputError(f"{what} it fails ({type(error).__name__}: {why})") from error
