"""What ``import moatbridge`` costs, and what it offers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import moatbridge

HEAVY = (
    "pydantic",
    "sqlalchemy",
    "sqlite3",
    "ssl",
    "socket",
    "importlib.metadata",
    "typer",
    "rich",
    "tenacity",
    "httpx2",
    "ldap3",
    "inspect",
    "asyncio",
    "logging",
)


def loaded_by(code):
    script = f"import json, sys; before = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    ran = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            f"import sys; sys.path[:] = {sys.path!r}\n{script}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout.splitlines()[-1])


def test_importing_the_package_loads_one_module_of_it_and_nothing_heavy():
    loaded = loaded_by("import moatbridge")
    assert [name for name in loaded if name.startswith("moatbridge")] == ["moatbridge"]
    assert [name for name in loaded if name in HEAVY] == []


def test_plain_data_needs_neither_pydantic_nor_a_driver():
    loaded = loaded_by(
        "import moatbridge; moatbridge.Person, moatbridge.NotApplied, moatbridge.Registry"
    )
    assert [name for name in loaded if name in HEAVY and name != "inspect"] == []


def test_help_needs_no_ledger_and_no_adapter():
    loaded = loaded_by(
        "import contextlib, io\nfrom moatbridge.cli.app import run\nwith contextlib.redirect_stdout(io.StringIO()): run(['plan', '--help'])"
    )
    heavy = {
        "sqlalchemy",
        "ldap3",
        "httpx2",
        "moatbridge_ldap",
        "moatbridge_scim",
        "moatbridge_sql",
    }
    assert heavy & {name.partition(".")[0] for name in loaded} == set()
    ours = {name.split(".")[1] for name in loaded if name.startswith("moatbridge.")}
    assert ours <= {"cli", "errors", "entities"}


def test_the_console_script_is_cheap_to_import():
    loaded = loaded_by("import moatbridge.cli")
    assert "typer" not in loaded
    assert "rich" not in loaded


def test_there_are_at_most_thirty_public_names():
    assert len(moatbridge.__all__) <= 30
    assert len(set(moatbridge.__all__)) == len(moatbridge.__all__)


def test_the_list_of_names_is_the_public_namespace():
    assert dir(moatbridge) == sorted(moatbridge.__all__)
    for name in moatbridge.__all__:
        assert getattr(moatbridge, name) is not None
    modules = {
        name for name, held in vars(moatbridge).items() if type(held) is type(sys)
    }
    private = {name for name in vars(moatbridge) if name.startswith("_")}
    imported = {"annotations", "TYPE_CHECKING", "Any", "Final"}
    assert set(vars(moatbridge)) - modules - (
        private - {"__version__"}
    ) - imported == set(moatbridge.__all__)


def test_names_are_the_ones_of_their_modules():
    from moatbridge.config import load
    from moatbridge.errors import NotApplied
    from moatbridge.run import Bridge

    assert moatbridge.Bridge is Bridge
    assert moatbridge.load_config is load
    assert moatbridge.NotApplied is NotApplied
    assert moatbridge.__version__.split(".")[0].isdecimal()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(
        AttributeError, match="module 'moatbridge' has no attribute 'Brigde'"
    ):
        moatbridge.Brigde  # noqa: B018 - the access is the test
    with pytest.raises(ImportError):
        from moatbridge import Brigde  # noqa: F401
