"""Ways to call a SOAP service: zeep as one uses it, a text and lxml, ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scenarios.alone.work import in_a_flow, scanned, wired

if TYPE_CHECKING:
    from collections.abc import Callable

Order = dict[str, Any]


def _service(order: Order) -> Any:
    """What zeep makes of the WSDL, bound to where the service is."""
    import zeep

    settings = zeep.Settings(xml_huge_tree=True)
    client = zeep.Client(order["source"]["wsdl"], settings=settings)
    return client.create_service("{urn:example:bench}B", order["source"]["url"])


def answer_by_zeep(order: Order) -> Callable[[], Order]:
    """One call, its answer made dicts."""
    from zeep.helpers import serialize_object

    service = _service(order)

    def run() -> Order:
        return {"seen": len(serialize_object(service.GetPeople(limit=1), dict))}

    return run


def answer_by_hand(order: Order) -> Callable[[], Order]:
    """lxml's iterparse, texts as they are."""
    from scenarios.to_platform.readers import soap

    read = soap(order["source"])

    def run() -> Order:
        return {"seen": sum(map(len, read()))}

    return run


def with_zeep(order: Order) -> Callable[[], Order]:
    """The client is made before."""
    service = _service(order)

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


def _adapter(order: Order) -> Any:
    """Ours, not open."""
    from moatbridge_soap import SoapAdapter, SoapConfig, SoapStreamConfig

    source, stream = order["source"], order["stream"]
    config = SoapConfig(wsdl=source["wsdl"], endpoint=source["url"])
    people = SoapStreamConfig(key=stream["key"], list=stream["list"])
    return wired(SoapAdapter(config, {"people": people}))


def answer(order: Order) -> Callable[[], Order]:
    """Typed records, while the answer arrives."""
    adapter = _adapter(order)
    adapter.open()

    def run() -> Order:
        return {"seen": scanned(adapter)}

    return in_a_flow(run)


def ours(order: Order) -> Callable[[], Order]:
    """The adapter alone, connected before."""
    adapter = _adapter(order)
    adapter.open()

    def run() -> Order:
        return {"seen": sum(scanned(adapter) for _ in range(order["records"]))}

    return in_a_flow(run)


def open_by_zeep(order: Order) -> Callable[[], Order]:
    """The document read and compiled."""
    import zeep

    def run() -> Order:
        service = zeep.Client(order["source"]["wsdl"]).wsdl.services["S"]
        return {"seen": len(service.ports["P"].binding.all())}

    return run


def opening(order: Order) -> Callable[[], Order]:
    """For the first time in this process."""
    adapter = _adapter(order)

    def run() -> Order:
        adapter.open()
        return {"seen": _compiled(adapter)}

    return run


def _compiled(adapter: Any) -> int:
    """How many operations the port has that it will call; it keeps that to itself."""
    return len(adapter._connection.port.operations)


def opening_again(order: Order) -> Callable[[], Order]:
    """As every session but the first does."""
    first, adapter = _adapter(order), _adapter(order)
    first.open()

    def run() -> Order:
        adapter.open()
        return {"seen": _compiled(adapter)}

    return run
