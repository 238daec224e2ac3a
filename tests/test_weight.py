"""What imports load and what an installation brings: lists that grow only on purpose."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from test_import import loaded_by

PYDANTIC = {
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}
ZEEP = {
    "attr",
    "certifi",
    "charset_normalizer",
    "idna",
    "isodate",
    "lxml",
    "platformdirs",
    "requests",
    "requests_file",
    "requests_toolbelt",
    "urllib3",
    "zeep",
}
LOADED = {
    "ldap": set(),
    "mastodon": set(),
    "scim": set(),
    "sftp": set(),
    "soap": ZEEP,
    "sql": set(),
    "webhook": set(),
}
"""Adapter -> what of others its import may load beside pydantic; drivers come later."""

OPTIONAL = {"packaging", "socks", "xmlsec", "chardet", "simplejson", "brotli", "zstandard"}  # fmt: skip
"""What others load if it happens to be there."""

SMALL = 18
"""Distributions of the core with its command line, itself included."""


def others(modules):
    """Top-level packages that are neither Python's nor ours."""
    names = {name.partition(".")[0] for name in modules}
    strange = {
        name for name in names if name.startswith("_") or name == "cython_runtime"
    }
    ours = {name for name in names if name.startswith("moatbridge")}
    return names - strange - ours - set(sys.stdlib_module_names)


@pytest.fixture(scope="module")
def weight():
    """The benchmarks' own module: the page's figures and this test count alike."""
    path = Path(__file__).parents[1] / "benchmarks" / "harness" / "weight.py"
    spec = importlib.util.spec_from_file_location("weight", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_importing_the_package_loads_a_handful_of_modules():
    loaded = loaded_by("import moatbridge")
    assert others(loaded) == set()
    assert len(loaded) <= 16, loaded


@pytest.mark.parametrize("adapter", LOADED)
def test_an_adapters_import_loads_no_more_than_it_did(adapter):
    loaded = loaded_by(f"import moatbridge_{adapter}")
    assert others(loaded) - OPTIONAL <= PYDANTIC | LOADED[adapter]
    heavy = {"sqlalchemy", "sqlite3", "typer", "rich", "tenacity", "httpx2", "asyncio"}
    assert heavy & {name.partition(".")[0] for name in loaded} <= (
        {"asyncio"} if LOADED[adapter] else set()
    )
    layers = {"cli", "demo", "gateway", "run", "flow", "guard", "ledger"}
    ours = {name.split(".")[1] for name in loaded if name.startswith("moatbridge.")}
    assert ours & layers == set()


BRIDGE = """
[ledger]
url = "sqlite:///{folder}/ledger.db"
[systems.hr]
adapter = "sql"
url = "sqlite:///{folder}/hr.db"
[systems.social]
adapter = "scim"
base_url = "https://social.example"
auth = {{kind = "bearer", token = "env:TOKEN"}}
[streams."hr/people"]
table = "people"
fields = ["nr", "login"]
[streams."hr/people".translator]
entity = "Person"
fields = {{userName = "login"}}
[streams."social/people"]
[flows.people]
from = "hr/people"
to = "social/people"
"""
OPENED = """
from moatbridge.run import Bridge
import moatbridge.http.wire
with Bridge.open({path!r}) as bridge:
    for name, system in bridge.config.systems.items():
        bridge.registry.get(system.adapter)
    with bridge.ledger.write() as tx:
        tx.value("SELECT count(*) FROM flow")
"""
RUNS = PYDANTIC | {"h11", "tenacity"}
"""All of others that a run from a SQLite table to a SCIM platform loads."""

SPARED = {
    "moatbridge.flow.reconcile",
    "moatbridge.ledger.batches",
    "moatbridge.ledger.schema",
    "moatbridge.ledger.steps",
    "moatbridge.run.checking",
    "moatbridge.run.looking",
    "moatbridge.run.status",
    "moatbridge_sql.engine._session",
}
"""What only some commands, servers or old ledgers need."""


def test_a_bridge_on_a_new_ledger_or_an_old_one_loads_no_more_than_a_run_needs(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TOKEN", "x")
    path = tmp_path / "moatbridge.toml"
    path.write_text(BRIDGE.format(folder=tmp_path))
    code = OPENED.format(path=str(path))
    first, again = loaded_by(code), loaded_by(code)
    for loaded in (first, again):
        assert others(loaded) - OPTIONAL == RUNS
        assert {"asyncio", "rich", "typer"} & set(loaded) == set()
        assert SPARED & set(loaded) == set()
        ours = [name for name in loaded if name.startswith("moatbridge")]
        assert len(ours) <= 355, len(ours)


def test_the_core_with_its_command_line_is_a_handful_of_distributions(weight):
    needed = weight.closure("moatbridge")
    assert {"moatbridge", "pydantic", "sqlalchemy", "typer", "rich"} <= needed
    assert len(needed) <= SMALL, sorted(needed)


@pytest.mark.parametrize(
    ("extra", "most"),
    [("ldap", 18), ("scim", 22), ("sftp", 25), ("soap", 28), ("sql", 19), ("all", 52)],
)
def test_an_extra_brings_no_more_distributions_than_it_did(weight, extra, most):
    assert len(weight.closure("moatbridge", (extra,))) <= most
