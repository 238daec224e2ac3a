"""Reads from peers that lie: found out, never believed."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import Partition, Query
from moatbridge.changes import Absent, Record, Ref
from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    MoatbridgeError,
    NotApplied,
)
from servers.scim_peers import PATCHING, Service, counted, everything, listed, person
from servers.scripted_http import Answer


def test_without_discovery_the_standard_is_assumed_with_warnings(peer, connect):
    adapter = connect(peer(Service([person(1)])))
    assert {"people", "groups"} == {s.name for s in adapter.streams()}
    assert sum("is not served" in w for w in adapter.probe().warnings) == 3
    assert everything(adapter)[0].data["userName"] == "user1"


class IgnoresFilters(Service):
    def matching(self, text):
        return self.people


def test_a_peer_that_ignores_filters_is_found_out_and_never_searched(peer, connect):
    adapter = connect(peer(IgnoresFilters([person(1), person(2)], PATCHING)))
    assert any("ignores filters" in w for w in adapter.probe().warnings)
    assert "CanFind" not in adapter.probe().abilities["people"]
    assert adapter.traits("people").dedup == "none"
    with pytest.raises(ConfigurationError) as caught:
        adapter.find("people", [Query("externalId", "x1")])
    assert caught.value.code == "scim.filter-ignored"


def test_a_peer_that_ignores_filters_is_still_fetched_from_one_by_one(peer, connect):
    served = peer(IgnoresFilters([person(1), person(2)], PATCHING))
    adapter = connect(served)
    before = counted(served)
    found = adapter.fetch("people", [Ref("id-00002"), Ref("nobody"), Ref("id-00001")])
    assert [type(f) for f in found] == [Record, Absent, Record]
    assert counted(served) - before == 3


class RefusesFilters(Service):
    def listing(self, asked):
        return (
            Answer(400, {"scimType": "invalidFilter"})
            if "filter" in asked.query
            else super().listing(asked)
        )


def test_a_peer_that_refuses_filters_is_not_searched_either(peer, connect):
    adapter = connect(peer(RefusesFilters([person(1)], PATCHING)))
    assert any("refuses filters" in w for w in adapter.probe().warnings)
    assert len(everything(adapter)) == 1


class BlindToIds(Service):
    def matching(self, text):
        return self.people if text is None else []


def test_a_missed_id_is_asked_for_by_name_before_it_is_absent(peer, connect):
    adapter = connect(peer(BlindToIds([person(1), person(2)], PATCHING)))
    found = adapter.fetch("people", [Ref("id-00001"), Ref("nobody")])
    assert [type(f) for f in found] == [Record, Absent]


class WrongHits(Service):
    def matching(self, text):
        return self.people[:1] if text and "x2" in text else super().matching(text)


def test_a_wrong_hit_is_thrown_away(peer, connect):
    adapter = connect(peer(WrongHits([person(1), person(2)], PATCHING)))
    assert adapter.find("people", [Query("externalId", "x2")]) == [[]]


class Everything(Service):
    def listing(self, asked):
        found = self.matching(asked.query.get("filter"))
        return Answer(200, listed(found, len(found)))


def test_a_peer_that_returns_everything_is_read_in_one_page(peer, connect):
    served = peer(Everything([person(n) for n in range(30)], PATCHING))
    adapter = connect(served, page_size=5)
    before = counted(served)
    batches = list(adapter.scan("people", Partition(), None))
    assert [len(b.changes) for b in batches] == [30]
    assert batches[0].complete
    assert counted(served) - before == 1


class SamePage(Service):
    def listing(self, asked):
        found = self.matching(asked.query.get("filter"))
        return Answer(200, listed(found[:5], len(found)))


class MoreThanTold(Service):
    def listing(self, asked):
        answer = super().listing(asked)
        return (
            answer
            if "filter" in asked.query
            else Answer(200, {**answer.body, "totalResults": 12})
        )


class StopsShort(Service):
    def listing(self, asked):
        answer = super().listing(asked)
        short = int(asked.query.get("startIndex", 1)) > 6
        return Answer(200, {**answer.body, "Resources": []}) if short else answer


@pytest.mark.parametrize("service", [SamePage, MoreThanTold, StopsShort])
def test_a_list_that_lies_never_ends_as_complete(peer, connect, service):
    adapter = connect(
        peer(service([person(n) for n in range(20)], PATCHING)), page_size=5
    )
    seen = []
    with pytest.raises(CursorTooOld) as caught:
        seen.extend(adapter.scan("people", Partition(), None))
    assert caught.value.code == "scim.incomplete-list"
    assert not any(batch.complete for batch in seen)


class Cursors(Service):
    """RFC 9865."""

    def listing(self, asked):
        if "filter" in asked.query:
            return super().listing(asked)
        start = int(asked.query.get("cursor") or 0)
        if start > len(self.people):
            return Answer(400, {"scimType": "expiredCursor"})
        size = int(asked.query["count"])
        more = (
            {"nextCursor": str(start + size)} if start + size < len(self.people) else {}
        )
        return Answer(
            200, listed(self.people[start : start + size], len(self.people), **more)
        )


def test_cursor_paging_is_used_where_it_is_announced(peer, connect):
    served = peer(
        Cursors(
            [person(n) for n in range(23)], {**PATCHING, "pagination": {"cursor": True}}
        )
    )
    adapter = connect(served, page_size=5)
    before = counted(served)
    assert len({c.ref.id for c in everything(adapter)}) == 23
    assert counted(served) - before == math.ceil(23 / 5)
    assert all("startIndex" not in asked.query for asked in served.asked)


def test_an_expired_cursor_means_rescan(peer, connect):
    served = peer(
        Cursors(
            [person(n) for n in range(9)], {**PATCHING, "pagination": {"cursor": True}}
        )
    )
    after = {"how": "cursor", "at": "500", "total": 9, "seen": 5}
    with pytest.raises(CursorTooOld):
        list(connect(served).scan("people", Partition(), after))


def test_an_odd_resource_is_a_reject_and_the_page_goes_on(peer, connect):
    odd = [person(1), {"userName": "no-id"}, person(3, emails="secret"), person(4)]
    batch = next(
        iter(connect(peer(Service(odd, PATCHING))).scan("people", Partition(), None))
    )
    assert [c.ref.id for c in batch.changes] == ["id-00001", "id-00004"]
    assert [(r.reason, r.location, r.field) for r in batch.rejects] == [
        ("scim.no-id", "startIndex 1, entry 2", None),
        ("scim.value", "startIndex 1, entry 3", "emails"),
    ]
    assert batch.complete
    assert "secret" not in repr(batch.rejects)


@pytest.mark.parametrize("ident", ["", "x" * 1025, "a\nb", 7, None])
def test_an_id_that_could_not_be_one_is_a_reject(peer, connect, ident):
    batch = next(
        iter(
            connect(peer(Service([{"id": ident, "userName": "a"}], PATCHING))).scan(
                "people", Partition(), None
            )
        )
    )
    assert [r.reason for r in batch.rejects] == ["scim.no-id"]


class AnotherRecord(Service):
    def get(self, asked):
        return Answer(200, person(9))


def test_an_answer_about_another_record_is_never_taken(peer, connect):
    with pytest.raises(NotApplied) as caught:
        connect(peer(AnotherRecord([], PATCHING))).fetch("people", [Ref("id-00001")])
    assert caught.value.code == "scim.other-id"


class Answering(Service):
    """Says one thing to every listing after the first, which opening needs."""

    def __init__(self, answer):
        super().__init__([person(1)], PATCHING)
        self.answer, self.opened = answer, 0

    def listing(self, asked):
        self.opened += 1
        return super().listing(asked) if self.opened == 1 else self.answer


@pytest.mark.parametrize(
    ("answer", "error", "code", "wait"),
    [
        (Answer(429, None, {"Retry-After": "7"}), NotApplied, "scim.busy", 7),
        (Answer(429), NotApplied, "scim.busy", None),
        (Answer(503), NotApplied, "scim.server", None),
        (Answer(503, None, {"Retry-After": "3"}), NotApplied, "scim.busy", 3),
        (Answer(500), NotApplied, "scim.server", None),
        (Answer(401), ConfigurationError, "http.auth", None),
        (
            Answer(302, None, {"Location": "https://login.example/?x=1"}),
            ConfigurationError,
            "http.redirect",
            None,
        ),
        (
            Answer(200, b"<html>", {"Content-Type": "text/html"}),
            ConfigurationError,
            "http.not-api",
            None,
        ),
        (Answer(200, b"[" * 90), NotApplied, "http.unreadable", None),
    ],
)
def test_a_failing_listing_is_a_typed_error_and_never_the_end(
    peer, connect, answer, error, code, wait
):
    adapter = connect(peer(Answering(answer)))
    with pytest.raises(error) as caught:
        list(adapter.scan("people", Partition(), None))
    assert caught.value.code == code
    assert getattr(caught.value, "retry_after", None) == wait


@pytest.mark.parametrize(
    "endpoint",
    ["https://evil.example/v2/Users", "/Users/{id}", "/../admin", "/Users?x=1"],
)
def test_an_endpoint_elsewhere_is_refused(peer, connect, endpoint):
    class Moved(Service):
        def discovery(self, asked):
            urn = "urn:ietf:params:scim:schemas:core:2.0:User"
            kind = {"name": "User", "endpoint": endpoint, "schema": urn}
            return (
                Answer(200, listed([kind], 1))
                if asked.path.endswith("Types")
                else super().discovery(asked)
            )

    served = peer(Moved([person(1)], PATCHING))
    with pytest.raises(MoatbridgeError) as caught:
        connect(served)
    assert caught.value.code in {"scim.endpoint", "http.other-origin"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda i: st.lists(i, max_size=3) | st.dictionaries(st.sampled_from(["name", "endpoint", "schema", "attributes", "subAttributes", "type", "multiValued", "bulk", "filter", "supported", "maxOperations", "schemaExtensions"]), i, max_size=4), max_leaves=12))  # fmt: skip
def test_no_discovery_document_makes_reading_it_fail_untyped(document):
    from moatbridge.http import BaseUrl
    from moatbridge_scim.peer import abilities_of, resource_types
    from moatbridge_scim.schema import fields_of

    if isinstance(document, dict):
        abilities_of(document)
        fields_of(document, [("urn:x", document)], "people")
        base = BaseUrl.parse("https://x/v2")
        urn = "urn:ietf:params:scim:schemas:core:2.0:User"
        try:
            resource_types([{"schema": urn, **document}], {}, base)
        except MoatbridgeError as error:
            json.dumps(error.code)
