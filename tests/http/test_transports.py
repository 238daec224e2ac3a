"""Both transports tell the same of every answer; the quick one keeps its connection."""

from __future__ import annotations

import gzip
import json
import socket
import threading

import pytest
from pydantic import SecretStr

from moatbridge.errors import MoatbridgeError, NotApplied, OutcomeUnknown
from moatbridge.http import HttpClient, HttpConfig
from moatbridge.testing import net
from servers.raw_http import RawHttp
from servers.scripted_http import Answer, ScriptedHttp

PACKED = gzip.compress(json.dumps({"a": ["ü"] * 500}).encode())
ANSWERS = [
    Answer(200, {"a": 1}),
    Answer(201, {"id": "7"}, {"Location": "/v2/x/7", "ETag": 'W/"1"', "X-Ü": "ü"}),
    Answer(204, None),
    Answer(200, b""),
    Answer(200, PACKED, {"Content-Encoding": "gzip"}),
    Answer(200, pieces=[b'{"a":', b" 1}"]),
    Answer(200, b'{"a":1,"a":2}'),
    Answer(200, b'"\\u003a"'),
    Answer(200, {}, {"Content-Length": "1, 2"}),
    Answer(200, {}, {"Transfer-Encoding": "gzip"}),
    Answer(200, {}, {"Connection": "close", "Date": "Mon, 23 Nov 2026 17:00:00 GMT"}),
    Answer(307, None, {"Location": "https://evil.example/"}),
    Answer(401, {}),
    Answer(404, {"detail": "no"}, {"X-A": "1"}),
    Answer(429, None, {"Retry-After": "9", "X-RateLimit-Remaining": "0"}),
    Answer(503, b"<html>", {"Content-Type": "text/html"}),
    Answer(0),
]


def client_of(port, transport="direct", **more):
    settings = HttpConfig(
        base_url=f"http://127.0.0.1:{port}/v2",
        auth={"kind": "bearer", "token": SecretStr("canary-token-8f1c")},
        insecure_cleartext=True,
        transport=transport,
        **more,
    )
    return HttpClient(net([settings.dialled]), settings)


def told(client, method, **request):
    """All that a caller sees of one request."""
    try:
        got = client.request(method, "/a/{id}", params={"id": "ü/?"}, **request)
    except MoatbridgeError as error:
        return type(error), error.code, error.message
    headers = {n: v for n, v in got.headers.items() if n not in {"date", "server"}}
    return got.status, got.body, got.rate, headers


def asked(peer):
    """What the peer saw of each request, without what names the client."""
    quiet = {"host", "connection", "user-agent", "accept-encoding"}
    return [
        (a.method, a.path, a.query, a.body, {n: v for n, v in a.headers.items() if n not in quiet})
        for a in peer.asked
    ]  # fmt: skip


def test_each_answer_means_the_same_by_both_transports():
    seen = {}
    for transport in ("direct", "httpx2"):
        answers = iter([a for a in ANSWERS for _method in ("GET", "POST")])
        with ScriptedHttp(lambda _asked, left=answers: next(left)) as peer:
            client = client_of(peer.port, transport)
            results = []
            for _answer in ANSWERS:
                results.append(told(client, "GET", query={"q": ["a b", "ü"]}))
                body = {"json": {"ü": [1.5, None]}, "headers": {"If-Match": "v"}}
                results.append(told(client, "POST", **body))
            client.close()
            seen[transport] = results, asked(peer)
    quick, general = seen["direct"], seen["httpx2"]
    for one, other in zip(quick[0], general[0], strict=True):
        broken = one[1] == "http.broken"  # each names its own library's error then
        assert one[: 2 if broken else None] == other[: 2 if broken else None]
    assert quick[1] == general[1]


@pytest.mark.parametrize("transport", ["direct", "httpx2"])
def test_a_body_in_pieces_arrives_whole_or_is_not_believed(transport):
    with ScriptedHttp(lambda _asked: Answer(200, {})) as peer:
        client = client_of(peer.port, transport)
        length = {"Content-Length": "7"}
        good = told(client, "POST", chunks=iter([b'{"a"', b":1}"]), headers=length)
        assert good[0] == 200
        for pieces in ([b'{"a"'], [b'{"a"', b":1}", b"more"]):
            bad = told(client, "POST", chunks=iter(pieces), headers=length)
            assert bad[:2] == (OutcomeUnknown, "http.broken")
        assert told(client, "GET")[0] == 200
        client.close()
    # Of the last one all that was announced had left before the rest showed up.
    assert [a.body for a in peer.asked if a.method == "POST"] == [{"a": 1}] * 2


def whole(body=b"{}", *, more=b""):
    head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n"
    return head % (more, len(body)) + body


@pytest.mark.parametrize(
    ("first", "connections"),
    [
        (whole(), 1),
        (whole(more=b"Connection: close\r\n"), 2),
        (whole(more=b"X-Then: close\r\n"), 2),
        (whole().replace(b"1.1", b"1.0"), 2),
        (whole() + b"HTTP/1.1 200 OK\r\n\r\n", 2),
        (b"HTTP/1.1 100 C\r\n\r\n" + whole(), 1),
    ],
)  # fmt: skip
def test_a_connection_is_used_again_only_if_nothing_is_wrong_with_it(
    first, connections
):
    with RawHttp(first, whole(b'{"second":1}')) as server:
        client = client_of(server.port)
        assert client.request("POST", "/x", json={}).body == {}
        if b"X-Then" in first:
            _wait_until_readable(client)
        assert client.request("POST", "/x", json={}).body == {"second": 1}
        client.close()
    assert server.connections == connections


def _wait_until_readable(client):
    sock = client._transport._connection.channel.sock
    sock.settimeout(30)
    assert sock.recv(1, socket.MSG_PEEK) == b""


def test_an_answer_before_the_request_was_read_is_heard():
    with socket.create_server(("127.0.0.1", 0)) as server:
        refusal = (
            b"HTTP/1.1 413 Large\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        )

        def refuse():
            connection, _address = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(refusal)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        client = client_of(server.getsockname()[1])
        got = client.request("POST", "/x", json=b'"' + b"x" * 3_000_000 + b'"')
        assert (got.status, got.body) == (413, {})
        client.close()
        thread.join(30)


def test_what_cannot_be_written_down_is_not_sent():
    with ScriptedHttp(lambda _asked: Answer(200, {})) as peer:
        client = client_of(peer.port)
        client.request("POST", "/x", json={})
        for headers in ({"X-Bad": "a\r\nX: 1"}, {"X\n": "a"}, {"X-Bad": "é"}):
            with pytest.raises(NotApplied) as caught:
                client.request("POST", "/x", json={}, headers=headers)
            assert caught.value.code == "http.unreachable"
        client.close()
    assert len(peer.asked) == 1
