"""Every odd answer to a write has its receipt."""

from __future__ import annotations

import pytest

from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError, MoatbridgeError
from moatbridge.testing.stage import intent
from servers.scim_peers import (
    ADA,
    PATCHING,
    Says,
    Service,
    counted,
    creates,
    group,
    listed,
    made,
    outcome,
    people,
    person,
    write,
)
from servers.scripted_http import Answer


class DropsExternalId(Service):
    def post(self, asked):
        asked.body.pop("externalId", None)
        return super().post(asked)


def test_a_peer_that_drops_external_ids_is_found_out(peer, connect):
    adapter = connect(peer(DropsExternalId([], PATCHING)))
    assert adapter.traits("people").dedup == "keyed"
    assert made(adapter).outcome == "applied"
    assert adapter.traits("people").dedup == "lookup"
    assert any(
        "does not keep externalId" in warning for warning in adapter.probe().warnings
    )


WRITES = [
    (Answer(429, None, {"Retry-After": "7"}), "not_applied", "scim.busy", 7),
    (Answer(429), "not_applied", "scim.busy", None),
    (Answer(408), "not_applied", "scim.busy", None),
    (Answer(503, None, {"Retry-After": "3"}), "not_applied", "scim.busy", 3),
    (Answer(503), "unknown", "scim.server", None),
    (Answer(500), "unknown", "scim.server", None),
    (
        Answer(502, b"<html>", {"Content-Type": "text/html"}),
        "unknown",
        "scim.server",
        None,
    ),
    (Answer(0), "unknown", "http.broken", None),
    (Answer(201, b"{"), "unknown", "http.unreadable", None),
    (Answer(201, {}), "unknown", "scim.no-id", None),
    (Answer(201, {"id": "a\nb"}), "unknown", "scim.no-id", None),
    (Answer(201, {"id": "x" * 1025}), "unknown", "scim.no-id", None),
    (Answer(400, {"scimType": "invalidValue"}), "rejected", "scim.data", None),
    (Answer(400, {"scimType": "uniqueness"}), "rejected", "scim.conflict", None),
    (Answer(403), "rejected", "scim.rights", None),
    (Answer(409), "rejected", "scim.conflict", None),
]


@pytest.mark.parametrize(("answer", "expected", "code", "wait"), WRITES)
def test_every_answer_to_a_create_has_its_receipt(
    peer, connect, answer, expected, code, wait
):
    receipt = write(connect(peer(Says(answer))), intent("create", None, ADA))[0]
    assert (receipt.outcome, receipt.code, receipt.retry_after) == (
        expected,
        code,
        wait,
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(404), ("rejected", "scim.gone")),
        (Answer(412), ("not_applied", "scim.stale")),
        (Answer(400, {"scimType": "noTarget"}), ("not_applied", "scim.stale")),
        (Answer(200, person(2)), ("unknown", "scim.other-id")),
        (Answer(204), ("applied", "")),
        (Answer(500), ("unknown", "scim.server")),
    ],
)
def test_every_answer_to_an_update_has_its_receipt(peer, connect, answer, expected):
    update = intent("update", Ref("id-00001"), {"displayName": "x"})
    assert outcome(write(connect(peer(Says(answer))), update)[0]) == expected


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(401), "http.auth"),
        (Answer(307, None, {"Location": "https://evil.example"}), "http.redirect"),
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), "http.not-api"),
    ],
)
def test_a_fault_of_the_system_is_no_fault_of_the_record(peer, connect, answer, code):
    with pytest.raises(ConfigurationError) as caught:
        write(connect(peer(Says(answer))), intent("create", None, ADA))
    assert caught.value.code == code


def test_403_while_listing_fails_too_is_about_the_system(peer, connect):
    with pytest.raises(ConfigurationError) as caught:
        write(
            connect(peer(Says(Answer(403), listing=Answer(403)))),
            intent("create", None, ADA),
        )
    assert caught.value.code == "scim.rights"


class RevokedMidway(Service):
    def post(self, asked):
        return super().post(asked) if len(self.people) < 2 else Answer(401)


def test_a_token_revoked_midway_leaves_the_done_done_and_the_rest_not_applied(
    peer, connect
):
    served = peer(RevokedMidway([], PATCHING))
    receipts = write(connect(served), *creates(people(4)))
    assert [r.outcome for r in receipts] == [
        "applied",
        "applied",
        "not_applied",
        "not_applied",
    ]
    assert {r.code for r in receipts[2:]} == {"http.auth"}
    assert counted(served, "POST") == 3


class BusyAfterTwo(Service):
    def post(self, asked):
        return (
            super().post(asked)
            if len(self.people) < 2
            else Answer(429, None, {"Retry-After": "5"})
        )


def test_slow_down_stops_the_sending(peer, connect):
    served = peer(BusyAfterTwo([], PATCHING))
    receipts = write(connect(served), *creates(people(5)))
    assert [r.outcome for r in receipts] == ["applied"] * 2 + ["not_applied"] * 3
    assert [r.retry_after for r in receipts[2:]] == [5, 5, 5]
    assert counted(served, "POST") == 3


