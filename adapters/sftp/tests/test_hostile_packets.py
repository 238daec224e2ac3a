"""Servers that break the protocol, stall, drip or flood: typed errors in time."""

from __future__ import annotations

import struct
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.errors import OutcomeUnknown
from moatbridge.testing import net
from moatbridge_sftp.storage import SshAuth, SshSettings, StorageFault, open_storage
from moatbridge_sftp.wire import line as line_module
from servers import sftp_hostile as hostile
from servers.sftp_hostile import HostileSftp, Request, Wire, honest, name, text
from servers.sftp_victim import fails, instead, list_all, read_five, run

if TYPE_CHECKING:
    from moatbridge_sftp.storage import Storage

DEADLINE = 1.0


@pytest.mark.parametrize("number", [0, 4_000_000_000])
def test_an_answer_nobody_asked_for_ends_the_connection(number):
    script = instead(
        LSTAT=lambda wire, request: wire.send(
            hostile.ATTRS, number, hostile.attributes()
        )
    )
    found = fails(script, lambda one: one.stat("ok.csv"))
    assert found.code == "sftp.protocol"


def test_an_answer_given_twice_ends_the_connection():
    def twice(wire: Wire, request: Request) -> None:
        for _ in range(2):
            wire.send(hostile.ATTRS, request.number, hostile.attributes())

    found = fails(instead(LSTAT=twice), lambda one: (one.stat("a"), one.stat("a")))
    assert found.code == "sftp.protocol"


@pytest.mark.parametrize("kind", [hostile.HANDLE, hostile.DATA, hostile.VERSION, 77, 0])
def test_an_answer_of_another_type_ends_the_connection(kind):
    script = instead(
        LSTAT=lambda wire, request: wire.send(kind, request.number, text(b"x"))
    )
    assert fails(script, lambda one: one.stat("ok.csv")).code == "sftp.protocol"


def test_a_status_that_says_ok_where_an_answer_belongs_ends_the_connection():
    script = instead(
        LSTAT=lambda wire, request: wire.status(request.number, hostile.OK)
    )
    assert fails(script, lambda one: one.stat("ok.csv")).code == "sftp.protocol"


@pytest.mark.parametrize("length", [0, 1, 300 * 1024, 2**32 - 1])
def test_a_packet_of_a_broken_length_ends_the_connection(length):
    script = instead(
        LSTAT=lambda wire, request: wire.raw(struct.pack(">IB", length, hostile.ATTRS))
    )
    assert fails(script, lambda one: one.stat("ok.csv")).code == "sftp.protocol"


@pytest.mark.parametrize(
    "greeting",
    [
        b"Welcome to fileserver, all is logged\r\n",
        struct.pack(">IBI", 5, hostile.VERSION, 6),
        struct.pack(">IBI", 5, hostile.STATUS, 3),
        struct.pack(">IBII", 9, hostile.VERSION, 3, 2**32 - 1),
    ],
    ids=["shell text", "version 6", "another type", "broken pair"],
)
def test_a_greeting_that_is_none_is_refused(greeting):
    found = fails(lambda wire: (wire.next(), wire.raw(greeting), wire.next()), list_all)
    assert found.code == "sftp.protocol"


def test_a_base_that_is_not_absolute_is_refused():
    two = (
        struct.pack(">I", 2) + name(b"/a", hostile.FOLDER) + name(b"/b", hostile.FOLDER)
    )
    script = instead(
        REALPATH=lambda wire, request: wire.send(hostile.NAME, request.number, two)
    )
    assert fails(script, list_all).code == "sftp.protocol"


def test_a_server_that_closes_in_the_middle_of_a_file_is_unreachable_not_the_end():
    def half(wire: Wire, request: Request) -> None:
        wire.raw(
            struct.pack(">IBI", 14, hostile.DATA, request.number) + text(b"hello")[:6]
        )
        wire.channel.close()

    assert fails(instead(READ=half), read_five).code == "sftp.unreachable"


def test_a_server_that_stalls_is_ended_by_the_deadline():
    began = time.monotonic()
    stall = instead(READ=lambda wire, request: None)
    assert fails(stall, read_five, deadline=DEADLINE).code == "sftp.deadline"
    assert time.monotonic() - began < 30


def test_a_server_that_drips_is_ended(monkeypatch):
    monkeypatch.setattr(line_module, "WINDOW", 0.4)

    def drip(wire: Wire, request: Request) -> None:
        packet = struct.pack(">IBI", 14, hostile.DATA, request.number) + text(b"hello")
        for byte in packet:
            wire.raw(bytes([byte]))
            if wire.ended.wait(0.05):
                return

    began = time.monotonic()
    assert fails(instead(READ=drip), read_five).code == "sftp.deadline"
    assert time.monotonic() - began < 30


def flood(wire: Wire, request: Request) -> None:
    """Send without end, whatever the window says."""
    wire.channel.out_window_size = 1 << 31
    block = bytes(32_000)
    while not wire.ended.is_set():
        wire.raw(struct.pack(">IBI", 2**17, hostile.DATA, request.number))
        for _ in range(64):
            wire.raw(block)


