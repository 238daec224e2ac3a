"""The documentation as a site: complete, whole, and without anything from elsewhere."""

from __future__ import annotations

import html
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import sync_playwright

from docs.sandbox import ROOT
from moatbridge.ledger.states import MOVES

pytestmark = pytest.mark.xdist_group("site")  # it is built once

_LINK = re.compile(r'<a\b[^>]*?\bhref="([^"]*)"')
_ID = re.compile(r'\b(?:id|name)="([^"]+)"')
_LOADED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"([^\"]*)\""
)
_IN_STYLE = re.compile(r"(?:url\(|@import )[\"']?([^\"')]+)")
_OUTSIDE = ("http:", "https:", "//")


def build(target, config=ROOT / "mkdocs.yml"):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", target],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    done = build(target)
    assert done.returncode == 0, done.stdout
    return target


@pytest.fixture(scope="module")
def pages(site):
    """Every page: path -> its HTML."""
    return {path: path.read_text() for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def names():
    """The module that knows the public names; ``scripts/`` is no package."""
    sys.path.insert(0, str(ROOT / "scripts"))
    yield importlib.import_module("reference_pages.python")
    sys.path.remove(str(ROOT / "scripts"))


def test_every_page_of_the_repository_is_built_and_in_the_navigation(site, pages):
    index = pages[site / "index.html"]
    listed = {unquote(link.partition("#")[0]) for link in _LINK.findall(index)}
    for page in (ROOT / "docs").rglob("*.md"):
        built = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        built = "index.html" if built == "README.html" else built
        assert (site / built).is_file(), built
        assert built in listed, f"docs/README.md does not list {page.name}"


def test_every_link_and_anchor_leads_somewhere(site, pages):
    anchors = {path: set(_ID.findall(text)) for path, text in pages.items()}
    broken = set()
    for path, text in pages.items():
        if path.name == "404.html":  # its links start at the root of a server
            continue
        for link in map(html.unescape, _LINK.findall(text)):
            target, _, anchor = link.partition("#")
            if target.startswith((*_OUTSIDE, "mailto:")):
                continue
            page = (path.parent / unquote(target)).resolve() if target else path
            if not page.exists() or (anchor and unquote(anchor) not in anchors[page]):
                broken.add(f"{path.relative_to(site)} -> {link}")
    assert broken == set()


def test_no_page_loads_anything_from_elsewhere(site, pages):
    found = {link for text in pages.values() for link in _LOADED.findall(text)}
    for sheet in site.rglob("*.css"):
        found |= set(_IN_STYLE.findall(sheet.read_text()))
    assert "assets/iframe-worker.js" in found
    assert [link for link in found if link.startswith(_OUTSIDE)] == []
    assert not any('class="mermaid"' in text for text in pages.values())


def test_every_public_name_has_a_section(site, pages, names):
    told = {
        anchor
        for path, text in pages.items()
        if path.parent == site / "reference" / "python"
        for anchor in _ID.findall(text)
    }
    for module in names.MODULES:
        homes = {names.home_of(module, name) for name in names.names(module)}
        assert homes
        assert homes <= told
    overview = pages[site / "reference" / "python.html"]
    assert 'href="python/adapter.html#moatbridge.adapter.Adapter"' in overview


def test_docstrings_link_public_names_and_cite_nothing_readers_lack(site, pages):
    adapter = pages[site / "reference" / "python" / "adapter.html"]
    assert 'href="changes.html#moatbridge.changes.Record"><code>Record<' in adapter
    for path, text in pages.items():
        if path.parent == site / "reference" / "python":
            assert not re.search(
                r"\((delivery|entities|gateway|platforms|security|DESIGN) \d", text
            )


def test_files_outside_of_the_docs_come_along(site, pages):
    practice = "repository/examples/quickstart/practice.py.html"
    tutorial = pages[site / "tutorial" / "ldap-to-your-platform.html"]
    assert f'href="../{practice}"' in tutorial
    assert "openldap" in pages[site / practice].lower()
    assert (site / "repository" / "SECURITY.html").is_file()


def test_comments_for_tests_are_not_shown_and_drawings_are_tables(site, pages):
    assert not any("<!-- test" in text for text in pages.values())
    text = pages[site / "explanation" / "guarantees.html"]
    drawn = re.findall(r"<tr>\s*<td>.*?</td>\s*<td><code>(\w+)</code></td>", text)
    moves = sum(map(len, MOVES.values()))
    assert len(drawn) == moves + 1  # and the one that begins


def test_the_search_index_knows_the_words_people_look_for(site):
    index = json.loads((site / "search" / "search_index.json").read_text())
    texts = " ".join(entry["title"] + " " + entry["text"] for entry in index["docs"])
    for word in ("kill switch", "CanScan", "max_label", "syncrepl", "moatbridge[ldap"):
        assert word in texts


def test_the_site_works_as_files_with_search_and_fits_a_phone(site):
    failed = []

    def lost(request):
        # The next page may be asked for before the last one has its icon.
        if request.failure != "net::ERR_ABORTED":
            failed.append(request.url)

    with sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("requestfailed", lost)
        page.on("pageerror", lambda error: failed.append(str(error)))
        for name in (
            "reference/settings",
            "reference/python/adapter",
            "reference/adapters",
        ):
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.goto((site / "index.html").as_uri() + "?q=kill+switch")
        found = page.locator(".md-search-result__item h1").first
        found.wait_for(state="attached", timeout=30_000)
        assert found.text_content() == "Pull the kill switch"
        browser.close()
    assert failed == []


def test_a_broken_link_anchor_or_name_and_an_unlisted_page_fail_the_build(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "README.md").write_text(
        "# Home\n\n## Part\n\n- [One](one.md)\n\n[gone](gone.md) [past](../gone.py)\n"
    )
    (docs / "one.md").write_text(
        "# One\n\n[here](#nowhere) [`Name`][moatbridge.Name]\n"
    )
    (docs / "two.md").write_text("# Two\n")
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT}/mkdocs.yml\nhooks: [{ROOT}/scripts/site_hooks.py]\n"
    )
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode == 1
    for told in (
        "two.md",
        "'gone.md'",
        "'../gone.py'",
        "'#nowhere'",
        "'moatbridge.Name'",
    ):
        assert told in done.stdout