class FailsFor(Service):
    """Cannot take some of the people."""

    def __init__(self, *failing):
        super().__init__([], PATCHING)
        self.failing, self.number = failing, 0

    def post(self, asked):
        self.number += 1
        return Answer(503) if self.number in self.failing else super().post(asked)


def test_two_failures_in_a_row_stop_the_sending(peer, connect):
    served = peer(FailsFor(*range(2, 100)))
    receipts = write(connect(served), *creates(people(20)))
    assert [r.outcome for r in receipts] == (
        ["applied"] + ["unknown"] * 2 + ["not_applied"] * 17
    )
    assert {r.code for r in receipts[3:]} == {"scim.not-sent"}
    assert counted(served, "POST") == 3


def test_one_record_that_is_too_much_for_the_platform_stops_no_other(peer, connect):
    served = peer(FailsFor(2, 4))
    receipts = write(connect(served), *creates(people(6)))
    assert [r.outcome for r in receipts].count("applied") == 4
    assert counted(served, "POST") == 6


class HalfMembership(Service):
    """The second PATCH of a membership meets a limit."""

    def __init__(self, answer):
        super().__init__([], PATCHING)
        self.answer, self.patched = answer, 0

    def __call__(self, asked):
        if asked.path.startswith("/v2/Groups/"):
            return self.group(asked)
        return super().__call__(asked)

    def group(self, asked):
        if asked.method == "PATCH":
            self.patched += 1
            return Answer(204) if self.patched == 1 else self.answer
        return Answer(200, {"id": "g", "displayName": "g"})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(429, None, {"Retry-After": "5"}), ("not_applied", "scim.stale", 5)),
        (Answer(400), ("not_applied", "scim.stale", None)),
        (Answer(500), ("unknown", "scim.server", None)),
        (Answer(0), ("unknown", "http.broken", None)),
    ],
)
def test_a_membership_changed_halfway_is_planned_again(peer, connect, answer, expected):
    adapter = connect(peer(HalfMembership(answer)), members_per_patch=10)
    update = intent("update", Ref("g"), {"members": group(20)})
    receipt = write(adapter, update, stream="groups")[0]
    assert (receipt.outcome, receipt.code, receipt.retry_after) == expected


@pytest.mark.parametrize("ident", ["", ".", "..", "a/../b", "x?y", "ü ñ"])
def test_no_ref_leaves_its_collection(peer, connect, ident):
    served = peer(Service([], PATCHING))
    receipt = write(
        connect(served), intent("update", Ref(ident), {"displayName": "x"})
    )[0]
    assert outcome(receipt) == ("rejected", "scim.gone")
    assert all(asked.path.count("/") <= 3 for asked in served.asked)


def test_what_the_peer_does_not_hold_is_not_sent(peer, connect):
    class Plain(Service):
        def discovery(self, asked):
            urn = "urn:ietf:params:scim:schemas:core:2.0:User"
            names = [
                {"name": "userName", "required": True},
                {
                    "name": "emails",
                    "multiValued": True,
                    "type": "complex",
                    "subAttributes": [{"name": "value"}],
                },
                {"name": "title", "mutability": "readOnly"},
            ]
            if asked.path.endswith("Schemas"):
                return Answer(200, listed([{"id": urn, "attributes": names}], 1))
            if asked.path.endswith("Types"):
                return Answer(
                    200,
                    listed([{"name": "User", "endpoint": "/Users", "schema": urn}], 1),
                )
            return super().discovery(asked)

    served = peer(Plain([], PATCHING))
    record = {
        **ADA,
        "title": "Dr",
        "emails": [{"value": "a@b", "type": "work"}],
        "enterprise": {"department": "x"},
    }
    made(connect(served), record)
    sent = next(asked.body for asked in served.asked if asked.method == "POST")
    assert sent == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ada",
        "externalId": "hr-1",
        "emails": [{"value": "a@b"}],
    }


def test_an_unknown_stream_or_a_closed_adapter_is_a_typed_error(server, connect):
    adapter = connect(server)
    with pytest.raises(MoatbridgeError):
        adapter.traits("nothing")
    adapter.close()
    with pytest.raises(MoatbridgeError):
        adapter.write("people", [])


def test_no_personal_value_stands_in_receipts_or_errors(peer, connect):
    receipts = write(
        connect(peer(Says(Answer(400, {"detail": "bad value ada@secret"})))),
        intent("create", None, ADA),
    )
    assert "ada" not in repr(receipts)


def test_a_put_keeps_what_is_not_ours(peer, connect):
    theirs = {"shoeSize": 43, "urn:acme:badge": {"number": "7"}}
    service = Service(
        [person(1, title="Dr", **theirs)], {"filter": {"supported": True}}
    )
    served = peer(service)
    update = intent("update", Ref("id-00001"), {"displayName": "Ada", "title": None})
    assert outcome(write(connect(served), update)[0]) == ("applied", "")
    sent = next(asked.body for asked in served.asked if asked.method == "PUT")
    assert sent == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:acme:badge"],
        "id": "id-00001",
        "userName": "user1",
        "externalId": "x1",
        "displayName": "Ada",
        **theirs,
    }
