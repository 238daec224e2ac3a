"""The pure parts of the HTTP floor: JSON, rates, addresses, statuses."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError, MoatbridgeError
from moatbridge.http import BaseUrl, RateInfo, judge, parse_json, rate_info
from moatbridge.http.strict_json import MAX_VALUES, TooManyValues, depth_of

NOW = datetime(2026, 1, 23, 12, 0, 0, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON)
def test_json_reads_as_the_standard_library_does(value):
    assert parse_json(json.dumps(value).encode()) == value


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_a_value_error(text):
    try:
        found = parse_json(text)
    except ValueError:
        return
    assert json.loads(text) == found


@settings(deadline=None)
@given(st.integers(65, 3000), st.sampled_from([b"[", b'{"a":']))
def test_deep_json_is_refused_without_recursion(depth, opening):
    with pytest.raises(ValueError, match="nested"):
        parse_json(opening * depth)


def test_brackets_inside_strings_are_no_depth():
    text = json.dumps({"a": "[" * 200, "b": '\\"[{'}).encode()
    assert depth_of(text) == 1
    assert parse_json(text)["a"] == "[" * 200


@pytest.mark.parametrize(
    "text", [b'{"a":1,"a":2}', b"NaN", b"[Infinity]", b"1" * 5000, b"\xff", b""]
)
def test_duplicate_keys_odd_numbers_and_bad_text_are_refused(text):
    with pytest.raises(ValueError, match=r"not|twice|digits"):
        parse_json(text)


HOSTILE = {
    "quotes that are escaped": (b'"', b'\\"', b""),
    "a backslash at the end": (b'"', b'\\"', b"\\"),
    "strings one after another": (b"", b'"a"', b""),
    "a string that never ends": (b'"', b"a", b""),
    "blanks": (b"", b" ", b""),
}


@pytest.mark.parametrize("size", [128_000, 1_000_000, 4_000_000])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_looked_at_in_linear_time(kind, size):
    start, piece, end = HOSTILE[kind]
    text = b"[" * 65 + start + piece * (size // len(piece)) + end
    begun = time.thread_time()  # of the processor: others may use it as well
    with pytest.raises(ValueError, match="nested"):
        parse_json(text)
    assert time.thread_time() - begun < 2.0


@settings(deadline=None)
@given(st.binary(max_size=40).map(lambda tail: b"[" * 65 + tail))
def test_the_depth_never_depends_on_what_strings_hold(text):
    assert depth_of(text) >= 65
    assert depth_of(b'["' + text.replace(b'"', b"").replace(b"\\", b"") + b'"]') == 1


@pytest.mark.parametrize("piece", [b"{}", b"[]", b"1", b'{"a":1}', b'"[{,"'])
def test_more_than_two_million_values_are_not_parsed(piece):
    each = 1 + (piece[:1] in b"[{")  # a comma, and its own opening
    below = MAX_VALUES // each - 10
    text = b"[" + (piece + b",") * (below - 1) + piece + b"]"
    if piece == b"1":
        assert len(parse_json(text)) == below
    else:
        assert depth_of(text) <= 2
    many = b"[" + (piece + b",") * (below + 20) + piece + b"]"
    with pytest.raises(TooManyValues, match="more than 2,000,000 values"):
        parse_json(many)


def test_commas_and_brackets_inside_strings_are_no_values():
    text = json.dumps([",[{" * MAX_VALUES]).encode()
    assert len(parse_json(text)) == 1


HTTP_DATE = format_datetime(NOW + timedelta(seconds=30), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, RateInfo(retry_after=7)),
        ({"retry-after": HTTP_DATE}, RateInfo(retry_after=30)),
        ({"retry-after": "-5"}, RateInfo()),
        ({"retry-after": "99999999"}, RateInfo(retry_after=86_400)),
        ({"backoff": "2"}, RateInfo(retry_after=2)),
        ({"ratelimit": "limit=100, remaining=9, reset=50"}, RateInfo(None, 100, 9, 50)),
        ({"ratelimit": '"default";r=9;t=50'}, RateInfo(None, None, 9, 50)),
        (
            {
                "ratelimit-limit": "100;w=60",
                "ratelimit-remaining": "0",
                "ratelimit-reset": "5",
            },
            RateInfo(None, 100, 0, 5),
        ),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 40)}, RateInfo(reset=40)),
        ({"x-ratelimit-reset": "2026-01-23T12:00:20Z"}, RateInfo(reset=20)),
        ({"retry-after": "soon", "x-ratelimit-limit": "many"}, RateInfo()),
    ],
)
def test_rate_information_is_read_in_every_spelling(headers, expected):
    assert rate_info(headers, NOW) == expected


def test_a_date_is_measured_on_the_peers_own_clock():
    peer = NOW + timedelta(hours=3)
    later = format_datetime(peer + timedelta(seconds=10), usegmt=True)
    headers = {"date": format_datetime(peer, usegmt=True), "retry-after": later}
    assert rate_info(headers, NOW).retry_after == 10


HEADERS = st.sampled_from(
    ["retry-after", "ratelimit", "x-ratelimit-reset", "date", "ratelimit-limit"]
)


@settings(deadline=None)
@given(st.dictionaries(HEADERS, st.text(max_size=30)))
def test_no_header_makes_reading_rates_fail(headers):
    found = rate_info(headers, NOW)
    assert found.retry_after is None or 0 <= found.retry_after <= 86_400


BASE = BaseUrl.parse("https://api.example:8443/scim/v2/")


@pytest.mark.parametrize(
    "url",
    [
        "api.example",
        "ftp://x/",
        "http://x/",
        "https://u:p@x/",
        "https://x/?a=1",
        "https://x/#f",
        "https://",
        "https://x:99999/",
    ],
)
def test_a_base_url_is_https_and_bare(url):
    with pytest.raises(ConfigurationError) as caught:
        BaseUrl.parse(url)
    assert caught.value.code == "http.base-url"


def test_clear_text_is_asked_for_by_name():
    assert BaseUrl.parse("http://x:80/a/", insecure_cleartext=True).text == "http://x/a"


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda t: t not in {".", ".."}))
def test_a_path_parameter_stays_one_segment(value):
    try:
        url = BASE.build("/Users/{id}", {"id": value})
    except UnicodeEncodeError:
        return
    parts = urlsplit(url)
    assert (parts.hostname, parts.port, parts.query) == ("api.example", 8443, "")
    assert parts.path.count("/") == 4
    assert unquote(parts.path.rpartition("/")[2]) == value


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_path_parameter_that_would_move_the_request_is_refused(value):
    with pytest.raises(ConfigurationError) as caught:
        BASE.build("/Users/{id}", {"id": value})
    assert caught.value.code == "http.path"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/scim/v2/Users",
        "http://api.example:8443/scim/v2/Users",
        "https://api.example/scim/v2/Users",
        "https://api.example:8443/other/Users",
        "https://api.example:8443/scim/v2evil/Users",
        "https://api.example:8443/scim/v2/../../admin",
        "https://api.example:8443/scim/v2/%2e%2e/admin",
        "https://api.example:8443/scim/v2/%252e%252e/admin",
        "https://api.example:8443@evil.example/scim/v2/Users",
        "https://api.example:8443\\@evil.example/scim/v2/x",
        "//evil.example/scim/v2/Users",
        "javascript:alert(1)",
        "https://[::1/scim/v2/Users",
        "/other",
    ],
)
def test_a_link_elsewhere_is_never_followed(link):
    with pytest.raises(ConfigurationError) as caught:
        BASE.accept(link)
    assert caught.value.code == "http.other-origin"


def test_a_link_below_the_base_is_taken_relative_to_it():
    assert (
        BASE.accept("https://API.example:8443/scim/v2/Users?after=1")
        == "/Users?after=1"
    )


@settings(deadline=None)
@given(st.text())
def test_any_link_is_taken_or_refused_with_a_typed_error(link):
    try:
        below = BASE.accept(link)
    except MoatbridgeError:
        return
    assert below.startswith("/")
    assert not below.startswith("//")


TABLE = [
    (200, "update", None, ("applied", "")),
    (201, "create", None, ("applied", "")),
    (204, "delete", None, ("applied", "")),
    (404, "delete", None, ("applied", "")),
    (410, "delete", None, ("applied", "")),
    (404, "update", None, ("rejected", "gone")),
    (410, "update", None, ("rejected", "gone")),
    (404, "create", None, ("rejected", "data")),
    (408, "create", None, ("not_applied", "busy")),
    (425, "create", None, ("not_applied", "busy")),
    (429, "create", None, ("not_applied", "busy")),
    (503, "create", 3.0, ("not_applied", "busy")),
    (503, "create", None, ("unknown", "server")),
    (500, "create", None, ("unknown", "server")),
    (502, "create", None, ("unknown", "server")),
    (504, "update", None, ("unknown", "server")),
    (501, "update", None, ("rejected", "data")),
    (412, "update", None, ("not_applied", "stale")),
    (403, "update", None, ("rejected", "rights")),
    (409, "create", None, ("rejected", "conflict")),
    *(
        (status, "create", None, ("rejected", "data"))
        for status in (400, 405, 406, 411, 413, 414, 415, 422)
    ),
]


@pytest.mark.parametrize(("status", "op", "wait", "expected"), TABLE)
def test_status_means_what_the_table_says(status, op, wait, expected):
    assert judge(status, op, retry_after=wait)[:2] == expected


def test_a_trusted_503_is_not_applied():
    assert judge(503, "create", trust_503=True).outcome == "not_applied"


@settings(deadline=None)
@given(
    st.integers(200, 599).filter(lambda s: not 300 <= s < 400),
    st.sampled_from(["create", "update", "delete"]),
)
def test_every_status_has_a_verdict(status, op):
    verdict = judge(status, op)
    assert verdict.outcome in {"applied", "not_applied", "unknown", "rejected"}
    assert verdict.system == (status == 401)
