import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.guard import AuditEvent, AuditRecord, pack_records, unpack_records

records = st.lists(
    st.builds(
        AuditRecord,
        st.integers(0, 2**64 - 1),
        st.sampled_from(
            ["create", "update", "renew", "delete", "disable", "left_scope"]
        ),
        st.binary(min_size=16, max_size=16),
    ),
    max_size=30,
)
EVENT = AuditEvent(
    "parcel",
    1_790_000_000_000,
    flow="people",
    target="social",
    run=7,
    label="confidential",
    counts={"update": 2, "create": 1},
    fields=("title", "emails[type=work].value"),
    rules=("privileged",),
)


@given(records)
def test_records_survive_packing(some):
    assert unpack_records(pack_records(some)) == some


def test_a_record_takes_34_bytes():
    some = [AuditRecord(n, "update", bytes(16)) for n in range(300)]
    assert len(pack_records(some)) == 300 * 25 * 4 // 3
    assert len(pack_records(some)) / 300 <= 34


@pytest.mark.parametrize(
    "text",
    ["x", "AAAA", "!!!!", pack_records([AuditRecord(1, "create", bytes(16))])[:-4]],
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError):
        unpack_records(text)


@pytest.mark.parametrize(
    "record", [AuditRecord(1, "create", b"short"), AuditRecord(1, "drop", bytes(16))]
)
def test_records_of_another_shape_are_refused(record):
    with pytest.raises(ValueError):
        pack_records([record])


def test_an_unknown_operation_is_refused():
    packed = bytearray(25)
    packed[8] = 99
    import base64

    with pytest.raises(ValueError):
        unpack_records(base64.b64encode(bytes(packed)).decode())


def test_the_body_is_canonical():
    body = EVENT.body()
    assert (
        body
        == json.dumps(
            json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()
    )
    assert body == (
        b'{"at":1790000000000,"counts":{"create":1,"update":2},'
        b'"fields":["emails[type=work].value","title"],"flow":"people","kind":"parcel",'
        b'"label":"confidential","rules":["privileged"],"run":7,"target":"social"}'
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": {"n": 1.5}},
        {"counts": {"n": True}},
        {"counts": {"n": 2**53}},
        {"counts": {"Jürgen": 1}},
        {"fields": ("Jürgen",)},
        {"rules": ("a\nb",)},
    ],
)
def test_an_event_holds_numbers_and_names_only(wrong):
    with pytest.raises(ValueError):
        AuditEvent("parcel", 1, **wrong).body()


def test_a_reason_is_cleaned():
    event = AuditEvent("kill", 1, reason="stop\x00\ud800 " + "x" * 900)
    assert json.loads(event.body())["reason"].startswith("stop x")
    assert len(json.loads(event.body())["reason"]) == 500
