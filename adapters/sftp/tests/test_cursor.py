"""The cursor: small JSON, there and back; what is none of ours is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.errors import CursorTooOld
from moatbridge_sftp.pickup.cursor import (
    DONE_MOST,
    RECENT_MOST,
    UNSETTLED_MOST,
    WAITING_MOST,
    Current,
    Cursor,
    Finished,
    Identity,
    Place,
)

SMALL = st.integers(0, 2**40)
FILES = st.builds(Identity, st.text(min_size=1, max_size=60), SMALL, SMALL)
SHA = st.binary(min_size=32, max_size=32).map(bytes.hex)
FINISHED = st.builds(
    Finished, FILES, SHA, SMALL, SMALL, st.just({"sum": "1.50"}), st.just("read")
)
PLACES = st.builds(Place, SMALL, SMALL, SMALL, SMALL)
CURSORS = st.builds(
    Cursor,
    st.none() | st.builds(Current, FILES, SHA, PLACES, SMALL, SMALL),
    st.dictionaries(
        st.binary(min_size=8, max_size=8), st.integers(0, 2**32 - 1), max_size=5
    ),
    st.lists(FINISHED, max_size=3).map(tuple),
    st.lists(st.binary(min_size=8, max_size=8), max_size=5).map(tuple),
    st.lists(st.binary(min_size=6, max_size=6), max_size=5).map(tuple),
    st.none() | st.text(max_size=20) | SMALL,
    st.none() | st.text(max_size=20),
)


@given(CURSORS)
def test_a_cursor_survives_json(cursor: Cursor) -> None:
    assert Cursor.unpack(json.loads(json.dumps(cursor.pack()))) == cursor


@pytest.mark.parametrize(
    "value",
    [
        {"from": "somewhere-else"},
        {"v": 2},
        [],
        7,
        "x",
        {"v": 1, "waiting": "AAAA"},
        {"v": 1, "done": "not base64!"},
        {"v": 1, "file": ["x"]},
        {"v": 1, "file": ["x", 1, 1, "ab"], "at": ["a"]},
        {"v": 1, "unsettled": [["x"]]},
    ],
)
def test_a_foreign_cursor_is_too_old(value: object) -> None:
    with pytest.raises(CursorTooOld) as caught:
        Cursor.unpack(value)
    assert caught.value.code == "sftp.cursor"


def test_the_fullest_cursor_fits_into_the_ledger() -> None:
    name = "n" * 255
    one = Finished(Identity(name, 2**40, 2**31), "ab" * 32, 10**9, 10**6, {}, "read")
    cursor = Cursor(
        Current(one.file, one.sha256, Place(9999, 10**9, 2**40, 10**9), 10**9, 10**6),
        {n.to_bytes(8, "big"): 2**31 for n in range(WAITING_MOST)},
        done=tuple(n.to_bytes(8, "big") for n in range(DONE_MOST)),
        recent=tuple(n.to_bytes(6, "big") for n in range(RECENT_MOST)),
        last=name,
        number="20260131",
    )
    while not cursor.heavy:
        cursor = cursor.finish(one, keep=False, settle=True, last=name, number=None)
    cursor = Cursor(
        Current(one.file, one.sha256), cursor.waiting, cursor.unsettled, cursor.done,
        cursor.recent, name, "20260131",
    )  # fmt: skip
    assert UNSETTLED_MOST < len(json.dumps(cursor.pack())) <= 65536


def test_what_was_read_lately_is_known() -> None:
    file = Identity("a.csv", 1, 1)
    cursor = Cursor()
    for number in range(RECENT_MOST + 1):
        sha = f"{number:064x}"[::-1]
        cursor = cursor.finish(
            Finished(file, sha), keep=False, settle=False, last="a", number=None
        )
    assert cursor.knows(f"{RECENT_MOST:064x}"[::-1])
    assert not cursor.knows(f"{0:064x}"[::-1])
    assert len(cursor.recent) == RECENT_MOST


def test_two_files_of_one_name_have_different_marks() -> None:
    marks = {
        Identity("a", 1, 1).mark,
        Identity("a", 2, 1).mark,
        Identity("a", 1, 2).mark,
    }
    assert len(marks) == 3
