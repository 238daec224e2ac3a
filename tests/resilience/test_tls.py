# ruff: noqa: SIM117 - the server must outlive what talks to it, visibly
from __future__ import annotations

import datetime as dt
import os
import select
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import TlsSettings
from moatbridge.errors import ConfigurationError
from moatbridge.resilience import certificate
from moatbridge.resilience.tls import make_context
from resilience.toy import toy_net
from servers.tls import Authority, Pair, tls_server

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = "DNS:localhost,DNS:dir.example,IP:127.0.0.1"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def good(ca: Authority) -> Pair:
    return ca.issue("good", NAMES)


@pytest.fixture(scope="module")
def good_port(good: Pair) -> Iterator[int]:
    with tls_server(good) as port:
        yield port


def facts(pair: Pair) -> certificate.Certificate:
    return certificate.read(ssl.PEM_cert_to_DER_cert(Path(pair.cert).read_text()))


def shake(port: int, settings: TlsSettings, host: str = "127.0.0.1") -> str:
    """Connect as an adapter does, and say something; the TLS version."""
    net = toy_net(port, tls=settings)
    raw = net.connect("127.0.0.1", port, why="config")
    try:
        with net.tls_context().wrap_socket(raw, server_hostname=host) as sock:
            net.tls_check(sock, host)
            sock.sendall(b"hello")
            assert sock.recv(5) == b"hello"
            return sock.version()
    finally:
        raw.close()
        net.release()


def refused(
    port: int, settings: TlsSettings, host: str = "127.0.0.1"
) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        shake(port, settings, host)
    return caught.value


def test_good_certificate_is_accepted_18(ca: Authority, good_port: int) -> None:
    assert shake(good_port, TlsSettings(ca_file=ca.file)) == "TLSv1.3"
    assert shake(good_port, TlsSettings(ca_file=ca.file), "dir.example") == "TLSv1.3"


def test_server_name_replaces_the_host(ca: Authority, good_port: int) -> None:
    settings = TlsSettings(ca_file=ca.file, server_name="dir.example")
    assert shake(good_port, settings, "10.9.8.7") == "TLSv1.3"


def test_without_ca_file_the_system_store_decides_18(good_port: int) -> None:
    assert refused(good_port, TlsSettings()).code == "net.tls.issuer"


def test_wrong_issuer_is_told_21(good_port: int, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "Other CA")
    error = refused(good_port, TlsSettings(ca_file=other.file))
    assert error.code == "net.tls.issuer"
    assert "tls.ca_file" in str(error)


def test_expired_is_told_with_both_clocks_21(ca: Authority) -> None:
    pair = ca.issue("expired", NAMES, start=-9, end=-2)
    with tls_server(pair) as port:
        error = refused(port, TlsSettings(ca_file=ca.file))
    assert error.code == "net.tls.expired"
    assert f"{facts(pair).not_after:%Y-%m-%d}" in str(error)
    assert f"{dt.datetime.now(dt.UTC):%Y-%m-}" in str(error)


def test_not_yet_valid_is_told_21(ca: Authority) -> None:
    with tls_server(ca.issue("future", NAMES, start=2, end=9)) as port:
        error = refused(port, TlsSettings(ca_file=ca.file))
    assert error.code == "net.tls.not-yet-valid"
    assert "our clock" in str(error)


def test_wrong_name_is_told_with_its_names_21(ca: Authority, good_port: int) -> None:
    error = refused(good_port, TlsSettings(ca_file=ca.file), "evil.example")
    assert error.code == "net.tls.name"
    assert "dir.example" in str(error)


def test_common_name_alone_is_no_name(ca: Authority) -> None:
    with tls_server(ca.issue("cn-only", "")) as port:
        error = refused(port, TlsSettings(ca_file=ca.file), "localhost")
    assert error.code == "net.tls.name"


def test_self_signed_is_told_with_its_fingerprint_21(ca: Authority) -> None:
    pair = ca.self_signed("lonely", NAMES)
    with tls_server(pair) as port:
        error = refused(port, TlsSettings(ca_file=ca.file))
    assert error.code == "net.tls.self-signed"
    assert facts(pair).spki in str(error)


def test_old_authority_needs_strict_x509_false_20(tmp_path: Path) -> None:
    old = Authority(tmp_path / "old", "Old CA", key_usage=False)
    with tls_server(old.issue("leaf", NAMES)) as port:
        error = refused(port, TlsSettings(ca_file=old.file))
        assert error.code == "net.tls.strict"
        assert "strict_x509 = false" in str(error)
        lax = TlsSettings(ca_file=old.file, strict_x509=False)
        assert shake(port, lax)
        assert refused(port, lax, "evil.example").code == "net.tls.name"


def test_old_protocol_is_refused_18(ca: Authority, good: Pair) -> None:
    settings = TlsSettings(ca_file=ca.file, min="1.3")
    with tls_server(good, highest=ssl.TLSVersion.TLSv1_2) as port:
        assert refused(port, settings).code == "net.tls.protocol"
        assert shake(port, TlsSettings(ca_file=ca.file)) == "TLSv1.2"


