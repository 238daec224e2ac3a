"""`LineClient` against peers that misbehave: one typed error for each, nothing mixed up."""

from __future__ import annotations

import contextlib
import select
import ssl
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from moatbridge.adapter import Secret, TlsSettings
from moatbridge.errors import ConfigurationError, NotApplied, OutcomeUnknown, Rejected
from moatbridge.lines import LineClient, LineConfig, LineProtocol
from moatbridge.testing import RecordingNet, net
from servers.scripted_lines import ScriptedLines
from servers.tls import Authority

PASSWORD = "canary-token-8f1c"
VALUE = "Ada Lovelace"
REFUSALS = {
    "ERR busy": "busy",
    "ERR changed": "stale",
    "ERR exists": "conflict",
    "ERR none": "gone",
    "ERR auth": "auth",
    "ERR": "data",
}


def protocol(**more):
    return LineProtocol(area="pbx", accepted="OK", refusals=REFUSALS, **more)


def client_of(endpoint, seconds=60.0, tls=None, speaks=None, **more):
    """A client whose one call ends after some seconds, as a call of the core does."""
    more.setdefault("insecure_cleartext", tls is None)
    config = LineConfig(host=endpoint[0], port=endpoint[1], **more)
    way = net([config.dialled], tls=tls)
    ends = time.monotonic() + seconds
    way.remaining = lambda: max(0.0, ends - time.monotonic())
    return LineClient(way, config, speaks or protocol())


@pytest.fixture
def serve():
    """A peer with a script, and a client of it."""
    with contextlib.ExitStack() as stack:

        def start(script, **more):
            peer = stack.enter_context(ScriptedLines(script))
            client = stack.enter_context(client_of(peer.endpoint, **more))
            return peer, client

        yield start


def answering(*answers):
    """Each request gets the next of these answers; then silence."""

    def script(line):
        for answer in answers:
            if line.hear():
                line.say(answer)
        line.hear()

    return script


def failure(client, error, code, *, writes=False, **more):
    with pytest.raises(error) as caught:
        client.ask(f"PUT {VALUE}", writes=writes, **more)
    assert caught.value.code == code
    text = f"{caught.value} {caught.value!r}"
    assert VALUE not in text
    assert PASSWORD not in text
    assert caught.value.__cause__ is None, "it may hold the bytes of an answer"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def test_a_request_is_one_line_and_its_answer_comes_back_whole(serve):
    peer, client = serve(answering("OK 2 rüben\n1|ä\n2|b\n".encode()))
    answer = client.ask("LIST ü", count=lambda said: int(said.split()[0]))
    assert peer.heard == ["LIST ü\n".encode()]
    assert (answer.said, answer.lines) == ("2 rüben", ["1|ä", "2|b"])
    assert "rüben" not in repr(answer)


def test_an_answer_ends_at_its_last_line_also_where_that_is_the_first(serve):
    _, client = serve(
        answering(b"OK\r\na\r\n\r\n.\r\n", b".\r\n"), speaks=protocol(end="\r\n")
    )
    assert client.ask("LIST", until=".").lines == ["a", ""]
    assert client.ask("LIST", until=".").lines == []


def test_a_line_that_is_no_text_spoils_no_other(serve):
    _, client = serve(answering(b"OK 3\n1|a\n2|\xff\n3|c\n"))
    first, odd, last = client.ask("LIST", count=int).lines
    assert (first, last) == ("1|a", "3|c")
    with pytest.raises(UnicodeEncodeError):
        odd.encode()


def test_a_line_end_may_come_in_two_pieces(serve):
    def script(line):
        line.hear()
        for piece in (b"OK 1\r", b"\na", b"\r", b"\n"):
            line.say(piece)
            line.gone.wait(0.05)

    _, client = serve(script, speaks=protocol(end="\r\n"))
    assert client.ask("LIST", count=int).lines == ["a"]


def test_the_greeting_is_heard_and_the_login_made_before_anything_else(serve):
    def script(line):
        line.say(b"OK exchange 3\n")
        answering(b"OK\n", b"OK 7\n")(line)

    speaks = protocol(
        greeting=True, login=lambda client: client.ask(f"AUTH {PASSWORD}")
    )
    peer, client = serve(script, speaks=speaks)
    assert (client.greeting, client.ask("GET 7").said) == ("exchange 3", "7")
    assert peer.heard == [f"AUTH {PASSWORD}\n".encode(), b"GET 7\n"]
    assert client.requests == 2


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (b"ERR auth\n", ConfigurationError, "pbx.auth"),
        (b"ERR busy\n", NotApplied, "pbx.busy"),
        (b"", NotApplied, "lines.broken"),
    ],
)
def test_a_login_that_fails_hangs_up_and_never_shows_the_secret(answer, error, code):
    def script(line):
        line.hear()
        line.say(answer)
        if answer:
            line.hear()

    class Config(LineConfig):
        password: Secret

    speaks = protocol(
        login=lambda c: c.ask(f"AUTH {c.config.password.get_secret_value()}")
    )
    with ScriptedLines(script) as peer:
        host, port = peer.endpoint
        config = Config(
            host=host, port=port, insecure_cleartext=True, password=SecretStr(PASSWORD)
        )
        way = RecordingNet(net([config.dialled]))
        with pytest.raises(error) as caught:
            speaks.connect(config, way)
        assert caught.value.code == code
        assert PASSWORD not in f"{caught.value!r}"
        way.forget()
        assert not answer or peer.connections[0].gone.wait(30)


