"""Every code block of the documentation works: it is carried out, page by page."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest

from docs import consoles, pages
from docs.sandbox import ROOT, Sandbox
from moatbridge.errors import ConfigurationError

PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("examples/*/*.md")),
]
ADAPTERS = sorted(ROOT.glob("adapters/*/README.md"))
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
if TYPE_CHECKING:
    from pathlib import Path

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#([\w-]+))?\)")


@pytest.mark.parametrize("name", NAMES)
def test_every_block_works(name, tmp_path):
    page = pages.read(ROOT / name)
    sandbox = Sandbox(tmp_path, page)
    try:
        for block in page.blocks:
            try:
                sandbox.try_block(block)
            except Exception as error:
                error.add_note(f"{name}:{block.line}")
                raise
    finally:
        sandbox.close()


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_marked(name):
    assert pages.read(ROOT / name).unmarked == []


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    path = ROOT / name
    for target, anchor in _LINK.findall(path.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        found = (path.parent / target).resolve()
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), f"{target}#{anchor}"


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.parent.name)
def test_settings_in_an_adapters_readme_are_real(path, tmp_path):
    sandbox = Sandbox(tmp_path, pages.Page(path, []))
    shown = [
        block for block in pages.blocks(path.read_text()) if block.language == "toml"
    ]
    assert shown
    for block in shown:
        sandbox.try_block(dataclasses.replace(block, options={"part": "replace"}))


def test_a_block_knows_its_marker_and_its_line():
    text = "a\n\n<!-- test: run file=x.py -->\n```python\nprint(1)\n```\n\n```text\nb\n```\n"
    first, second = pages.blocks(text)
    assert (first.line, first.language, first.text) == (4, "python", "print(1)\n")
    assert first.options == {"run": "", "file": "x.py"}
    assert second.options is None


def test_console_blocks_hold_commands_and_what_they_print():
    text = "$ one \\\n    two  # exit code 3\nsaid\n\n$ cat <<'END'\nx\nEND\n$ three &\nready\n"
    first, second, third = consoles.commands(text)
    assert (first.text, first.code, first.shown) == ("one two", 3, ("said",))
    assert second.text == "cat <<'END'\nx\nEND"
    assert third.background
    assert third.shown == ("ready",)


@pytest.mark.parametrize(
    ("shown", "printed", "lost"),
    [
        (["a", "c"], "a\nb\nc", None),
        (["c", "a"], "a\nb\nc", "a"),
        (["a ... d", "..."], "a   b\td", None),
        (["0123456789abcdef ok"], "fedcba9876543210 ok", None),
        (["a"], "ab", "a"),
    ],
)
def test_what_is_shown_must_be_printed_in_order(shown, printed, lost):
    assert consoles.missing(shown, printed) == lost


@pytest.mark.parametrize(
    ("marker", "language", "text"),
    [
        ("run", "console", "$ echo hello\ngoodbye\n"),
        ("run", "console", "$ false\n"),
        ("run", "console", "$ true  # exit code 10\n"),
        ("run", "python", "raise SystemExit(3)\n"),
        ("run", "python", "import warnings; warnings.warn('old')\n"),
        ("output", "text", "never printed\n"),
        ("config", "toml", "[flows.people]\nfrom = 'hr/people'\n"),
        ("part", "toml", "[flows.people]\nevry = '5min'\n"),
        ("make", "sh", "make nonsense\n"),
        ("install", "sh", "pip install 'moatbridge[nonsense]'\n"),
        ("install", "sh", "pip install moatbridge-nonsense\n"),
    ],
)
def test_a_block_that_does_not_work_fails(marker, language, text, tmp_path):
    block = pages.Block(1, language, text, pages.options(marker))
    sandbox = Sandbox(tmp_path, pages.Page(tmp_path, [block]))
    wrong = (AssertionError, ConfigurationError, PackageNotFoundError)
    with pytest.raises(wrong):
        sandbox.try_block(block)


def test_a_pages_ports_and_folder_hold_in_its_blocks_and_in_copied_files(tmp_path):
    named = {"ports": "8300", "folder": "/srv/practice", "copy": "examples/playground"}
    sandbox = Sandbox(tmp_path, pages.Page(tmp_path, [], named))
    text = 'port = 8300\nfolder = "/srv/practice/drop"\nother = 18300\n'
    sandbox.try_block(pages.Block(1, "toml", text, {"file": "one.toml"}))
    found = tomllib.loads((tmp_path / "one.toml").read_text())
    assert found["folder"] == f"{tmp_path}/drop"
    assert found["other"] == 18300
    orders = tomllib.loads((tmp_path / "orders.toml").read_text())
    erp = f"http://127.0.0.1:{found['port']}/erp"
    assert orders["systems"]["erp"]["endpoint"] == erp
    assert "8300" not in (tmp_path / "erp.py").read_text()


def test_a_block_may_be_added_to_a_file_and_is_judged_with_it(tmp_path):
    sandbox = Sandbox(tmp_path, pages.Page(tmp_path, []))
    system = '[systems.hr]\nadapter = "sql"\nurl = "sqlite:///hr.db"\n'
    stream = '[streams."hr/people"]\ntable = "people"\nfields = ["id"]\n'
    for text, options in (
        (system, "config file=bridge.toml"),
        (stream, "config file=bridge.toml append"),
    ):
        sandbox.try_block(pages.Block(1, "toml", text, pages.options(options)))
    assert (tmp_path / "bridge.toml").read_text() == system + stream


def test_what_is_started_in_the_background_is_stopped(tmp_path):
    sandbox = Sandbox(tmp_path, pages.Page(tmp_path, []))
    text = "$ python -c 'import time; print(1, flush=True); time.sleep(60)' &\n1\n"
    sandbox.try_block(pages.Block(1, "console", text, {"run": ""}))
    [process] = sandbox._running
    assert process.poll() is None
    sandbox.close()
    assert process.poll() is not None
