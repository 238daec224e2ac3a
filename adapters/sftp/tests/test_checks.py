"""The first pass: controls, duplicates, rejects, checksums; nothing half is taken."""

import hashlib
import io
import pickle
import zlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as relaxed
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.checks import BadFile, Controls, body, check_sum, first_pass
from moatbridge_sftp.checks.keys import Keys
from moatbridge_sftp.formats import field_table, format_class, settings

CSV, FIXED = format_class("csv"), format_class("fixed")
FIELDS = {"ID": "text", "N": "integer", "PAY": {"type": "decimal", "decimal_sep": ","}}
TRAILER = {
    "trailer": r"^TRL;(?P<count>\d+);(?P<sum_PAY>[-\d,]+);(?P<hash_ID>\d+)$",
    "hash_digits": 4,
}


def judge(data, fields=FIELDS, kind=CSV, controls=None, table=None, **more):
    table = {"delimiter": ";"} | (table or {}) if kind is CSV else table
    return first_pass(
        io.BytesIO(data),
        kind(),
        field_table(fields),
        settings(kind, table),
        key=more.pop("key", ["ID"]),
        controls=None if controls is None else Controls.model_validate(controls),
        **more,
    )


def reason(data, **more):
    with pytest.raises(BadFile) as caught:
        judge(data, **more)
    return caught.value


def rows(count):
    lines = [f"{i:06d};{i};{i},25" for i in range(count)]
    return "ID;N;PAY\n" + "\n".join(lines) + "\n"


def trailer(count):
    total = sum(Decimal(i) + Decimal("0.25") for i in range(count))
    return f"TRL;{count};{total};{sum(range(count)) % 10**4}\n".replace(".", ",")


def test_totals_that_match_are_taken():
    data = (rows(700) + trailer(700)).encode()
    found = judge(data, controls=TRAILER)
    assert (found.count, found.bad) == (700, 0)
    assert found.sums["sum_PAY"] == Decimal("244825.00")
    assert found.promised["count"] == "700"


def test_the_body_holds_neither_header_nor_trailer_and_resumes():
    data = ("HDR;20260121;17\n" + rows(700) + trailer(700) + "\n\r\n").encode()
    controls = Controls.model_validate(
        TRAILER | {"header": r"HDR;(?P<date>\d{8});(?P<sequence>\d+)"}
    )
    config = settings(CSV, {"delimiter": ";"})
    found = body(io.BytesIO(data), CSV(), config, controls)
    assert found.promised["date"] == "20260121"
    assert found.promised["sequence"] == "17"
    chunks = list(CSV().read(found.file, field_table(FIELDS), config))
    whole = [record for chunk in chunks for record in chunk.records]
    assert (len(whole), whole[-1]["N"]) == (700, 699)
    assert not any(chunk.bad for chunk in chunks)
    rest = list(CSV().read(found.file, field_table(FIELDS), config, chunks[0].position))
    assert [record for chunk in rest for record in chunk.records] == whole[500:]


@pytest.mark.parametrize(
    ("change", "why", "expected", "found"),
    [
        (("TRL;30;", "TRL;31;"), "count", "31", "30"),
        (("442,50", "442,51"), "sum", "442.51", "442.50"),
        ((";435\n", ";436\n"), "hash", "436", "435"),
        (("TRL;", "TLR;"), "truncated", None, None),
        (("000003;3;3,25\n", ""), "count", "30", "29"),
        (("000003;3;3,25", "000003;3;3,26"), "sum", "442.50", "442.51"),
        (("000003;3", "000005;3"), "hash", "435", "437"),
    ],
)
def test_any_total_that_differs_makes_a_bad_file(change, why, expected, found):
    data = (rows(30) + trailer(30)).replace(*change)
    error = reason(data.encode(), controls=TRAILER)
    assert (error.reason, error.expected, error.found) == (why, expected, found)


def test_every_prefix_of_a_file_with_controls_is_bad():
    data = (rows(30) + trailer(30)).encode()
    for cut in range(len(data) - 1):
        assert isinstance(reason(data[:cut], controls=TRAILER), BadFile)
    assert judge(data[:-1], controls=TRAILER).count == 30


