"""Pages from templates that lie beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

OUTCOMES = {
    "better": ("▲", "Better than the baseline"),
    "unclear": ("?", "No clear difference"),
    "worse": ("▼", "Worse than the baseline"),
}


def fill(template: str, **content: Any) -> str:
    """Return a page as HTML. Every name of the user's is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)
