"""Who we are: HTTP schemes, tokens, logins, addressing, signatures (soap 3.C)."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re

import pytest
from lxml import etree
from pydantic import SecretStr, ValidationError

from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError, NotApplied, Rejected
from moatbridge.testing.stage import intent
from moatbridge_soap import SoapConfig, SoapStreamConfig
from moatbridge_soap.auth import message_id
from moatbridge_soap.auth._http import HttpDigest, best_challenge
from moatbridge_soap.config.auth import DigestAuth
from servers.soap_scripted import ScriptedSoap, Told, envelope, fault, one, page, stored
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
    with ScriptedSoap(lambda _: Told(200, page([]))) as peer:
        with pytest.raises(ConfigurationError) as caught:
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
    sha = lambda text: hashlib.sha256(text.encode()).hexdigest()
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
    with ScriptedSoap(
        lambda _: Told(
            401, headers={"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}
        )
    ) as peer, pytest.raises(ConfigurationError) as caught:
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
        scheme, _, text = asked.headers.get("authorization", "").partition(" ")
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
    with ScriptedSoap(
        lambda _: Told(500, fault("e:Client", text="wrong password"))
    ) as peer, pytest.raises(ConfigurationError) as caught:
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


# Addressing


def header_of(asked, name):
    return etree.fromstring(asked.body).findtext(f"{{*}}Header/{{*}}{name}")


def test_addressing_sends_action_id_to_and_reply_to(tmp_path):
    asked = asked_with(tmp_path, {"kind": "none"}, addressing="on")
    assert header_of(asked, "Action") == "urn:example:erp:orders:1#ListOrders"
    assert header_of(asked, "MessageID").startswith("urn:uuid:")
    assert header_of(asked, "To").endswith("/erp")
    assert header_of(asked, "ReplyTo/{*}Address").endswith("/anonymous")
    assert header_of(asked_with(tmp_path, {"kind": "none"}), "MessageID") is None


def test_our_key_as_message_id_is_the_same_on_every_attempt(tmp_path):
    stream = orders(
        create={
            "operation": "CreateOrder",
            "request": {"order": "{record}"},
            "idempotency": {"header": "wsa:MessageID"},
        }
    )
    again = intent("create", None, ORDER)
    with ScriptedSoap(lambda _: Told(500)) as peer:
        for _ in range(2):
            with client(peer, tmp_path, {"kind": "none"}, stream) as made:
                assert made.write("orders", [again])[0].outcome == "unknown"
        assert (
            made.stream_configs["orders"].create.idempotency.header == "wsa:MessageID"
        )
    ids = [header_of(asked, "MessageID") for asked in peer.asked]
    assert ids == [message_id(again.key)] * 2


def test_our_key_as_an_http_header(tmp_path):
    stream = orders(
        create={
            "operation": "CreateOrder",
            "request": {"order": "{record}"},
            "idempotency": {"header": "Idempotency-Key", "key_ttl": "1h"},
        }
    )
    once = intent("create", None, ORDER)
    with ScriptedSoap(lambda _: Told(200, stored())) as peer:
        with client(peer, tmp_path, {"kind": "none"}, stream) as made:
            made.write("orders", [once])
    assert peer.asked[0].headers["idempotency-key"] == once.key


def test_an_answer_that_relates_to_another_message_is_not_ours(tmp_path):
    wrong = page([]).replace(
        "<e:Body>", f"<e:Header>{RELATES.format('urn:uuid:other')}</e:Header><e:Body>"
    )
    with ScriptedSoap(lambda _: Told(200, wrong)) as peer:
        with pytest.raises(NotApplied) as caught:
            scanned(client(peer, tmp_path, {"kind": "none"}, addressing="on"))
    assert caught.value.code == "soap.other-answer"
    told = stored().replace(
        "<e:Body>", f"<e:Header>{RELATES.format('urn:uuid:other')}</e:Header><e:Body>"
    )
    with ScriptedSoap(lambda _: Told(200, told)) as peer:
        with client(peer, tmp_path, {"kind": "none"}, addressing="on") as made:
            receipt = made.write("orders", [intent("create", None, ORDER)])[0]
    assert (receipt.outcome, receipt.code) == ("unknown", "soap.other-answer")


def test_an_answer_that_relates_to_ours_is_read(tmp_path):
    def script(asked):
        mine = header_of(asked, "MessageID")
        return Told(
            200,
            page([]).replace(
                "<e:Body>", f"<e:Header>{RELATES.format(mine)}</e:Header><e:Body>"
            ),
        )

    with ScriptedSoap(script) as peer:
        assert scanned(client(peer, tmp_path, {"kind": "none"}, addressing="on")) == []


# Header blocks


def test_static_header_blocks(tmp_path):
    blocks = {"{urn:tenant}Tenant": {"id": "T1", "@version": 2, "flags": [True, False]}}
    asked = asked_with(tmp_path, {"kind": "none"}, soap_headers=blocks)
    found = etree.fromstring(asked.body).find("{*}Header/{urn:tenant}Tenant")
    assert found.get("version") == "2"
    assert [child.text for child in found] == ["T1", "true", "false"]


def test_a_static_header_is_checked_against_the_wsdl(tmp_path):
    with ScriptedSoap(lambda _: Told(200)) as peer:
        with pytest.raises(ConfigurationError, match="did you mean 'OrderFault'"):
            client(
                peer, tmp_path, {"kind": "none"}, soap_headers={"OrderFalt": "x"}
            ).open()


# Signatures


def pair(folder, name):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    cert = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / f"{name}.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return (folder / f"{name}.pem").read_bytes(), (folder / f"{name}.key").read_bytes()


def test_requests_are_signed_and_answers_verified(tmp_path):
    from moatbridge_soap.signing import Signer, Trust, sign, verify

    ours, theirs = pair(tmp_path, "ours"), pair(tmp_path, "theirs")
    answers = iter(["signed", "unsigned", "foreign"])

    def script(asked):
        verify(etree.fromstring(asked.body), Trust.load(certificates=ours[0]))
        root = etree.fromstring(page([]))
        which = next(answers)
        if which != "unsigned":
            sign(root, Signer.load(*(theirs if which == "signed" else ours)))
        return Told(200, etree.tostring(root))

    auth = {
        "kind": "wsse-x509", "cert": str(tmp_path / "ours.pem"), "key": str(tmp_path / "ours.key"),
        "verify": True, "server_cert": str(tmp_path / "theirs.pem"), "sign": ["token", "addressing"],
    }  # fmt: skip
    with ScriptedSoap(script) as peer:
        made = client(peer, tmp_path, auth, addressing="on")
        assert scanned(made) == []
        for _ in range(2):
            with pytest.raises(Rejected) as caught:
                scanned(made)
            assert caught.value.code == "soap.signature"


def test_fetch_does_not_believe_an_answer_about_another_record(tmp_path):
    with ScriptedSoap(lambda _: Told(200, one(7))) as peer:
        with client(peer, tmp_path, {"kind": "none"}) as made:
            with pytest.raises(NotApplied) as caught:
                made.fetch("orders", [Ref("PO-0001")])
    assert caught.value.code == "soap.other-answer"


def test_envelopes_are_never_logged(tmp_path, caplog):
    """Not even at DEBUG, where zeep prints the password (soap 76)."""
    caplog.set_level("DEBUG")
    for name in ("zeep", "zeep.transports", "urllib3"):
        caplog.set_level("DEBUG", logger=name)
    asked_with(tmp_path, {"kind": "wsse-text", "username": "u", "password": SECRET})
    assert "canary" not in caplog.text
    assert "<" not in caplog.text
    assert any("ListOrders: HTTP 200" in message for message in caplog.messages)


def test_soap_action_and_content_type(tmp_path, erp_server):
    """Quoted for SOAP 1.1, a parameter of the type for 1.2 (soap 19)."""
    first = asked_with(tmp_path, {"kind": "none"})
    assert first.headers["soapaction"] == '"urn:example:erp:orders:1#ListOrders"'
    assert first.headers["content-type"] == "text/xml; charset=utf-8"
    assert "transfer-encoding" not in first.headers
    version = "http://www.w3.org/2003/05/soap-envelope"
    with ScriptedSoap(
        lambda _: Told(
            200, page([]).replace("http://schemas.xmlsoap.org/soap/envelope/", version)
        )
    ) as peer:
        config = system(peer.in_folder(tmp_path), "erp12", auth={"kind": "none"})
        scanned(adapter(config, {"orders": orders("erp12")}))
        headers = peer.asked[0].headers
    assert headers["content-type"].startswith("application/soap+xml")
    assert 'action="urn:example:erp:orders:1#ListOrders"' in headers["content-type"]


def test_an_envelope_is_not_an_answer_to_nobody():
    assert "Body" in envelope("")
