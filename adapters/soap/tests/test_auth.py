"""Who we are: HTTP schemes, tokens, logins, addressing, signatures (soap 3.C)."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import ssl
from pathlib import Path

import pytest
import spnego
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from lxml import etree
from pydantic import SecretStr, ValidationError
from spnego.channel_bindings import GssChannelBindings

from moatbridge.adapter import TlsSettings
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge.testing import net
from moatbridge.testing.stage import intent
from moatbridge_soap import SoapAdapter, SoapConfig, SoapStreamConfig
from moatbridge_soap.auth._http import HttpDigest, best_challenge
from moatbridge_soap.auth._negotiate import HttpNegotiate, end_point
from moatbridge_soap.config.auth import DigestAuth, NegotiateAuth
from servers.soap_scripted import ScriptedSoap, Told, fault, one, page, stored
from servers.soap_world import adapter, orders, system
from servers.tls import Authority

SECRET = SecretStr("canary-password")
ORDER = {
    "orderNr": "PO-0001",
    "title": "t",
    "status": "draft",
    "requester": "a",
    "ordered": dt.date(2026, 3, 1),
    "currency": "EUR",
}
RELATES = '<w:RelatesTo xmlns:w="http://www.w3.org/2005/08/addressing">{}</w:RelatesTo>'


def client(peer, tmp_path, auth, stream=None, **more):
    config = system(peer.in_folder(tmp_path), auth=auth, **more)
    return adapter(config, {"orders": stream or orders()})


def scanned(made):
    with made:
        return [
            c
            for b in made.scan("orders", made.split("orders", 1)[0], None)
            for c in b.changes
        ]


def asked_with(tmp_path, auth, **more):
    with ScriptedSoap(lambda _: Told(200, page([]))) as peer:
        scanned(client(peer, tmp_path, auth, **more))
        return peer.asked[0]


# HTTP


def test_basic_and_bearer_send_one_header(tmp_path):
    basic = asked_with(
        tmp_path, {"kind": "basic", "username": "jörg", "password": SECRET}
    )
    expected = base64.b64encode("jörg:canary-password".encode()).decode()
    assert basic.headers["authorization"] == f"Basic {expected}"
    bearer = asked_with(tmp_path, {"kind": "bearer", "token": SECRET})
    assert bearer.headers["authorization"] == "Bearer canary-password"


@pytest.mark.parametrize("kind", ["basic", "wsse-text"])
def test_a_password_never_travels_unencrypted_by_default(kind):
    auth = {"kind": kind, "username": "u", "password": SECRET}
    with pytest.raises(ValidationError, match="not encrypted") as caught:
        SoapConfig(wsdl="x.wsdl", endpoint="http://erp.corp.example/ws", auth=auth)
    assert "canary" not in str(caught.value)


def test_only_one_http_scheme(tmp_path):
    auth = [
        {"kind": "basic", "username": "u", "password": SECRET},
        {"kind": "bearer", "token": SECRET},
    ]
    with (
        ScriptedSoap(lambda _: Told(200, page([]))) as peer,
        pytest.raises(ConfigurationError) as caught,
    ):
        client(peer, tmp_path, auth).open()
    assert caught.value.code == "soap.auth"


def test_a_line_break_in_a_secret_is_refused(tmp_path):
    with ScriptedSoap(lambda _: Told(200, page([]))) as peer:
        made = client(
            peer,
            tmp_path,
            {"kind": "bearer", "token": SecretStr("canary\r\nX-Evil: 1")},
        )
        with pytest.raises(ConfigurationError) as caught:
            scanned(made)
    assert caught.value.code == "soap.header"
    assert "canary" not in str(caught.value)


def test_digest_is_that_of_rfc_7616():
    """The example of RFC 7616 3.9.1, with its client nonce."""
    auth = HttpDigest(
        DigestAuth(
            kind="digest", username="Mufasa", password=SecretStr("Circle of Life")
        )
    )
    common = 'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    challenges = [
        f"Digest {common}, algorithm=MD5",
        f"Digest {common}, algorithm=SHA-256",
    ]
    assert best_challenge(challenges)["algorithm"] == "SHA-256"
    assert auth.challenged(challenges, None)
    header = auth.headers("GET", "/dir/index.html")["Authorization"]
    fields = dict(re.findall(r'(\w+)="?([^",]+)', header))

    def sha(text):
        return hashlib.sha256(text.encode()).hexdigest()

    first, second = (
        sha("Mufasa:http-auth@example.org:Circle of Life"),
        sha("GET:/dir/index.html"),
    )
    middle = f"{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth"
    assert fields["response"] == sha(f"{first}:{middle}:{second}")
    assert fields["nc"] == "00000001"
    assert not auth.challenged(challenges, None), "the same password is not tried twice"


def test_a_digest_challenge_is_answered_once(tmp_path):
    def script(asked):
        if "authorization" in asked.headers:
            return Told(200, stored())
        return Told(
            401,
            headers={"WWW-Authenticate": 'Digest realm="r", nonce="n1", qop="auth"'},
        )

    auth = {"kind": "digest", "username": "u", "password": SECRET}
    with ScriptedSoap(script) as peer:
        made = client(peer, tmp_path, auth)
        with made:
            receipts = made.write("orders", [intent("create", None, ORDER)] * 2)
    assert [r.outcome for r in receipts] == ["applied", "applied"]
    assert len(peer.asked) == 3
    assert "nc=00000002" in peer.asked[2].headers["authorization"]
    with (
        ScriptedSoap(
            lambda _: Told(
                401,
                headers={"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'},
            )
        ) as peer,
        pytest.raises(ConfigurationError) as caught,
    ):
        scanned(client(peer, tmp_path, auth))
    assert caught.value.code == "soap.auth"
    assert len(peer.asked) == 2


class NtlmPeer:
    """A service behind HTTP Negotiate; NTLM, because it needs no domain (RFC 4559).

    Args:
        binding: Channel binding that it demands; None for none.
    """

    def __init__(self, binding=None):
        self.binding, self.context, self.done = binding, None, False

    def __call__(self, asked):
        _, _, text = asked.headers.get("authorization", "").partition(" ")
        if self.done:
            return Told(200, page([]))
        if not text:
            return Told(401, headers={"WWW-Authenticate": "Negotiate"})
        if self.context is None:
            use = spnego.NegotiateOptions.use_negotiate
            self.context = spnego.server(protocol="negotiate", options=use)
        token = base64.b64decode(text)
        answer = self.context.step(token, channel_bindings=self.binding)
        if self.context.complete:
            self.done = True
            return Told(200, page([]))
        told = f"Negotiate {base64.b64encode(answer).decode()}"
        return Told(401, headers={"WWW-Authenticate": told})


NTLM = {
    "kind": "negotiate",
    "username": "DOM\\user",
    "password": SECRET,
    "allow_ntlm": True,
}


@pytest.fixture
def ntlm_users(tmp_path, monkeypatch):
    users = tmp_path / "users"
    users.write_text("DOM:user:canary-password\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))


@pytest.mark.usefixtures("ntlm_users")
def test_negotiate_is_a_handshake_on_one_connection(tmp_path):
    """Kerberos takes the same road (RFC 4559)."""
    script = NtlmPeer()
    with ScriptedSoap(script) as peer:
        assert scanned(client(peer, tmp_path, NTLM)) == []
        assert script.context.client_principal == "DOM\\user"
        assert peer.connections == 1


@pytest.mark.usefixtures("ntlm_users")
@pytest.mark.parametrize("digest", ["sha256", "sha384"])
def test_the_handshake_is_bound_to_the_certificate_as_its_signature_says(
    tmp_path, digest
):
    """The certificate's own hash function (RFC 5929 section 4.1)."""
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("erp", "IP:127.0.0.1", digest=digest)
    der = ssl.PEM_cert_to_DER_cert(Path(pair.cert).read_text())
    data = b"tls-server-end-point:" + hashlib.new(digest, der).digest()
    binding = GssChannelBindings(application_data=data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with ScriptedSoap(NtlmPeer(binding), context) as peer:
        made = client(peer, tmp_path, NTLM)
        trusted = TlsSettings(ca_file=authority.file)
        made.net = net(SoapAdapter.endpoints(made.config), tls=trusted)
        assert scanned(made) == []
    with ScriptedSoap(
        NtlmPeer(GssChannelBindings(application_data=b"x")), context
    ) as peer:
        made = client(peer, tmp_path, NTLM)
        made.net = net(SoapAdapter.endpoints(made.config), tls=trusted)
        with pytest.raises(MoatbridgeError):
            scanned(made)


def test_a_weak_hash_function_is_not_the_bindings(tmp_path):
    pair = Authority(tmp_path / "ca").issue("erp", "IP:127.0.0.1", digest="sha1")
    der = ssl.PEM_cert_to_DER_cert(Path(pair.cert).read_text())
    assert end_point(der) == hashlib.sha256(der).digest()


def test_a_signature_without_a_hash_function_defines_no_binding():
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "erp")])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(today)
        .not_valid_after(today + dt.timedelta(days=1))
        .sign(key, None)
    )
    assert end_point(certificate.public_bytes(Encoding.DER)) is None


