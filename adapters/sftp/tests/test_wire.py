"""Packets, frames and names: pure, so tested without a server."""

from __future__ import annotations

import contextlib
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.storage.names import decode_name, is_safe, show_name, split_path
from moatbridge_sftp.wire.client import handle
from moatbridge_sftp.wire.frames import Frames
from moatbridge_sftp.wire.packets import (
    Attributes,
    Kind,
    PacketError,
    Reader,
    frame,
    read_attributes,
    read_free,
    read_limits,
    read_names,
    read_status,
    read_version,
    string,
    uint32,
    uint64,
)

READERS = (read_names, read_status, read_limits, read_free, read_version, handle)


def block(
    size: int | None = None,
    owner: bool = False,
    mode: int | None = None,
    mtime: int | None = None,
    pairs: int = 0,
) -> bytes:
    flags = (
        (size is not None)
        | owner << 1
        | (mode is not None) << 2
        | (mtime is not None) << 3
        | bool(pairs) << 31
    )
    body = uint32(flags)
    body += b"" if size is None else uint64(size)
    body += bytes(8) if owner else b""
    body += b"" if mode is None else uint32(mode)
    body += b"" if mtime is None else uint32(0) + uint32(mtime)
    if pairs:
        body += uint32(pairs) + (string(b"a@b") + string(b"c")) * pairs
    return body


@given(
    size=st.none() | st.integers(0, 2**64 - 1),
    owner=st.booleans(),
    mode=st.none() | st.integers(0, 2**32 - 1),
    mtime=st.none() | st.integers(0, 2**32 - 1),
    pairs=st.integers(0, 16),
)
def test_every_attribute_block_reads_back(size, owner, mode, mtime, pairs):
    reader = Reader(block(size, owner, mode, mtime, pairs))
    assert read_attributes(reader) == Attributes(size, mode, mtime)
    assert reader.left == 0


BLOCKS = st.builds(
    lambda *parts: (Attributes(*parts[:3]), block(*parts[:1], parts[3], *parts[1:3])),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.integers(0, 2**32 - 1),
    st.booleans(),
)


@given(st.lists(st.tuples(st.binary(max_size=40), BLOCKS), max_size=20))
def test_names_read_back_in_order(entries):
    body = uint32(len(entries))
    for raw, (_, packed) in entries:
        body += string(raw) + string(b"-rw-r--r-- long text") + packed
    found = read_names(frame(Kind.NAME, 7, body)[4:])
    assert found == [(raw, attributes) for raw, (attributes, _) in entries]


@pytest.mark.parametrize("count", [2, 300_000, 2**32 - 1])
def test_a_count_bomb_costs_nothing(count):
    packet = frame(Kind.NAME, 1, uint32(count))[4:]
    began = time.process_time()
    with pytest.raises(PacketError, match="names claimed"):
        read_names(packet)
    assert time.process_time() - began < 0.05


@pytest.mark.parametrize("count", [17, 2**32 - 1])
def test_a_pair_bomb_costs_nothing(count):
    bomb = struct.pack(">II", 0x80000000, count)
    with pytest.raises(PacketError, match="extension pairs"):
        read_attributes(Reader(bomb))


@given(st.sampled_from(READERS), st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes_give_a_value_or_a_packet_error(read, packet):
    with contextlib.suppress(PacketError):
        read(packet)


@given(st.binary(min_size=1, max_size=60), st.data())
def test_every_prefix_of_a_names_answer_is_refused(raw, data):
    packet = frame(
        Kind.NAME,
        1,
        uint32(1) + string(raw) + string(b"") + block(1, owner=True, mode=2, mtime=3),
    )[4:]
    end = data.draw(st.integers(0, len(packet) - 1))
    with pytest.raises(PacketError):
        read_names(packet[:end])


def test_the_extensions_of_version_are_kept():
    body = string(b"limits@openssh.com") + string(b"1") + string(b"x") + string(b"\xff")
    packet = bytes([Kind.VERSION]) + uint32(3) + body
    assert read_version(packet) == {"limits@openssh.com": "1", "x": "\\xff"}


@pytest.mark.parametrize("version", [0, 2, 4, 6])
def test_another_protocol_version_is_refused(version):
    with pytest.raises(PacketError, match=f"protocol {version}"):
        read_version(bytes([Kind.VERSION]) + uint32(version))


def test_endless_extensions_are_refused():
    pairs = b"".join(string(str(n).encode()) + string(b"1") for n in range(1000))
    with pytest.raises(PacketError, match="extensions"):
        read_version(bytes([Kind.VERSION]) + uint32(3) + pairs)


def test_a_handle_is_at_most_256_bytes():
    with pytest.raises(PacketError, match="handle"):
        handle(frame(Kind.HANDLE, 1, string(bytes(257)))[4:])


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=12), st.data())
def test_frames_come_out_whole_however_they_are_cut(packets, data):
    stream = b"".join(uint32(len(packet)) + packet for packet in packets)
    frames, found = Frames(50), []
    at = 0
    while at < len(stream):
        step = data.draw(st.integers(1, 20))
        frames.feed(stream[at : at + step])
        at += step
        while (packet := frames.next()) is not None:
            found.append(packet)
    assert found == packets


@pytest.mark.parametrize("length", [0, 51, 2**32 - 1])
def test_a_frame_of_a_broken_length_is_refused(length):
    frames = Frames(50)
    frames.feed(uint32(length))
    with pytest.raises(PacketError):
        frames.next()


@pytest.mark.parametrize(
    "raw",
    [
        b"", b".", b"..", b"../x", b"/etc/cron.d/x", b"a/b", b"a\x00b", b"a\nb", b"a\x1b[2J",
        "\u202egnp.exe".encode(), "a\u2066b".encode(), "a\u2028b".encode(), b"a\x7f",
        "a\x85b".encode(), b"x" * 256, b"\x81\x8d",
    ],
)  # fmt: skip
def test_a_name_that_could_do_harm_is_refused(raw):
    assert decode_name(raw) is None
    assert is_safe(show_name(raw))
    assert len(show_name(raw)) <= 80


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"HR_EXPORT_1.csv", "HR_EXPORT_1.csv"),
        ("Müller.csv".encode(), "Müller.csv"),
        (b"M\xfcller.csv", "Müller.csv"),
        (b"-rf", "-rf"),
        (b"..\\..\\win.ini", "..\\..\\win.ini"),
        (b"x" * 255, "x" * 255),
    ],
)
def test_a_name_is_read_as_utf_8_or_else_as_cp1252(raw, name):
    assert decode_name(raw) == name


@given(st.binary(max_size=300))
def test_a_name_taken_is_safe_and_one_shown_is_printable(raw):
    name = decode_name(raw)
    if name is not None:
        assert is_safe(name)
        assert "/" not in name
        assert name not in {"", ".", ".."}
    assert is_safe(show_name(raw))


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a\0b", "x" * 256])
def test_a_path_stays_below_the_base(path):
    with pytest.raises(ConfigurationError) as caught:
        split_path(path)
    assert caught.value.code == "sftp.path"


def test_a_path_may_be_written_loosely():
    assert split_path("./a//b/") == ["a", "b"]
    assert split_path(".") == []
