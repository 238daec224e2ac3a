"""A SOAP service: one long answer, single calls, and reading its WSDL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.scenario import Variant

from scenarios.alone.work import Alone
from scenarios.to_platform.places import Soap

if TYPE_CHECKING:
    from pathlib import Path

    from harness.scenario import Place

Order = dict[str, Any]
HERE = "scenarios.alone.service_ways"
OPERATIONS = 300
CONNECTING = (
    "Clients are made before. The adapter's connection is open then and not measured; the"
    " others connect in their first call, which is measured."
)


class Answer(Alone):
    """Everybody at once."""

    name = "alone-soap-answer"
    title = "one SOAP answer with {count:,} people of 12 typed leaves"
    note = CONNECTING
    records = 10_000
    variants = (
        Variant("zeep", "zeep: service call, made dicts", HERE, "answer_by_zeep"),
        Variant("by-hand", "by hand: lxml's iterparse, texts", HERE, "answer_by_hand"),
        Variant("moatbridge", "moatbridge's soap adapter, as in a flow", HERE, "answer", ours=True),
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.source = Soap(place, self.count)

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        return self.source.order(count, folder)


class Calls(Alone):
    """One record asked for, again and again: what the adapter adds to a call."""

    name = "alone-soap-calls"
    title = "{count:,} single SOAP calls"
    note = f"{CONNECTING} Requests are counted by the service."
    unit = "call"
    records = 1_000
    variants = (
        Variant("naive", "zeep: service call, defaults", HERE, "with_zeep"),
        Variant("by-hand", "best script by hand: a text out, lxml in", HERE, "by_hand"),
        Variant("moatbridge", "moatbridge's soap adapter: scan, as in a flow", HERE, "ours", ours=True),
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.source = Soap(place, 1)

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        self._before = self.source.calls()
        return self.source.order(1, folder)

    def check(self, variant: Variant, order: Order, found: Order) -> None:
        super().check(variant, order, found)
        found["requests"] = self._called()

    def seen(self, variant: Variant, order: Order, said: Order) -> Any:
        assert said["seen"] == order["records"], said
        return self._called()

    def _called(self) -> int:
        return self.source.calls() - self._before


class Opening(Alone):
    """A long WSDL, read from a file."""

    name = "alone-soap-open"
    title = f"a WSDL of {OPERATIONS} operations opened"
    note = "The adapter connects as well, which is measured; zeep does not connect."
    unit = "pass"
    records = 1
    variants = (
        Variant("zeep", "zeep: client", HERE, "open_by_zeep", resident=True),
        Variant("first", "moatbridge's soap adapter, the first time", HERE, "opening", ours=True, resident=True),
        Variant("moatbridge", "moatbridge's soap adapter, again", HERE, "opening_again", ours=True, resident=True),
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.source = Soap(place, 1, OPERATIONS)

    def order(self, variant: Variant, folder: Path) -> Order:
        return {"records": 1, **self.given(variant, 1, folder)}

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        return self.source.order(count, folder)

    def seen(self, variant: Variant, order: Order, said: Order) -> Any:
        return order["records"] if said["seen"] == OPERATIONS else said["seen"]


WORKS = (Answer, Calls, Opening)
