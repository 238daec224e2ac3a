"""What `mkdocs` calls while it builds the site; see `docs_site` for what is done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docs_site.brought import brought, file_at, page_of, place, relinked
from docs_site.drawings import as_tables
from docs_site.navigation import HOME, navigation
from mkdocs.structure.files import File
from reference_pages import python

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_MARKER: Final = re.compile(r"^ *<!-- test\b.*? -->\n", re.MULTILINE)
"""Comments for tests and generators, which readers of the site need not load."""


def on_config(config: MkDocsConfig) -> None:
    """Take the navigation from the index page."""
    index = (Path(config.docs_dir) / HOME).read_text(encoding="utf-8")
    sections = [{name: python.place(name)} for name in python.MODULES]
    config.nav = navigation(index, {python.PAGE: sections})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to outside of ``docs/``, and the reference of the code."""
    root = _root(config)
    pages = [file_at(file.src_uri) for file in files.documentation_pages()]
    for file in brought(pages, root):
        text = page_of(file, root)
        files.append(File.generated(config, place(file), content=text))
    for name in python.MODULES if python.PAGE in files.src_uris else ():
        text = python.directives(name)
        files.append(File.generated(config, python.place(name), content=text))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, **more: Any
) -> str:
    """Make a page of the repository one of the site."""
    del more
    uri = page.file.src_uri
    if uri == python.PAGE:
        markdown = python.linked(markdown)
    if uri in map(python.place, python.MODULES):
        return markdown
    text = as_tables(_MARKER.sub("", markdown))
    return relinked(file_at(uri), text, _root(config))


def _root(config: MkDocsConfig) -> Path:
    return Path(config.docs_dir).parent
