"""Photos lose their metadata and nothing else (guard 30)."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.entities import Fault
from moatbridge.entities.pictures import without_metadata

SECRET = b"GPS 47.3769 8.5417"
FORMATS = ("image/jpeg", "image/png", "image/webp", "image/gif")


def tiff(orientation=None, order="<"):
    """Exif with a place, and perhaps an orientation."""
    entries = [(0x8825, 4, 1, 8)] + ([(0x0112, 3, 1, orientation)] if orientation else [])  # fmt: skip
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    body = struct.pack(order + "H", len(entries))
    for tag, kind, count, value in entries:
        packed = struct.pack(order + "HH" if kind == 3 else order + "I", *([value, 0] if kind == 3 else [value]))  # fmt: skip
        body += struct.pack(order + "HHI", tag, kind, count) + packed
    return head + body + struct.pack(order + "I", 0) + SECRET


def segment(code, body):
    return bytes((0xFF, code)) + struct.pack(">H", len(body) + 2) + body


def jpeg(*metadata):
    """Two scans, as a progressive picture has them, with stuffed bytes in them."""
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"a\xff\x00b\xff\xd0c"
    shown = [
        segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        segment(0xE2, b"ICC_PROFILE\0\x01\x01profile"),
        segment(0xDB, bytes(65)),
        segment(0xC2, bytes(9)),
        scan,
        segment(0xC4, b"table"),
        scan,
        b"\xff\xd9",
    ]
    return b"".join([b"\xff\xd8", shown[0], *metadata, *shown[1:]])


def chunk(kind, body):
    whole = kind + body
    return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))


def png(*metadata):
    rows = zlib.compress(b"\0\xff")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    shown = [chunk(b"gAMA", b"\0\0\xb1\x8f"), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"".join([b"\x89PNG\r\n\x1a\n", header, *metadata, *shown])


def riff(kind, body):
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webp(*metadata, flags=0):
    chunks = [riff(b"VP8X", bytes((flags,)) + bytes(9)), riff(b"ICCP", b"odd")]
    whole = b"".join([*chunks, riff(b"VP8 ", b"picture"), *metadata])
    return b"RIFF" + struct.pack("<I", len(whole) + 4) + b"WEBP" + whole


def gif(*metadata):
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    loops = b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    frame = b"!\xf9\x04\0\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"
    return b"".join([head, loops, *metadata, frame, b";"])


def told(kind):
    return b"!" + kind + bytes((len(SECRET),)) + SECRET + b"\0"


EXIF = b"Exif\0\0"
CASES = {
    "image/jpeg": (
        jpeg,
        [
            segment(0xE1, EXIF + tiff()),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET),
            segment(0xED, b"Photoshop 3.0\0" + SECRET),
            segment(0xE2, b"MPF\0" + SECRET),
            segment(0xE0, b"JFXX\0" + SECRET),
            segment(0xFE, SECRET),
        ],
    ),
    "image/png": (
        png,
        [chunk(kind, b"Comment\0" + SECRET) for kind in (b"tEXt", b"iTXt", b"zTXt")]
        + [chunk(b"eXIf", tiff()), chunk(b"tIME", bytes(7)), chunk(b"caBX", SECRET)],
    ),
    "image/webp": (
        webp,
        [riff(b"EXIF", tiff()), riff(b"XMP ", SECRET), riff(b"C2PA", SECRET)],
    ),
    "image/gif": (
        gif,
        [told(b"\xfe"), b"!\xff\x0bXMP DataXMP" + bytes((18,)) + SECRET + b"\0"],
    ),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_only_what_is_not_shown_is_taken_out(kind):
    make, metadata = CASES[kind]
    clean = make()
    assert without_metadata(clean, kind) == clean
    flags = {"flags": 0x0C} if kind == "image/webp" else {}
    for each in (*([one] for one in metadata), metadata):
        assert without_metadata(make(*each, **flags), kind) == clean


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png"])
def test_what_follows_the_picture_is_left_out(kind):
    make, metadata = CASES[kind]
    assert without_metadata(make() + metadata[0] + SECRET, kind) == make()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turn", range(2, 9))
def test_a_photo_keeps_its_orientation(order, turn):
    exif = tiff(turn, order)
    shown = without_metadata(jpeg(segment(0xE1, EXIF + exif)), "image/jpeg")
    assert SECRET not in shown
    assert without_metadata(shown, "image/jpeg") == shown
    kept = shown.partition(EXIF)[2]
    assert struct.unpack_from(">HIHHHIH", kept, 2) == (42, 8, 1, 0x0112, 3, 1, turn)
    photo = without_metadata(png(chunk(b"eXIf", exif)), "image/png")
    assert SECRET not in photo
    assert kept[:26] in photo
    photo = without_metadata(webp(riff(b"EXIF", EXIF + exif), flags=8), "image/webp")
    assert SECRET not in photo
    assert kept[:26] in photo
    assert photo[20] == 0x08
    assert len(photo) == struct.unpack_from("<I", photo, 4)[0] + 8


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_that_ends_early_is_refused_or_harmless(kind):
    make, metadata = CASES[kind]
    whole = make(*metadata)
    for end in range(len(whole)):
        try:
            shown = without_metadata(whole[:end], kind)
        except Fault:
            continue
        assert SECRET not in shown


@pytest.mark.parametrize("kind", ["image/heic", "image/avif", "image/tiff", "x"])
def test_a_format_that_is_not_known_is_refused(kind):
    with pytest.raises(Fault):
        without_metadata(png(), kind)


@given(
    st.sampled_from(FORMATS),
    st.binary(max_size=200),
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=6)), max_size=4),
)
def test_damaged_pictures_are_refused_or_cleaned_again_to_the_same(kind, tail, edits):
    make, metadata = CASES[kind]
    data = bytearray(make(*metadata) + tail)
    for at, piece in edits:
        data[at : at + len(piece)] = piece
    try:
        once = without_metadata(bytes(data), kind)
    except Fault:
        return
    assert without_metadata(once, kind) == once


def test_no_bait_takes_long():
    marks = b"\xff" * 400_000
    for data in (jpeg()[:-2] + marks, jpeg()[:-2] + marks + b"\0", jpeg() + marks):
        try:
            without_metadata(data, "image/jpeg")
        except Fault:
            continue


def frame(*more):
    """One picture of a film."""
    alpha = riff(b"ALPH", b"odd")
    return riff(b"ANMF", bytes(16) + alpha + riff(b"VP8 ", b"odd") + b"".join(more))


def test_frames_of_a_film_lose_what_is_hidden_in_them():
    for hidden in (b"XMP ", b"EXIF", b"UNKN", b"ANMF"):
        film = webp(frame(riff(hidden, SECRET), riff(b"odd ", SECRET + b"x")), flags=2)
        assert without_metadata(film, "image/webp") == webp(frame(), flags=2)
    with pytest.raises(Fault):
        without_metadata(webp(riff(b"ANMF", b"short")), "image/webp")


def test_the_small_picture_inside_a_jpeg_goes():
    clean = jpeg()
    jfif = segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x02\x03" + SECRET)
    whole = clean[:2] + jfif + clean[20:]
    assert without_metadata(whole, "image/jpeg") == clean
    adobe = b"Adobe" + bytes(7)
    long, short = segment(0xEE, adobe + SECRET), segment(0xEE, adobe)
    assert without_metadata(jpeg(long), "image/jpeg") == jpeg(short)
    for cut in (segment(0xE0, b"JFIF\0" + b"GPS"), segment(0xEE, b"Adobe" + b"GPS")):
        assert without_metadata(jpeg(cut), "image/jpeg") == clean


@pytest.mark.parametrize("code", [0x02, 0xBF, 0xC8, 0xF0, 0xF7, 0xFD])
def test_segments_that_show_nothing_go(code):
    whole = jpeg(segment(code, SECRET))
    assert without_metadata(whole, "image/jpeg") == jpeg()


@pytest.mark.parametrize("code", [0x00, 0x01, 0xD3, 0xD8])
def test_a_marker_without_a_length_where_none_belongs_is_refused(code):
    with pytest.raises(Fault):
        without_metadata(jpeg(segment(code, SECRET)), "image/jpeg")


def test_chunks_of_a_png_that_hold_more_than_they_may_go():
    for kind in (b"sPLT", b"gAMA", b"pHYs", b"tRNS", b"acTL"):
        hidden = chunk(kind, SECRET * 20)
        assert without_metadata(png(hidden), "image/png") == png()
    for kind in (b"PRVt", b"CgBI", b"IEND"):
        with pytest.raises(Fault):
            without_metadata(png(chunk(kind, SECRET)), "image/png")


def test_blocks_of_a_gif_that_hold_more_than_they_may_go():
    more = bytes((len(SECRET),)) + SECRET + b"\0"
    loops = b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0"
    shown = without_metadata(gif(loops + more), "image/gif")
    assert shown == gif(loops + b"\0")
    for hidden in (
        b"!\xff\x0bNETSCAPE2.0" + more,
        b"!\xf9" + more,
        b"!\xf9\x04\0\0\0\0" + more,
    ):
        assert without_metadata(gif(hidden), "image/gif") == gif()
