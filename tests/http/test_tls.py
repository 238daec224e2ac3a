"""TLS under `HttpClient`: verified before the first byte, or not at all."""

from __future__ import annotations

import ssl
import subprocess
import time

import pytest
from pydantic import SecretStr

from moatbridge.adapter import TlsSettings
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.http import HttpClient, HttpConfig
from moatbridge.testing import Fault, FaultProxy, net
from servers.scripted_http import Answer, ScriptedHttp

TOKEN = "canary-token-8f1c"


def client_of(settings, seconds=60.0, tls=None, **more):
    """A client whose one call ends after some seconds, as a call of the core does."""
    way = net([settings.dialled], tls=tls)
    ends = time.monotonic() + seconds
    way.remaining = lambda: max(0.0, ends - time.monotonic())
    return HttpClient(way, settings, **more)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-made authority's certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    names = [
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext",
        "keyUsage=critical,digitalSignature,keyCertSign",
    ]
    subprocess.run(
        [*command.split(), *names, "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    return str(cert), str(key)


@pytest.fixture
def secure(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with ScriptedHttp(lambda asked: Answer(200, {"ok": True}), context) as peer:
        yield peer


def encrypted(peer, **tls):
    auth = {"kind": "bearer", "token": SecretStr(TOKEN)}
    settings = HttpConfig(base_url=peer.base_url, auth=auth)
    return client_of(settings, tls=TlsSettings(**tls))


def test_a_trusted_certificate_is_accepted_and_the_connection_reused(
    secure, certificate
):
    with encrypted(secure, ca_file=certificate[0]) as client:
        assert [client.request("GET", "/x").body for _ in range(3)] == [
            {"ok": True}
        ] * 3


@pytest.mark.parametrize(
    ("tls", "code"),
    [({}, "net.tls.self-signed"), ({"server_name": "other.example"}, "net.tls.name")],
)
def test_a_bad_certificate_stops_before_the_first_byte(secure, certificate, tls, code):
    if tls:
        tls = {**tls, "ca_file": certificate[0]}
    with (
        encrypted(secure, **tls) as client,
        pytest.raises(ConfigurationError) as caught,
    ):
        client.request("POST", "/x", json={})
    assert caught.value.code == code
    assert secure.asked == []


def test_a_handshake_that_stalls_ends_in_time_and_nothing_was_sent(secure, certificate):
    with FaultProxy("127.0.0.1", secure.port) as proxy:
        proxy.fault = Fault(blackhole=True)
        settings = HttpConfig(base_url=f"https://127.0.0.1:{proxy.endpoint[1]}")
        tls = TlsSettings(ca_file=certificate[0])
        with (
            client_of(settings, 0.4, tls) as client,
            pytest.raises(NotApplied) as caught,
        ):
            client.request("POST", "/x", json={})
    assert caught.value.code == "http.deadline"


def test_clear_text_behind_https_is_a_configuration_error():
    with ScriptedHttp(lambda asked: Answer(200, {})) as peer:
        settings = HttpConfig(base_url=peer.base_url.replace("http:", "https:"))
        with client_of(settings) as client, pytest.raises(ConfigurationError) as caught:
            client.request("POST", "/x", json={})
    assert caught.value.code == "net.tls.protocol"