class Established:
    """A handshake as spnego shows it, at the moment when the service says 200."""

    def __init__(self, protocol, *, complete):
        self.negotiated_protocol, self.complete = protocol, complete


@pytest.mark.parametrize(
    ("protocol", "complete", "allow_ntlm", "fine"),
    [
        ("kerberos", True, False, True),
        ("kerberos", False, False, False),
        ("kerberos", False, True, False),
        (None, False, True, False),
        ("ntlm", False, True, True),
        ("ntlm", False, False, False),
    ],
)
def test_kerberos_must_prove_the_server_also_where_ntlm_is_allowed(
    protocol, complete, allow_ntlm, fine
):
    auth = HttpNegotiate(NegotiateAuth(kind="negotiate", allow_ntlm=allow_ntlm), "erp")
    auth._context = Established(protocol, complete=complete)
    if fine:
        auth.accepted({})
        return
    with pytest.raises(ConfigurationError) as caught:
        auth.accepted({})
    assert caught.value.code == "soap.auth"


def test_kerberos_without_a_ticket_is_a_configuration_error(tmp_path):
    told = Told(401, headers={"WWW-Authenticate": "Negotiate"})
    with ScriptedSoap(lambda _: told) as peer:
        made = client(
            peer,
            tmp_path,
            {"kind": "negotiate", "username": "u@NOWHERE.EXAMPLE", "password": SECRET},
        )
        with pytest.raises(ConfigurationError) as caught:
            scanned(made)
    assert caught.value.code == "soap.auth"
    assert "canary" not in str(caught.value)


