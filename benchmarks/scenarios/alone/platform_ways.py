"""Ways to speak SCIM: httpx2 and json as one uses them, and ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.contents import creates, row, user

from scenarios.alone.work import in_a_flow, scanned, wired, written

if TYPE_CHECKING:
    from collections.abc import Callable

Order = dict[str, Any]
MOST = 100


def _client(order: Order) -> Any:
    """One connection, open and kept."""
    import httpx2

    headers = {
        "Authorization": "Bearer benchmark", "Content-Type": "application/scim+json",
    }  # fmt: skip
    client = httpx2.Client(base_url=order["sink"], headers=headers, trust_env=False)
    client.get("/ServiceProviderConfig").raise_for_status()
    return client


def raw_scan(order: Order) -> Callable[[], Order]:
    """Page after page, without a look at what is in it."""
    client = _client(order)

    def run() -> Order:
        seen, total = 0, 1
        while seen < total:
            query = {"startIndex": seen + 1, "count": order["page"]}
            page = json.loads(client.get("/Users", params=query).content)
            seen, total = seen + len(page["Resources"]), page["totalResults"]
        return {"seen": seen}

    return run


def _users(order: Order) -> list[tuple[Any, ...]]:
    return [row(number) for number in range(order["records"])]


def raw_create(order: Order) -> Callable[[], Order]:
    """A dict out, a dict in."""
    client, rows = _client(order), _users(order)

    def run() -> Order:
        seen = 0
        for one in rows:
            answer = client.post("/Users", content=json.dumps(user(one)))
            seen += answer.status_code == 201 and len(json.loads(answer.content)) > 0
        return {"seen": seen}

    return run


def raw_bulk(order: Order) -> Callable[[], Order]:
    """The same, a hundred at a time."""
    client, rows = _client(order), _users(order)

    def run() -> Order:
        seen = 0
        for at in range(0, len(rows), MOST):
            body = json.dumps(creates(rows[at : at + MOST]))
            answer = json.loads(client.post("/Bulk", content=body).content)
            seen += sum(each["status"] == "201" for each in answer["Operations"])
        return {"seen": seen}

    return run


def _adapter(order: Order) -> Any:
    """Ours, open."""
    from pydantic import SecretStr

    from moatbridge_scim import ScimAdapter, ScimConfig

    auth = {"kind": "bearer", "token": SecretStr("benchmark")}
    config = ScimConfig(base_url=order["sink"], auth=auth, insecure_cleartext=True)
    adapter = wired(ScimAdapter(config, {}))
    adapter.open()
    return adapter


def scan(order: Order) -> Callable[[], Order]:
    """To a proven end."""
    adapter = _adapter(order)

    def run() -> Order:
        return {"seen": scanned(adapter)}

    return in_a_flow(run)


def _writing(order: Order, most: int) -> Callable[[], Order]:
    from moatbridge.changes import Intent

    adapter = _adapter(order)
    intents = [Intent(f"k{one[0]}", "create", None, _record(one)) for one in _users(order)]  # fmt: skip

    def run() -> Order:
        return {"seen": written(adapter, intents, most)}

    return in_a_flow(run)


def _record(one: tuple[Any, ...]) -> dict[str, Any]:
    """A person as flows hand it over."""
    made = user(one)
    made.pop("schemas")
    names = [key for key in made if key.startswith("urn:")]
    return {**{k: v for k, v in made.items() if k not in names}, "enterprise": made[names[0]]}  # fmt: skip


def create(order: Order) -> Callable[[], Order]:
    """A call for each."""
    return _writing(order, 1)


def bulk(order: Order) -> Callable[[], Order]:
    """A parcel a call."""
    return _writing(order, 500)
