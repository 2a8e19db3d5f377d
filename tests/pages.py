"""What tests ask of a page."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Callable, Iterable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import refuses
from matplotlib.figure import Figure

from neuroblend.engine.folder import RunFolder
from neuroblend.report import figures
from neuroblend.report.page import render, write_report
from neuroblend.report.style import Picture
from neuroblend.report.verdict import verdict
from neuroblend.report.view import View


class Page(HTMLParser):
    """Collects text, tags and what a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.images: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "xlink:href", "srcset", "data", "poster", "action"):
                self.references.append("".join((value or "").split()))
            self.references += re.findall(r"url\(['\"]?([^)'\"]*)", value or "")
        if tag == "img":
            self.images.append(dict(attrs)["src"])

    def handle_data(self, data):
        self.words.append(data)


def svgs(html: str) -> list[str]:
    """Return the figures of a page as SVG text."""
    prefix = "data:image/svg+xml;base64,"
    images = Page(html).images
    assert all(image.startswith(prefix) for image in images)
    return [base64.b64decode(image.removeprefix(prefix)).decode() for image in images]


def drawn_text(html: str) -> str:
    """Return the words in all figures."""
    return " ".join(
        unescape(t) for svg in svgs(html) for t in re.findall(r"<text[^>]*>([^<]*)", svg)
    )


def drawn_figures(folder: RunFolder) -> list[Figure]:
    """Return the figures of a page as matplotlib drew them."""
    found: list[Figure] = []
    save = Figure.savefig

    def noted(figure: Figure, *args: object, **given: object) -> None:
        found.append(figure)
        save(figure, *args, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", noted)
        render(View(folder))
    return found


def check_every_panel_has_ticks(folder: RunFolder) -> None:
    """No panel leaves its reader to guess the numbers of its horizontal axis."""
    panels = [ax for figure in drawn_figures(folder) for ax in figure.axes if ax.axison]
    panels = [ax for ax in panels if ax.get_label() != "<colorbar>"]
    assert len(panels) > 5
    for ax in panels:
        labels = [label.get_text() for label in ax.get_xticklabels() if label.get_visible()]
        assert any(labels), (ax.get_title(loc="left"), ax.get_ylabel())


def check_dark_and_narrow(html: str) -> None:
    """Every colour has a dark counterpart, and what is wide scrolls in a box of its own."""
    css = html.partition("<style>")[2].partition("</style>")[0]
    light, dark = re.findall(r":root \{([^}]*)\}", css)
    assert "@media screen and (prefers-color-scheme: dark)" in css
    assert set(re.findall(r"--[\w-]+(?=:)", light)) == set(re.findall(r"--[\w-]+(?=:)", dark))
    elsewhere = css.replace(light, "").replace(dark, "")
    assert not re.findall(r"#[0-9a-f]{3,6}\b", elsewhere)
    for tag in ("<img", '<table class="scores', "<table>"):
        for before in html.split(tag)[:-1]:
            assert before.rstrip().endswith('<div class="scroll">'), tag


def check_nothing_is_fetched(html: str) -> None:
    """Neither the page nor a figure in it asks for anything, or runs anything."""
    for document in (html, *svgs(html)):
        page = Page(document)
        css = re.findall(r"url\(['\"]?([^)'\"]*)", re.sub(r"base64,[^\"]*", "", document))
        for reference in (*page.references, *css):
            assert reference.startswith(("data:", "#")), reference
        assert "@import" not in document
        assert not {"script", "link", "iframe", "object"} & set(page.tags)


def check_verdict(folder: RunFolder, html: str) -> None:
    """The page tells the verdict on its results, with each caveat."""
    found, text = verdict(folder.results()), Page(html).text
    assert f'class="verdict {found.outcome}"' in html
    for sentence in (found.sentence, *(caveat.text for caveat in found.caveats)):
        assert sentence in text


def check_same_everywhere(folder: RunFolder, html: str, elsewhere: Path) -> None:
    """The page is the same at every call, and wherever it is called."""
    shutil.copytree(folder.path, elsewhere / folder.path.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        again = write_report(RunFolder(Path(folder.path.name)))
        assert again.read_bytes() == html.encode()


def check_figures(
    folder: RunFolder, html: str, draw: Iterable[Callable[[RunFolder], Figure]]
) -> None:
    """All figures of the page are to be had, and those of single functions are among them."""
    shown = Page(html).images
    every = figures.every(folder)
    assert [Picture(title, "", figure).uri for title, figure in every.items()] == shown
    for each in draw:
        figure = each(folder)
        assert isinstance(figure, Figure)
        assert Picture("", "", figure).uri in shown, each


def check_unfinished_is_refused(folder: RunFolder, elsewhere: Path) -> None:
    """Where there are no results there is no page."""
    unfinished = shutil.copytree(folder.path, elsewhere / "unfinished")
    (unfinished / "results.json").unlink()
    (unfinished / "report.html").unlink(missing_ok=True)
    refuses(r"results\.json", write_report, RunFolder(unfinished))
    refuses(r"results\.json", figures.every, unfinished)
    assert not (unfinished / "report.html").exists()
