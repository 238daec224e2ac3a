"""The reference says what the code says."""

from __future__ import annotations

import ast
import importlib
import sys

import pytest

from docs.sandbox import ROOT


@pytest.fixture(scope="module")
def load():
    """Modules of ``scripts/``, which is no package."""
    sys.path.insert(0, str(ROOT / "scripts"))
    yield importlib.import_module
    sys.path.remove(str(ROOT / "scripts"))


def test_the_reference_is_what_the_script_writes(load):
    stale = [path.name for path in load("reference").stale()]
    assert stale == [], "run: make docs"


def test_every_error_code_in_the_source_has_a_meaning(load):
    assert load("reference_pages.errors").without_meaning() == []


def test_every_explained_error_code_is_in_the_source(load):
    assert load("reference_pages.errors").without_source() == []


def test_codes_are_found_wherever_they_stand(load):
    found = load("reference_pages.errors").codes()
    assert {
        "config.invalid",
        "ldap.stale",
        "net.egress",
        "flow.bug",
        "sql.busy",
    } <= found
    assert not {"plan.done", "moatbridge.toml", "enterprise.manager"} & found


def test_codes_are_found_where_a_function_puts_the_area_before_a_word(load):
    found = load("reference_pages.errors").codes()
    assert {
        "sftp.host-key",
        "soap.unknown-field",
        "mastodon.alt-text",
        "webhook.no-edit",
    } <= found


def test_every_entity_type_and_file_format_has_a_section():
    from moatbridge.entities import EntityTypes
    from moatbridge_sftp.formats.registry import SHIPPED

    page = (ROOT / "docs/reference/entities.md").read_text()
    assert all(f"## `{name}`" in page for name in EntityTypes())
    page = (ROOT / "docs/reference/formats.md").read_text()
    assert all(f"## `{name}`" in page for name in SHIPPED)


def test_every_detector_is_described():
    from moatbridge.guard.detectors import DETECTORS

    page = (ROOT / "docs/reference/guard-rules.md").read_text()
    rows = dict(
        line.removeprefix("| ").split(" | ")[:2]
        for line in page.partition("| detector |")[2].splitlines()[2:]
    )
    assert rows.keys() == {f"`{name}`" for name in DETECTORS}
    assert all(len(text) > 2 for text in rows.values())


def test_every_error_class_and_every_command_has_a_section(load):
    from moatbridge import errors
    from moatbridge.cli.app import build

    page = (ROOT / "docs/reference/errors.md").read_text()
    for cls in load("reference_pages.errors").classes():
        assert f"### `{cls.__name__}`" in page
    assert errors.DOCS == "docs/reference/errors.md"
    page = (ROOT / "docs/reference/cli.md").read_text()
    for command in build().registered_commands:
        assert f"## `moatbridge {command.name} " in page


def test_every_setting_of_every_adapter_is_listed_with_a_meaning(load):
    from moatbridge.registry import Registry

    settings = load("reference_pages.settings")
    page = (ROOT / "docs/reference/settings.md").read_text()
    for name in (registry := Registry()):
        for model in (registry.get(name).Config, registry.get(name).StreamConfig):
            for setting, field in model.model_fields.items():
                assert f"| `{field.alias or setting}` |" in page
                assert settings.meaning(model, setting)
    with pytest.raises(LookupError):
        settings.meaning(model, "no-such-setting")


def test_settings_said_to_have_no_effect_are_read_nowhere(load):
    idle = {
        name.partition(".")[2]
        for name in load("reference_pages.text").meanings("no_effect")
    }
    read = {
        node.attr
        for file in (ROOT / "src" / "moatbridge").rglob("*.py")
        if not {"config", "testing", "demo"} & set(file.parts)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in idle
    }
    assert read == set()


def test_docstring_markup_becomes_markdown(load):
    text = load("reference_pages.text")

    def documented():
        """Say ``a`` to `b.C` (guard 17).

        Args:
            one: The ``first``,
                on two lines.
            two: The second.
        """

    assert text.summary(documented) == "Say `a` to `b.C`."
    assert text.arguments(documented) == {
        "one": "The `first`, on two lines.",
        "two": "The second.",
    }
    assert text.table(["a"], [["x|y"]])[-1] == "| x\\|y |"


def test_numbers_in_the_explanations_are_those_of_the_code():
    from moatbridge.config import GuardConfig
    from moatbridge.config.guard_rules import BUILT_IN
    from moatbridge.flow.standing import FRESH
    from moatbridge.guard.detectors import DETECTORS
    from moatbridge.ledger.incidents import LIMIT, WINDOW

    def said(name):
        path = ROOT / "docs" / "explanation" / f"{name}.md"
        return " ".join(path.read_text().lower().split())

    words = {5: "five", 9: "nine", 10: "ten"}
    posts = BUILT_IN["posts"]
    text = said("how-posts-stay-where-they-belong")
    assert f"beyond {posts.run} new posts in one run, or {posts.count} a day" in text
    assert f"within {GuardConfig().approval_ttl / 3600:.0f} hours" in text
    assert f"`{BUILT_IN['audience'].level}` is the widest audience" in text
    assert f"more than {BUILT_IN['mass_mention'].count} in one post" in text
    assert f"{words[len(DETECTORS)]} [detectors]" in text
    incidents = f"{words[LIMIT]} incidents within {words[int(WINDOW / 60)]} minutes"
    assert incidents in text
    assert f"{words[int(FRESH / 60)]} minutes have passed" in said(
        "answers-written-back"
    )