# Tokens


def test_a_digest_token_has_nonce_created_and_timestamp(tmp_path):
    auth = {
        "kind": "wsse-digest",
        "username": "u",
        "password": SECRET,
        "timestamp": True,
    }
    text = asked_with(tmp_path, auth).body
    root = etree.fromstring(text)
    nonce = base64.b64decode(root.findtext(".//{*}Nonce"))
    created = root.findtext(".//{*}UsernameToken/{*}Created")
    digest = base64.b64encode(
        hashlib.sha1(nonce + created.encode() + b"canary-password").digest()
    )
    assert root.findtext(".//{*}Password") == digest.decode()
    assert len(nonce) == 16
    assert created.endswith("Z")
    begins, ends = (
        dt.datetime.fromisoformat(root.findtext(f".//{{*}}Timestamp/{{*}}{n}"))
        for n in ("Created", "Expires")
    )
    assert ends - begins == dt.timedelta(minutes=5)
    assert b"canary" not in text


def test_a_text_token_is_fresh_in_each_message(tmp_path, erp_server):
    auth = {
        "kind": "wsse-text",
        "username": erp_server.username,
        "password": SecretStr(erp_server.password),
    }
    made = adapter(system(erp_server, auth=auth), {"orders": orders()})
    assert len(scanned(made)) >= 40


