"""HTTP: what a bad peer can and cannot do to us (soap 3.B and 6)."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time

import pytest

from moatbridge.adapter import TlsSettings
from moatbridge.config import DeadlineConfig
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied, Rejected
from moatbridge.testing import Fault, FaultProxy, net
from moatbridge.testing.network import core_session
from moatbridge.testing.stage import intent
from moatbridge_soap import SoapAdapter
from moatbridge_soap.http._cookies import Cookies
from servers.soap_scripted import ScriptedSoap, Told, fault, item, page, stored
from servers.soap_world import adapter, orders, system
from servers.tls import Authority

NONE = {"kind": "none"}


def client(peer, tmp_path, **more):
    config = system(peer.in_folder(tmp_path), **({"auth": NONE} | more))
    return adapter(config, {"orders": orders()})


def scan(made):
    return [
        c
        for b in made.scan("orders", made.split("orders", 1)[0], None)
        for c in b.changes
    ]


def failing(tmp_path, told, **more):
    with (
        ScriptedSoap(lambda _: told) as peer,
        client(peer, tmp_path, **more) as made,
        pytest.raises(MoatbridgeError) as caught,
    ):
        scan(made)
    return caught.value


READS = [
    (Told(500), NotApplied, "soap.server-fault"),
    (Told(502, "<html>", {"Content-Type": "text/html"}), NotApplied, "soap.server-fault"),
    (Told(503, headers={"Retry-After": "9"}), NotApplied, "soap.busy"),
    (Told(429, headers={"Retry-After": "9"}), NotApplied, "soap.busy"),
    (Told(404), ConfigurationError, "soap.endpoint"),
    (Told(401), ConfigurationError, "soap.auth"),
    (Told(403), ConfigurationError, "soap.auth"),
    (Told(407), ConfigurationError, "soap.auth"),
    (Told(400), Rejected, "soap.client-fault"),
    (Told(500, fault("e:Server")), NotApplied, "soap.server-fault"),
    (Told(500, fault("e:Client")), Rejected, "soap.client-fault"),
    (Told(200, fault("e:Client")), Rejected, "soap.client-fault"),
    (Told(500, fault("w:InvalidSecurity")), ConfigurationError, "soap.auth"),
    (Told(200, page([item(1)])[:-30]), NotApplied, "soap.truncated"),
    (Told(200, "hello"), NotApplied, "soap.not-soap"),
    (Told(200, stored()), NotApplied, "soap.not-soap"),
    (Told(200, "{}", {"Content-Type": "application/json"}), NotApplied, "soap.not-soap"),
    (Told(reset=True), NotApplied, "soap.truncated"),
    (Told(302, headers={"Location": "https://login.example/?t=1"}), ConfigurationError, "soap.redirect"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "kind", "code"), READS, ids=lambda v: str(v)[:50])
def test_what_a_read_may_meet(tmp_path, told, kind, code):
    error = failing(tmp_path, told)
    assert (type(error), error.code) == (kind, code)
    if "Retry-After" in told.headers:
        assert error.retry_after == 9.0


def test_an_html_login_page_is_named_by_its_title(tmp_path):
    html = (
        "<html><head><title>Single\n Sign-On \x1b[31m" + "x" * 300 + "</title></head>"
    )
    error = failing(tmp_path, Told(200, html, {"Content-Type": "text/html"}))
    assert error.code == "soap.not-soap"
    assert "Single Sign-On" in error.message
    assert "\x1b" not in error.message
    assert len(error.message) < 300


def test_remote_text_is_cut_and_marked(tmp_path):
    error = failing(
        tmp_path, Told(500, fault("e:Server", text="no\x09way &lt;x&gt; " + "y" * 500))
    )
    assert 'the service says: "' in error.message
    assert len(error.message) < 400


def test_a_gzip_bomb_ends_at_the_limit(tmp_path):
    body = gzip.compress(page([f"<pad>{'x' * 50_000_000}</pad>"]).encode())
    error = failing(tmp_path, Told(200, body, {"Content-Encoding": "gzip"}))
    assert isinstance(error, Rejected)
    assert error.code == "soap.too-large"


def test_gzip_is_asked_for_and_read(tmp_path):
    body = gzip.compress(page([item(1)]).encode())
    with (
        ScriptedSoap(lambda _: Told(200, body, {"Content-Encoding": "gzip"})) as peer,
        client(peer, tmp_path) as made,
    ):
        assert len(scan(made)) == 1
    assert peer.asked[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("coding", ["br", "gzip, gzip, gzip", "nonsense"])
def test_unknown_or_many_codings_are_refused(tmp_path, coding):
    error = failing(tmp_path, Told(200, page([]), {"Content-Encoding": coding}))
    assert error.code == "soap.not-soap"


def test_large_answers_and_heads_are_refused(tmp_path):
    error = failing(
        tmp_path, Told(200, page([item(n) for n in range(300)])), max_response=10_000
    )
    assert error.code == "soap.too-large"
    many = {f"X-{n}": "y" for n in range(150)}
    assert failing(tmp_path, Told(200, page([]), many)).code == "soap.too-large"
    fat = {f"X-{n}": "y" * 5000 for n in range(20)}
    assert failing(tmp_path, Told(200, page([]), fat)).code == "soap.too-large"


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", "utf-8"])
def test_the_charset_of_the_header_counts(tmp_path, charset):
    """Header, then declaration, then UTF-8; a byte order mark is accepted (soap 20)."""
    body = page([item(1, title="Müller")]).encode(charset)
    told = Told(200, body, {"Content-Type": f"text/xml; charset={charset}"})
    with ScriptedSoap(lambda _: told) as peer, client(peer, tmp_path) as made:
        assert scan(made)[0].data["title"] == "Müller"


def test_one_connection_for_many_calls(tmp_path):
    with (
        ScriptedSoap(lambda _: Told(200, page([]))) as peer,
        client(peer, tmp_path) as made,
    ):
        for _ in range(5):
            scan(made)
    assert (peer.connections, len(peer.asked)) == (1, 5)


def test_a_closed_idle_connection_is_replaced_before_a_write(tmp_path):
    """A stale keep-alive would turn the write into an unknown (soap 18)."""
    import datetime as dt

    order = {
        "title": "t",
        "status": "draft",
        "requester": "a",
        "ordered": dt.date(2026, 3, 1),
        "currency": "EUR",
    }
    answers = iter([Told(200, page([]), {"Connection": "close"}), Told(200, stored())])
    with (
        ScriptedSoap(lambda _: next(answers)) as peer,
        client(peer, tmp_path) as made,
    ):
        scan(made)
        assert (
            made.write("orders", [intent("create", None, order)])[0].outcome
            == "applied"
        )
    assert peer.connections == 2


def test_an_idle_connection_is_replaced_before_a_write_only(tmp_path):
    with (
        ScriptedSoap(lambda _: Told(200, page([]))) as peer,
        client(peer, tmp_path) as made,
    ):
        connection = made._connection.endpoint.connection
        connection._used_at -= 20
        connection.ready(write=False)
        assert connection.dialled == 1
        connection.ready(write=True)
        assert connection.dialled == 2


PHASES = {
    "black hole": Fault(blackhole=True),
    "stall in the head": Fault(stall_after=10),
    "stall in the body": Fault(stall_after=300),
    "drip in the head": Fault(drip=1, latency=0.2),
}


@pytest.mark.parametrize("name", PHASES)
def test_no_peer_holds_us_beyond_the_deadline(tmp_path, name):
    body = page([item(n) for n in range(50)])
    with (
        ScriptedSoap(lambda _: Told(200, body)) as peer,
        FaultProxy("127.0.0.1", peer.port) as proxy,
    ):
        config = system(peer.in_folder(tmp_path), endpoint=proxy.endpoint, auth=NONE)
        made = SoapAdapter(config, {"orders": orders()})
        with core_session(made, seconds=60) as session:
            session.open()
            session.deadlines = DeadlineConfig(call=0.5)
            proxy.fault = PHASES[name]
            made._connection.endpoint.connection.close()
            started = time.monotonic()
            part = session.split("orders", 1)[0]
            with pytest.raises(NotApplied) as caught:
                list(session.scan("orders", part))
            assert time.monotonic() - started < 0.5 + 5
            assert caught.value.code.endswith(".deadline")
            proxy.fault = Fault()


def test_an_answer_before_the_request_was_read(tmp_path):
    """A peer that answers at once and closes ends in a typed error."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.closing(listener.accept()[0]) as sock:
            sock.recv(1)
            sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with ScriptedSoap(lambda _: Told(200)) as peer:
        config = system(
            peer.in_folder(tmp_path), endpoint=listener.getsockname(), auth=NONE
        )
        made = adapter(config, {"orders": orders()})
        with made, pytest.raises(MoatbridgeError):
            scan(made)
    thread.join(30)
    listener.close()