def test_client_certificate_required_is_told_21(ca: Authority, good: Pair) -> None:
    with tls_server(good, client_ca=ca.file) as port:
        error = refused(port, TlsSettings(ca_file=ca.file))
        assert error.code == "net.tls.client-cert"
        mine = ca.issue("client", "", client=True)
        settings = TlsSettings(
            ca_file=ca.file, client_cert=mine.cert, client_key=mine.key
        )
        assert shake(port, settings)


@pytest.mark.parametrize("kind", ["spki-sha256", "cert-sha256"])
def test_pin_and_chain_must_both_hold_19(
    ca: Authority, good: Pair, good_port: int, kind: str
) -> None:
    seen = facts(good)
    right = f"{kind}:{seen.spki if kind.startswith('spki') else seen.digest}"
    wrong = f"{kind}:{'0' * 64}"
    assert shake(good_port, TlsSettings(ca_file=ca.file, pin=(right,)))
    assert shake(good_port, TlsSettings(ca_file=ca.file, pin=(wrong, right)))
    error = refused(good_port, TlsSettings(ca_file=ca.file, pin=(wrong,)))
    assert error.code == "net.tls.pin"
    assert seen.spki in str(error)
    assert "0" * 64 in str(error)
    assert refused(good_port, TlsSettings(pin=(right,))).code == "net.tls.issuer"


def test_pin_only_replaces_chain_and_name_and_nothing_else_19(ca: Authority) -> None:
    pair = ca.self_signed("pinned", "DNS:other.example")
    right = f"spki-sha256:{facts(pair).spki}"
    with tls_server(pair) as port:
        assert shake(port, TlsSettings(pin=(right,), pin_only=True))
        wrong = TlsSettings(pin=("spki-sha256:" + "1" * 64,), pin_only=True)
        assert refused(port, wrong).code == "net.tls.pin"


def test_pins_hold_even_if_the_driver_never_checks_them(
    ca: Authority, good_port: int
) -> None:
    settings = TlsSettings(ca_file=ca.file, pin=("cert-sha256:" + "2" * 64,))
    net = toy_net(good_port, tls=settings)
    raw = net.connect("127.0.0.1", good_port, why="config")
    with pytest.raises(ConfigurationError) as caught:
        net.tls_context().wrap_socket(raw, server_hostname="127.0.0.1")
    assert caught.value.code == "net.tls.pin"
    raw.close()
    net.release()


def test_a_handshake_without_blocking_is_left_alone(
    ca: Authority, good_port: int
) -> None:
    net = toy_net(good_port, tls=TlsSettings(ca_file=ca.file))
    raw = net.connect("127.0.0.1", good_port, why="config")
    raw.settimeout(0)
    with net.tls_context().wrap_socket(
        raw, server_hostname="127.0.0.1", do_handshake_on_connect=False
    ) as sock:
        while True:
            try:
                sock.do_handshake()
                break
            except ssl.SSLWantReadError:
                select.select([sock], [], [], 5)
        assert sock.version() == "TLSv1.3"
    net.release()


def pump(tls: ssl.SSLObject, incoming, outgoing, raw: socket.socket) -> None:
    """Carry a handshake between memory and a socket until it ends."""
    while True:
        try:
            return tls.do_handshake()
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            incoming.write(raw.recv(16384))


def test_pins_hold_for_in_memory_tls_too(ca: Authority, good_port: int) -> None:
    context = make_context(
        TlsSettings(ca_file=ca.file, pin=("cert-sha256:" + "2" * 64,))
    )
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", good_port)) as raw:
        with pytest.raises(ConfigurationError) as caught:
            pump(tls, incoming, outgoing, raw)
    assert caught.value.code == "net.tls.pin"


def test_pin_only_without_pin_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_context(TlsSettings(pin_only=True))
    assert caught.value.code == "net.tls.settings"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (TlsSettings(ca_file="/nowhere.pem"), "net.tls.ca"),
        (TlsSettings(client_cert="/nowhere.pem"), "net.tls.client-cert"),
    ],
)
def test_unreadable_files_are_told(settings: TlsSettings, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        toy_net(1, tls=settings).tls_context()
    assert caught.value.code == code
    assert caught.value.system == "hr"


def test_there_is_no_key_log_23(
    ca: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(os.environ, "SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = make_context(TlsSettings(ca_file=ca.file))
    assert context.keylog_filename is None
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_certificate_facts_agree_with_python(good: Pair) -> None:
    theirs = ssl._ssl._test_decode_cert(good.cert)  # the only decoder in the library
    ours = facts(good)
    assert set(ours.names) == {value for _, value in theirs["subjectAltName"]}
    until = ssl.cert_time_to_seconds(theirs["notAfter"])
    assert ours.not_after.timestamp() == until


@given(st.binary(max_size=300))
def test_certificate_reader_refuses_noise(noise: bytes) -> None:
    with pytest.raises(ValueError):
        certificate.read(noise)


@given(data=st.data())
def test_certificate_reader_survives_damage(good: Pair, data: st.DataObject) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(Path(good.cert).read_text()))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        certificate.read(bytes(der))
    except ValueError:
        return