@pytest.mark.parametrize("text", ["a\nDEL 7", "a\rDEL 7", "a\0", "\ud800"])
def test_what_is_no_single_line_of_text_is_refused_before_anything_is_sent(serve, text):
    peer, client = serve(answering(b"OK\n"))
    with pytest.raises(Rejected) as caught:
        client.ask(f"PUT {text}", writes=True)
    assert (caught.value.kind, caught.value.code) == ("data", "pbx.data")
    client.ask("GET 1")
    assert peer.heard == [b"GET 1\n"]


def test_text_outside_of_the_encoding_is_refused_never_changed(serve):
    peer, client = serve(answering(b"OK \xe9\n"), speaks=protocol(encoding="latin-1"))
    with pytest.raises(Rejected, match="latin-1"):
        client.ask("PUT €", writes=True)
    assert client.ask("PUT é").said == "é"
    assert peer.heard == [b"PUT \xe9\n"]


def test_a_terminator_of_its_own_is_no_part_of_a_request_either(serve):
    _, client = serve(answering(b"OK;"), speaks=protocol(end=";"))
    with pytest.raises(Rejected, match="line break"):
        client.ask("PUT a;DEL 7")


@pytest.mark.parametrize(
    ("said", "error", "code"),
    [
        ("ERR busy", NotApplied, "pbx.busy"),
        ("ERR changed", NotApplied, "pbx.stale"),
        ("ERR exists 7", Rejected, "pbx.conflict"),
        ("ERR none", Rejected, "pbx.gone"),
        ("ERR nonesuch", Rejected, "pbx.data"),
        (f"ERR bad {VALUE}", Rejected, "pbx.data"),
        ("ERR auth", ConfigurationError, "pbx.auth"),
    ],
)
def test_a_refusal_is_what_the_protocol_says_and_the_connection_goes_on(
    serve, said, error, code
):
    peer, client = serve(answering(f"{said}\n".encode(), b"OK 1\n"))
    found = failure(client, error, code, writes=True)
    if isinstance(found, Rejected):
        assert found.kind == code.partition(".")[2]
    assert client.ask("GET 1").said == "1"
    assert len(peer.connections) == 1


