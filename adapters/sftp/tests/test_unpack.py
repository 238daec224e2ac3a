"""Layers: gz, bz2, zst, zip; limits, damage, order, nothing left open."""

import bz2
import gzip
import io
import tracemalloc
import zipfile
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import settings as relaxed
from hypothesis import strategies as st

from moatbridge_sftp.formats import BadFile
from moatbridge_sftp.unpack import Limits, gzip_spool, unpack

DATA = b"A,B\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(5000))
PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor(write_content_size=False).compress,
}


class Spools:
    def __init__(self):
        self.made = []

    def __call__(self):
        self.made.append(io.BytesIO())
        return self.made[-1]


def unpacked(data, name="f.csv", limits=None, **more):
    spools = Spools()
    found = []
    for one in unpack(
        io.BytesIO(data), name, limits=limits or Limits(), new_spool=spools, **more
    ):
        assert one.file.tell() == 0
        found.append((one.name, one.file.read()))
    assert all(each.closed for each in spools.made)
    return found


def reason(data, **more):
    with pytest.raises(BadFile) as caught:
        unpacked(data, **more)
    return caught.value.reason


def archive(members, **more):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, **more) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("kind", PACKERS)
def test_each_layer_is_peeled_by_its_bytes_and_loses_its_ending(kind):
    packed = PACKERS[kind](DATA)
    assert unpacked(packed, f"f.csv.{kind}") == [("f.csv", DATA)]
    assert unpacked(packed, "f.dat") == [("f.dat", DATA)]


def test_a_plain_file_passes_and_is_not_copied():
    assert unpacked(DATA) == [("f.csv", DATA)]
    assert unpacked(b"") == [("f.csv", b"")]


@pytest.mark.parametrize("kind", PACKERS)
def test_several_members_and_zero_padding_are_fine(kind):
    pack = PACKERS[kind]
    assert unpacked(pack(DATA) + pack(b"more"))[0][1] == DATA + b"more"
    assert unpacked(pack(DATA) + b"\0" * 1000)[0][1] == DATA
    assert unpacked(pack(b""))[0][1] == b""


