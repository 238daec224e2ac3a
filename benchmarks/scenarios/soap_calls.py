"""Single SOAP calls: one record asked for, again and again. What the adapter adds to a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.scenario import Variant, Work

from scenarios.to_platform.places import Soap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.scenario import Place

CALLS = 1000
HERE = "scenarios.soap_calls"
Order = dict[str, Any]


class Calls(Work):
    """A request and an answer of one record."""

    name = "soap-calls"
    title = "{count:,} single SOAP calls"
    unit = "call"
    records = CALLS
    variants = (
        Variant("naive", "zeep: service call, defaults", HERE, "with_zeep"),
        Variant("by-hand", "best script by hand: a text out, lxml in", HERE, "by_hand"),
        Variant(
            "moatbridge", "moatbridge's soap adapter: scan", HERE, "ours", ours=True
        ),
    )

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.source = Soap(place, 1)

    def order(self, variant: Variant, folder: Path) -> Order:
        return {"records": self.count, **self.source.order(1, folder)}

    def check(self, variant: Variant, order: Order, found: Order) -> None:
        assert found["said"]["seen"] == self.count, found["said"]
        found["requests"] = self.count


def with_zeep(order: Order) -> Callable[[], Order]:
    """The client is made before."""
    import zeep

    client = zeep.Client(order["source"]["wsdl"])
    service = client.create_service("{urn:example:bench}B", order["source"]["url"])

    def run() -> Order:
        return {
            "seen": sum(
                len(service.GetPeople(limit=1)) for _ in range(order["records"])
            )
        }

    return run


def by_hand(order: Order) -> Callable[[], Order]:
    """One pool, one text."""
    import urllib3
    from lxml import etree

    from scenarios.to_platform.readers import ENVELOPE

    pool = urllib3.PoolManager()
    headers = {"Content-Type": "text/xml", "SOAPAction": '"GetPeople"'}
    path = ".//{urn:example:bench}person"

    def run() -> Order:
        seen = 0
        for _ in range(order["records"]):
            answer = pool.request(
                "POST", order["source"]["url"], body=ENVELOPE, headers=headers
            )
            person = etree.fromstring(answer.data).find(path)
            seen += len({leaf.tag: leaf.text for leaf in person}) > 0
        return {"seen": seen}

    return run


def ours(order: Order) -> Callable[[], Order]:
    """The adapter alone, connected before."""
    from moatbridge.adapter import Partition
    from moatbridge.testing import net
    from moatbridge_soap import SoapAdapter, SoapConfig, SoapStreamConfig

    source, stream = order["source"], order["stream"]
    config = SoapConfig(wsdl=source["wsdl"], endpoint=source["url"])
    adapter = SoapAdapter(
        config, {"people": SoapStreamConfig(key=stream["key"], list=stream["list"])}
    )
    adapter.net = net(SoapAdapter.endpoints(config), deadline=3600)
    adapter.open()

    def run() -> Order:
        seen = 0
        for _ in range(order["records"]):
            seen += sum(
                len(b.changes) for b in adapter.scan("people", Partition(), None)
            )
        return {"seen": seen}

    return run


WORKS = (Calls,)
