"""Links out of `docs/`: what a page links to in the repository comes along.

On the code host a link such as ``../../examples/quickstart/README.md`` shows that file.
On the site the file becomes a page below ``repository/``, and so does all that it links
to in turn; so the site is complete without the repository. A file that is no Markdown
is shown as code; a link to a folder means its README.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DOCS: Final = "docs/"
PLACE: Final = "repository/"
"""Where on the site files lie that are outside of ``docs/``."""

_LINK: Final = re.compile(r"(?<=\]\()([^)#\s]+)(?=(?:#[\w-]*)?\))")
_ELSEWHERE: Final = re.compile(r"[a-z][a-z0-9+.-]*:")
_LANGUAGES: Final = {
    ".py": "python",
    ".toml": "toml",
    ".yml": "yaml",
    ".sh": "sh",
    ".json": "json",
    ".html": "html",
    ".css": "css",
}


def place(file: str) -> str:
    """Where a file of the repository lies on the site."""
    if file.startswith(DOCS):
        return file.removeprefix(DOCS)
    return PLACE + (file if file.endswith(".md") else f"{file}.md")


def file_at(place: str) -> str:
    """The repository's file that lies there on the site: the reverse of `place`."""
    if not place.startswith(PLACE):
        return DOCS + place
    file = place.removeprefix(PLACE)
    inner = file.removesuffix(".md")
    return inner if Path(inner).suffix in _LANGUAGES else file


def relinked(file: str, text: str, root: Path) -> str:
    """The page's text with links that hold on the site.

    Args:
        file: The page, as a path in the repository.
        text: Its Markdown.
        root: The repository.

    Links to what is not there stay as they are; the strict build complains of them.
    """

    def changed(link: re.Match[str]) -> str:
        target = _target(file, link[1], root)
        if target is None or (_inside(file) and _inside(target)):
            return link[1]
        return posixpath.relpath(place(target), posixpath.dirname(place(file)) or ".")

    return _LINK.sub(changed, text)


def brought(pages: Iterable[str], root: Path) -> list[str]:
    """Every file outside of ``docs/`` that must come along, sorted.

    Args:
        pages: The site's own pages, as paths in the repository.
        root: The repository.
    """
    waiting, found = list(pages), set[str]()
    while waiting:
        file = waiting.pop()
        if not file.endswith(".md"):
            continue
        text = (root / file).read_text(encoding="utf-8")
        new = {t for t in _targets(file, text, root) if not _inside(t)} - found
        found |= new
        waiting += new
    return sorted(found)


def page_of(file: str, root: Path) -> str:
    """The Markdown of a file that comes along."""
    text = (root / file).read_text(encoding="utf-8")
    if file.endswith(".md"):
        return text
    fence = "`" * 6
    language = _LANGUAGES.get(Path(file).suffix, "text")
    return f"# `{file}`\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def _inside(file: str) -> bool:
    return file.startswith(DOCS)


def _targets(file: str, text: str, root: Path) -> Iterator[str]:
    found = (_target(file, link, root) for link in _LINK.findall(text))
    return (target for target in found if target is not None)


def _target(file: str, link: str, root: Path) -> str | None:
    if _ELSEWHERE.match(link):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(file), link))
    if (root / target).is_dir():
        target += "/README.md"
    there = not target.startswith("..") and (root / target).is_file()
    return target if there else None