# Logins

LOGIN = {
    "kind": "login",
    "operation": "GetOrder",
    "request": {"orderNr": "{login.username}/{login.password}"},
    "token": "GetOrderResponse/order/title",
    "expired": [{"code": "Client.Session", "then": "session"}],
    "username": "u",
    "password": SECRET,
}


def login_peer(*, expire_after=None):
    state = {"logins": 0, "calls": 0}

    def script(asked):
        if b"GetOrder" in asked.body:
            state["logins"] += 1
            return Told(200, one(title=f"token-{state['logins']}"))
        state["calls"] += 1
        if expire_after is not None and state["calls"] == expire_after:
            return Told(500, fault("e:Client.Session"))
        return Told(200, page([]))

    return ScriptedSoap(script), state


@pytest.mark.parametrize(
    ("into", "seen"),
    [
        (
            {"header": "{urn:s}Session/id"},
            '<ns0:Session xmlns:ns0="urn:s"><ns0:id>token-1</ns0:id></ns0:Session>',
        ),
        ({"param": "cursor"}, "<ns0:cursor>token-1</ns0:cursor>"),
        ({"cookie": "JSESSIONID"}, "JSESSIONID=token-1"),
    ],
)
def test_the_login_token_goes_where_it_is_configured(tmp_path, into, seen):
    peer, _ = login_peer()
    listing = {
        "operation": "ListOrders",
        "items": "ListOrdersResponse/orders/order",
        "request": {"max": 5},
    }
    stream = SoapStreamConfig(key=["orderNr"], list=listing)
    with peer:
        scanned(client(peer, tmp_path, {**LOGIN, "into": into}, stream))
        first, second = peer.asked
    assert b"u/canary-password" in first.body
    assert seen in second.body.decode() + second.headers.get("cookie", "")
    assert b"canary" not in second.body


def test_an_expired_session_logs_in_again_at_the_next_call(tmp_path):
    """The adapter never loops: the core retries."""
    peer, state = login_peer(expire_after=1)
    with peer:
        made = client(
            peer, tmp_path, {**LOGIN, "into": {"header": "{urn:s}Session/id"}}
        )
        with made:
            with pytest.raises(NotApplied) as caught:
                list(made.scan("orders", made.split("orders", 1)[0], None))
            assert caught.value.code == "soap.session-expired"
            assert (state["logins"], state["calls"]) == (1, 1)
            list(made.scan("orders", made.split("orders", 1)[0], None))
        assert state["logins"] == 2
        assert b"token-2" in peer.asked[-1].body


def test_a_refused_login_is_a_configuration_error(tmp_path):
    with (
        ScriptedSoap(
            lambda _: Told(500, fault("e:Client", text="wrong password"))
        ) as peer,
        pytest.raises(ConfigurationError) as caught,
    ):
        client(peer, tmp_path, {**LOGIN, "into": {"cookie": "S"}}).open()
    assert caught.value.code == "soap.auth"
    assert "canary" not in str(caught.value)


def test_cookies_live_with_the_connection(tmp_path):
    """Host-only, never stored (soap 22)."""
    with ScriptedSoap(
        lambda _: Told(200, page([]), {"Set-Cookie": "S=1; Path=/; HttpOnly"})
    ) as peer:
        made = client(peer, tmp_path, {"kind": "none"})
        with made:
            for _ in range(2):
                list(made.scan("orders", made.split("orders", 1)[0], None))
        scanned(made)
    assert [asked.headers.get("cookie") for asked in peer.asked] == [None, "S=1", None]