def test_every_prefix_of_a_fixed_file_with_controls_is_bad():
    columns = [
        {"name": "ID", "start": 1, "length": 6},
        {"name": "N", "start": 7, "length": 4},
    ]
    data = "".join(f"{i:06d}{i:4d}\n" for i in range(20)) + "TRL       \n"
    data = data.replace("TRL       ", "T00020    ")
    more = {
        "fields": {"ID": "text", "N": "integer"},
        "kind": FIXED,
        "table": {"columns": columns},
        "controls": {"trailer": r"T(?P<count>\d{5}) *"},
    }
    assert judge(data.encode(), **more).count == 20
    for cut in range(len(data) - 5):
        assert isinstance(reason(data[:cut].encode(), **more), BadFile)
    packed = data.replace("\n", "").encode()
    more["table"] |= {"newline": "none", "record_length": 10}
    assert judge(packed, **more).count == 20
    assert reason(packed[:-1], **more).reason == "truncated"


@pytest.mark.parametrize("name", ["utf-16", "cp037", "cp1252"])
def test_controls_work_in_every_encoding(name):
    text = "HDR;1\n" + rows(600) + trailer(600)
    if name == "cp037":
        data = b"\x15".join(line.encode(name) for line in text.split("\n"))
    else:
        data = text.encode(name)
    controls = TRAILER | {"header": r"HDR;(?P<sequence>\d+)"}
    assert judge(data, controls=controls, table={"encoding": name}).count == 600


def test_groups_name_fields_that_are_no_identifiers():
    controls = {"trailer": r"T;(?P<a>\d+)", "groups": {"a": "sum_GE-HALT"}}
    data = b"ID;GE-HALT\n1;2\n2;3\nT;5\n"
    fields = {"ID": "text", "GE-HALT": "integer"}
    assert judge(data, fields=fields, controls=controls).count == 2
    with pytest.raises(ValueError, match="means nothing"):
        Controls.model_validate({"trailer": r"(?P<what>\d)"})
    with pytest.raises(ValueError, match="regular"):
        Controls.model_validate({"trailer": r"("})


def test_a_total_of_a_field_that_is_not_there_is_a_settings_error():
    with pytest.raises(ConfigurationError) as caught:
        judge(b"ID\n1\nT5\n", fields=["ID"], controls={"trailer": r"T(?P<sum_ID>\d)"})
    assert caught.value.code == "sftp.controls"


def test_controls_need_a_format_with_lines():
    xml = format_class("xml")
    with pytest.raises(ConfigurationError):
        judge(b"<r/>", ["ID"], xml, {"trailer": "T"}, {"record": "r/p"})


def test_duplicate_keys_of_a_snapshot_are_named_by_record_number():
    data = "ID;N;PAY\n" + "".join(f"{i % 996};{i};1\n" for i in range(1000))
    error = reason(data.encode(), content="snapshot")
    assert (error.reason, error.records) == ("duplicate-keys", (997, 998, 999, 1000))
    assert "996" not in str(error)
    assert judge(data.encode(), content="delta").count == 1000
    assert judge(data.encode(), content="snapshot", key=["ID", "N"]).keys_checked


def test_equal_hashes_are_not_believed_without_equal_keys():
    keys = Keys(["a"])
    numbered = [(1, {"a": "x"}), (2, {"a": "y"}), (3, {"a": "x"})]
    every = {hash(record["a"]) for _, record in numbered}
    assert keys.confirmed(every, numbered) == [3]


def test_a_compound_key_is_not_the_joined_text():
    data = b"ID;N;PAY\n1;23;1\n12;3;1\n"
    assert judge(data, content="snapshot", key=["ID", "N"]).count == 2


def with_bad(count, bad):
    return rows(count).encode() + b"x;no number;1\n" * bad