BROKEN = {
    "hangs up": (b"", "lines.broken"),
    "hangs up in the first line": (b"OK 3", "lines.broken"),
    "hangs up between the lines": (b"OK 3\n1|a\n2|b\n", "lines.broken"),
    "says what nobody understands": (
        b"HTTP/1.1 400 Bad Request\r\n",
        "lines.unexpected",
    ),
    "says a longer word": (b"OKAY 1\n", "lines.unexpected"),
    "says no number": (b"OK many\n", "lines.unreadable"),
    "says less than none": (b"OK -1\n", "lines.too-large"),
    "says too many": (b"OK 999999999999\n", "lines.too-large"),
    "is no text": (b"OK \xff\n", "lines.unreadable"),
    "begins a line without end": (b"OK " + b"x" * 5000, "lines.too-large"),
    "has a line too long": (b"OK 1\n" + b"x" * 5000 + b"\n", "lines.too-large"),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("writes", [True, False])
def test_an_answer_that_is_not_whole_is_no_answer_and_the_client_hangs_up(
    serve, how, writes
):
    said, code = BROKEN[how]

    def script(line):
        line.hear()
        line.say(said)
        if "hangs up" not in how:
            line.hear()

    peer, client = serve(script, max_line=1024)
    error = OutcomeUnknown if writes else NotApplied
    failure(client, error, code, writes=writes, count=int)
    later = failure(client, NotApplied, "lines.closed", writes=True)
    assert "Nothing was sent" in later.message
    assert "hangs up" in how or peer.connections[0].gone.wait(30)
    assert len([heard for heard in peer.heard if heard]) == 1


def forever(piece):
    def script(line):
        line.hear()
        while True:
            line.say(piece)

    return script


def test_an_answer_without_end_is_given_up_at_the_limit(serve):
    _, client = serve(forever(b"OK\n" * 1000), max_lines=500)
    failure(client, NotApplied, "lines.too-large", until=".")


def silent(line):
    while line.hear():
        pass


def dripping(line):
    line.hear()
    for _ in range(3000):
        line.say(b"O")
        line.gone.wait(0.01)


@pytest.mark.parametrize("script", [silent, dripping])
@pytest.mark.parametrize("writes", [True, False])
def test_a_peer_that_keeps_us_waiting_is_left_at_the_deadline(serve, script, writes):
    _, client = serve(script, seconds=0.5)
    began = time.monotonic()
    error = OutcomeUnknown if writes else NotApplied
    failure(client, error, "lines.deadline", writes=writes)
    assert time.monotonic() - began < 10


PIECES = st.sampled_from(
    [b"OK", b" ", b"2", b"\n", b"a|b", b"\xff", b"ERR none", b".", b"OK 1\nx\n"]
)


def understood(said):
    """What an answer means, said simply: the model."""
    first, *rest = said.split(b"\n")
    if not rest or b"\xff" in first:
        return None
    first = first.decode()
    if first.startswith("ERR none"):
        return "data" if first[8:9].isalnum() else "gone"
    if not first.startswith("OK") or first[2:3].isalnum():
        return None
    try:
        due = int(first[2:].removeprefix(" "))
    except ValueError:
        return None
    whole = rest[:-1]  # what stands behind the last line end is no line
    return None if not 0 <= due <= len(whole) else len(whole[:due])


@pytest.fixture(scope="module")
def saying():
    """A peer that says what the test has set and hangs up."""
    say = []

    def script(line):
        line.hear()
        line.say(say[0])

    with ScriptedLines(script) as peer:
        yield peer, say


@settings(deadline=None, max_examples=150)
@given(st.lists(PIECES, max_size=8).map(b"".join))
def test_any_answer_is_whole_or_a_typed_error(saying, said):
    peer, say = saying
    say[:] = [said]
    with client_of(peer.endpoint) as client:
        try:
            found = len(client.ask("LIST", count=int).lines)
        except Rejected as error:
            found = error.kind
        except NotApplied as error:
            assert error.code.startswith("lines.")  # noqa: PT017 - either is fine
            found = None
    assert found == understood(said)


def test_without_time_left_nothing_is_sent(serve):
    peer, client = serve(answering(b"OK\n"))
    client._net.remaining = lambda: 0.0
    failure(client, NotApplied, "lines.deadline", writes=True)
    assert not any(peer.heard)


@pytest.mark.parametrize("piece", [b"OK 1\nOK 2\n", b"OK 1\nO"])
def test_an_answer_that_nobody_asked_for_belongs_to_no_later_request(serve, piece):
    peer, client = serve(answering(piece, b"OK 3\n"))
    assert client.ask("GET 1").said == "1"
    failure(client, NotApplied, "lines.out-of-step", writes=True)
    failure(client, NotApplied, "lines.closed", writes=True)
    assert peer.heard[0] == b"GET 1\n"
    assert not any(peer.heard[1:]), "the second request was never sent"


@pytest.mark.parametrize(
    ("says", "code"), [(b"OK surprise\n", "lines.out-of-step"), (b"", "lines.closed")]
)
def test_who_speaks_or_goes_before_being_asked_gets_no_request(serve, says, code):
    def script(line):
        line.say(says)
        if says:
            line.hear()

    peer, client = serve(script)
    # Whatever it does has arrived once the socket is readable.
    assert select.select([client._wire._sock], [], [], 30)[0]
    failure(client, NotApplied, code, writes=True)
    assert not any(peer.heard)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("server", "DNS:localhost,IP:127.0.0.1")


def secured(pair, script):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return ScriptedLines(script, context)


def test_lines_are_encrypted_and_the_server_is_verified_first(authority, pair):
    with secured(pair, answering(b"OK 1\n", b"OK 2\n", b"OK 3\nOK\n")) as peer:
        tls = TlsSettings(ca_file=authority.file)
        with client_of(peer.endpoint, tls=tls) as client:
            assert [client.ask("GET").said for _ in range(3)] == ["1", "2", "3"]
            failure(client, NotApplied, "lines.out-of-step")
    with secured(pair, answering(b"OK\n")) as peer:
        with pytest.raises(ConfigurationError) as caught:
            client_of(peer.endpoint, tls=TlsSettings())
        assert caught.value.code.startswith("net.tls.")
        assert not any(peer.heard)


def test_a_server_without_tls_is_told_apart_from_one_that_is_away(serve):
    with ScriptedLines(lambda line: line.say(b"OK hello\n" * 9)) as peer:
        with pytest.raises(ConfigurationError) as caught:
            client_of(peer.endpoint, tls=TlsSettings())
        assert caught.value.code == "net.tls.protocol"


def test_a_handshake_that_never_ends_is_left_at_the_deadline():
    with ScriptedLines(silent) as peer, pytest.raises(NotApplied) as caught:
        client_of(peer.endpoint, seconds=0.3, tls=TlsSettings())
    assert caught.value.code == "lines.deadline"


@pytest.mark.parametrize(
    "wrong",
    [
        {"refusals": {"ERR": "buzy"}},
        {"refusals": {"": "data"}},
        {"end": ""},
        {"encoding": "utf-16"},
        {"encoding": "no-such"},
        {"end": "§", "encoding": "ascii"},
    ],
)
def test_a_protocol_that_contradicts_itself_is_refused_at_once(wrong):
    with pytest.raises(ConfigurationError) as caught:
        LineProtocol(area="pbx", **wrong)
    assert caught.value.code == "lines.protocol"
