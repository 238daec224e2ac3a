"""Answers out of bytes, held against h11: what is accepted is read alike."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moatbridge.http.framing import MAX_HEAD, AnswerError, Incoming, inflated


def told(headers):
    """Without those that h11 writes in its own words once it has judged them."""
    return {
        name: value
        for name, value in headers.items()
        if name not in {"content-length", "transfer-encoding"}
    }


def ours(text, method="GET", sizes=(65_536,)):
    """Status, headers, body, rest; None if it is refused."""
    pending, at = bytearray(text), [0]

    def read(most):
        size = min(most, sizes[at[0] % len(sizes)])
        at[0] += 1
        piece = bytes(pending[:size])
        del pending[:size]
        return piece

    incoming = Incoming(read)
    try:
        head = incoming.head(method)
        return head.status, told(head.headers), b"".join(incoming.body(head))
    except AnswerError:
        return None


def theirs(text, method="GET"):
    """The same by h11."""
    peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    peer.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(text)
    peer.receive_data(b"")
    status, headers, body = 0, {}, b""
    try:
        while True:
            event = peer.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
                for name, value in event.headers:
                    key, text = name.decode(), value.decode("latin-1")
                    headers[key] = f"{headers[key]}, {text}" if key in headers else text
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, told(headers), body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


START = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 404\r\n",
        b"HTTP/1.1 204 No\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 \r\n",
        b"HTTP/1.1 101 Switch\r\n",
        b"HTTP/2.0 200 OK\r\n",
        b"HTTP/1.1 99 OK\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1  200 OK\r\n",
    ]
)
FIELD = st.sampled_from(
    [
        b"Content-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: 6\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length:\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: CHUNKED\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"X-A: a\r\n",
        b"X-A:\tb \t c  \r\n",
        b"x-a : c\r\n",
        b" folded\r\n",
        b"X-B: \xe4\x00\r\n",
        b"X-B: a\x0bb\r\n",
        b"X-C: a\rb\r\n",
        b"X-C: \r\n",
        b"X-D: d\n",
        b"noise\r\n",
        b": none\r\n",
        b"Connection: close\r\n",
    ]
)
BODY = st.sampled_from(
    [
        b"hello",
        b"hello more",
        b"hel",
        b"",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;x=y\r\nhello\r\n3 \r\nabc\r\n0\r\nT: v\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhello\r\n",
        b"5\r\nhello\r\n0\r\n",
        b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ]
)
ANSWERS = st.builds(
    lambda start, fields, end, body: start + b"".join(fields) + end + body,
    START,
    st.lists(FIELD, max_size=3),
    st.sampled_from([b"\r\n", b"\n"]),
    BODY,
)


@settings(deadline=None, max_examples=1000)
@given(ANSWERS, st.sampled_from(["GET", "HEAD", "POST"]))
def test_what_is_accepted_is_read_as_h11_reads_it(text, method):
    found = ours(text, method)
    if found is not None:
        assert found == theirs(text, method)


@settings(deadline=None, max_examples=500)
@given(ANSWERS, st.data())
def test_what_was_damaged_is_refused_or_read_as_h11_reads_it(text, data):
    damaged = bytearray(text)
    at = data.draw(st.integers(0, len(text)))
    damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    found = ours(bytes(damaged))
    if found is not None:
        assert found == theirs(bytes(damaged))


@settings(deadline=None)
@given(ANSWERS, st.lists(st.integers(1, 9), min_size=1, max_size=5))
@example(b"HTTP/1.1 200 OK\r\n\r\n", [1])
def test_how_the_bytes_arrive_makes_no_difference(text, sizes):
    assert ours(text, sizes=sizes) == ours(text)


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 201\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", b""),
        (b"HTTP/1.0 200 OK\n\nhello", b"hello"),
    ],
)  # fmt: skip
def test_ordinary_answers_are_read(text, body):
    found = ours(text)
    assert found is not None
    assert found[2] == body
    assert found == theirs(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhello",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 101 Switch\r\n\r\n",
        b"HTTP/1.1 100 C\r\n\r\n" * 11,
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * MAX_HEAD + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * MAX_HEAD,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 9_999,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * MAX_HEAD,
    ],
)  # fmt: skip
def test_answers_that_need_guessing_are_refused(text):
    assert ours(text) is None


def test_a_head_without_end_is_given_up_early():
    endless = iter([b"HTTP/1.1 200 OK\r\n"])
    taken = [0]

    def read(most):
        taken[0] += 1
        return next(endless, b"A: " + b"b" * 1000 + b"\r\n")

    with pytest.raises(AnswerError):
        Incoming(read).head("GET")
    assert taken[0] < 2 * MAX_HEAD / 1000


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zlib.compress, lambda data: zlib.compress(data)[2:-4]],
)
def test_packed_bodies_are_inflated_and_their_end_is_checked(pack):
    coding = "gzip" if pack is gzip.compress else "deflate"
    plain = b"some words " * 50_000
    packed = pack(plain)
    pieces = [packed[at : at + 1000] for at in range(0, len(packed), 1000)]
    assert b"".join(inflated(iter(pieces), coding)) == plain
    for end in (1, len(packed) // 2, len(packed) - 9):
        with pytest.raises(AnswerError):
            b"".join(inflated(iter([packed[:end]]), coding))


def test_a_bomb_is_inflated_piece_by_piece():
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    total = 0
    for piece in inflated(iter([bomb]), "gzip"):
        total += len(piece)
        if total > 1_000_000:
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
