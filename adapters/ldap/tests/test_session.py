"""Session set-up on a real slapd, and against servers that misbehave."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_ldap import LdapAdapter, LdapConfig
from moatbridge_ldap import testing as fake
from servers.openldap import ADMIN, APP, PASSWORDS, PEOPLE, SYNC

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.openldap import OpenLdap

SIMPLE = {"kind": "simple", "bind_dn": SYNC, "password": SecretStr(PASSWORDS[SYNC])}


@pytest.mark.parametrize("how", ["url", "tls_url", "socket_url"])
def test_starttls_ldaps_and_ldapi_open_a_protected_session(lab: Any, how: str) -> None:
    adapter = lab.open(PEOPLE, urls=[getattr(lab.server, how)])
    found = adapter.probe()
    assert found.account == SYNC
    assert found.product == "OpenLDAP"
    assert not any("not encrypted" in warning for warning in found.warnings)


def test_the_client_certificate_is_the_identity(lab: Any) -> None:
    home = lab.server.home
    tls = {
        "ca_file": lab.server.ca_file,
        "client_cert": str(home / "client.crt"),
        "client_key": str(home / "client.key"),
    }
    adapter = lab.open(
        PEOPLE, urls=[lab.server.tls_url], auth={"kind": "external"}, tls=tls
    )
    assert adapter.probe().account == SYNC


def test_the_first_url_that_answers_is_used(lab: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"ldap://127.0.0.1:{unused.getsockname()[1]}"
        adapter = lab.open(PEOPLE, urls=[dead, lab.server.url])
        assert adapter.probe().account == SYNC
        with pytest.raises(NotApplied) as caught:
            lab.open(PEOPLE, urls=[dead, dead])
    assert caught.value.code == "ldap.unreachable"
    assert caught.value.message.count(dead) == 2


def test_cleartext_bind_is_refused_before_any_password_byte(lab: Any) -> None:
    with fake.FakeDirectory(lambda request: [], raw=True) as server:
        with pytest.raises(ConfigurationError) as caught:
            lab.open("dc=fake", urls=[server.url], starttls="off")
        assert caught.value.code == "ldap.cleartext"
        assert server.requests == []


def test_an_administrators_account_is_warned_about(lab: Any) -> None:
    assert any("administrator" in w for w in lab.open(PEOPLE, ADMIN).probe().warnings)
    anonymous = lab.open(PEOPLE, auth={"kind": "anonymous"})
    assert any("anonymously" in w for w in anonymous.probe().warnings)


def test_cleartext_is_possible_only_by_name_and_is_warned_about(lab: Any) -> None:
    adapter = lab.open(PEOPLE, starttls="off", insecure_cleartext=True)
    assert any("not encrypted" in warning for warning in adapter.probe().warnings)


def test_starttls_stripped_is_an_error_never_a_fallback(lab: Any) -> None:
    def refuse(request: fake.Request) -> list[bytes]:
        assert request.kind == "extendedReq", "nothing but StartTLS may be sent"
        return [fake.done(request, 2)]

    odd = fake.FakeDirectory(refuse, raw=True)
    with odd as server, pytest.raises(ConfigurationError) as caught:
        lab.open("dc=fake", urls=[server.url])
    assert caught.value.code == "net.tls.starttls"


def test_bytes_smuggled_in_before_tls_are_an_error(lab: Any) -> None:
    def smuggle(request: fake.Request) -> list[bytes]:
        extra = fake.Request(9, "searchRequest", None, {})
        return [fake.done(request) + fake.done(extra)]

    odd = fake.FakeDirectory(smuggle, raw=True)
    with odd as server, pytest.raises(ConfigurationError) as caught:
        lab.open("dc=fake", urls=[server.url])
    assert caught.value.code == "net.tls.starttls"


@pytest.mark.parametrize("who", [SYNC, ADMIN])
def test_bad_credentials_are_configuration_errors_and_tried_once(
    lab: Any, who: str
) -> None:
    auth = {"kind": "simple", "bind_dn": who, "password": SecretStr("wrong-password")}
    with pytest.raises(ConfigurationError) as caught:
        lab.open(PEOPLE, auth=auth)
    assert caught.value.code == "ldap.auth"
    assert "wrong-password" not in str(caught.value)


@pytest.mark.parametrize(("code", "text", "words"), [
    (49, "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 775, v1db1", "account locked"),
    (49, "80090308: LdapErr, data 52e, v1", "bad credentials"),
    (53, "unauthenticated bind (DN with no password) disallowed", ""),
    (48, "personal value", ""),
])  # fmt: skip
def test_refused_binds_are_explained_by_safe_words_only(
    lab: Any, code: int, text: str, words: str
) -> None:
    with fake.FakeDirectory(
        lambda request: [fake.done(request, code, text=text)], raw=True
    ) as server:
        with pytest.raises(ConfigurationError) as caught:
            lab.fake(server.url)
        assert len(server.requests) == 1
    assert caught.value.code == "ldap.auth"
    assert words in str(caught.value)
    assert text not in str(caught.value)


def test_a_busy_server_at_bind_may_be_tried_again(lab: Any) -> None:
    with (
        fake.FakeDirectory(
            lambda request: [fake.done(request, 51)], raw=True
        ) as server,
        pytest.raises(NotApplied) as caught,
    ):
        lab.fake(server.url)
    assert caught.value.code == "ldap.unreachable"


def test_an_empty_password_is_refused_before_any_byte(lab: Any) -> None:
    with fake.FakeDirectory(lambda request: [], raw=True) as server:
        auth = {"kind": "simple", "bind_dn": SYNC, "password": SecretStr("")}
        with pytest.raises(ConfigurationError) as caught:
            lab.fake(server.url, auth=auth)
        assert caught.value.code == "secret.empty"
        assert [r.kind for r in server.requests] == []


@pytest.mark.parametrize("settings", [
    {"urls": []}, {"urls": ["http://x"]}, {"urls": ["ldap://user@x"]}, {"urls": ["ldap://x/dc=y"]},
    {"urls": ["ldap://x"], "auth": {"kind": "simple"}}, {"urls": ["ldap://x"], "auth": {"kind": "simple", "bind_dn": "cn=a"}},
    {"urls": ["ldap://x"], "auth": {"kind": "anonymous", "bind_dn": "cn=a", "password": SecretStr("secret")}},
    {"urls": ["ldap://x"]}, {"urls": ["ldap://x"], "auth": SIMPLE, "tls": {"verify": False}},
])  # fmt: skip
def test_settings_that_cannot_work_are_refused_at_load(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError) as caught:
        LdapConfig(**settings)
    assert "sync-secret" not in str(caught.value)


def test_endpoints_are_the_urls() -> None:
    config = LdapConfig(
        urls=("ldaps://a", "ldap://B:1389", "ldapi:///run/x"), auth=SIMPLE
    )
    assert LdapAdapter.endpoints(config) == [("a", 636), ("b", 1389)]


class _Tls:
    """A TLS listener with one certificate."""

    def __init__(self, cert: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.read = b""
        self._context = context
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
            with client, self._context.wrap_socket(client, server_side=True) as tls:
                self.read = tls.recv(1000)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.close()
        self._thread.join(10)


def _certificate(
    home: Path, name: str, *options: str, ext: str, ca: str | None = "ca"
) -> None:
    def run(*arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=home, check=True, capture_output=True
        )

    (home / f"{name}.ext").write_text(ext)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("req", *key, "-subj", "/CN=x", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    signer = (
        ("-signkey", f"{name}.key")
        if ca is None
        else ("-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial")
    )
    run(
        "x509",
        "-req",
        "-in",
        f"{name}.csr",
        *signer,
        "-extfile",
        f"{name}.ext",
        "-out",
        f"{name}.crt",
        *(options or ("-days", "2")),
    )


@pytest.fixture(scope="module")
def bad(openldap: OpenLdap) -> Iterator[Path]:
    home = openldap.home
    right = "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
    _certificate(home, "expired", "-days", "-1", ext=right)
    _certificate(home, "othername", ext="subjectAltName=DNS:other.example\n")
    _certificate(home, "noname", ext="basicConstraints=CA:FALSE\n")
    _certificate(home, "onlydns", ext="subjectAltName=DNS:127.0.0.1.example\n")
    _certificate(home, "selfsigned", ext=right, ca=None)
    _certificate(home, "clientonly", ext=right + "extendedKeyUsage=clientAuth\n")
    _certificate(home, "stranger-ca", ext="basicConstraints=CA:TRUE\n", ca=None)
    _certificate(home, "stranger", ext=right, ca="stranger-ca")
    return home


@pytest.mark.parametrize(
    "which",
    [
        "expired",
        "othername",
        "noname",
        "onlydns",
        "selfsigned",
        "clientonly",
        "stranger",
    ],
)
def test_a_bad_certificate_ends_the_session_before_the_bind(
    lab: Any, bad: Path, which: str
) -> None:
    server = _Tls(bad / f"{which}.crt", bad / f"{which}.key")
    try:
        with pytest.raises(ConfigurationError) as caught:
            lab.open(PEOPLE, urls=[f"ldaps://127.0.0.1:{server.port}"])
    finally:
        server.close()
    assert caught.value.code.startswith("net.tls.")
    assert server.read == b""


def test_an_authority_that_is_not_ours_is_not_trusted(lab: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        lab.open(PEOPLE, urls=[lab.server.tls_url], tls={})
    assert caught.value.code.startswith("net.tls.")


def test_a_notice_of_disconnection_leaves_requests_unanswered(lab: Any) -> None:
    def notice(request: fake.Request) -> list[bytes]:
        asked = fake.Request(0, "extendedReq", None, {})
        return [_notice(asked)]

    with fake.FakeDirectory(notice) as server:
        adapter = lab.fake(server.url)
        with pytest.raises(NotApplied) as caught:
            lab.scan(adapter)
        assert caught.value.code == "ldap.lost"
        with pytest.raises(NotApplied):
            lab.scan(adapter)


def _notice(request: fake.Request) -> bytes:
    from ldap3.protocol import rfc4511

    made = rfc4511.ExtendedResponse()
    made["resultCode"] = 52
    made["matchedDN"] = ""
    made["diagnosticMessage"] = ""
    made["responseName"] = "1.3.6.1.4.1.1466.20036"
    return fake.message(0, "extendedResp", made)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x30\x80\x00\x00",
        b"GET / HTTP/1.1\r\n",
        b"\x30\x84\x7f\xff\xff\xff",
        b"\x30\x05\x02\x01\x63\x65\x00",
        b"\x30\x03\x02\x01\x01",
    ],
    ids=["indefinite", "http", "huge", "foreign-id", "no-operation"],
)
def test_garbage_closes_the_session_with_a_typed_error(lab: Any, answer: bytes) -> None:
    with fake.FakeDirectory(lambda request: [answer]) as server:
        adapter = lab.fake(server.url)
        with pytest.raises(NotApplied) as caught:
            lab.scan(adapter)
        assert caught.value.code == "ldap.protocol"
        assert adapter._session.channel.closed


def test_the_password_is_nowhere(lab: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    adapter = lab.open(PEOPLE, APP)
    list(adapter.scan("people", *_all()))
    shown = [
        repr(adapter),
        repr(adapter.config),
        repr(vars(adapter)),
        caplog.text,
        repr(adapter._session),
    ]
    assert not any(PASSWORDS[APP] in text for text in shown)


def _all() -> tuple[Any, None]:
    from moatbridge.adapter import Partition

    return Partition(), None
