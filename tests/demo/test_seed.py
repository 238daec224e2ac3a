"""The invented company, and the texts it is loaded with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.demo import configuration, seed
from moatbridge.demo.comparing import doubled, wrong_groups, wrong_people
from moatbridge.demo.servers import ldif

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1
)


@pytest.mark.parametrize("size", [seed.FULL, seed.QUICK])
def test_the_company_has_the_size_it_says_and_no_two_of_anything(size):
    entries = list(seed.directory(size))
    kinds = [attributes["objectClass"][0] for _dn, attributes in entries]
    assert kinds.count("inetOrgPerson") == size.people
    assert kinds.count("groupOfNames") == size.groups
    assert len({dn.casefold() for dn, _attributes in entries}) == len(entries)
    people = [a for _dn, a in entries if a["objectClass"] == ["inetOrgPerson"]]
    for name in ("uid", "mail", "employeeNumber"):
        assert len({each[name][0] for each in people}) == size.people
    rows = list(seed.contractors(size))
    assert (
        len({row[0] for row in rows})
        == len({row[1] for row in rows})
        == size.contractors
    )
    assert not {row[1] for row in rows} & {each["uid"][0] for each in people}


def test_every_manager_and_member_exists_and_parents_come_first():
    seen = set()
    for dn, attributes in seed.directory(seed.QUICK):
        above = dn.partition(",")[2]
        assert above in seen or above == "dc=example,dc=org"
        seen.add(dn)
        assert {*attributes.get("manager", ())} <= seen
    assert {m for _dn, a in seed.groups(seed.QUICK) for m in a["member"]} <= seen


def test_some_groups_hold_groups_two_levels_deep():
    inner = {
        dn: [m for m in a["member"] if m.endswith(seed.GROUPS)]
        for dn, a in seed.groups(seed.FULL)
    }
    assert any(inner[m] for members in inner.values() for m in members)


@given(TEXT)
def test_logins_are_plain_whatever_the_name(name):
    assert re.fullmatch("[a-z]*", seed.folded(name))


@given(TEXT)
def test_ldif_values_come_back(value):
    text = ldif.entries([("cn=x", {"description": [value]})])
    assert text.isascii()
    assert dict(ldif.parse(text)) == {"cn=x": {"description": [value]}}


def test_change_records_replace_clear_and_move():
    assert ldif.change("cn=x", title=["A"], mail=[]).splitlines() == [
        "dn: cn=x", "changetype: modify", "replace: title", "title: A", "-", "replace: mail", "-",
    ]  # fmt: skip
    assert ldif.rename("cn=x,o=a", "cn=x", parent="o=b").splitlines()[1:] == [
        "changetype: modrdn", "newrdn: cn=x", "deleteoldrdn: 1", "newsuperior: o=b",
    ]  # fmt: skip


class Server:
    url, password, token = "ldap://127.0.0.1:1", "pass'word", 'to"ken'


def test_the_configuration_is_toml_and_its_secrets_are_apart(tmp_path):
    more = ("", {"product-key": "whsec_x'y"})
    file = configuration.write(tmp_path, Server, Server, Server, seed.QUICK, more)
    text = file.read_text()
    assert (tmp_path / "product-key").read_text() == "whsec_x'y"
    assert tomllib.loads(text)["systems"]["directory"]["urls"] == [Server.url]
    assert "pass'word" not in text
    assert 'to"ken' not in text
    secrets = [each for each in Path(tmp_path).iterdir() if each != file]
    assert {each.stat().st_mode & 0o777 for each in secrets} == {0o600}


ENTRY = {"uid": ["a"], "entryUUID": ["K-1"], "mobile": ["1"], "manager": ["cn=a"]}
ACCOUNT = {
    "id": "7", "externalId": "k-1", "userName": "a",
    "phoneNumbers": [{"type": "mobile", "value": "1"}],
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "7"}},
}  # fmt: skip


@pytest.mark.parametrize(
    "change", [{}, {"userName": "b"}, {"phoneNumbers": []}, {"title": "x"}]
)
def test_a_wrong_field_is_seen(change):
    accounts = {"k-1": {**ACCOUNT, **change}}
    assert wrong_people({"cn=a": ENTRY}, accounts) == (["cn=a"] if change else [])


@pytest.mark.parametrize("members", [["7", "g"], ["7"], ["7", "g", "8"]])
def test_a_wrong_or_missing_member_is_seen(members):
    group = {"entryUUID": ["G"], "member": ["cn=a", "cn=g"]}
    there = [{"id": "g", "externalId": "g", "members": [{"value": m} for m in members]}]
    wrong = wrong_groups({"cn=g": group}, {"cn=a": ENTRY}, there, {"k-1": ACCOUNT})
    assert wrong == ([] if members == ["7", "g"] else ["cn=g"])


def test_a_doubled_account_is_counted():
    again = {**ACCOUNT, "id": "8", "userName": "A"}
    assert doubled([ACCOUNT]) == 0
    assert doubled([ACCOUNT, again]) == 2
