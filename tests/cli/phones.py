"""An adapter made of functions, for what `discover` says of it."""

from __future__ import annotations

from moatbridge.adapter import AdapterConfig, Field, StreamFunctions, make_adapter

ROWS = {"17": {"ext": "17", "name": "Ada", "mail": None, "office": "B", "floor": 2}}


class PhonesConfig(AdapterConfig):
    """Settings."""

    exchange: str = "main"


PEOPLE = StreamFunctions(
    name="people",
    key="ext",
    fields=[
        Field("ext", required=True),
        "name",
        "mail",
        "office",
        Field("floor", "int"),
    ],
    entity="Person",
    read=lambda rows: list(rows.values()),
    create=lambda rows, record, _key: rows.setdefault(record["ext"], record)["ext"],
)
ROOMS = StreamFunctions(
    name="rooms",
    key="number",
    fields=["number", "purpose"],
    read=lambda _rows: [],
)
PhonesAdapter = make_adapter(
    "phones",
    PhonesConfig,
    PEOPLE,
    ROOMS,
    connect=lambda _config, _net: ROWS,
    probe=lambda _rows: "phones:main",
)
