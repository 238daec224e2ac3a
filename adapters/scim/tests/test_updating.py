"""Updates and deletes on real servers, rich and poor."""

from __future__ import annotations

import pytest

from moatbridge.testing.stage import intent
from moatbridge_scim import ScimStreamConfig
from servers.scim import ScimServer
from servers.scim_peers import (
    ADA,
    creates,
    group,
    made,
    outcome,
    people,
    requests_of,
    write,
)


def test_a_cleared_value_an_unowned_value_and_a_slot(server, connect):
    adapter = connect(server)
    home = {"value": "home@x.example", "type": "home"}
    ref = made(adapter, {**ADA, "title": "Dr", "emails": [home]}).ref
    record = {"title": None, "emails": [{"type": "work", "value": "ada@corp.local"}]}
    for _ in range(3):
        done = write(
            adapter,
            intent("update", ref, record, owned=("title", "emails[type=work].value")),
        )[0]
        assert done.outcome == "applied"
    now = server.call("GET", f"/Users/{ref.id}")
    assert "title" not in now
    assert now["displayName"] == "Ada"
    assert sorted(entry["type"] for entry in now["emails"]) == ["home", "work"]


def test_a_slot_that_went_away_is_stale_not_rejected(server, connect):
    adapter = connect(server)
    work = [{"type": "work", "value": "old@corp.local"}]
    ref = made(adapter).ref
    lost = intent(
        "update",
        ref,
        {"emails": [{"type": "work", "value": "n@corp.local"}]},
        owned=("emails[type=work].value",),
        before={**ADA, "emails": work},
    )
    assert outcome(write(adapter, lost)[0]) == ("not_applied", "scim.stale")


def test_an_update_that_changes_nothing_asks_and_writes_nothing(server, connect):
    adapter = connect(server)
    first = made(adapter)
    done, requests = requests_of(
        adapter,
        lambda: write(
            adapter,
            intent("update", first.ref, {"displayName": "Ada"}, before=dict(ADA)),
        ),
    )
    assert outcome(done[0]) == ("applied", "")
    assert done[0].version == first.version
    assert requests == 1


def test_a_known_before_image_makes_an_update_one_request(server, connect):
    adapter = connect(server)
    first = made(adapter)
    update = intent(
        "update",
        first.ref,
        {"displayName": "B"},
        before=dict(ADA),
        before_version=first.version,
    )
    done, requests = requests_of(adapter, lambda: write(adapter, update))
    assert (done[0].outcome, requests) == ("applied", 1)


def test_delete_only_disables_unless_told_otherwise(server, connect):
    adapter = connect(server)
    ref = made(adapter).ref
    for _ in range(2):
        assert outcome(write(adapter, intent("delete", ref, None))[0]) == (
            "applied",
            "",
        )
    assert server.call("GET", f"/Users/{ref.id}")["active"] is False


def test_delete_deletes_where_it_is_configured(server, connect):
    adapter = connect(server, {"people": ScimStreamConfig(remove="delete")})
    ref = made(adapter).ref
    for _ in range(2):
        assert outcome(write(adapter, intent("delete", ref, None))[0]) == (
            "applied",
            "",
        )
    assert server.all("/Users") == []


def test_a_stale_delete_is_not_applied(server, connect):
    adapter = connect(server, remove="delete")
    ref = made(adapter).ref
    stale = intent("delete", ref, None, before_version='W/"0"')
    assert outcome(write(adapter, stale)[0]) == ("not_applied", "scim.stale")
    assert len(server.all("/Users")) == 1


def test_groups_cannot_be_disabled_so_deleting_them_must_be_allowed(server, connect):
    adapter = connect(server)
    ref = made(adapter, {"displayName": "g"}, "groups").ref
    assert outcome(write(adapter, intent("delete", ref, None), stream="groups")[0]) == (
        "rejected",
        "scim.no-disable",
    )
    assert len(server.all("/Groups")) == 1


def test_a_group_rename_never_loads_members(server, connect):
    adapter = connect(server)
    ref = made(adapter, {"displayName": "g", "members": group(5)}, "groups").ref
    asked = []
    request = adapter._client.request

    def noted(method, template, **more):
        asked.append((method, more.get("query")))
        return request(method, template, **more)

    adapter._client.request = noted
    done = write(adapter, intent("update", ref, {"displayName": "h"}), stream="groups")[
        0
    ]
    assert done.outcome == "applied"
    assert asked == [("GET", {"excludedAttributes": "members"}), ("PATCH", None)]
    now = server.call("GET", f"/Groups/{ref.id}")
    assert (now["displayName"], len(now["members"])) == ("h", 5)


def test_a_membership_travels_in_chunks(server, connect):
    adapter = connect(server, members_per_patch=100)
    ref = made(adapter, {"displayName": "g", "members": group(250)}, "groups").ref
    update = intent("update", ref, {"members": group(350, first=120)})
    done, requests = requests_of(
        adapter, lambda: write(adapter, update, stream="groups")
    )
    assert done[0].outcome == "applied"
    assert requests == 1 + 2 + 3, "one read, 120 removals, 220 additions"
    now = server.call("GET", f"/Groups/{ref.id}")
    assert {m["value"] for m in now["members"]} == {
        m["value"] for m in group(350, first=120)
    }
    assert done[0].version == now["meta"]["version"]


def test_groups_are_looked_up_and_never_keyed(server, connect):
    traits = connect(server).traits("groups")
    assert (traits.dedup, traits.conditional, traits.retractable) == (
        "lookup",
        True,
        True,
    )
    keyed = connect(server).traits("people")
    assert (keyed.dedup, keyed.key_scope, keyed.max_batch, keyed.atomic_batch) == (
        "keyed",
        "object",
        100,
        False,
    )


@pytest.mark.parametrize(
    "announce",
    [
        {"patch": {"supported": False}},
        {"etag": {"supported": False}},
        {"bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0}},
    ],
)
def test_poorer_peers_keep_what_others_own(connect, announce):
    with ScimServer(announce) as poor:
        adapter = connect(poor)
        home = {"value": "home@x.example", "type": "home"}
        first, second = write(
            adapter,
            *creates([{**ADA, "emails": [home], "nickName": "n"}, people(1)[0]]),
        )
        work = {"emails": [{"type": "work", "value": "w@x.example"}], "nickName": None}
        owned = ("emails[type=work].value", "nickName")
        receipts = write(
            adapter,
            intent("update", first.ref, work, owned=owned),
            intent("delete", second.ref, None),
        )
        assert [receipt.outcome for receipt in receipts] == ["applied", "applied"]
        now = poor.call("GET", f"/Users/{first.ref.id}")
        assert sorted(entry["type"] for entry in now["emails"]) == ["home", "work"]
        assert (now["displayName"], "nickName" in now) == ("Ada", False)
        assert poor.call("GET", f"/Users/{second.ref.id}")["active"] is False


def test_without_etags_the_record_is_fetched_and_compared_first(connect):
    with ScimServer({"etag": {"supported": False}}) as poor:
        adapter = connect(poor)
        assert not adapter.traits("people").conditional
        ref = made(adapter).ref
        moved = intent(
            "update", ref, {"displayName": "C"}, before={**ADA, "displayName": "Old"}
        )
        assert outcome(write(adapter, moved)[0]) == ("not_applied", "scim.stale")
        current = intent("update", ref, {"displayName": "C"}, before=dict(ADA))
        assert outcome(write(adapter, current)[0]) == ("applied", "")
