"""`moatbridge new-adapter`: what it takes, what it refuses, what it says."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.cli.app import run
from moatbridge.errors import ConfigurationError
from moatbridge.scaffold.names import LONGEST, checked
from moatbridge.scaffold.template import filled


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_it_says_what_to_do_next(capsys, tmp_path):
    assert run(["new-adapter", "old-crm"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Wrote 10 files into moatbridge-old-crm."
    assert "  scripts/check" in said
    assert "src/moatbridge_old_crm/adapter.py" in said[-1]
    made = tmp_path / "moatbridge-old-crm"
    assert (made / "src/moatbridge_old_crm/py.typed").exists()
    assert os.access(made / "scripts/check", os.X_OK)
    assert 'old-crm = "moatbridge_old_crm:OldCrmAdapter"' in (
        (made / "pyproject.toml").read_text()
    )


def test_json_lists_the_files_and_the_next_commands(capsys, tmp_path):
    assert run(["new-adapter", "crm", "--into", "here", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["adapter"], said["distribution"]) == ("crm", "moatbridge-crm")
    assert said["next"][0] == "cd here"
    there = (path for path in (tmp_path / "here").rglob("*") if path.is_file())
    assert sorted(str(p.relative_to(tmp_path / "here")) for p in there) == said["files"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["Old CRM!"], "scaffold.name", "For example: old-crm."),
        (["9"], "scaffold.name", "begins with a letter"),
        (["a" * 40], "scaffold.name", f"at most {LONGEST}"),
        (["../etc"], "scaffold.name", "lower-case"),
        (["moatbridge-crm"], "scaffold.name", "leave that out"),
        (["http"], "scaffold.name", "moatbridge itself uses it"),
        (["ldap"], "scaffold.taken", "take another name"),
        (["crm", "--abilities", "scna"], "scaffold.choice", "did you mean 'scan'?"),
        (["crm", "--abilities", "fetch"], "scaffold.choice", "reads"),
        (["crm", "--abilities", ""], "scaffold.choice", "reads"),
        (["crm", "--abilities", "scan,follow"], "scaffold.choice", "fetch"),
        (["crm", "--abilities", "scan,settle"], "scaffold.choice", "follow as well"),
        (
            ["crm", "--system", "tcp", "--abilities", "write"],
            "scaffold.choice",
            "fetch",
        ),
        (
            ["crm", "--system", "tcp", "--abilities", "fetch,find,write"],
            "scaffold.choice",
            "scan as well",
        ),
        (
            ["crm", "--system", "tcp", "--abilities", "scan,follow"],
            "scaffold.choice",
            "http",
        ),
        (
            ["crm", "--abilities", "scan,fetch,follow,settle", "--functions"],
            "scaffold.choice",
            "--functions",
        ),
        (
            ["crm", "--abilities", "fetch,follow", "--functions"],
            "scaffold.choice",
            "scan as well",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(
    options, code, words, capsys, tmp_path
):
    assert run(["new-adapter", *options, "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_another_installed_adapter_has_is_refused():
    with pytest.raises(ConfigurationError) as caught:
        checked("crm", {"crm"})
    assert caught.value.code == "scaffold.taken"


def test_nothing_is_ever_overwritten(capsys, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for there in ("full", "file", "link"):
        assert run(["new-adapter", "crm", "--into", there]) == 2
        assert "left as it is" in capsys.readouterr().err
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "empty").mkdir()
    assert run(["new-adapter", "crm", "--into", "empty"]) == 0
    assert run(["new-adapter", "crm", "--into", "empty"]) == 2


def test_a_place_that_cannot_be_written_is_a_typed_error(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert run(["new-adapter", "crm", "--into", "file/below", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "scaffold.write"


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_name_or_a_typed_error(text):
    try:
        names = checked(text)
    except ConfigurationError as error:
        assert error.code == "scaffold.name"  # noqa: PT017 - either is fine
        return
    assert names.package.isidentifier()
    assert names.cls.isidentifier()


def test_lines_of_a_template_stand_only_where_they_apply():
    text = "a {{name}}\n%% if x|y\nb\n%% if z\nc\n%% else\nd\n%% end\n%% end\ne\n"
    assert filled(text, {"name": "n"}, {"y"}) == "a n\nb\nd\ne\n"
    assert filled(text, {"name": "n"}, {"x", "z"}) == "a n\nb\nc\ne\n"
    assert filled(text, {"name": "n"}, {"z"}) == "a n\ne\n"
    for broken in ("%% if x\n", "%% end\n", "%% unless x\n%% end\n"):
        with pytest.raises(ValueError, match="template"):
            filled(broken, {}, set())
    with pytest.raises(KeyError):
        filled("{{nobody}}", {}, set())