def test_navigation_is_what_the_index_lists():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        navigation = importlib.import_module("docs_site.navigation").navigation
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    text = (
        "# Home\n\nWords with a [link](no.md).\n\n## How-to\n\n### Day by day\n\n"
        "- [A `long`\n  title](how-to/a.md): why\n\n## Project\n\n- [Start](../examples/x/README.md)\n"
    )
    assert navigation(text, {"how-to/a.md": [{"b": "b.md"}]}) == [
        {"Home": "README.md"},
        {"How-to": [{"Day by day": [
            {"A `long` title": [{"Overview": "how-to/a.md"}, {"b": "b.md"}]}]}]},
        {"Project": [{"Start": "repository/examples/x/README.md"}]},
    ]  # fmt: skip


def test_files_that_come_along_have_a_place_and_are_found_there_again(tmp_path):
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        brought = importlib.import_module("docs_site.brought")
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool/README.md").write_text("[code](run.py), [back](../docs/a.md#x)\n")
    (tmp_path / "tool/run.py").write_text("print(1)\n")
    text = "[tool](../tool/), [b](b.md), [web](https://x.example/y), [no](../no.md)\n"
    (tmp_path / "docs/a.md").write_text(text)
    (tmp_path / "docs/b.md").write_text("b\n")
    files = ["tool/README.md", "tool/run.py"]
    assert brought.brought(["docs/a.md", "docs/b.md"], tmp_path) == files
    for file in (*files, "docs/a.md"):
        assert brought.file_at(brought.place(file)) == file
    assert brought.relinked("docs/a.md", text, tmp_path) == text.replace(
        "../tool/", "repository/tool/README.md"
    )
    inner = Path(tmp_path / "tool/README.md").read_text()
    assert brought.relinked("tool/README.md", inner, tmp_path) == (
        "[code](run.py.md), [back](../../a.md#x)\n"
    )
    assert brought.page_of("tool/run.py", tmp_path).startswith(
        "# `tool/run.py`\n\n``````python\n"
    )
