"""Following changes: nothing missed, nobody wiped by a misread answer."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import Partition
from moatbridge.changes import OutOfScope
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied
from moatbridge_ldap import syncrepl
from moatbridge_ldap import testing as fake
from moatbridge_ldap.wire import ber
from servers.openldap import BASE, PEOPLE, PLAIN, person, running

MODES = ["syncrepl", "timestamp"]


def summary(changes: list[Any]) -> set[tuple[str, str]]:
    return {(c.op, (c.ref.name or "").partition(",")[0]) for c in changes}


@pytest.mark.parametrize("mode", MODES)
def test_adds_and_modifications_arrive_and_then_nothing(lab: Any, mode: str) -> None:
    place = lab.place()
    lab.server.add([person("a", place), person("b", place)])
    adapter = lab.open(place, follow=mode, stream={"overlap": 0})
    cursor = lab.now(adapter)
    lab.server.set(f"uid=a,{place}", "sn", "Neu")
    lab.server.add([person("c", place)])
    changes, cursor = lab.poll(adapter, cursor)
    assert {("upsert", "uid=a"), ("upsert", "uid=c")} <= summary(changes)
    assert next(c.data["sn"] for c in changes if c.ref.name.startswith("uid=a")) == [
        "Neu"
    ]
    _, cursor = lab.poll(adapter, cursor)
    changes, _ = (
        lab.poll(lab.open(place, follow=mode), cursor)
        if mode == "syncrepl"
        else ([], None)
    )
    assert changes == []


@pytest.mark.parametrize("mode", MODES)
def test_a_rename_is_an_upsert_of_the_same_id(lab: Any, mode: str) -> None:
    place = lab.place()
    lab.server.add([person("old", place)])
    adapter = lab.open(place, follow=mode)
    (before,) = lab.scan(adapter)
    cursor = lab.now(adapter)
    lab.server.modify(
        f"dn: uid=old,{place}\nchangetype: modrdn\nnewrdn: uid=new\ndeleteoldrdn: 1"
    )
    changes, _ = lab.poll(adapter, cursor)
    (change,) = [c for c in changes if c.op == "upsert"]
    assert (change.ref.id, change.ref.name) == (before.ref.id, f"uid=new,{place}")


def test_syncrepl_tells_deletes_and_moves_by_id(lab: Any) -> None:
    place, other = lab.place(), lab.place()
    lab.server.add(
        [
            person("gone", place),
            person("leaves", place),
            person("comes", other),
            person("changes", place),
        ]
    )
    adapter = lab.open(
        place, stream={"filter": "(&(objectClass=inetOrgPerson)(!(title=hidden)))"}
    )
    ids = {c.data["uid"][0]: c.ref.id for c in lab.scan(adapter)}
    cursor = lab.now(adapter)
    lab.server.delete(f"uid=gone,{place}")
    for uid, to in (("leaves", other), ("comes", place)):
        at = place if uid == "leaves" else other
        lab.server.modify(
            f"dn: uid={uid},{at}\nchangetype: modrdn\nnewrdn: uid={uid}\ndeleteoldrdn: 1\nnewsuperior: {to}"
        )
    lab.server.set(f"uid=changes,{place}", "title", "hidden")
    changes, cursor = lab.poll(adapter, cursor)
    assert {c.ref.id for c in changes if c.op == "delete"} >= {ids["gone"]}
    assert ("upsert", "uid=comes") in summary(changes)
    answers = adapter.fetch("people", [c.ref for c in changes if c.op == "delete"])
    kinds = {answer.ref.id: type(answer) for answer in answers}
    assert kinds[ids["gone"]].__name__ == "Absent"
    assert {kinds.get(ids[uid], OutOfScope) for uid in ("leaves", "changes")} == {
        OutOfScope
    }
    assert lab.poll(adapter, cursor)[0] == []


def test_deletes_are_seen_by_syncrepl_only_and_the_stream_says_so(lab: Any) -> None:
    assert lab.open(PEOPLE).streams()[0].sees_deletes
    assert not lab.open(PEOPLE, follow="timestamp").streams()[0].sees_deletes
    assert "CanFollow" not in lab.open(PEOPLE, follow="none").streams()[0].abilities
    with pytest.raises(ConfigurationError):
        lab.now(lab.open(PEOPLE, follow="none"))


def test_changes_during_a_scan_arrive_again_afterwards(lab: Any) -> None:
    place = lab.place()
    lab.server.add(person(f"u{i}", place) for i in range(25))
    adapter = lab.open(place, page_size=10)
    cursor = lab.now(adapter)
    batches = adapter.scan("people", Partition(), None)
    next(batches)
    lab.server.delete(f"uid=u0,{place}", f"uid=u24,{place}")
    list(batches)
    changes, _ = lab.poll(adapter, cursor)
    assert [c.op for c in changes] == ["delete", "delete"]


def test_several_bases_are_followed_each_with_its_cookie(lab: Any) -> None:
    one, two = lab.place(), lab.place()
    adapter = lab.open([{"dn": one}, {"dn": two}])
    cursor = lab.now(adapter)
    assert len(cursor["cookies"]) == 2
    lab.server.add([person("x", one), person("y", two)])
    changes, _ = lab.poll(adapter, cursor)
    assert summary(changes) == {("upsert", "uid=x"), ("upsert", "uid=y")}


def test_earlier_batches_repeat_the_old_cursor(lab: Any) -> None:
    place = lab.place()
    adapter = lab.open(place)
    cursor = lab.now(adapter)
    lab.server.add(person(f"u{i:04d}", place) for i in range(syncrepl.BATCH + 20))
    batches = list(adapter.changes("people", cursor))
    assert [len(b.changes) for b in batches] == [500, 20, 0]
    assert [b.cursor == cursor for b in batches] == [True, True, False]


def test_a_lost_session_log_means_rescan_not_delete_all(lab: Any) -> None:
    with running() as server:
        own = type(lab)(server)
        try:
            server.add(person(f"u{i}") for i in range(5))
            cursor = own.now(own.open(PEOPLE))
            own.close()
            server.stop()
            server.start()
            server.delete(f"uid=u0,{PEOPLE}")
            server.stop()
            server.start()
            with pytest.raises(CursorTooOld) as caught:
                own.poll(own.open(PEOPLE), cursor)
            assert caught.value.reason == "present-phase"
        finally:
            own.close()


def test_an_account_with_a_size_limit_cannot_follow(lab: Any) -> None:
    place = lab.place()
    lab.server.add(person(f"u{i:04d}", place) for i in range(510))
    with pytest.raises(ConfigurationError) as caught:
        lab.now(lab.open(place, PLAIN))
    assert caught.value.code == "ldap.size-limit"


def cookie(text: bytes) -> list[str]:
    return [base64.b64encode(text).decode()]


@pytest.mark.parametrize("cursor", [
    None.__class__, {}, {"mode": "timestamp", "since": "20240101000000Z"}, {"mode": "syncrepl"}, [], "x",
    {"mode": "syncrepl", "host": "h", "cookies": ["%%%"], "flagless": False},
    {"mode": "syncrepl", "host": "h", "cookies": [], "flagless": False},
])  # fmt: skip
def test_cursors_of_another_mode_or_damaged_are_too_old(lab: Any, cursor: Any) -> None:
    adapter = lab.open(PEOPLE)
    with pytest.raises(CursorTooOld):
        list(adapter.changes("people", {} if cursor is type(None) else cursor))
    with pytest.raises(CursorTooOld):
        list(
            lab.open(PEOPLE, follow="timestamp").changes("people", {"mode": "syncrepl"})
        )


@pytest.mark.parametrize(
    "text",
    [
        b"garbage",
        b"rid=000,csn=not-a-csn",
        b"rid=000,csn=19990101000000.000000Z#000000#000#000000",
    ],
)
def test_garbage_and_ancient_cookies_never_pass_for_a_delta(
    lab: Any, text: bytes
) -> None:
    adapter = lab.open(PEOPLE)
    cursor = lab.now(adapter) | {"cookies": cookie(text)}
    with pytest.raises((CursorTooOld, NotApplied, ConfigurationError)):
        list(adapter.changes("people", cursor))


def test_a_cookie_from_the_future_means_the_server_went_back(lab: Any) -> None:
    adapter = lab.open(PEOPLE)
    ahead = cookie(b"rid=000,csn=20990101000000.000000Z#000000#000#000000")
    with pytest.raises(CursorTooOld) as caught:
        list(adapter.changes("people", lab.now(adapter) | {"cookies": ahead}))
    assert caught.value.reason == "source-went-back"
    with pytest.raises(NotApplied) as lags:
        list(
            adapter.changes(
                "people",
                lab.now(adapter) | {"cookies": ahead, "host": "ldap://other:389"},
            )
        )
    assert lags.value.retry_after == 60.0


UUID = bytes(range(16))
ID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
CURSOR = {
    "mode": "syncrepl",
    "host": "h",
    "cookies": cookie(b"rid=000,csn=20240101000000.000000Z#000000#000#000000"),
    "flagless": False,
}
NEW = b"rid=000,csn=20240102000000.000000Z#000000#000#000000"


def sync_done(new: bytes | None, deletes: bool | None) -> dict[str, bytes]:
    parts = b"" if new is None else ber.octets(new)
    parts += b"" if deletes is None else ber.boolean(deletes)
    return {syncrepl.DONE: ber.tlv(0x30, parts)}


def sync_entry(request: fake.Request, state: int, uuid: str = ID) -> bytes:
    value = ber.sequence(ber.integer(state, 0x0A), ber.octets(UUID))
    return fake.entry(
        request,
        "cn=p,dc=fake",
        {"cn": ["p"], "entryUUID": [uuid]},
        {syncrepl.STATE: value},
    )


def info(request: fake.Request, body: bytes) -> bytes:
    return ber.sequence(
        ber.integer(request.id),
        ber.sequence(ber.octets(syncrepl.INFO, 0x80), ber.octets(body, 0x81), tag=0x79),
    )


def id_set(deletes: bool) -> bytes:
    return ber.sequence(
        ber.boolean(deletes), ber.sequence(ber.octets(UUID), tag=0x31), tag=0xA3
    )


def follow(lab: Any, script: Any, cursor: Any = CURSOR) -> Any:
    with fake.FakeDirectory(script) as server:
        return lab.poll(lab.fake(server.url, follow="syncrepl"), cursor)


def test_deletes_come_from_delete_states_and_delete_sets(lab: Any) -> None:
    for told in (lambda r: sync_entry(r, 3), lambda r: info(r, id_set(deletes=True))):
        changes, cursor = follow(
            lab,
            lambda r, told=told: [
                told(r),
                fake.done(r, controls=sync_done(NEW, deletes=True)),
            ],
        )
        assert [(c.op, c.ref.id) for c in changes] == [("delete", ID)]
        assert cursor["cookies"] == cookie(NEW)


@pytest.mark.parametrize("told", [
    lambda r: [info(r, ber.sequence(tag=0xA2))],
    lambda r: [info(r, id_set(deletes=False))],
    lambda r: [sync_entry(r, 0)],
    lambda r: [fake.done(r, controls=sync_done(NEW, deletes=None))],
    lambda r: [fake.done(r, controls=sync_done(NEW, deletes=False))],
], ids=["refreshPresent", "present-set", "present-state", "no-flag", "flag-false"])  # fmt: skip
def test_a_present_phase_is_never_obeyed(lab: Any, told: Any) -> None:
    def script(request: fake.Request) -> list[bytes]:
        return [
            *told(request),
            fake.done(request, controls=sync_done(NEW, deletes=True)),
        ]

    with pytest.raises(CursorTooOld) as caught:
        follow(lab, script)
    assert caught.value.reason == "present-phase"


def test_a_server_without_the_flag_is_recognised_and_then_believed(lab: Any) -> None:
    def script(request: fake.Request) -> list[bytes]:
        first = len(server.searches()) == 1
        return [
            *([sync_entry(request, 1)] if first else []),
            fake.done(request, controls=sync_done(NEW, deletes=False)),
        ]

    with fake.FakeDirectory(script) as server:
        cursor = lab.now(lab.fake(server.url, follow="syncrepl"))
    assert cursor["flagless"] is True
    changes, _ = follow(
        lab,
        lambda r: [
            sync_entry(r, 2),
            fake.done(r, controls=sync_done(NEW, deletes=False)),
        ],
        cursor,
    )
    assert [(c.op, c.ref.id) for c in changes] == [("upsert", ID)]


def test_no_new_cookie_means_nothing_changed(lab: Any) -> None:
    changes, cursor = follow(
        lab, lambda r: [fake.done(r, controls=sync_done(None, deletes=None))]
    )
    assert (changes, cursor["cookies"]) == ([], CURSOR["cookies"])


@pytest.mark.parametrize("script", [
    lambda r: [fake.done(r)],
    lambda r: [fake.done(r, controls=sync_done(b"", deletes=True))],
    lambda r: [fake.entry(r, "cn=p,dc=fake", {"cn": ["p"]}), fake.done(r, controls=sync_done(NEW, deletes=True))],
    lambda r: [fake.done(r, controls=sync_done(b"rid=000,csn=20230101000000.000000Z#000000#000#000000", deletes=True))],
    lambda r: [sync_entry(r, 9), fake.done(r, controls=sync_done(NEW, deletes=True))],
    lambda r: [fake.done(r, controls={syncrepl.DONE: b"\x30\x80"})],
], ids=["no-control", "empty-cookie", "no-state", "goes-back", "odd-state", "bad-ber"])  # fmt: skip
def test_impossible_synchronizations_store_nothing(lab: Any, script: Any) -> None:
    with pytest.raises(NotApplied) as caught:
        follow(lab, script)
    assert caught.value.code == "ldap.protocol"


def test_a_refresh_that_is_required_is_a_rescan(lab: Any) -> None:
    with pytest.raises(CursorTooOld):
        follow(lab, lambda r: [fake.done(r, 4096)])


def test_another_id_in_synchronization_refuses_the_mode(lab: Any) -> None:
    other = "ffffffff-0405-0607-0809-0a0b0c0d0e0f"
    with pytest.raises(ConfigurationError) as caught:
        follow(
            lab,
            lambda r: [
                sync_entry(r, 1, other),
                fake.done(r, controls=sync_done(NEW, deletes=True)),
            ],
        )
    assert caught.value.code == "ldap.sync-id"


def test_no_paged_results_in_a_synchronization(lab: Any) -> None:
    with fake.FakeDirectory(
        lambda r: [fake.done(r, controls=sync_done(NEW, deletes=True))]
    ) as server:
        lab.poll(lab.fake(server.url, follow="syncrepl"), CURSOR)
        assert [set(r.controls) for r in server.searches()] == [
            {"1.3.6.1.4.1.4203.1.9.1.1"}
        ]


@given(st.text(), st.lists(st.binary(min_size=1)), st.booleans())
def test_positions_round_trip(host: str, cookies: list[bytes], flagless: bool) -> None:
    position = syncrepl.Position(host, tuple(cookies), flagless)
    assert syncrepl.Position.from_json(position.to_json(), len(cookies)) == position


def test_timestamps_look_back_by_the_overlap(lab: Any) -> None:
    place = lab.place()
    lab.server.add([person("a", place)])
    adapter = lab.open(place, follow="timestamp")
    changes, _ = lab.poll(adapter, lab.now(adapter))
    assert summary(changes) == {("upsert", "uid=a")}


@pytest.mark.parametrize("mode", MODES)
def test_any_interleaving_of_changes_and_polls_ends_with_the_directorys_state(
    lab: Any, mode: str
) -> None:
    import random

    chance = random.Random(4533)
    place = lab.place()
    adapter = lab.open(place, follow=mode)
    cursor, copy, here = lab.now(adapter), {}, set()
    for step in range(40):
        what = chance.choice(["add", "add", "change", "rename", "delete", "poll"])
        victim = chance.choice(sorted(here)) if here else None
        if what == "add" or victim is None:
            lab.server.add([person(f"n{step}", place)])
            here.add(f"n{step}")
        elif what == "change":
            lab.server.set(f"uid={victim},{place}", "sn", f"s{step}")
        elif what == "rename":
            lab.server.modify(
                f"dn: uid={victim},{place}\nchangetype: modrdn\nnewrdn: uid=r{step}\ndeleteoldrdn: 1"
            )
            here = (here - {victim}) | {f"r{step}"}
        elif what == "delete":
            lab.server.delete(f"uid={victim},{place}")
            here.discard(victim)
        else:
            cursor = apply(lab, adapter, cursor, copy)
    apply(lab, adapter, cursor, copy)
    now = {c.ref.id: c.data for c in lab.scan(adapter)}
    if mode == "timestamp":  # it sees no deletes; the scan does
        copy = {key: value for key, value in copy.items() if key in now}
    assert copy == now
    assert len(now) == len(here)


def apply(lab: Any, adapter: Any, cursor: Any, copy: dict[str, Any]) -> Any:
    changes, cursor = lab.poll(adapter, cursor)
    for change in changes:
        if change.op == "delete":
            copy.pop(change.ref.id, None)
        else:
            copy[change.ref.id] = change.data
    return cursor


def test_the_base_of_nothing_is_still_an_error(lab: Any) -> None:
    for mode in MODES:
        with pytest.raises(ConfigurationError) as caught:
            lab.poll(*_missing(lab, mode))
        assert caught.value.code == "ldap.no-base"


def _missing(lab: Any, mode: str) -> tuple[Any, Any]:
    adapter = lab.open(f"ou=nowhere,{BASE}", follow=mode)
    cursors = {
        "syncrepl": CURSOR,
        "timestamp": {"mode": "timestamp", "since": "20240101000000Z"},
    }
    return adapter, cursors[mode]
