"""Writing on a real slapd: minimal, in windows, with true receipts."""

from __future__ import annotations

from typing import Any

import pytest

from moatbridge.changes import Intent, Receipt, Ref
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_ldap import dn, modify
from moatbridge_ldap import testing as fake
from moatbridge_ldap.plan import Task
from moatbridge_ldap.wire.port import DeleteEntry
from moatbridge_ldap.write import WINDOW, windows
from servers.openldap import (
    BASE,
    CODES,
    GROUPS,
    RESULT_CODES,
    SYNC,
    WRITER,
    group,
    person,
)


def writer(lab: Any, place: str, **stream: Any) -> Any:
    create = {"dn": f"uid={{uid}},{place}", "object_classes": ["inetOrgPerson"]}
    usual = {"create": create, "external_id": "employeeNumber", "remove": "delete"}
    return lab.open(place, WRITER, stream=usual | stream)


def record(uid_: str, **more: Any) -> dict[str, Any]:
    return {
        "uid": [uid_],
        "cn": [uid_],
        "sn": [uid_],
        "employeeNumber": f"K-{uid_}",
    } | more


def intent(op: Any, ref: Ref | None, data: Any, **more: Any) -> Intent:
    return Intent(f"key-{op}", op, ref, data, **more)


def create(adapter: Any, *records: dict[str, Any], **more: Any) -> list[Receipt]:
    return list(
        adapter.write("people", [intent("create", None, r, **more) for r in records])
    )


def here(lab: Any, place: str) -> dict[str, dict[str, list[str]]]:
    found = lab.server.read(place, text="(objectClass=inetOrgPerson)")
    return {name.partition(",")[0]: entry for name, entry in found.items()}


@pytest.mark.parametrize(
    "uid", ["plain", "a,b", " lead", 'q"uo+te', "#hash", "Zoë=;<>", "back\\slash "]
)
def test_values_in_a_name_are_escaped(lab: Any, uid: str) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (receipt,) = create(adapter, record(uid, sn=["x"], cn=["x"], employeeNumber="K"))
    assert receipt.outcome == "applied"
    assert dn.parse(receipt.ref.name)[0] == (("uid", uid),)
    (found,) = adapter.fetch("people", [receipt.ref])
    assert (found.data["uid"], found.version) == ([uid], receipt.version)


