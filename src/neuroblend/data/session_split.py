"""What trains, validates and tests in each of several sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuroblend.data.split import Split


@dataclass(frozen=True, eq=False)
class SessionsSplit:
    """A split of each session, drawn with one seed.

    Attributes:
        parts: S splits, each as if its session were alone.
        names: S names.
        learned: Places of the sessions whose training trials the whole network learns from; of
            others, held out whole, it learns a read-in and a read-out alone.
    """

    parts: tuple[Split, ...]
    names: tuple[str, ...]
    learned: tuple[int, ...]

    @property
    def seed(self) -> int:
        """What the draw was made with."""
        return self.parts[0].seed

    @property
    def fold(self) -> int | None:
        """Which fold is tested."""
        return self.parts[0].fold

    @property
    def forward_bins(self) -> int:
        """Bins at the end of a trial that no model sees."""
        return self.parts[0].forward_bins

    @property
    def tested(self) -> tuple[int, ...]:
        """Places of the sessions that pooled scores are of: those held out, else all."""
        rest = tuple(s for s in range(len(self.parts)) if s not in self.learned)
        return rest or tuple(range(len(self.parts)))

    @property
    def n_tested(self) -> int:
        """Number of test trials of those sessions."""
        return sum(self.parts[s].n_tested for s in self.tested)

    def __repr__(self) -> str:
        parts = "; ".join(f"{n}: {p!r}" for n, p in zip(self.names, self.parts, strict=True))
        return f"SessionsSplit({parts})"

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers, for a file."""
        sessions = {n: p.to_json() for n, p in zip(self.names, self.parts, strict=True)}
        learned = [self.names[s] for s in self.learned]
        return {"seed": self.seed, "fold": self.fold, "learned": learned, "sessions": sessions}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> SessionsSplit:
        """Return the split that :meth:`to_json` gave."""
        names: Sequence[str] = tuple(stored["sessions"])
        parts = tuple(Split.from_json(part) for part in stored["sessions"].values())
        learned = tuple(names.index(name) for name in stored["learned"])
        return cls(parts, tuple(names), learned)
