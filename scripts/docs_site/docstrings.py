"""Docstrings on their way to the site: an extension of `griffe`.

Citations of design documents that readers do not have are left out, and a public name
between single backticks becomes a link to its section.
"""

from __future__ import annotations

import re
from typing import Any, Final

import griffe
from reference_pages import python  # on the path: site_hooks.py lies beside it
from reference_pages.text import CITED

_NAME: Final = re.compile(r"(?<![`\[])`([A-Za-z_][\w.]*)`(?![`\]])")


class Docstrings(griffe.Extension):
    """Changes every docstring once, when it is read."""

    def on_object(self, *, obj: griffe.Object, **more: Any) -> None:
        """Called for each object of the package."""
        del more
        if obj.docstring is not None:
            text = CITED.sub("", obj.docstring.value)
            text = text.replace("Class attributes:", "Attributes:")  # griffe's word
            obj.docstring.value = linked(text)


def linked(text: str) -> str:
    """The text with links on public names and their members."""
    return _NAME.sub(_link, text)


def _link(name: re.Match[str]) -> str:
    path = python.path_of(name[1])
    return f"[{name[0]}][{path}]" if path else name[0]