@pytest.mark.parametrize("kind", PACKERS)
def test_every_prefix_is_bad(kind):
    packed = PACKERS[kind](DATA)
    for cut in range(12, len(packed), max(1, len(packed) // 60)):
        assert reason(packed[:cut]) == "truncated"


@pytest.mark.parametrize("kind", PACKERS)
def test_trailing_garbage_is_bad(kind):
    assert reason(PACKERS[kind](DATA) + b"garbage") in {"trailing-data", "corrupt"}


@pytest.mark.parametrize("kind", ["gz", "bz2"])
def test_a_changed_byte_is_bad(kind):
    packed = bytearray(PACKERS[kind](DATA))
    packed[len(packed) // 2] ^= 0xFF
    assert reason(bytes(packed)) in {"corrupt", "truncated", "trailing-data"}


@pytest.mark.parametrize("kind", PACKERS)
def test_a_bomb_is_cut_off_in_bounded_memory(kind):
    bomb = PACKERS[kind](bytes(200 << 20))
    tracemalloc.start()
    assert reason(bomb) == "unpack-ratio"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20


def test_a_bomb_of_a_zip_is_cut_off_whatever_its_header_says():
    bomb = archive({"a": bytes(50 << 20)})
    assert reason(bomb) == "unpack-ratio"
    lying = bomb.replace((50 << 20).to_bytes(4, "little"), (5).to_bytes(4, "little"))
    assert lying != bomb
    assert reason(lying) == "zip"


def test_max_file_counts_after_unpacking():
    limits = Limits(max_file=1000, ratio=10**6)
    assert reason(PACKERS["gz"](DATA), limits=limits) == "unpacked-size"
    assert reason(archive({"a": DATA}), limits=limits) == "unpacked-size"


def test_four_layers_are_taken_and_a_fifth_is_not():
    packed = DATA
    for _ in range(4):
        packed = gzip.compress(packed)
    assert unpacked(packed, "a.gz.gz")[0] == ("a", DATA)
    assert reason(gzip.compress(packed)) == "layers"
    nested = archive({"in.zip": archive({"x.csv.gz": gzip.compress(DATA)})})
    assert unpacked(gzip.compress(nested), "o.zip.gz") == [("o.zip!in.zip!x.csv", DATA)]


def test_zip_members_come_in_name_order_and_folders_are_left_out():
    packed = archive({"b/": b"", "b/2.csv": b"2", "a.csv": b"1", "../c": b"3"})
    assert unpacked(packed, "x.zip") == [
        ("x.zip!../c", b"3"),
        ("x.zip!a.csv", b"1"),
        ("x.zip!b/2.csv", b"2"),
    ]


def test_a_zip_with_too_many_members_is_refused_before_it_is_read():
    packed = archive({f"{i:05d}": b"" for i in range(200)})
    assert reason(packed, limits=Limits(members=100)) == "zip-members"
    assert len(unpacked(packed, limits=Limits(members=200))) == 200


def test_every_prefix_of_a_zip_is_bad():
    packed = archive({"a": DATA, "b": DATA})
    for cut in range(10, len(packed), max(1, len(packed) // 40)):
        assert reason(packed[:cut]) == "zip"


def test_a_damaged_member_is_bad():
    packed = bytearray(archive({"a": DATA}))
    packed[len(packed) // 2] ^= 0xFF
    assert reason(bytes(packed)) == "zip"


def test_an_encrypted_member_needs_the_password():
    packed = encrypted_zip(b"hello", b"secret")
    assert reason(packed) == "zip-encrypted"
    assert reason(packed, zip_password="wrong!") in {"zip-encrypted", "zip"}
    assert unpacked(packed, zip_password="secret")[0][1] == b"hello"


def encrypted_zip(data, password):
    """The old cipher of zip (PKWARE APPNOTE 6.1), which `zipfile` only reads."""
    keys = [0x12345678, 0x23456789, 0x34567890]

    def crc(value, byte):
        return zlib.crc32(bytes([byte]), value ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    def update(byte):
        keys[0] = crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc(keys[2], keys[1] >> 24)

    def encrypt(byte):
        mask = (keys[2] | 2) & 0xFFFF
        out = byte ^ ((mask * (mask ^ 1)) >> 8 & 0xFF)
        update(byte)
        return out

    for each in password:
        update(each)
    total = zlib.crc32(data)
    head = bytes(11) + bytes([total >> 24])
    body = bytes(encrypt(each) for each in head + data)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as plain:
        plain.writestr("a", body)
    packed = bytearray(made.getvalue())
    for mark, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        at = packed.index(mark) + 6 + shift
        packed[at] |= 1
        packed[at + 8 : at + 12] = total.to_bytes(4, "little")
        packed[at + 16 : at + 20] = len(data).to_bytes(4, "little")
    return bytes(packed)


def test_a_zip_of_a_later_version_is_bad():
    packed = bytearray(archive({"a": b"1"}))
    packed[packed.index(b"PK\x01\x02") + 6] = 126
    assert reason(bytes(packed)) == "zip"


def test_a_zip_member_without_a_name_is_bad():
    packed = archive({"a": b"1"})
    at = packed.index(b"PK\x01\x02")
    nameless = (
        packed[: at + 28] + b"\0\0" + packed[at + 30 : at + 46] + packed[at + 47 :]
    )
    length = int.from_bytes(packed[-10:-6], "little") - 1
    nameless = nameless[:-10] + length.to_bytes(4, "little") + nameless[-6:]
    assert reason(nameless) == "zip"


def test_an_office_document_is_one_file():
    packed = archive({"[Content_Types].xml": b"<x/>", "xl/a.xml": b"<y/>"})
    assert unpacked(packed, "a.xlsx") == [("a.xlsx", packed)]


def test_abandoned_spools_are_closed():
    spools = Spools()
    packed = archive({"a": b"1", "b": b"2"})
    found = unpack(io.BytesIO(packed), "x", limits=Limits(), new_spool=spools)
    next(found)
    found.close()
    assert len(spools.made) == 1
    assert spools.made[0].closed


def test_packing_is_repeatable():
    first, second = io.BytesIO(), io.BytesIO()
    gzip_spool(io.BytesIO(DATA), first)
    gzip_spool(io.BytesIO(DATA), second)
    assert first.getvalue() == second.getvalue()
    assert unpacked(first.getvalue())[0][1] == DATA


@given(
    st.sampled_from([*PACKERS, "zip"]), st.integers(0, 10**6), st.binary(max_size=40)
)
@relaxed(deadline=None, max_examples=200)
def test_mutated_wrappings_raise_only_bad_file(kind, place, noise):
    small = DATA[:400]
    packed = bytearray(archive({"a": small}) if kind == "zip" else PACKERS[kind](small))
    place %= len(packed)
    packed[place : place + len(noise) // 2] = noise
    try:
        unpacked(bytes(packed), limits=Limits(max_file=1 << 20))
    except BadFile:
        return
