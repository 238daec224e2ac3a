"""``/metrics`` in Prometheus' text format (gateway 55); told to whom ``/readyz`` is.

Labels come from closed sets: route templates, statuses, reason codes and configured
systems. No ids, no names. Source: Prometheus "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from moatbridge.flow.inbox import AT
from moatbridge.gateway.health import stranger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from starlette.requests import Request

    from moatbridge.gateway.counting import Counters
    from moatbridge.gateway.health import Readiness

MEDIA_TYPE: Final = "text/plain; version=0.0.4"

Sample = tuple["Mapping[str, object]", float]


class Metrics:
    """What happened and how things stand, as numbers for a monitoring system.

    Args:
        readiness: Knows who may ask, and how things stand.
        counters: What happened.
    """

    def __init__(self, readiness: Readiness, counters: Counters) -> None:
        self._readiness = readiness
        self._counters = counters

    async def __call__(self, request: Request) -> Response:
        """200 with the numbers, also while we are not ready; 401 for strangers."""
        found = await self._readiness.seen(request, "/metrics")
        if found is None:
            return stranger()
        text = "".join(_lines(self._counters, *found))
        return Response(text, headers={"content-type": MEDIA_TYPE})


def _lines(
    counters: Counters, facts: Mapping[str, Any], codes: Iterable[str]
) -> Iterator[str]:
    requests = [
        ({"route": route, "status": status}, count)
        for (route, status), count in counters.requests.items()
    ]
    yield from _family("requests_total", "counter", "Requests answered.", requests)
    refusals = [({"reason": code}, n) for code, n in counters.refusals.items()]
    about = "Requests to an inbox of which nothing was kept."
    yield from _family("inbox_rejected_total", "counter", about, refusals)
    kept = [({"kind": kind}, count) for kind, count in counters.deliveries.items()]
    about = "Deliveries acknowledged, new or repeated."
    yield from _family("inbox_deliveries_total", "counter", about, kept)
    wrong: list[Sample] = [({"code": code}, 1) for code in codes]
    about = "What /readyz complains of now; nothing while all is well."
    yield from _family("not_ready", "gauge", about, wrong)
    yield from _standing(facts)


def _standing(facts: Mapping[str, Any]) -> Iterator[str]:
    backlogs = facts.get(AT, {}).items()
    about = "Deliveries that are kept and not yet read by every flow."
    unread = [({"system": name}, each["unread"]) for name, each in backlogs]
    yield from _family("inbox_backlog", "gauge", about, unread)
    oldest = [({"system": name}, each["oldest_seconds"]) for name, each in backlogs]
    about = "Age of the oldest of them."
    yield from _family("inbox_oldest_seconds", "gauge", about, oldest)
    free = facts.get("disk_free")
    samples: list[Sample] = [] if free is None else [({}, free)]
    about = "Share of the ledger's disk that is free."
    yield from _family("disk_free_ratio", "gauge", about, samples)


def _family(
    name: str, kind: str, about: str, samples: Iterable[Sample]
) -> Iterator[str]:
    whole = f"moatbridge_{name}"
    yield f"# HELP {whole} {about}\n# TYPE {whole} {kind}\n"
    for labels, value in samples:
        shown = ",".join(f'{key}="{_escaped(each)}"' for key, each in labels.items())
        yield f"{whole}{{{shown}}} {value}\n" if shown else f"{whole} {value}\n"


def _escaped(value: object) -> str:
    text = str(value)
    for sign, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        text = text.replace(sign, escape)
    return text