@pytest.mark.parametrize(
    ("good", "bad", "limit", "taken"),
    [
        (10, 5, 0.01, True), (10, 6, 0.01, False), (1000, 10, 0.01, True),
        (1000, 11, 0.01, False), (10, 0, 0, True), (10, 1, 0, False), (10, 7, 7, True),
        (10, 8, 7, False),
    ],
)  # fmt: skip
def test_more_rejects_than_allowed_make_a_bad_file(good, bad, limit, taken):
    data = with_bad(good, bad)
    if taken:
        assert judge(data, max_rejects=limit).bad == bad
        return
    error = reason(data, max_rejects=limit)
    assert (error.reason, error.found) == ("rejects", bad)
    assert error.records[0] == good + 1
    assert "'N'" in str(error)


def test_a_hopeless_file_is_given_up_early():
    class Counting(io.BytesIO):
        given = 0

        def read(self, size=-1):
            data = super().read(size)
            self.given += len(data)
            return data

    file = Counting(b"ID;N;PAY\n" + b"x;no;1\n" * 600_000)
    with pytest.raises(BadFile):
        first_pass(
            file, CSV(), field_table(FIELDS), settings(CSV, {"delimiter": ";"}), key=["ID"],
            max_rejects=3,
        )  # fmt: skip
    assert file.given < 1 << 20


def test_unknown_columns_are_reported():
    assert judge(b"ID;N;PAY;X\n1;2;3;4\n").unknown == ("X",)


def test_a_bad_file_can_be_pickled():
    error = BadFile("count", "it differs", expected=1, found=2, records=[3])
    again = pickle.loads(pickle.dumps(error))
    assert (again.reason, again.expected, again.records) == ("count", 1, (3,))


CONTENT = b"hello"
DIGESTS = {
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
    "sha1": hashlib.sha1(CONTENT).hexdigest(),
    "md5": hashlib.md5(CONTENT).hexdigest(),
    "crc32": f"{zlib.crc32(CONTENT):08x}",
}


@pytest.mark.parametrize("kind", DIGESTS)
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "{}\n",
        "{}  f.csv\n",
        "{} *f.csv\r\n",
        "{} *./out/f.csv",
        "\ufeff{}  f.csv",
        "X (f.csv) = {}",
    ],
)
def test_checksum_files_in_every_spelling(kind, form):
    for digest in (DIGESTS[kind], DIGESTS[kind].upper()):
        check_sum(form.format(digest).encode(), "f.csv", DIGESTS)
    wrong = DIGESTS[kind][:-1] + ("0" if DIGESTS[kind][-1] != "0" else "1")
    with pytest.raises(BadFile) as caught:
        check_sum(form.format(wrong).encode(), "f.csv", DIGESTS)
    assert caught.value.reason == "checksum"
    assert wrong not in str(caught.value)


def test_a_list_of_checksums_holds_ours_among_others():
    other = "0" * 64
    text = f"{other}  g.csv\n{DIGESTS['sha256']}  f.csv\n".encode()
    check_sum(text, "f.csv", DIGESTS)
    with pytest.raises(BadFile):
        check_sum(text, "h.csv", DIGESTS)


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"hello world", b"abc", b"zz  f.csv", b"\xff\xfe"]
)
def test_a_checksum_file_that_says_nothing_is_bad(text):
    with pytest.raises(BadFile):
        check_sum(text, "f.csv", DIGESTS)


@given(st.binary(max_size=100))
@relaxed(deadline=None)
def test_any_checksum_file_is_a_match_or_bad(text):
    try:
        check_sum(text, "f.csv", DIGESTS)
    except BadFile:
        return


@given(st.binary(max_size=80), st.integers(0, 500))
@relaxed(deadline=None, max_examples=150)
def test_a_mutated_file_with_controls_is_taken_whole_or_bad(noise, place):
    data = bytearray((rows(12) + trailer(12)).encode())
    place %= len(data)
    data[place : place + len(noise) // 2] = noise
    try:
        found = judge(bytes(data), controls=TRAILER)
    except BadFile:
        return
    assert (found.count, found.bad) == (12, 0)
