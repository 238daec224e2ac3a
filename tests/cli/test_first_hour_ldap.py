"""A newcomer's mistakes with a real directory: each is told in a sentence that says what to do."""

from __future__ import annotations

import tomllib

import pytest

from servers.openldap import APP, PASSWORDS, PEOPLE, openldap, person  # noqa: F401 - a fixture

CONFIG = """
[systems.hr]
adapter = "ldap"
urls = ["{url}"]
auth = {{ kind = "simple", bind_dn = "{account}", password = "file:password" }}
allow_networks = ["127.0.0.0/8"]
starttls = "{starttls}"
insecure_cleartext = true
tls = {{ {tls} }}
"""
STREAM = """
[streams."hr/people"]
bases = [{{ dn = "{base}" }}]
fields = ["uid", "{field}"]
"""


@pytest.fixture
def told(openldap, site, capsys):  # noqa: F811
    """What `check` says of a configuration with these differences."""
    from cli.conftest import World

    bare = World.__new__(World)
    bare.folder, bare.capsys = site, capsys

    def check(*command, password=PASSWORDS[APP], stream=None, **more):
        (site / "password").write_text(password)
        (site / "password").chmod(0o600)
        given = {
            "url": openldap.tls_url,
            "account": APP,
            "starttls": "off",
            "tls": f'ca_file = "{openldap.ca_file}"',
        }
        text = CONFIG.format(**{**given, **more})
        if stream is not None:
            text += STREAM.format(**{"base": PEOPLE, "field": "sn", **stream})
        (site / "moatbridge.toml").write_text(text)
        return bare.cli(*command or ("check",))

    return check


def test_a_directory_is_reached_looked_at_and_read(told, openldap):  # noqa: F811
    openldap.add([person(name) for name in ("ada", "bo", "cleo")])
    ran = told(stream={})
    assert ran.code == 0, ran
    assert f"we are    {APP}" in ran.out
    assert "reads     people: 4 records in the first batch" in ran.out
    found = told("discover", "hr")
    assert PEOPLE in str(tomllib.loads(found.out)["streams"])
    assert "then: moatbridge check" in found.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"password": "not-the-password"}, "ldap.auth", "Check auth.bind_dn and auth.password"),
        ({"account": f"cn=nobody,{PEOPLE}"}, "ldap.auth", "Check auth.bind_dn and auth.password"),
        ({"url": "ldaps://localhost:1"}, "ldap.unreachable", "is it up, and open from this host?"),
        ({"url": "ldaps://nowhere.invalid"}, "ldap.unreachable", "check the name and the resolver"),
        ({"url": "ldaps://ldap.corp.example"}, "ldap.unreachable", "ldap.corp.example is a placeholder: put the real address in its place"),
        ({"stream": {"base": f"ou=nowhere,{PEOPLE}"}}, "ldap.no-base", "the base does not exist, or is hidden from us"),
        ({"stream": {"field": "surnam"}}, "ldap.field", "did you mean 'surname'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_what_to_do_is_told(told, wrong, code, words):
    ran = told(**wrong)
    assert ran.code == 1
    assert f"PROBLEM   {code}:" in ran.out
    assert words in ran.out
    assert ran.out.splitlines()[-1].startswith("Next: ")
    assert wrong.get("password", "not-the-password") not in ran.out + ran.err


def test_a_certificate_for_another_name_or_of_a_stranger_is_told(told, openldap):  # noqa: F811
    other = f'ca_file = "{openldap.ca_file}", server_name = "hr.corp.example"'
    for tls, code, words in (
        (other, "net.tls.name", "is for other names (localhost"),
        ("", "net.tls.issuer", "tls.ca_file"),
    ):
        ran = told(tls=tls)
        assert ran.code == 1
        assert f"PROBLEM   {code}: The certificate of " in ran.out
        assert words in ran.out


def test_a_port_without_tls_is_told(told, openldap):  # noqa: F811
    ran = told(url=f"ldaps://localhost:{openldap.port}")
    assert ran.code == 1
    assert "is that its TLS port (636), or is it ldap:// with starttls?" in ran.out


def test_a_missing_base_leads_to_what_there_is(told):
    ran = told(stream={"base": f"ou=nowhere,{PEOPLE}"})
    assert (
        ran.out.splitlines()[-1]
        == "Next: moatbridge discover hr  # shows what there is"
    )
