"""A SCIM platform: users listed, created one by one, created a hundred a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.contents import digest, row, user
from harness.scenario import Variant

from scenarios.alone.work import Alone

if TYPE_CHECKING:
    from pathlib import Path

    from harness.scenario import Place

Order = dict[str, Any]
HERE = "scenarios.alone.platform_ways"


class Platform(Alone):
    """What they have in common."""

    note = (
        "Connections are open before and not measured; what is asked for then counts as"
        " requests."
    )

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        self.place.sink.clear()
        return {}

    def check(self, variant: Variant, order: Order, found: Order) -> None:
        sent = found["requests"]
        super().check(variant, order, found)
        found["requests"] = sent

    def seen(self, variant: Variant, order: Order, said: Order) -> Any:
        stats = self.place.sink.stats()
        assert stats["repeats"] == 0, stats
        wanted = digest(user(row(n)) for n in range(order["records"]))
        assert stats["digest"] == wanted, stats
        return said["seen"]


class Listing(Platform):
    """Everybody, 200 a page, to finished records."""

    name = "alone-scim-scan"
    title = "{count:,} users of a SCIM platform, read only, 200 a page"
    records = 20_000
    variants = (
        Variant("raw", "httpx2 and json: pages parsed", HERE, "raw_scan"),
        Variant("moatbridge", "moatbridge's scim adapter, as in a flow", HERE, "scan", ours=True),
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._full = place.folder / "listed.json"
        users = {row(n)[1]: user(row(n)) for n in range(self.count)}
        externals = {one["externalId"]: name for name, one in users.items()}
        kept = {"/Users": [users, externals], "/Groups": [{}, {}]}
        self._full.write_text(json.dumps(kept))

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        self.place.sink.load(self._full)
        return {"page": 200}


class Single(Platform):
    """A request for each."""

    name = "alone-scim-create"
    title = "{count:,} users created on a SCIM platform, one by one"
    records = 2_000
    variants = (
        Variant("raw", "httpx2: POST, json", HERE, "raw_create"),
        Variant("moatbridge", "moatbridge's scim adapter: write of one, as in a flow", HERE, "create", ours=True),
    )  # fmt: skip


class Bulk(Platform):
    """A hundred a request."""

    name = "alone-scim-bulk"
    title = "{count:,} users created on a SCIM platform, a hundred a request"
    records = 20_000
    variants = (
        Variant("raw", "httpx2 and json: bulk requests", HERE, "raw_bulk"),
        Variant("moatbridge", "moatbridge's scim adapter: write of 500, as in a flow", HERE, "bulk", ours=True),
    )  # fmt: skip


WORKS = (Listing, Single, Bulk)
