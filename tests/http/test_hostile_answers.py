"""Bytes that no honest server sends: refused in time, without repeating them."""

from __future__ import annotations

import itertools
import socket
import threading
import time

import pytest
from pydantic import SecretStr

from moatbridge.errors import NotApplied, OutcomeUnknown
from moatbridge.http import HttpClient, HttpConfig
from moatbridge.http.wire import MAX_HEAD
from moatbridge.testing import net
from servers.raw_http import RawHttp

TOKEN = "canary-token-8f1c"
PERSON = "ada.lovelace.canary"
WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def client_of(port):
    settings = HttpConfig(
        base_url=f"http://127.0.0.1:{port}/v2",
        auth={"kind": "bearer", "token": SecretStr(TOKEN)},
        insecure_cleartext=True,
    )
    return HttpClient(net([settings.dialled]), settings)


def chain(error):
    """The error and all that hangs on it, as a careless log would print them."""
    while error is not None:
        yield f"{error} {error!r} {getattr(error, 'object', '')}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example %s\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n%s no colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n%s : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: %s\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n%s",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n%s",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\nX-Then: close\r\n\r\n%s",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s, chunked\r\n\r\n",
        b"HTTP/1.1 101 %s\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 100 %s\r\n\r\n" * 11,
        CHUNKED + b"%s\r\n",
        CHUNKED + b"-1\r\n%s",
        CHUNKED + b"2\r\n{}%s\r\n0\r\n\r\n",
        CHUNKED + b"2\r\n{}\r\n0\r\n%s no colon\r\n\r\n",
        CHUNKED.replace(b"\r\n\r\n", b"\r\nX-Then: close\r\n\r\n") + b"99\r\n%s",
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_unknown_outcome_and_is_not_repeated(answer):
    with RawHttp(answer.replace(b"%s", PERSON.encode()), WELL) as server:
        client = client_of(server.port)
        with pytest.raises(OutcomeUnknown) as caught:
            client.request("POST", "/x", json={})
        assert caught.value.code == "http.broken"
        assert not [text for text in chain(caught.value) if PERSON in text]
        assert client.request("POST", "/x", json={}).body == {}
        client.close()
    assert server.connections == 2, "a connection that spoke nonsense is used again"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 201\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\n[\r\n1 \r\n]\r\n0\r\nT: v\r\n\r\n", 201, []),
        (b"HTTP/1.1 103 E\r\nA: b\r\n\r\nHTTP/1.1 202 OK\r\nContent-Length: 2, 2\r\n\r\n{}", 202, {}),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 204, None),
        (b"HTTP/1.0 200 OK\nX-Then: close\n\n[1]", 200, [1]),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 50_000 + b"\r\nContent-Length: 2\r\n\r\n{}", 200, {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 70_000])
def test_an_odd_answer_is_read_however_its_bytes_arrive(answer, status, body, size):
    if len(answer) > 1000:
        size = max(size, 1000)
    pieces = (answer[at : at + size] for at in range(0, len(answer), size))
    # The last one of http/1.0 ends by hanging up, which only a whole answer does.
    sent = answer if b"X-Then" in answer else pieces
    with RawHttp(sent) as server:
        client = client_of(server.port)
        got = client.request("POST", "/x", json={})
        assert (got.status, got.body) == (status, body)
        client.close()


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 ", b"x" * 1000),
        (CHUNKED, b"0" * 1000),
        (CHUNKED + b"5;", b"x" * 1000),
        (CHUNKED + b"0\r\n", b"A: " + b"b" * 1000 + b"\r\n"),
    ],
)
def test_a_head_a_chunk_line_and_a_trailer_without_end_are_given_up(start, piece):
    endless = itertools.chain([start], itertools.repeat(piece))
    with RawHttp(endless) as server:
        client = client_of(server.port)
        with pytest.raises(OutcomeUnknown) as caught:
            client.request("POST", "/x", json={})
        assert caught.value.code == "http.broken"
        client.close()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (b"HTTP/1.1 200 OK\r\nA:", b"\x00\r\n\r\n"),
        (CHUNKED + b"5;", b"\n\r\n"),
        (CHUNKED + b"0\r\nA:", b"\x00\r\n\r\n"),
    ],
)
def test_a_line_of_blanks_does_not_stop_the_process(start, end):
    """Matched in quadratic time by h11: without a bound eight seconds and more."""
    with RawHttp(start + b" \t" * (MAX_HEAD // 2) + end) as server:
        client = client_of(server.port)
        used = time.thread_time()
        with pytest.raises(OutcomeUnknown):
            client.request("POST", "/x", json={})
        assert time.thread_time() - used < 5
        client.close()


def test_a_secret_that_cannot_be_written_down_is_not_repeated():
    with RawHttp(WELL) as server:
        client = client_of(server.port)
        for bad in (f"{TOKEN}\r\nX: 1", f"{TOKEN}é"):
            with pytest.raises(NotApplied) as caught:
                client.request("POST", "/x", json={}, headers={"X-Key": bad})
            assert caught.value.code == "http.unreachable"
            assert not [text for text in chain(caught.value) if TOKEN in text]
        assert client.request("POST", "/x", json={}).body == {}
        client.close()


def test_a_source_that_fails_before_the_first_byte_has_sent_nothing():
    def pieces(*good):
        yield from good
        raise OSError(5, "the disk is gone")

    with RawHttp(WELL, WELL) as server:
        client = client_of(server.port)
        with pytest.raises(NotApplied):
            client.request("POST", "/x", chunks=pieces())
        with pytest.raises(OutcomeUnknown) as caught:
            client.request("POST", "/x", chunks=pieces(b"one"))
        assert caught.value.code == "http.broken"
        client.close()


def test_a_refusal_while_a_long_body_is_sent_in_pieces_is_heard():
    refusal = (
        b"HTTP/1.1 413 Large\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            connection, _address = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(refusal)
                connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        client = client_of(server.getsockname()[1])
        long = (b"x" * 50_000 for _ in range(2_000))
        got = client.request("POST", "/x", chunks=long)
        assert (got.status, got.body) == (413, {})
        assert next(long, None) is not None, "all of it was sent"
        assert client._transport._connection is None
        client.close()
        thread.join(30)
