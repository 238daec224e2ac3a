"""Bulk: few requests, and each intent its own fate."""

from __future__ import annotations

import pytest

from moatbridge.changes import Ref
from moatbridge.testing.stage import intent
from servers.scim import ScimServer
from servers.scim_peers import (
    ADA,
    BULK,
    Says,
    Service,
    counted,
    creates,
    made,
    outcome,
    people,
    requests_of,
    write,
)
from servers.scripted_http import Answer


def test_a_thousand_creates_are_ten_bulk_requests(server, connect):
    adapter = connect(server)
    size = adapter.traits("people").max_batch
    intents = creates(people(1000))
    calls = [intents[at : at + size] for at in range(0, 1000, size)]
    done, requests = requests_of(
        adapter, lambda: [r for c in calls for r in adapter.write("people", c)]
    )
    assert {receipt.outcome for receipt in done} == {"applied"}
    assert len({receipt.ref.id for receipt in done}) == 1000
    assert requests == 10
    assert len(server.all("/Users")) == 1000


def test_bulk_is_cut_by_the_announced_payload(connect):
    bulk = {"supported": True, "maxOperations": 1000, "maxPayloadSize": 8000}
    with ScimServer({"bulk": bulk}) as small:
        adapter = connect(small)
        done, requests = requests_of(
            adapter, lambda: write(adapter, *creates(people(60)))
        )
        assert {receipt.outcome for receipt in done} == {"applied"}
        assert 2 < requests < 12


def test_a_bulk_tells_each_intent_its_own_fate(server, connect):
    adapter = connect(server)
    first = made(adapter)
    done = write(
        adapter,
        intent("create", None, {"userName": "new", "externalId": "n"}),
        intent("create", None, {"userName": "ADA", "externalId": "other"}),
        intent("create", None, {"displayName": "has no user name"}),
        intent(
            "update",
            first.ref,
            {"displayName": "Countess"},
            before=dict(ADA),
            before_version='W/"old"',
        ),
        intent("update", Ref("nobody"), {"displayName": "x"}, before={}),
        intent("update", first.ref, {"displayName": "Lady"}, before=dict(ADA)),
    )
    assert [outcome(receipt) for receipt in done] == [
        ("applied", ""),
        ("rejected", "scim.conflict"),
        ("rejected", "scim.data"),
        ("not_applied", "scim.stale"),
        ("rejected", "scim.gone"),
        ("applied", ""),
    ]
    assert server.call("GET", f"/Users/{first.ref.id}")["displayName"] == "Lady"


class Bulky(Service):
    """Answers bulk requests as `told` makes of each operation."""

    def __init__(self, told, config=BULK):
        super().__init__([], config)
        self.told = told

    def bulk(self, asked):
        done = [
            self.told(n, operation)
            for n, operation in enumerate(asked.body["Operations"])
        ]
        return Answer(200, {"Operations": [one for one in done if one is not None]})


def created(number, operation, **more):
    return {
        "method": "POST",
        "bulkId": operation["bulkId"],
        "status": "201",
        "location": f"http://x/v2/Users/n{number}",
        **more,
    }


def test_an_operation_without_a_result_is_unknown(peer, connect):
    served = peer(Bulky(lambda n, o: created(n, o) if n != 1 else None))
    receipts = write(connect(served), *creates(people(3)))
    assert [outcome(r) for r in receipts] == [
        ("applied", ""),
        ("unknown", "scim.no-result"),
        ("applied", ""),
    ]
    assert [r.ref and r.ref.id for r in receipts] == ["n0", None, "n2"]


def test_results_in_any_order_and_of_old_form_find_their_intent(peer, connect):
    class Reversed(Bulky):
        def bulk(self, asked):
            answer = super().bulk(asked)
            return Answer(200, {"Operations": answer.body["Operations"][::-1]})

    served = peer(Reversed(lambda n, o: created(n, o, status={"code": "201"})))
    receipts = write(connect(served), *creates(people(4)))
    assert [r.ref.id for r in receipts] == ["n0", "n1", "n2", "n3"]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        {},
        {"Operations": "x"},
        {
            "Operations": [
                None,
                7,
                {},
                {"bulkId": "99", "status": "201"},
                {"bulkId": "0", "status": "ok"},
            ]
        },
    ],
)
def test_a_bulk_answer_that_makes_no_sense_is_unknown(peer, connect, odd):
    class Odd(Service):
        def bulk(self, asked):
            return Answer(200, odd)

    receipts = write(connect(peer(Odd([], BULK))), *creates(people(2)))
    assert [outcome(r) for r in receipts] == [("unknown", "scim.no-result")] * 2


@pytest.mark.parametrize("status", ["102", "199", 100, {"code": "103"}, "600", 0])
def test_a_bulk_operation_whose_status_ends_nothing_is_unknown(peer, connect, status):
    """Only 200 to 599 are final; with "102 Processing" nobody knows what was done."""

    class Unfinished(Service):
        def bulk(self, asked):
            operations = [
                {"bulkId": "0", "status": status, "location": "/v2/Users/a"},
                {"bulkId": "1", "status": "201", "location": "/v2/Users/b"},
            ]
            return Answer(200, {"Operations": operations})

    receipts = write(connect(peer(Unfinished([], BULK))), *creates(people(2)))
    assert list(map(outcome, receipts)) == [
        ("unknown", "scim.no-result"),
        ("applied", ""),
    ]


def test_a_bulk_too_large_is_halved(peer, connect):
    class Small(Bulky):
        def bulk(self, asked):
            large = len(asked.body["Operations"]) > 3
            return (
                Answer(413, {"detail": "too large"}) if large else super().bulk(asked)
            )

    served = peer(Small(created))
    receipts = write(connect(served), *creates(people(10)))
    assert {r.outcome for r in receipts} == {"applied"}
    sizes = [len(a.body["Operations"]) for a in served.asked if a.path == "/v2/Bulk"]
    assert sizes == [10, 5, 2, 3, 5, 2, 3]


@pytest.mark.parametrize("status", [400, 404, 501])
def test_where_bulk_is_refused_each_goes_by_itself(peer, connect, status):
    class Refusing(Service):
        def bulk(self, asked):
            return Answer(status, {"detail": "no"})

    served = peer(Refusing([], BULK))
    adapter = connect(served)
    assert {r.outcome for r in write(adapter, *creates(people(3)))} == {"applied"}
    assert counted(served, "POST", "/v2/Users") == 3
    assert adapter.traits("people").max_batch == (10 if status == 400 else 20)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(500), ("unknown", "scim.server", None)),
        (Answer(0), ("unknown", "http.broken", None)),
        (Answer(429, None, {"Retry-After": "4"}), ("not_applied", "scim.busy", 4)),
    ],
)
def test_a_failed_bulk_is_the_fate_of_its_intents(peer, connect, answer, expected):
    receipts = write(connect(peer(Says(answer, BULK))), *creates(people(3)))
    assert [(r.outcome, r.code, r.retry_after) for r in receipts] == [expected] * 3
