"""`HttpClient` against peers that misbehave: one typed result for each."""

from __future__ import annotations

import gzip
import itertools
import logging
import subprocess
import sys
import time

import pytest
from pydantic import SecretStr, ValidationError

from moatbridge.errors import ConfigurationError, NotApplied, OutcomeUnknown
from moatbridge.http import BasicAuth, Credentials, HttpClient, HttpConfig
from moatbridge.testing import Fault, FaultProxy, RecordingNet, net
from servers.scripted_http import Answer, ScriptedHttp

TOKEN = "canary-token-8f1c"


def client_of(settings, seconds=60.0, tls=None, **more):
    """A client whose one call ends after some seconds, as a call of the core does."""
    way = net([settings.dialled], tls=tls)
    ends = time.monotonic() + seconds
    way.remaining = lambda: max(0.0, ends - time.monotonic())
    return HttpClient(way, settings, **more)


def config_for(peer, **more):
    more.setdefault("auth", {"kind": "bearer", "token": SecretStr(TOKEN)})
    return HttpConfig(base_url=peer.base_url, insecure_cleartext=True, **more)


@pytest.fixture
def serve():
    """A peer with a script, and a client of it."""
    opened = []

    def start(script, *, deadline=60.0, **more):
        peer = ScriptedHttp(script if callable(script) else lambda asked: script)
        peer.__enter__()
        client = client_of(config_for(peer, **more), deadline)
        opened.append((peer, client))
        return peer, client

    yield start
    for peer, client in opened:
        client.close()
        peer.__exit__()


def failure(client, method="POST", error=None):
    with pytest.raises(error or ConfigurationError) as caught:
        client.request(
            method,
            "/Users/{id}",
            params={"id": "ada@corp.example"},
            json={"secret": "v"},
        )
    text = f"{caught.value} {caught.value!r}"
    assert TOKEN not in text
    assert "ada@corp.example" not in text, "the template is shown, not the path"
    return caught.value


def test_a_request_carries_its_parts_and_the_answer_comes_back_parsed(serve):
    peer, client = serve(Answer(201, {"id": "7"}, {"ETag": 'W/"1"'}))
    got = client.request(
        "POST",
        "/a/{id}",
        params={"id": "x/y"},
        query={"q": "a b"},
        json={"ü": 1},
        headers={"If-Match": "v"},
    )
    asked = peer.asked[0]
    assert (got.status, got.body, got.headers["etag"], got.ok) == (
        201,
        {"id": "7"},
        'W/"1"',
        True,
    )
    assert (asked.method, asked.path, asked.query, asked.body) == (
        "POST",
        "/v2/a/x%2Fy",
        {"q": "a b"},
        {"ü": 1},
    )
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["if-match"] == "v"


def test_a_response_shows_no_data(serve):
    _, client = serve(Answer(200, {"userName": "ada"}))
    assert "ada" not in repr(client.request("GET", "/Users"))


def test_connections_are_reused_and_all_dialled_by_the_net(serve):
    peer, _ = serve(Answer(200, {}))
    settings = config_for(peer)
    recording = RecordingNet(net([settings.dialled]))
    client = HttpClient(recording, settings)
    for _ in range(5):
        client.request("GET", "/Users")
    assert len(recording._dups) == 1
    client.close()
    recording.forget()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_that_names_the_host_only(serve, status):
    peer, client = serve(
        Answer(status, None, {"Location": "https://evil.example/login?token=abc"})
    )
    error = failure(client)
    assert error.code == "http.redirect"
    assert "evil.example" in error.message
    assert "abc" not in error.message
    assert len(peer.asked) == 1


def test_401_is_about_the_system(serve):
    _, client = serve(Answer(401, {"detail": "no"}))
    assert failure(client).code == "http.auth"


@pytest.mark.parametrize("status", [200, 404])
def test_a_login_page_is_not_the_api(serve, status):
    _, client = serve(
        Answer(
            status, b"<html>login</html>", {"Content-Type": "text/html; charset=utf-8"}
        )
    )
    assert failure(client).code == "http.not-api"


def test_a_proxys_error_page_is_judged_by_its_status(serve):
    _, client = serve(
        Answer(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"})
    )
    assert client.request("POST", "/x", json={}).status == 502


@pytest.mark.parametrize(
    ("method", "error"), [("GET", NotApplied), ("POST", OutcomeUnknown)]
)
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(0), "http.broken"),
        (Answer(200, b"{nonsense"), "http.unreadable"),
        (Answer(200, b"[" * 500 + b"]" * 500), "http.unreadable"),
        (Answer(200, b'{"a":1,"a":2}'), "http.unreadable"),
        (Answer(200, {}, {"Content-Length": "500"}), "http.deadline"),
        (Answer(200, b"not gzip", {"Content-Encoding": "gzip"}), "http.broken"),
        (Answer(200, b"[" + b"{}," * 1_000_001 + b"0]"), "http.too-large"),
        (Answer(200, {}, {f"X-{n}": "1" for n in range(120)}), "http.too-large"),
    ],
)
def test_a_broken_answer_is_unknown_to_a_write_and_repeatable_to_a_read(
    serve, method, error, answer, code
):
    _, client = serve(answer, deadline=1.0 if code == "http.deadline" else 60.0)
    assert failure(client, method, error).code == code


def test_a_gzip_bomb_stops_near_the_limit(serve):
    bomb = gzip.compress(b"0" * 60_000_000)
    _, client = serve(
        Answer(200, bomb, {"Content-Encoding": "gzip"}), max_response=100_000
    )
    seen = []
    parts = client._limited
    client._limited = lambda call, answer: (
        seen.append(len(c)) or c for c in parts(call, answer)
    )
    assert failure(client, "GET", NotApplied).code == "http.too-large"
    assert sum(seen) <= 2_000_000