def test_a_flood_is_ended_before_it_fills_the_memory():
    tracemalloc.start()
    try:
        found = fails(
            instead(LSTAT=flood),
            lambda one: (one._client.post(7, text(b"/a")), one._client.line.flush(),
                         wait_until_dead(one), one.stat("a")),
            in_flight=1024 * 1024,
        )  # fmt: skip
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.code in {"sftp.protocol", "sftp.unreachable"}
    assert peak < 12 * 1024 * 1024


def wait_until_dead(storage: Any) -> None:
    ends = time.monotonic() + 60
    while storage._connection.transport.is_active():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_flood_of_error_text_is_ended():
    def chatter(wire: Wire, request: Request) -> None:
        wire.channel.out_window_size = 1 << 31
        while not wire.ended.is_set():
            try:
                wire.channel.sendall_stderr(bytes(32_000))
            except OSError:
                raise hostile.ClientGoneError from None

    found = fails(instead(LSTAT=chatter), lambda one: one.stat("a"))
    assert found.code == "sftp.protocol"


def test_a_rename_whose_answer_is_lost_is_unknown():
    def vanish(wire: Wire, request: Request) -> None:
        wire.channel.close()

    with pytest.raises(OutcomeUnknown) as caught:
        run(instead(RENAME=vanish), lambda one: one.rename("a", "b"))
    assert caught.value.code == "sftp.unreachable"


@pytest.mark.parametrize(("code", "kind"), [
    (hostile.ABSENT, "absent"), (hostile.DENIED, "denied"), (hostile.FAILURE, "failure"),
    (8, "unsupported"), (99, "failure"),
])  # fmt: skip
def test_a_refused_open_keeps_its_meaning(code, kind):
    script = instead(OPEN=lambda wire, request: wire.status(request.number, code))
    with pytest.raises(StorageFault) as caught:
        run(script, read_five)
    assert caught.value.kind == kind


def test_where_only_posix_rename_exists_the_target_is_looked_at_first():
    there = {b"/drop/taken"}
    sent: list[bytes] = []

    def look(wire: Wire, request: Request) -> None:
        if request.body[4:] in there:
            wire.send(hostile.ATTRS, request.number, hostile.attributes())
        else:
            wire.status(request.number, hostile.ABSENT)

    def extended(wire: Wire, request: Request) -> None:
        sent.append(request.body)
        wire.status(request.number, hostile.OK)

    def script(wire: Wire) -> None:
        honest(
            wire,
            instead={
                hostile.RENAME: lambda wire, request: wire.status(request.number, 8),
                hostile.LSTAT: look,
                hostile.EXTENDED: extended,
            },
            extensions=text(b"posix-rename@openssh.com") + text(b"1"),
        )

    def use(storage: Storage) -> None:
        storage.rename("a", "free")
        with pytest.raises(StorageFault) as caught:
            storage.rename("a", "taken")
        assert caught.value.kind == "exists"

    run(script, use)
    assert len(sent) == 1
    assert b"/drop/free" in sent[0]


def test_limits_that_make_no_sense_are_not_used():
    extension = text(b"limits@openssh.com") + text(b"1")
    told = struct.pack(">QQQQ", 2**63, 1, 2**40, 0)

    def script(wire: Wire) -> None:
        answer = lambda wire, request: wire.send(hostile.REPLY, request.number, told)  # noqa: E731
        honest(wire, instead={hostile.EXTENDED: answer}, extensions=extension)

    limits, _ = run(script, lambda one: one.facts().limits)
    assert limits == {
        "packet": 263_168, "read": 32_768, "write": 261_120, "handles": 64,
    }  # fmt: skip


def test_an_upload_refused_half_way_is_taken_away_again():
    def refuse(wire: Wire, request: Request) -> None:
        wire.status(request.number, hostile.FAILURE)

    with HostileSftp(instead(WRITE=refuse)) as server:
        ssh = SshSettings(
            host_keys=(server.fingerprint(),), auth=SshAuth(**server.auth())
        )
        way = net([("127.0.0.1", server.port)])
        with open_storage(server.url(), net=way, ssh=ssh) as storage:
            with pytest.raises(StorageFault):
                storage.create("new", [bytes(100_000)] * 3)
            assert storage.stat("ok.csv").size == 5  # the connection goes on
        kinds = server.wires[0].requests
        assert hostile.REMOVE in kinds
        assert hostile.CLOSE in kinds


def test_an_upload_that_shows_another_size_has_failed():
    with pytest.raises(StorageFault) as caught:
        run(instead(), lambda one: one.create("new", [b"four"]))  # FSTAT says 5
    assert caught.value.kind == "failure"


def test_a_full_disk_is_told_where_the_server_shows_its_space():
    empty = struct.pack(">11Q", 4096, 4096, 9, 0, 0, 0, 0, 0, 0, 0, 255)

    def script(wire: Wire) -> None:
        honest(
            wire,
            instead={
                hostile.WRITE: lambda wire, request: wire.status(request.number, 4),
                hostile.LSTAT: lambda wire, request: wire.status(request.number, 2),
                hostile.EXTENDED: lambda wire, request: wire.send(
                    hostile.REPLY, request.number, empty
                ),
            },
            extensions=text(b"statvfs@openssh.com") + text(b"2"),
        )

    with pytest.raises(StorageFault) as caught:
        run(script, lambda one: one.create("new", [b"x" * 50_000]))
    assert caught.value.kind == "full"