def test_the_server_is_verified_by_name_and_authority(tmp_path):
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("good", "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with ScriptedSoap(lambda _: Told(200, page([item(1)])), context) as peer:
        made = client(peer, tmp_path)
        made.net = net(
            SoapAdapter.endpoints(made.config), tls=TlsSettings(ca_file=authority.file)
        )
        with made:
            assert len(scan(made)) == 1
            assert made.probe().limits["tls"].startswith("TLSv1")
        stranger = client(peer, tmp_path)
        with pytest.raises(ConfigurationError) as caught:
            stranger.open()
        assert caught.value.code.startswith("net.tls.")
    assert len(peer.asked) == 1


def test_plain_http_where_tls_is_expected(tmp_path):
    with ScriptedSoap(lambda _: Told(200)) as peer:
        config = system(peer.in_folder(tmp_path), auth=NONE)
        config = config.model_copy(
            update={"endpoint": peer.endpoint().replace("http", "https", 1)}
        )
        with pytest.raises(ConfigurationError) as caught:
            adapter(config, {}).open()
    assert caught.value.code.startswith("net.tls.")


def test_a_forward_proxy_is_dialled_instead(tmp_path):
    """An absolute target, and only the proxy's address in the egress list."""
    with ScriptedSoap(lambda _: Told(200, page([item(1)]))) as proxy:
        proxy.in_folder(tmp_path)
        config = system(proxy, auth=NONE, proxy=proxy.origin, insecure_cleartext=True)
        config = config.model_copy(update={"endpoint": "http://erp.corp.example/ws"})
        assert SoapAdapter.endpoints(config) == [("127.0.0.1", proxy.port)]
        with adapter(config, {"orders": orders()}) as made:
            assert len(scan(made)) == 1
        assert proxy.asked[0].path == "http://erp.corp.example/ws"
        assert proxy.asked[0].headers["host"] == "erp.corp.example"


def test_cookies_are_few_and_shown_nowhere():
    cookies = Cookies()
    cookies.learn(["a=1; Path=/", "b=2; Secure", "bad line", "c=3; Max-Age=0", "a=4"])
    assert cookies.header() == "a=4; b=2"
    assert "4" not in repr(cookies)
    cookies.learn([f"n{i}=x" for i in range(200)])
    assert cookies.header().count("=") <= 50
    cookies.learn(["a=; Max-Age=0"])
    assert "a=4" not in cookies.header()


@pytest.mark.parametrize(
    "token", ["abc,def==", "two words", "semi;colon", "line\nbreak"]
)
def test_a_token_that_a_cookie_cannot_carry_is_refused_not_cut(token):
    from moatbridge_soap.http._cookies import Cookies

    cookies = Cookies()
    with pytest.raises(ConfigurationError, match="does not fit"):
        cookies.set("SID", token)
    assert cookies.header() == ""
    cookies.set("SID", "abc+def==")
    assert cookies.header() == "SID=abc+def=="
