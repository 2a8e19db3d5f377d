"""What to keep in mind of a result, as a value."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Caveat:
    """Something to keep in mind.

    Attributes:
        kind: What it is about; other programs and tests recognise caveats by it.
        text: A sentence or two.
        numbers: What the text speaks of.
    """

    kind: str
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)
