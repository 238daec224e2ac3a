"""What is refused before anything looks into it, over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import socket
from datetime import UTC, datetime, timedelta

import pytest

from gateway.conftest import World
from gateway.sending import deliver, person, signed
from servers.gateway import GatewayProcess, post, write_config


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One gateway for nearly all tests of this file; small sizes."""
    folder = tmp_path_factory.mktemp("gateway")
    write_config(folder, inbox="max_body = 4096")
    with GatewayProcess(folder) as process:
        process.world = World(folder)
        yield process


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """Another one, that gives a head and a body one second each."""
    folder = tmp_path_factory.mktemp("hasty")
    write_config(folder, body_deadline=1)
    with GatewayProcess(folder, "--hasty") as process:
        yield process


def count(served):
    return len(served.world.inbox())


def ask(served, path="/in/hooks", *, method="POST", body=b"", headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True)
        given = dict(headers)
        given.setdefault("Host", "127.0.0.1")
        given.setdefault("Content-Length", str(len(body)))
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_every_failure_of_trust_looks_the_same(served):
    before = count(served)
    body, good = signed("t1", person("ada"))
    late = signed("t1", person("ada"), at=datetime.now(UTC) - timedelta(seconds=400))[1]
    seen = set()
    for headers in (
        {},
        {**good, "webhook-id": "t2"},
        late,
        {**good, "webhook-signature": "v1,AAAA"},
    ):
        status, got, text = ask(served, body=body, headers=headers)
        hidden = {"date", "x-request-id"}
        seen.add(
            (
                status,
                text,
                tuple(
                    sorted((k, v) for k, v in got.items() if k.lower() not in hidden)
                ),
            )
        )
    assert {status for status, _text, _headers in seen} == {401}
    assert len(seen) == 1
    assert count(served) == before


def test_a_duplicate_gets_the_same_answer_and_one_row(served):
    before = count(served)
    first = deliver(served.port, "dup", person("ada"))
    again = deliver(served.port, "dup", person("ada"))
    assert first[0] == again[0] == 200
    assert count(served) == before + 1


def test_verified_but_unreadable_is_400(served):
    body, headers = signed("bad", b'{"type": 1, "type": 2}')
    assert ask(served, body=body, headers=headers)[0] == 400


def test_a_body_over_the_limit_is_413_before_it_is_read(served):
    assert ask(served, headers={"Content-Length": "9999999"})[0] == 413


def test_a_chunked_body_over_the_limit_is_413(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as link:
        link.sendall(
            b"POST /in/hooks HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            for _ in range(20):
                link.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_compressed_body_is_415(served):
    assert ask(served, body=b"x", headers={"Content-Encoding": "gzip"})[0] == 415


def test_a_slow_body_is_408(hasty):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=30) as link:
        link.sendall(
            b"POST /in/hooks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nhalf"
        )
        answer = link.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("head", [b"", b"POST /in/hooks HTTP/1.1\r\nHost: 127"])
def test_a_head_that_never_ends_is_cut_off(hasty, head):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=30) as link:
        link.sendall(head)
        assert link.recv(4096) in {b"", b"HTTP/1.1 400 Bad Request"}


def test_half_a_head_after_a_whole_request_is_cut_off_too(hasty):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=30) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 200")
        link.sendall(b"GET /healthz HT")
        while link.recv(4096):
            pass


def test_a_foreign_host_is_421(served):
    assert ask(served, headers={"Host": "evil.example"})[0] == 421
    assert ask(served, "/healthz", method="GET", headers={"Host": "10.0.0.9"})[0] == 200
    below = "/in/hooks/healthz"  # an inbox like any other
    assert ask(served, below, headers={"Host": "evil.example"})[0] == 421


@pytest.mark.parametrize(
    "path",
    [
        "/in/hooks/../../readyz",
        "/in/hooks/%2e%2e/x",
        "/in/hooks/a%2Fb",
        "/in//hooks",
        "/in/hooks/%00",
        "/in/hooks/%252e",
    ],
)
def test_tricks_with_the_path_are_refused(served, path):
    assert ask(served, path)[0] in {400, 404}


def test_too_long_urls_and_heads_are_refused(served):
    assert ask(served, "/in/hooks/" + "a" * 9000)[0] == 414
    assert ask(served, headers={f"x-{n}": "1" for n in range(120)})[0] == 431


def test_an_unknown_inbox_is_404(served):
    assert ask(served, "/in/social")[0] == 404
    assert ask(served, "/in/nobody")[0] == 404


def test_every_answer_has_a_length_an_id_and_no_server(served):
    for path, method in (
        ("/healthz", "GET"),
        ("/in/hooks", "POST"),
        ("/none", "GET"),
        ("/readyz", "GET"),
    ):
        _status, headers, body = ask(served, path, method=method)
        assert int(headers["content-length"]) == len(body)
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        assert headers["x-request-id"]


def test_a_request_id_is_taken_if_it_is_plain(served):
    given = {"X-Request-Id": "abc-123"}
    assert (
        ask(served, "/healthz", method="GET", headers=given)[1]["x-request-id"]
        == "abc-123"
    )
    odd = {"X-Request-Id": "abc 123\tx"}
    assert (
        ask(served, "/healthz", method="GET", headers=odd)[1]["x-request-id"]
        != "abc 123\tx"
    )


def test_it_says_when_it_is_ready(served):
    status, _headers, body = ask(served, "/readyz", method="GET")
    assert status == 200
    assert b'"ready":true' in body
    forwarded = {"X-Forwarded-For": "9.9.9.9"}
    assert ask(served, "/readyz", method="GET", headers=forwarded)[0] == 401


def test_posting_somewhere_below_the_system_is_the_same_inbox(served):
    body, headers = signed("below", person("ada"))
    assert post(served.port, "/in/hooks/people/2", body, headers)[0] == 200
