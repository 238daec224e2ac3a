"""An adapter made of functions whose writers choose the key: a duty roster."""

from __future__ import annotations

from typing import Any

from moatbridge.adapter import AdapterConfig, Field, StreamFunctions, make_adapter
from moatbridge.errors import Rejected

ROWS: dict[str, dict[str, Any]] = {}


class RotaConfig(AdapterConfig):
    """Settings."""


def create(rows, record, _key):
    if record["staff_no"] in rows:
        raise Rejected("It is there.", code="rota.conflict", kind="conflict")
    rows[record["staff_no"]] = {name: record.get(name) for name in FIELDS}


FIELDS = ("staff_no", "login", "name", "mail")
STAFF = StreamFunctions(
    name="people",
    key="staff_no",
    fields=[
        "staff_no",
        Field("login", required=True),
        Field("name", required=True),
        "mail",
    ],
    entity="Person",
    read=lambda rows: list(rows.values()),
    get=lambda rows, key: rows.get(key),
    create=create,
    update=lambda rows, key, record: rows[key].update(record),
    dedup="by-key",
)
GIVEN = StreamFunctions(
    name="given",
    key="number",
    fields=["number", "login"],
    entity="Person",
    read=lambda _rows: [],
    create=lambda _rows, _record, _key: "1",
    dedup="keyed",
)
KNOWN = StreamFunctions(
    name="known",
    key="staff_no",
    fields=[Field("staff_no", required=True), Field("login", required=True), "mail"],
    entity="Person",
    read=lambda rows: list(rows.values()),
    find="read",
    update=lambda rows, key, record: rows[key].update(record),
)
RotaAdapter = make_adapter(
    "rota",
    RotaConfig,
    STAFF,
    GIVEN,
    KNOWN,
    connect=lambda _config, _net: ROWS,
    probe=lambda _rows: "rota:main",
)
