"""Who we are: HTTP schemes, tokens, logins, addressing, signatures (soap 3.C)."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re

import pytest
from lxml import etree
from pydantic import SecretStr, ValidationError

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.testing.stage import intent
from moatbridge_soap import SoapConfig, SoapStreamConfig
from moatbridge_soap.auth._http import HttpDigest, best_challenge
from moatbridge_soap.config.auth import DigestAuth
from servers.soap_scripted import ScriptedSoap, Told, fault, one, page, stored
from servers.soap_world import adapter, orders, system

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


def test_negotiate_is_a_handshake_on_one_connection(tmp_path, monkeypatch):
    """NTLM, because it needs no domain; Kerberos takes the same road (RFC 4559)."""
    import spnego

    users = tmp_path / "users"
    users.write_text("DOM:user:canary-password\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    state = {}

    def script(asked):
        _, _, text = asked.headers.get("authorization", "").partition(" ")
        if not text and not state.get("done"):
            return Told(401, headers={"WWW-Authenticate": "Negotiate"})
        if text:
            state.setdefault(
                "server",
                spnego.server(
                    protocol="negotiate", options=spnego.NegotiateOptions.use_negotiate
                ),
            )
            token = state["server"].step(base64.b64decode(text))
            if not state["server"].complete:
                return Told(
                    401,
                    headers={
                        "WWW-Authenticate": "Negotiate "
                        + base64.b64encode(token).decode()
                    },
                )
            state["done"] = True
        return Told(200, page([]))

    auth = {
        "kind": "negotiate",
        "username": "DOM\\user",
        "password": SECRET,
        "allow_ntlm": True,
    }
    with ScriptedSoap(script) as peer:
        assert scanned(client(peer, tmp_path, auth)) == []
        assert state["server"].client_principal == "DOM\\user"
        assert peer.connections == 1


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
