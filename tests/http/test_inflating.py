"""Packed bodies: whole or refused, and never more at once than a piece."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from moatbridge.http.inflating import PIECE, AnswerError, inflated


def raw_deflate(data):
    return zlib.compress(data)[2:-4]


@pytest.mark.parametrize(
    ("pack", "coding"),
    [
        (gzip.compress, "gzip"),
        (gzip.compress, " X-GZIP"),
        (zlib.compress, "deflate"),
        (raw_deflate, "Deflate"),
        (bytes, "br"),
        (bytes, ""),
    ],
)
def test_a_body_is_what_its_coding_says(pack, coding):
    plain = b"some words " * 50_000
    packed = pack(plain)
    pieces = [packed[at : at + 1000] for at in range(0, len(packed), 1000)]
    assert b"".join(inflated(iter(pieces), coding)) == plain


@pytest.mark.parametrize(
    ("pack", "coding"),
    [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (raw_deflate, "deflate")],
)
def test_a_packed_body_without_its_end_is_refused(pack, coding):
    packed = pack(b"some words " * 50_000)
    for end in (1, len(packed) // 2, len(packed) - 9):
        with pytest.raises(AnswerError):
            b"".join(inflated(iter([packed[:end]]), coding))


def test_a_body_without_a_byte_may_have_any_coding():
    assert list(inflated(iter([]), "gzip")) == []


def test_a_bomb_is_inflated_piece_by_piece():
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    total = 0
    for piece in inflated(iter([bomb]), "gzip"):
        assert len(piece) <= PIECE
        total += len(piece)
        if total > 1_000_000:
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
