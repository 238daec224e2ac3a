"""Header blocks: addressing, static ones, signatures; and what is never logged."""

from __future__ import annotations

import datetime as dt

import pytest
from lxml import etree
from pydantic import SecretStr

from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError, NotApplied, Rejected
from moatbridge.testing.stage import intent
from moatbridge_soap.auth import message_id
from servers.soap_scripted import ScriptedSoap, Told, envelope, one, page, stored
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


BOUND = '<wsdl:binding name="Orders" type="tns:Orders">'
ANNOUNCED = {
    "an extension": (
        BOUND,
        f'{BOUND}<w:UsingAddressing xmlns:w="http://www.w3.org/2006/05/addressing/wsdl"/>',
    ),
    "a policy": (
        BOUND,
        (
            f'{BOUND}<p:Policy xmlns:p="http://www.w3.org/ns/ws-policy"><w:Addressing '
            'xmlns:w="http://www.w3.org/2007/05/addressing/metadata"/></p:Policy>'
        ),
    ),
    "an action": (
        '<wsdl:input message="tns:ListOrders"/>',
        (
            '<wsdl:input message="tns:ListOrders" wsaw:Action="urn:own-action" '
            'xmlns:wsaw="http://www.w3.org/2006/05/addressing/wsdl"/>'
        ),
    ),
}


@pytest.mark.parametrize("how", ANNOUNCED)
def test_addressing_follows_the_wsdl_unless_told_otherwise(tmp_path, how):
    """``auto``: an extension, a policy or an action asks for the headers (soap 28)."""
    before, after = ANNOUNCED[how]
    asked = {}
    with ScriptedSoap(lambda _: Told(200, page([]))) as peer:
        text = peer.in_folder(tmp_path).wsdl_file().read_text()
        assert text.count(before) == 1
        file = tmp_path / "announcing.wsdl"
        file.write_text(text.replace(before, after))
        for mode in ("auto", "off"):
            made = client(
                peer, tmp_path, {"kind": "none"}, wsdl=str(file), addressing=mode
            )
            scanned(made)
            asked[mode] = peer.asked[-1]
    own = (
        "urn:own-action"
        if how == "an action"
        else "urn:example:erp:orders:1#ListOrders"
    )
    header = etree.fromstring(asked["auto"].body).find("{*}Header")
    names = [etree.QName(block).localname for block in header]
    assert sorted(names) == ["Action", "MessageID", "ReplyTo", "To"]
    assert header_of(asked["auto"], "Action") == own
    bare = etree.fromstring(asked["off"].body).find("{*}Header")
    assert bare is None or len(bare) == 0


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
    with (
        ScriptedSoap(lambda _: Told(200, stored())) as peer,
        client(peer, tmp_path, {"kind": "none"}, stream) as made,
    ):
        made.write("orders", [once])
    assert peer.asked[0].headers["idempotency-key"] == once.key


def test_an_answer_that_relates_to_another_message_is_not_ours(tmp_path):
    wrong = page([]).replace(
        "<e:Body>", f"<e:Header>{RELATES.format('urn:uuid:other')}</e:Header><e:Body>"
    )
    with (
        ScriptedSoap(lambda _: Told(200, wrong)) as peer,
        pytest.raises(NotApplied) as caught,
    ):
        scanned(client(peer, tmp_path, {"kind": "none"}, addressing="on"))
    assert caught.value.code == "soap.other-answer"
    told = stored().replace(
        "<e:Body>", f"<e:Header>{RELATES.format('urn:uuid:other')}</e:Header><e:Body>"
    )
    with (
        ScriptedSoap(lambda _: Told(200, told)) as peer,
        client(peer, tmp_path, {"kind": "none"}, addressing="on") as made,
    ):
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
    with (
        ScriptedSoap(lambda _: Told(200)) as peer,
        pytest.raises(ConfigurationError, match="did you mean 'OrderFault'"),
    ):
        client(peer, tmp_path, {"kind": "none"}, soap_headers={"OrderFalt": "x"}).open()


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
    with (
        ScriptedSoap(lambda _: Told(200, one(7))) as peer,
        client(peer, tmp_path, {"kind": "none"}) as made,
        pytest.raises(NotApplied) as caught,
    ):
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