def test_an_update_is_one_modify_of_what_differs(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (made,) = create(
        adapter, record("u", mail=["a@x.example", "b@x.example"], description=["keep"])
    )
    (before,) = adapter.fetch("people", [made.ref])
    lab.server.modify(
        f"dn: uid=u,{place}\nchangetype: modify\nadd: mail\nmail: added@elsewhere.example"
    )
    patch = {"mail": ["b@x.example", "c@x.example"], "sn": ["u"], "givenName": ["G"]}
    (receipt,) = adapter.write(
        "people", [intent("update", made.ref, patch, before=before.data)]
    )
    assert receipt.outcome == "applied"
    entry = here(lab, place)["uid=u"]
    assert sorted(entry["mail"]) == [
        "added@elsewhere.example",
        "b@x.example",
        "c@x.example",
    ]
    assert (entry["description"], entry["givenName"]) == (["keep"], ["G"])


def test_only_owned_fields_are_written(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (made,) = create(adapter, record("u", description=["mine"]))
    patch = {"description": ["theirs"], "sn": ["new"]}
    (receipt,) = adapter.write(
        "people", [intent("update", made.ref, patch, owned=("sn",))]
    )
    assert receipt.outcome == "applied"
    assert (
        here(lab, place)["uid=u"]["description"],
        here(lab, place)["uid=u"]["sn"],
    ) == (["mine"], ["new"])


def test_nothing_to_change_sends_nothing(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (made,) = create(adapter, record("u"))
    before = adapter._session.channel.sent
    (receipt,) = adapter.write("people", [intent("update", made.ref, {"sn": ["u"]})])
    assert (receipt.outcome, receipt.version) == ("applied", made.version)
    assert adapter._session.channel.sent - before == 1


def test_a_new_name_is_a_rename_of_the_same_entry(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (made,) = create(adapter, record("old"))
    (receipt,) = adapter.write(
        "people", [intent("update", made.ref, {"uid": ["new"], "sn": ["S"]})]
    )
    assert (receipt.outcome, receipt.ref) == (
        "applied",
        Ref(made.ref.id, f"uid=new,{place}"),
    )
    entry = here(lab, place)["uid=new"]
    assert (entry["uid"], entry["sn"]) == (["new"], ["S"])


def test_a_new_place_in_the_template_is_a_move(lab: Any) -> None:
    place = lab.place()
    units = [f"ou={name},{place}" for name in ("north", "south")]
    lab.server.add(
        [
            (unit, {"objectClass": ["organizationalUnit"], "ou": [unit[3:8]]})
            for unit in units
        ]
    )
    template = {
        "dn": f"uid={{uid}},ou={{departmentNumber}},{place}",
        "object_classes": ["inetOrgPerson"],
    }
    fields = ["uid", "cn", "sn", "employeeNumber", "departmentNumber"]
    adapter = writer(lab, place, create=template, fields=fields)
    (made,) = create(adapter, record("m", departmentNumber=["north"]))
    assert made.ref.name == f"uid=m,ou=north,{place}"
    (receipt,) = adapter.write(
        "people", [intent("update", made.ref, {"departmentNumber": ["south"]})]
    )
    assert (receipt.outcome, receipt.ref.name) == ("applied", f"uid=m,ou=south,{place}")


def test_a_create_that_meets_our_own_entry_becomes_an_update(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (first,) = create(adapter, record("u"))
    lab.server.modify(
        f"dn: uid=u,{place}\nchangetype: modrdn\nnewrdn: uid=renamed\ndeleteoldrdn: 1"
    )
    (again,) = create(adapter, record("u", sn=["later"]), attempt=2)
    assert (again.outcome, again.ref.id) == ("applied", first.ref.id)
    assert [(name, e["sn"]) for name, e in here(lab, place).items()] == [
        ("uid=u", ["later"])
    ]


def test_a_create_that_meets_somebody_elses_entry_is_a_conflict(lab: Any) -> None:
    place = lab.place()
    lab.server.add([person("taken", place)])
    (receipt,) = create(writer(lab, place), record("taken"))
    assert (receipt.outcome, receipt.code) == ("rejected", "ldap.conflict")
    (blind,) = create(writer(lab, place, external_id=None), record("taken"))
    assert (blind.outcome, blind.code) == ("rejected", "ldap.conflict")
    assert here(lab, place)["uid=taken"]["employeeNumber"] == ["E-taken"]


def test_values_already_there_or_gone_are_applied(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (made,) = create(adapter, record("u", mail=["a@x.example", "b@x.example"]))
    (before,) = adapter.fetch("people", [made.ref])
    lab.server.set(f"uid=u,{place}", "mail", "a@x.example", "c@x.example")
    patch = {"mail": ["a@x.example", "c@x.example"]}
    (receipt,) = adapter.write(
        "people", [intent("update", made.ref, patch, before=before.data)]
    )
    assert receipt.outcome == "applied"
    assert sorted(here(lab, place)["uid=u"]["mail"]) == ["a@x.example", "c@x.example"]


def test_compare_and_set_by_assertion(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (made,) = create(adapter, record("u"))
    lab.server.set(f"uid=u,{place}", "sn", "theirs")
    for op, data in (
        ("update", {"sn": ["ours"]}),
        ("delete", None),
        ("update", {"uid": ["ours"]}),
    ):
        (receipt,) = adapter.write(
            "people", [intent(op, made.ref, data, before_version=made.version)]
        )
        assert (receipt.outcome, receipt.reason) == ("not_applied", "stale")
    assert here(lab, place)["uid=u"]["sn"] == ["theirs"]
    assert adapter.traits("people").conditional


def test_without_assertion_the_old_value_is_the_condition(lab: Any) -> None:
    place = lab.place()
    adapter = writer(
        lab, place, fields=["uid", "cn", "sn", "employeeNumber", "preferredLanguage"]
    )
    (made,) = create(adapter, record("u", preferredLanguage="de"))
    adapter._directory.facts["supportedControl"] = []
    (before,) = adapter.fetch("people", [made.ref])
    lab.server.set(f"uid=u,{place}", "preferredLanguage", "fr")
    late = intent(
        "update",
        made.ref,
        {"preferredLanguage": "en"},
        before=before.data,
        before_version=before.version,
    )
    (receipt,) = adapter.write("people", [late])
    assert (receipt.outcome, receipt.reason) == ("not_applied", "stale")
    (read_back,) = create(adapter, record("v"))
    assert (read_back.outcome, read_back.ref.name) == ("applied", f"uid=v,{place}")
    assert read_back.version is not None


@pytest.mark.parametrize(
    ("remove", "outcome", "code"),
    [
        ("refuse", "rejected", "ldap.remove-refused"),
        ("delete", "applied", ""),
        ("move", "applied", ""),
    ],
)
def test_a_delete_follows_the_setting(
    lab: Any, remove: str, outcome: str, code: str
) -> None:
    place = lab.place()
    left = f"ou=left,{BASE}"
    more = {"move_to": left} if remove == "move" else {}
    adapter = writer(lab, place, remove=remove, **more)
    uid = f"d-{place[3:].partition(',')[0]}"
    (made,) = create(adapter, record(uid))
    for _ in range(2):
        (receipt,) = adapter.write("people", [intent("delete", made.ref, None)])
        assert (receipt.outcome, receipt.code) == (outcome, code)
    assert (f"uid={uid}" in here(lab, place)) == (remove == "refuse")
    assert (f"uid={uid}" in here(lab, left)) == (remove == "move")


def test_an_entry_with_children_is_never_deleted(lab: Any) -> None:
    place = lab.place()
    lab.server.add([person("parent", place), person("child", f"uid=parent,{place}")])
    adapter = writer(lab, place)
    refs = {c.data["uid"][0]: c.ref for c in lab.scan(adapter)}
    (receipt,) = adapter.write("people", [intent("delete", refs["parent"], None)])
    assert (receipt.outcome, receipt.code) == ("rejected", "ldap.data")
    both = adapter.write(
        "people",
        [intent("delete", refs["child"], None), intent("delete", refs["parent"], None)],
    )
    assert [r.outcome for r in both] == ["applied", "applied"]


def test_an_entry_that_is_gone(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    lost = Ref("00000000-0000-0000-0000-000000000000")
    update, delete = adapter.write(
        "people", [intent("update", lost, {"sn": ["x"]}), intent("delete", lost, None)]
    )
    assert (update.outcome, update.code) == ("rejected", "ldap.gone")
    assert delete.outcome == "applied"


@pytest.mark.parametrize("data", [
    {"uid": ["x"]}, {"cn": ["x"], "sn": ["x"]}, record("x", sn=[5]), record("x", uid=["a", "b"]), record("x", nope=1),
    record("x", uid=[]), record("x", mail=["é@x"]), {}, record("x", uid=[""]),
])  # fmt: skip
def test_bad_data_is_rejected_as_data(lab: Any, data: dict[str, Any]) -> None:
    place = lab.place()
    (receipt,) = create(writer(lab, place), data)
    assert (receipt.outcome, receipt.reason) == ("rejected", "data")
    assert here(lab, place) == {}


def test_an_account_without_rights_stops_the_system_after_20(lab: Any) -> None:
    place = lab.place()
    create_at = {"dn": f"uid={{uid}},{place}", "object_classes": ["inetOrgPerson"]}
    adapter = lab.open(
        place, SYNC, stream={"create": create_at, "external_id": "employeeNumber"}
    )
    few = create(adapter, *(record(f"u{i}") for i in range(3)))
    assert {(r.outcome, r.code) for r in few} == {("rejected", "ldap.rights")}
    with pytest.raises(ConfigurationError) as caught:
        create(adapter, *(record(f"u{i}") for i in range(20)))
    assert caught.value.code == "ldap.rights"


def test_secrets_and_cleartext_passwords_are_refused(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (receipt,) = create(adapter, record("u"), secrets={"userPassword": "x" * 12})
    assert (receipt.outcome, receipt.code) == ("rejected", "ldap.secrets-unsupported")
    clear = lab.open(place, WRITER, starttls="off", insecure_cleartext=True, stream={
        "create": {"dn": f"uid={{uid}},{place}", "object_classes": ["inetOrgPerson"]}, "fields": ["uid", "cn", "sn", "userPassword"]})  # fmt: skip
    (receipt,) = create(
        clear,
        {"uid": ["u"], "cn": ["u"], "sn": ["u"], "userPassword": [b"secret-value"]},
    )
    assert (receipt.outcome, receipt.code) == ("rejected", "ldap.cleartext-password")
    assert here(lab, place) == {}


def test_500_creates_travel_in_windows_and_keep_their_order(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    adapter.streams()
    before = adapter._session.channel.sent
    receipts = create(adapter, *(record(f"u{i:03d}") for i in range(500)))
    assert [r.ref.name for r in receipts] == [
        f"uid=u{i:03d},{place}" for i in range(500)
    ]
    assert adapter._session.channel.sent - before == -(-500 // WINDOW)


def test_updates_cost_a_search_per_200_and_their_windows(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    records = [record(f"u{i:03d}") for i in range(250)]
    refs = [receipt.ref for receipt in create(adapter, *records)]
    before = adapter._session.channel.sent
    receipts = adapter.write("people", [
        intent("update", ref, {"sn": ["new"]}, owned=("sn",), before=old)
        for ref, old in zip(refs, records, strict=True)
    ])  # fmt: skip
    assert {(r.outcome, r.version is None) for r in receipts} == {("applied", False)}
    assert adapter._session.channel.sent - before == 2 + -(-250 // WINDOW)
    assert {tuple(entry["sn"]) for entry in here(lab, place).values()} == {("new",)}


def test_an_image_matters_only_where_the_update_writes(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    (made,) = create(adapter, record("a"))
    image = record("a", mail=[object()]) | {"SN": ["a"]}
    del image["sn"]
    (receipt,) = adapter.write("people", [
        intent("update", made.ref, {"sn": ["b"]}, owned=("sn",), before=image)
    ])  # fmt: skip
    assert receipt.outcome == "applied"
    assert here(lab, place)["uid=a"]["sn"] == ["b"]


def test_related_entries_never_share_a_window() -> None:
    def task(name: str) -> Task:
        return Task(intent("delete", None, None), [DeleteEntry(name)])

    cut = [
        [t.todo[0].dn for t in w]
        for w in windows(
            [
                task("a=1,b=2"),
                task("c=3,b=2"),
                task("B=2"),
                task("x=1"),
                task("a=1,b=2"),
                task("A=1, B=2"),
            ]
        )
    ]
    assert cut == [["a=1,b=2", "c=3,b=2"], ["B=2", "x=1"], ["a=1,b=2"], ["A=1, B=2"]]
    assert [len(w) for w in windows([task(f"cn={i}") for i in range(70)])] == [
        32,
        32,
        6,
    ]
    # A name that nobody can read may lie anywhere.
    names = ["a=1,b=2", "no name", "a=3,b=2", "b=2", "c=1,no name", "a=1"]
    apart = [[t.todo[0].dn for t in w] for w in windows([task(n) for n in names])]
    assert apart == [
        ["a=1,b=2"],
        ["no name"],
        ["a=3,b=2"],
        ["b=2"],
        ["c=1,no name"],
        ["a=1"],
    ]


def groups(lab: Any, who: str = WRITER, **more: Any) -> Any:
    shape = {"fields": ["cn", {"attribute": "member", "type": "reference", "to": "people"}], "filter": "(objectClass=groupOfNames)",
             "create": {"dn": f"cn={{cn}},{GROUPS}", "object_classes": ["groupOfNames"]}, "remove": "delete"}  # fmt: skip
    return lab.open(GROUPS, who, stream=shape | more)


def test_members_travel_as_deltas_against_the_before_image(lab: Any) -> None:
    people = [f"uid=p{i},{BASE}" for i in range(1300)]
    lab.server.add([group("delta", people[:700])])
    adapter = groups(lab)
    (before,) = [c for c in lab.scan(adapter) if c.data["cn"] == ["delta"]]
    lab.server.modify(
        f"dn: cn=delta,{GROUPS}\nchangetype: modify\nadd: member\nmember: uid=extra,{BASE}"
    )
    wanted = [name.replace(",", ", ") for name in people[100:1300]]
    (receipt,) = adapter.write(
        "people", [intent("update", before.ref, {"member": wanted}, before=before.data)]
    )
    assert receipt.outcome == "applied"
    members = lab.server.read(GROUPS, "member", text="(cn=delta)")[
        f"cn=delta,{GROUPS}"
    ]["member"]
    assert {dn.normal(m) for m in members} == {
        dn.normal(m) for m in [*wanted, f"uid=extra,{BASE}"]
    }
    shape = adapter._shape("people")
    encoded = [
        {"member": [m.encode() for m in listed]}
        for listed in (before.data["member"], wanted)
    ]
    assert [len(i.values) for i in modify.items(shape, *encoded, strict=False)] == [
        100,
        500,
        100,
    ]


def test_an_empty_group_holds_the_placeholder_which_nobody_sees(lab: Any) -> None:
    nobody = f"cn=nobody,{BASE}"
    adapter = groups(lab, empty_group_member=nobody)

    def stored() -> list[str]:
        return lab.server.read(GROUPS, "member", text="(cn=hollow)")[
            f"cn=hollow,{GROUPS}"
        ]["member"]

    (made,) = create(adapter, {"cn": ["hollow"], "member": []})
    assert (made.outcome, stored()) == ("applied", [nobody])
    (found,) = adapter.fetch("people", [made.ref])
    assert found.data["member"] == []
    for wanted in ([f"uid=a,{BASE}"], []):
        (found,) = adapter.fetch("people", [made.ref])
        (receipt,) = adapter.write(
            "people",
            [intent("update", made.ref, {"member": wanted}, before=found.data)],
        )
        assert (receipt.outcome, stored()) == ("applied", wanted or [nobody])


def test_emptying_a_group_without_placeholder_says_what_to_set(lab: Any) -> None:
    lab.server.add([group("full", [f"uid=a,{BASE}"])])
    adapter = groups(lab)
    (before,) = [c for c in lab.scan(adapter) if c.data["cn"] == ["full"]]
    (receipt,) = adapter.write("people", [intent("update", before.ref, {"member": []})])
    assert (receipt.outcome, receipt.code) == ("rejected", "ldap.empty-group")


EXPECTED = {
    10: ("not_applied", "ldap.wrong-server"), 50: ("rejected", "ldap.rights"), 51: ("not_applied", "ldap.busy"), 52: ("not_applied", "ldap.busy"),
    80: ("not_applied", "ldap.busy"), 68: ("rejected", "ldap.conflict"), 32: ("rejected", "ldap.gone"), 122: ("not_applied", "ldap.stale"),
    16: ("not_applied", "ldap.stale"), 20: ("not_applied", "ldap.stale"), 8: ("rejected", "ldap.rights"), 13: ("rejected", "ldap.rights"),
}  # fmt: skip


@pytest.mark.parametrize("code", [*RESULT_CODES, 1234])
def test_every_result_code_gets_its_receipt(lab: Any, code: int) -> None:
    one = "00000000-0000-0000-0000-000000000001"

    def script(request: fake.Request) -> list[bytes]:
        if request.kind == "searchRequest":
            return [
                fake.entry(
                    request,
                    "cn=a,dc=fake",
                    {"cn": ["a"], "uid": ["a"], "entryUUID": [one]},
                ),
                fake.done(request),
            ]
        busy = [r for r in server.requests if r.kind == "modifyRequest"]
        first = len(busy) == 1 and code == 10  # a referral of everything raises instead
        return [fake.done(request, 0 if first else code, text="personal value")]

    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(server.url)
        refs = [Ref(one)] * (2 if code == 10 else 1)
        receipts = adapter.write(
            "people", [intent("update", ref, {"uid": ["b"]}) for ref in refs]
        )
    assert (receipts[-1].outcome, receipts[-1].code) == EXPECTED.get(
        code, ("rejected", "ldap.data")
    )


@pytest.mark.parametrize("code", [51, 53, 65, 80])
def test_result_codes_of_a_real_server(lab: Any, code: int) -> None:
    (receipt,) = create(
        writer(
            lab,
            CODES,
            create={"dn": f"cn={{cn}},{CODES}", "object_classes": ["inetOrgPerson"]},
        ),
        record("u", cn=[f"code-{code}"]),
    )
    assert (receipt.outcome, receipt.code) == EXPECTED.get(
        code, ("rejected", "ldap.data")
    )


def test_a_read_only_replica_stops_the_system(lab: Any) -> None:
    with fake.FakeDirectory(lambda r: [fake.done(r, 10)]) as server:
        adapter = lab.fake(
            server.url,
            stream={"create": {"dn": "cn={cn},dc=fake", "object_classes": ["x"]}},
        )
        with pytest.raises(ConfigurationError) as caught:
            create(adapter, {"cn": ["a"]}, {"cn": ["b"]})
    assert caught.value.code == "ldap.wrong-server"


def test_answers_may_come_in_any_order(lab: Any) -> None:
    held: list[fake.Request] = []

    def script(request: fake.Request) -> list[bytes]:
        if request.kind == "searchRequest":
            return [fake.done(request)]
        held.append(request)
        if len(held) < 3:
            return []
        return [fake.done(held[at], code) for at, code in ((2, 0), (0, 21), (1, 0))]

    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(
            server.url,
            stream={"create": {"dn": "cn={cn},dc=fake", "object_classes": ["x"]}},
        )
        receipts = create(adapter, *({"cn": [name]} for name in "abc"))
    assert [r.outcome for r in receipts] == ["rejected", "applied", "applied"]


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_window_cut_short_is_unknown_where_no_answer_came(
    lab: Any, answered: int
) -> None:
    seen: list[fake.Request] = []

    def script(request: fake.Request) -> list[bytes]:
        seen.append(request)
        return [fake.done(request) if len(seen) <= answered else b""]

    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(
            server.url,
            stream={"create": {"dn": "cn={cn},dc=fake", "object_classes": ["x"]}},
        )
        receipts = create(adapter, *({"cn": [f"n{i}"]} for i in range(WINDOW + 3)))
    assert [r.outcome for r in receipts[:answered]] == ["applied"] * answered
    assert {r.outcome for r in receipts[answered:WINDOW]} == {"unknown"}
    assert {r.outcome for r in receipts[WINDOW:]} == {"not_applied"}, (
        "never handed to the socket"
    )


def test_an_answer_cut_at_any_byte_is_unknown(lab: Any) -> None:
    whole = len(fake.done(fake.Request(5, "addRequest", None, {})))
    for size in range(1, whole):
        with fake.FakeDirectory(
            lambda r, size=size: [fake.done(r)[:size], b""]
        ) as server:
            adapter = lab.fake(
                server.url,
                stream={"create": {"dn": "cn={cn},dc=fake", "object_classes": ["x"]}},
            )
            (receipt,) = create(adapter, {"cn": ["a"]})
        assert receipt.outcome == "unknown"


def test_a_broken_look_up_before_the_first_write_is_not_applied(lab: Any) -> None:
    with fake.FakeDirectory(lambda r: [b""]) as server:
        adapter = lab.fake(server.url)
        with pytest.raises(NotApplied):
            adapter.write("people", [intent("update", Ref("x"), {"uid": ["b"]})])


def test_traits_follow_the_external_id(lab: Any) -> None:
    place = lab.place()
    assert writer(lab, place).traits("people").dedup == "keyed"
    assert lab.open(place).traits("people").dedup == "lookup"


def test_two_entries_with_our_key_are_for_a_person_to_look_at(lab: Any) -> None:
    place = lab.place()
    lab.server.add(
        [person(name, place, employeeNumber=["K-u"]) for name in ("one", "two")]
    )
    (receipt,) = create(writer(lab, place), record("u"), attempt=2)
    assert (receipt.outcome, receipt.code) == ("rejected", "ldap.conflict")
    assert set(here(lab, place)) == {"uid=one", "uid=two"}


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_key_in_another_case_is_somebody_elses(lab: Any, attempt: int) -> None:
    place = lab.place()
    lab.server.add([person("u", place, employeeNumber=["k-U"])])
    (receipt,) = create(writer(lab, place), record("u"), attempt=attempt)
    assert (receipt.outcome, receipt.code) == ("rejected", "ldap.conflict")
    entry = here(lab, place)["uid=u"]
    assert (entry["employeeNumber"], entry["sn"]) == (["k-U"], ["U"])


def test_an_entry_without_a_key_is_never_taken_over(lab: Any) -> None:
    place = lab.place()
    lab.server.add([person("u", place, employeeNumber=[])])
    for attempt in (1, 2):
        (receipt,) = create(writer(lab, place), record("u"), attempt=attempt)
        assert (receipt.outcome, receipt.code) == ("rejected", "ldap.conflict")
    assert "employeeNumber" not in here(lab, place)["uid=u"]


def test_a_resent_create_leaves_an_entry_with_a_key_in_another_case_alone(
    lab: Any,
) -> None:
    place = lab.place()
    lab.server.add([person("other", place, employeeNumber=["k-u"])])
    (receipt,) = create(writer(lab, place), record("u"), attempt=2)
    assert (receipt.outcome, receipt.ref.name) == ("applied", f"uid=u,{place}")
    assert here(lab, place)["uid=other"]["sn"] == ["Other"]


def test_keys_that_differ_in_case_alone_are_two_records(lab: Any) -> None:
    place = lab.place()
    adapter = writer(lab, place)
    pair = [record("a", employeeNumber="K-x"), record("b", employeeNumber="k-X")]
    first = create(adapter, *pair)
    again = create(adapter, *pair, attempt=2)
    assert [r.outcome for r in (*first, *again)] == ["applied"] * 4
    assert [r.ref.id for r in again] == [r.ref.id for r in first]