def test_an_endless_body_stops_at_the_limit(serve):
    _, client = serve(
        Answer(200, pieces=itertools.repeat(b"x" * 65_536)), max_response=1_000_000
    )
    assert failure(client, "GET", NotApplied).code == "http.too-large"


def test_a_drip_ends_at_the_total_deadline(serve):
    def pieces():
        while True:
            time.sleep(0.05)
            yield b"x"

    _, client = serve(Answer(200, pieces=pieces()), deadline=0.5)
    started = time.monotonic()
    assert failure(client, "GET", NotApplied).code == "http.deadline"
    assert time.monotonic() - started < 20


def test_no_time_left_means_nothing_is_sent(serve):
    peer, client = serve(Answer(200, {}), deadline=0.0)
    assert failure(client, "POST", NotApplied).code == "http.deadline"
    assert peer.asked == []


def test_a_port_where_nobody_listens_is_not_applied(serve):
    peer, client = serve(Answer(200, {}))
    peer.__exit__()
    assert failure(client, "POST", NotApplied).code == "net.unreachable"


@pytest.mark.parametrize("after", [0, 1, 20, 60])
def test_an_answer_cut_anywhere_is_unknown_to_a_write(serve, after):
    peer, _ = serve(Answer(201, {"id": "7", "pad": "x" * 50}))
    with FaultProxy("127.0.0.1", peer.port) as proxy:
        proxy.fault = Fault(cut_answer=after)
        settings = HttpConfig(
            base_url=f"http://127.0.0.1:{proxy.endpoint[1]}/v2", insecure_cleartext=True
        )
        with client_of(settings) as client, pytest.raises(OutcomeUnknown) as caught:
            client.request("POST", "/Users", json={})
    assert caught.value.code == "http.broken"
    assert len(peer.asked) == 1, "never sent again by itself"


def test_rate_information_is_reported_from_every_answer(serve):
    peer, _ = serve(
        Answer(429, None, {"Retry-After": "9", "X-RateLimit-Remaining": "0"})
    )
    seen = []
    with client_of(config_for(peer), on_rate=seen.append) as client:
        got = client.request("GET", "/x")
    assert got.rate.retry_after == 9
    assert seen == [got.rate]


def test_a_link_to_another_host_is_not_followed_and_carries_no_credential(serve):
    stranger, _ = serve(Answer(200, {}))
    _, client = serve(Answer(200, {}))
    with pytest.raises(ConfigurationError) as caught:
        client.follow(f"{stranger.base_url}/Users", "/Users")
    assert caught.value.code == "http.other-origin"
    assert stranger.asked == []


def test_credentials_are_bound_to_one_origin():
    basic = BasicAuth(kind="basic", username="u", password=SecretStr("hunter22"))
    bound = Credentials(basic, ("https", "a.example", 443))
    assert bound.headers(("https", "a.example", 443)) == {
        "Authorization": "Basic dTpodW50ZXIyMg=="
    }
    for other in (
        ("http", "a.example", 443),
        ("https", "b.example", 443),
        ("https", "a.example", 8443),
    ):
        with pytest.raises(ConfigurationError):
            bound.headers(other)
    assert "hunter22" not in repr(bound)
    assert "dTpodW50" not in repr(bound)


@pytest.mark.parametrize("secret", ["line\r\nX-Evil: 1", "tab\tbed", "naïve-token"])
def test_a_credential_that_would_break_the_header_is_refused(secret):
    settings = HttpConfig(
        base_url="https://x",
        auth={"kind": "header", "name": "X-Key", "value": SecretStr(secret)},
    )
    with pytest.raises(ConfigurationError) as caught:
        Credentials(settings.auth, settings.base.origin)
    assert caught.value.code == "http.auth"


def test_a_token_in_the_configuration_is_refused_without_repeating_it():
    with pytest.raises(ValidationError) as caught:
        HttpConfig(base_url="https://x", auth={"kind": "bearer", "token": TOKEN})
    assert TOKEN not in str(caught.value)


def test_logs_hold_neither_address_nor_token(serve, caplog):
    _, client = serve(Answer(200, {}))
    with caplog.at_level(logging.DEBUG):
        client.request("GET", "/Users", query={"filter": 'userName eq "ada"'})
    assert not [r for r in caplog.records if r.name.startswith("httpx2")]
    assert "ada" not in caplog.text
    assert TOKEN not in caplog.text


def test_environment_proxies_are_ignored(serve, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    _, client = serve(Answer(200, {"ok": True}))
    assert client.request("GET", "/x").body == {"ok": True}


def test_a_configured_proxy_is_dialled_instead(serve):
    proxy, _ = serve(Answer(200, {"via": "proxy"}))
    settings = HttpConfig(
        base_url="http://platform.invalid/v2",
        proxy=f"http://127.0.0.1:{proxy.port}",
        insecure_cleartext=True,
    )
    assert settings.dialled == ("127.0.0.1", proxy.port)
    with client_of(settings) as client:
        assert client.request("GET", "/Users").body == {"via": "proxy"}
    assert proxy.asked[-1].headers["host"] == "platform.invalid"


def test_importing_the_floor_loads_no_driver():
    code = "import sys, moatbridge.http; print(sorted({'httpx2', 'httpcore2', 'ssl'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_request_that_cannot_be_written_down_is_not_applied(serve):
    peer, client = serve(Answer(200, {}))
    with pytest.raises(NotApplied) as caught:
        client.request("POST", "/x", json={}, headers={"X-Bad": "a\r\nX-Evil: 1"})
    assert caught.value.code == "http.unreachable"
    assert peer.asked == []
