"""The site's navigation is what `docs/README.md` lists, in its order.

A heading of level two is a section, one of level three a part of it, and each point
of a list that begins with a link is a page.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, Final

from docs_site.brought import DOCS, place

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME: Final = "README.md"
_LINE: Final = re.compile(
    r"(?:(?P<level>##+) (?P<heading>.+))|(?:- \[(?P<title>[^\]]+)\]\((?P<link>[^)]+)\))"
)


def navigation(index: str, below: Mapping[str, list[Any]] | None = None) -> list[Any]:
    """The tree in the form that `mkdocs` takes.

    Args:
        index: Text of ``docs/README.md``.
        below: Page -> further entries that stand below it.
    """
    tree: list[Any] = [{"Home": HOME}]
    section = part = tree
    for line in filter(None, map(_LINE.match, _joined(index))):
        if line["heading"]:
            part = []
            if line["level"] == "##":
                section = part
            parent = tree if line["level"] == "##" else section
            parent.append({line["heading"]: part})
        else:
            part.append(_entry(line["title"], line["link"], below or {}))
    return tree


def _entry(title: str, link: str, below: Mapping[str, list[Any]]) -> dict[str, Any]:
    page = place(posixpath.normpath(posixpath.join(DOCS, link)))
    if page in below:
        return {title: [{"Overview": page}, *below[page]]}
    return {title: page}


def _joined(text: str) -> list[str]:
    """Lines; one that goes on after a line break is one."""
    return re.sub(r"\n +", " ", text).splitlines()
