"""Hostile listings and files: typed errors, nothing taken for an end, no harm."""

from __future__ import annotations

import struct
import time

import pytest

from moatbridge.errors import ConfigurationError
from servers import sftp_hostile as hostile
from servers.sftp_hostile import Request, Wire, name, text
from servers.sftp_victim import data, fails, instead, list_all, names, read_five, run


def test_the_honest_script_serves():
    (listed, content, small), _ = run(
        instead(),
        lambda storage: (
            list_all(storage),
            read_five(storage),
            list(storage.read_small([("ok.csv", 5)])),
        ),
    )
    assert [one.name for one in listed[0]] == ["ok.csv"]
    assert content == b"hello"
    assert small == [("ok.csv", b"hello")]


ATTACKS = [
    b"../../../../work/PWNED", b"/etc/cron.d/x", b"..", b".", b"", b"a\x00b", b"a\nb",
    b"a\x1b]0;x\x07", "\u202egnp.exe".encode(), b"x" * 5000, b"sub/ok.csv",
    b"\x81\x8d\x90", "a\u2029b".encode(), b"a\x7fb",
]  # fmt: skip


def test_names_that_attack_never_arrive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = instead(READDIR=names(*map(name, ATTACKS), name(b"ok.csv")))
    (entries, skipped), _ = run(script, list_all)
    assert [one.name for one in entries] == ["ok.csv"]
    assert len(skipped) == len(ATTACKS) - 2  # the two dots are no entries
    assert all(one.isprintable() and len(one) < 100 for one in skipped)
    assert list(tmp_path.iterdir()) == []


def test_a_name_twice_is_taken_once_and_reported():
    script = instead(READDIR=names(name(b"a"), name(b"a"), name(b"b")))
    (entries, skipped), _ = run(script, list_all)
    assert [one.name for one in entries] == ["a", "b"]
    assert skipped == ["twice:a"]


@pytest.mark.parametrize("flags", [b"\0\0\0\0", struct.pack(">II", 4, 0o100644)])
def test_an_entry_without_size_or_time_is_skipped_and_reported(flags):
    script = instead(READDIR=names(name(b"a", flags), name(b"b")))
    (entries, skipped), _ = run(script, list_all)
    assert [one.name for one in entries] == ["b"]
    assert skipped == ["no-attributes:a"]


def test_a_listing_that_never_ends_is_cut_as_an_error():
    count = iter(range(10**9))

    def more(wire: Wire, request: Request) -> None:
        body = b"".join(name(f"{next(count)}.csv".encode()) for _ in range(100))
        wire.send(hostile.NAME, request.number, struct.pack(">I", 100) + body)

    with pytest.raises(ConfigurationError) as caught:
        run(instead(READDIR=more), list_all)
    assert caught.value.code == "sftp.too-many-files"
    assert next(count) < 4000  # what was asked ahead, no more


def test_a_listing_without_names_that_never_ends_is_refused():
    empty = instead(
        READDIR=lambda wire, request: wire.send(hostile.NAME, request.number, bytes(4))
    )
    assert fails(empty, list_all).code == "sftp.protocol"


@pytest.mark.parametrize(
    "body",
    [
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", 1) + text(b"a") + text(b"") + struct.pack(">II", 1 << 31, 2**32 - 1),
        struct.pack(">II", 1, 2**32 - 1),
        struct.pack(">I", 2) + name(b"a"),
        b"",
    ],
    ids=["count bomb", "pair bomb", "length bomb", "one missing", "empty"],
)  # fmt: skip
def test_a_bomb_in_a_listing_ends_the_connection_at_once(body):
    script = instead(
        READDIR=lambda wire, request: wire.send(hostile.NAME, request.number, body)
    )
    began = time.process_time()
    assert fails(script, list_all).code == "sftp.protocol"
    assert time.process_time() - began < 1


def test_a_file_that_never_ends_has_changed():
    endless = instead(READ=data(b"A" * 5))
    assert fails(endless, read_five).code == "sftp.changed"


def test_a_small_file_that_never_ends_is_refused():
    endless = instead(READ=data(b"A" * 1000))
    found = fails(endless, lambda one: list(one.read_small([("ok.csv", 5)])))
    assert found.code == "sftp.protocol"


@pytest.mark.parametrize(("content", "code"), [
    (b"", "sftp.protocol"), (b"A" * 6, "sftp.protocol"),
])  # fmt: skip
def test_a_read_answered_with_nothing_or_too_much_is_refused(content, code):
    assert fails(instead(READ=data(content)), read_five).code == code


@pytest.mark.parametrize("most", [1, 2, 3])
def test_short_reads_are_asked_on_for_the_rest(most):
    def short(wire: Wire, request: Request) -> None:
        offset = struct.unpack(">Q", request.body[5:13])[0]
        if offset >= 5:
            wire.status(request.number, hostile.EOF)
        else:
            piece = b"hello"[offset : offset + most]
            wire.send(hostile.DATA, request.number, text(piece))

    both, _ = run(
        instead(READ=short),
        lambda one: (read_five(one), list(one.read_small([("ok.csv", 5)]))),
    )
    assert both == (b"hello", [("ok.csv", b"hello")])


def test_a_file_shorter_than_listed_has_changed():
    early = instead(READ=lambda wire, request: wire.status(request.number, hostile.EOF))
    assert fails(early, read_five).code == "sftp.changed"
    found = fails(early, lambda one: list(one.read_small([("ok.csv", 5)])))
    assert found.code == "sftp.changed"


def test_answers_in_another_order_are_put_in_order():
    held: list[Request] = []
    size = 32_768 * 4
    content = b"".join(bytes([n]) * 32_768 for n in range(4))

    def late(wire: Wire, request: Request) -> None:
        held.append(request)
        if len(held) < 5:
            return
        for one in reversed(held):
            offset = struct.unpack(">Q", one.body[5:13])[0]
            piece = content[offset : offset + 32_768]
            if piece:
                wire.send(hostile.DATA, one.number, text(piece))
            else:
                wire.status(one.number, hostile.EOF)
        held.clear()

    block = hostile.attributes(size)
    script = instead(
        READ=late,
        FSTAT=lambda wire, request: wire.send(hostile.ATTRS, request.number, block),
    )
    found, _ = run(script, lambda one: b"".join(one.read("ok.csv", size=size)))
    assert found == content
