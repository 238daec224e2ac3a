"""What `moatbridge new-adapter` writes passes its own checks as it is, unchanged."""

from __future__ import annotations

import importlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from moatbridge import Registry
from moatbridge.cli.app import run
from moatbridge.config import parse
from moatbridge.errors import ConfigurationError
from moatbridge.scaffold import Choice, Names, files, write
from moatbridge.scaffold.distribution import ABILITIES, DEFAULT

SCRIPTS = Path(sys.executable).parent
LONGEST = 600
VARIANTS = {
    "read-only": ["--abilities", "scan"],
    "read-and-write": ["--abilities", ",".join(ABILITIES)],
    "functions-only": ["--functions", "--abilities", "scan,follow,fetch,find,write"],
    "folder-of-files": ["--functions", "--system", "folder"],
    "folder-class": ["--system", "folder"],
    "lines-over-tcp": ["--system", "tcp"],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("generated")


@pytest.fixture(scope="module")
def checks(folders):
    """``scripts/check`` of every variant, running side by side: they mostly wait."""
    for name, options in VARIANTS.items():
        into = ["--into", str(folders / name)]
        assert run(["new-adapter", name, *options, *into]) == 0
    shared = warmed(folders / "folder-class")
    running = {}
    try:
        for name in VARIANTS:
            if not (folders / name / shared.name).exists():
                shutil.copytree(shared, folders / name / shared.name)
            running[name] = started(folders / name)  # says little: no pipe fills up
        yield running
    finally:
        for process in running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def warmed(folder):
    """What mypy knows of moatbridge itself, so that it is found out once only."""
    mypy = [SCRIPTS / "mypy", "--cache-dir", ".mypy_cache"]
    done = subprocess.run(mypy, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / ".mypy_cache"


def started(folder):
    kept = {n: v for n, v in os.environ.items() if not n.startswith("PYTEST_")}
    return subprocess.Popen(
        ["scripts/check"],
        cwd=folder,
        env={
            **kept,
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
            # A checkout may be installed without the plugin's entry point.
            "PYTEST_ADDOPTS": "-p moatbridge.testing.pytest_plugin -p no:cacheprovider",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_a_generated_adapter_passes_lint_types_and_conformance(checks, name):
    said, _ = checks[name].communicate(timeout=LONGEST)
    assert checks[name].returncode == 0, said
    passed = re.search(r"(\d+) passed", said)
    assert passed, said
    assert int(passed[1]) >= 30, said
    assert not re.search(r"skipped|xfailed|failed", said), said


def test_the_report_stands_in_the_readme_after_the_checks(checks, folders):
    said, _ = checks["folder-of-files"].communicate(timeout=LONGEST)
    text = (folders / "folder-of-files" / "README.md").read_text(encoding="utf-8")
    table = text.partition("<!-- conformance -->")[2]
    table = table.partition("<!-- /conformance -->")[0]
    assert table.count("| ") > 10, said
    assert "Run the tests" not in table


def every_choice(names):
    for form, system in itertools.product(
        ("class", "functions"), ("http", "folder", "tcp")
    ):
        for count in range(1, len(ABILITIES) + 1):
            for some in itertools.combinations(ABILITIES, count):
                choice = Choice(names, some, form, system)
                try:
                    yield f"{form}-{system}-{'-'.join(some)}", files(choice)
                except ConfigurationError as error:
                    assert error.code == "scaffold.choice"  # noqa: PT017


@pytest.mark.parametrize("name", ["x", "adapter-of-long-names-24"])
def test_every_choice_of_abilities_is_well_formed_under_any_name(tmp_path, name):
    made = dict(every_choice(Names(name)))
    assert len(made) > 60
    for folder, texts in made.items():
        write(tmp_path / folder, texts)
    for command in (["check", "-q"], ["format", "-q", "--diff"]):
        done = subprocess.run(
            [SCRIPTS / "ruff", *command, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_chosen_abilities_are_in_the_class():
    scan = files(Choice(Names("x"), ("scan",)))["src/moatbridge_x/adapter.py"]
    assert set(re.findall(r"\bCan[A-Z]\w+", scan)) == {"CanScan"}
    whole = files(Choice(Names("x"), ABILITIES))["src/moatbridge_x/adapter.py"]
    assert {f"Can{ability.title()}" for ability in ABILITIES} <= set(
        re.findall(r"\bCan[A-Z]\w+", whole)
    )


@pytest.mark.parametrize("system", ["http", "folder", "tcp"])
def test_the_functions_form_is_sixty_lines_of_code_at_most(system):
    choice = Choice(Names("crm"), DEFAULT, "functions", system)
    text = files(choice)["src/moatbridge_crm/adapter.py"]
    assert lines_of_code(text) <= (45 if system == "folder" else 60)


def test_the_tutorials_adapter_is_sixty_lines_of_code_at_most():
    page = Path(__file__).parents[2] / "docs/tutorial/write-an-adapter.md"
    marker = "<!-- test: file=src/moatbridge_vcards/adapter.py -->\n```python\n"
    text = page.read_text(encoding="utf-8").partition(marker)[2].partition("```\n")[0]
    count = lines_of_code(text)
    assert 30 <= count <= 60
    assert f"This is all of it, {count} lines of code" in words_of(page)


@pytest.mark.parametrize("name", ["write-an-adapter/rota", "line-protocol/pbx"])
def test_the_adapters_of_the_how_tos_are_sixty_lines_of_code_at_most(name):
    page, adapter = name.split("/")
    text = (Path(__file__).parents[2] / f"docs/how-to/{page}.md").read_text("utf-8")
    marker = f"<!-- test: file=moatbridge_{adapter}.py -->\n```python\n"
    code = text.partition(marker)[2].partition("```\n")[0]
    assert 40 <= lines_of_code(code) <= 60


def words_of(page):
    return " ".join(page.read_text(encoding="utf-8").split())


def lines_of_code(text):
    """Imports, settings and declaration too; no blank lines, comments, docstrings."""
    text = re.sub(r'"""(?s:.*?)"""', "", text)
    kept = (line.strip() for line in text.splitlines())
    return len([line for line in kept if line and not line.startswith("#")])


@pytest.mark.parametrize("system", ["http", "folder", "tcp"])
def test_the_readme_shows_settings_that_are_read_under_the_adapters_own_name(
    system, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path / "src")
    made = files(Choice(Names("old-till"), DEFAULT, "functions", system))
    write(tmp_path, made)
    whole = "\n".join(made.values())
    assert not re.search(r"\bcrm\b", whole, re.IGNORECASE), (
        "the name of another example"
    )
    text = made["README.md"].partition("```toml\n")[2].partition("```")[0]
    registry = Registry(discover=False)
    module = importlib.import_module("moatbridge_old_till")
    try:
        registry.register("old-till", module.OldTillAdapter)
        config = parse(tomllib.loads(text), registry)
    finally:
        for name in [name for name in sys.modules if name.startswith(module.__name__)]:
            del sys.modules[name]
    assert set(config.streams) == {"old-till/people"}
